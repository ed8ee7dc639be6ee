"""The form that JSON data must have: its keys, and the type of each value.

    {"name": str, "shape": [(int, str)], "bounds?": [int], "labels": {str: int}}

means an object with a text, a list of numbers or texts, an optional list of numbers, and an object
with numbers under any keys. Keys that a form does not name are ignored.
"""

from typing import Any

Form = Any
"""A type, a tuple of alternative forms, a list of one form, or an object of forms."""

NUMBER = (int, float)

_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    type(None): "nothing (null)",
}


def check(value: Any, form: Form, place: str = "") -> None:
    """Check that a value has a form.

    Args:
        value: the content of a JSON file.
        form: a form, as described above. `object` is any value, None is null.
        place: where the value is, for the message ("stages.export").

    Raises:
        ValueError: it has another form. The message says where, what was expected and what was
            seen.
    """
    if not isinstance(value, _kinds(form)) or (isinstance(value, bool) and not _has(form, bool)):
        expected = " or ".join(dict.fromkeys(_NAMES[kind] for kind in _kinds(form)))
        raise ValueError(f"{place or 'it'} should be {expected}, but is {_shown(value)}")
    inner = next((f for f in _several(form) if isinstance(f, dict | list)), None)
    if isinstance(inner, list) and isinstance(value, list):
        for number, each in enumerate(value):
            check(each, inner[0], f"{place}[{number}]")
    elif isinstance(inner, dict) and isinstance(value, dict):
        _check_object(value, inner, place)


def _check_object(value: dict, form: dict, place: str) -> None:
    for key, each in form.items():
        if key is str:
            for name, entry in value.items():
                check(entry, each, _joined(place, name))
        elif key.removesuffix("?") in value:
            check(value[key.removesuffix("?")], each, _joined(place, key.removesuffix("?")))
        elif not key.endswith("?"):
            raise ValueError(f"{place or 'it'} lacks {key!r}")


def _several(form: Form) -> tuple[Form, ...]:
    return form if isinstance(form, tuple) else (form,)


def _kinds(form: Form) -> tuple[type, ...]:
    """Return the types that a form allows."""
    return tuple(
        type(each) if each is None or isinstance(each, dict | list) else each
        for each in _several(form)
    )


def _has(form: Form, kind: type) -> bool:
    return kind in _kinds(form) or object in _kinds(form)


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return _NAMES[type(value)]
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _joined(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
