"""Damage to a protobuf message of any kind: one field, anywhere, gets another value."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Field

_WHOLE = (0, 1, -1, 2, 3, 7, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**31), -(2**63))
_REAL = (0.0, -0.0, 1e-40, 1e38, float("nan"), float("inf"), float("-inf"))
_TEXT = ("", " ", "a", "a" * 3000, "\n", "a\0b", "../../x", "‮x", "x/y", "-", "^a", "a:1", "%s")

Place = tuple[Any, Any]
"""A message, and one of its fields."""


def change(rng: random.Random, root: Any) -> str:
    """Change one field somewhere in a message, in place, and return which."""
    places = list(_places(root))
    if not places:
        return "nothing"
    message, field = rng.choice(places)
    name = f"{message.DESCRIPTOR.name}.{field.name}"
    if field.is_repeated:
        return f"{_change_list(rng, root, message, field)} {name}"
    if rng.random() < 0.2:
        message.ClearField(field.name)
        return f"without {name}"
    if field.type == Field.TYPE_MESSAGE:
        others = _same_kind(root, field.message_type)
        getattr(message, field.name).CopyFrom(rng.choice(others))
        return f"another {name}"
    with contextlib.suppress(ValueError):  # some enumerations do not accept unknown numbers
        setattr(message, field.name, _value(rng, root, field))
    return f"value of {name}"


def _change_list(rng: random.Random, root: Any, message: Any, field: Any) -> str:
    """Remove, repeat, move or change an element of a repeated field."""
    values = getattr(message, field.name)
    if hasattr(values, "keys"):
        return _change_map(rng, values)
    place = rng.randrange(len(values))
    way = rng.choice(("removed", "removed", "repeated", "moved", "changed", "changed", "cleared"))
    if way == "removed":
        del values[place]
    elif way == "cleared":
        message.ClearField(field.name)
    elif field.type == Field.TYPE_MESSAGE:
        copy = type(values[place]).FromString(values[place].SerializePartialToString())
        others = _same_kind(root, field.message_type)
        if way == "changed":
            values[place].CopyFrom(rng.choice(others))
        else:
            if way == "moved":
                del values[place]
            values.insert(rng.randrange(len(values) + 1), copy)
    elif way == "changed":
        with contextlib.suppress(ValueError):
            values[place] = _value(rng, root, field)
    else:
        values.extend([values[place]] * rng.choice((1, 1, 300)))
    return way


def _change_map(rng: random.Random, values: Any) -> str:
    keys = sorted(values)
    key = rng.choice(keys)
    if hasattr(values[key], "CopyFrom"):
        copy = type(values[key])()
        copy.CopyFrom(values[rng.choice(keys)])
        way = rng.choice(("removed", "copied", "renamed"))
        if way == "removed":
            del values[key]
        else:
            other = rng.choice(_TEXT) if isinstance(key, str) else rng.choice(_WHOLE[:6])
            values[other if way == "renamed" else key].CopyFrom(copy)
        return way
    del values[key]
    return "removed"


def _value(rng: random.Random, root: Any, field: Any) -> Any:
    """Return another value of a field's type: an odd one, or one from elsewhere in the message."""
    if field.type == Field.TYPE_STRING:
        return rng.choice(_texts(root)) if rng.random() < 0.5 else rng.choice(_TEXT)
    if field.type == Field.TYPE_BYTES:
        return rng.choice((b"", b"\0", b"\xff" * 9, b"x" * 5000))
    if field.type in (Field.TYPE_FLOAT, Field.TYPE_DOUBLE):
        return rng.choice(_REAL)
    if field.type == Field.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == Field.TYPE_ENUM:
        known = [each.number for each in field.enum_type.values]
        return rng.choice([*known, *known, max(known) + 1, 1000])
    low, high = _RANGES[field.type]
    return rng.choice([each for each in _WHOLE if low <= each <= high])


_RANGES = {
    kind: bounds
    for bounds, kinds in {
        (-(2**31), 2**31 - 1): (Field.TYPE_INT32, Field.TYPE_SINT32, Field.TYPE_SFIXED32),
        (-(2**63), 2**63 - 1): (Field.TYPE_INT64, Field.TYPE_SINT64, Field.TYPE_SFIXED64),
        (0, 2**32 - 1): (Field.TYPE_UINT32, Field.TYPE_FIXED32),
        (0, 2**64 - 1): (Field.TYPE_UINT64, Field.TYPE_FIXED64),
    }.items()
    for kind in kinds
}


def messages(root: Any) -> Iterator[Any]:
    """Yield a message and all messages inside it."""
    yield root
    for field, value in root.ListFields():
        if field.type != Field.TYPE_MESSAGE:
            continue
        if not field.is_repeated:
            yield from messages(value)
        elif hasattr(value, "keys"):
            for key in sorted(value):
                if hasattr(value[key], "ListFields"):
                    yield from messages(value[key])
        else:
            for each in value:
                yield from messages(each)


def _places(root: Any) -> Iterator[Place]:
    for message in messages(root):
        yield from ((message, field) for field, _ in message.ListFields())


def _same_kind(root: Any, kind: Any) -> list[Any]:
    """Return copies of the messages of a kind."""
    found = [each for each in messages(root) if kind.full_name == each.DESCRIPTOR.full_name]
    return [type(each).FromString(each.SerializePartialToString()) for each in found]


def _texts(root: Any) -> list[str]:
    found = [""]
    for message, field in _places(root):
        if field.type == Field.TYPE_STRING:
            value = getattr(message, field.name)
            found += value if field.is_repeated else [value]
    return [each for each in found if isinstance(each, str)]
