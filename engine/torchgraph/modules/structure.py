"""The arguments and results of `forward`, as tensors with names.

A name is a place. `features.a` is the entry "a" of the argument `features`, `xs.0` the first of a
list, `past.0.key` the entry "key" of the first result in "past".
"""

import dataclasses
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from graphcore.errors import ModelError

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def flattened(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, leaf) for everything inside tuples, lists, mappings and dataclasses, except
    None."""
    entries = _entries(value)
    if entries is None:
        if value is not None:
            yield name, value
        return
    for key, each in entries:
        yield from flattened(each, f"{name}.{key}" if name else str(key))


def output_names(found: Iterable[str]) -> list[str]:
    """Return names for outputs: the keys of a dict, or "output", or "output0", "output1" …"""
    places = list(found)
    if len(places) == 1 and places[0].isdigit():
        return ["output"]
    return [f"output{place}" if place[:1].isdigit() else place for place in places]


def parameters(module: nn.Module) -> list[inspect.Parameter]:
    """Return the parameters of `forward`. Scripted and traced modules have them in their schema."""
    if not isinstance(module, torch.jit.ScriptModule):
        try:
            return list(inspect.signature(module.forward).parameters.values())
        except ValueError:  # written in another language, so its parameters are unknown
            return [inspect.Parameter("inputs", inspect.Parameter.VAR_POSITIONAL)]
    given = module.forward.schema.arguments[1:]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [inspect.Parameter(each.name, kind) for each in given]


def bound(module: nn.Module, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and the keyword arguments of `forward`.

    A name that is an argument of `forward`, or starts with one and a dot, is that argument. Other
    names are labels, and their values fill the remaining arguments in order.

    Raises:
        ModelError: there are more values than arguments.
    """
    known = {each.name: each for each in parameters(module)}
    named, labels = _by_argument(values, known)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    gap = False
    for name, each in known.items():
        if each.kind in _POSITIONAL:
            if name not in named and not labels:
                gap = True
                continue
            value = named.pop(name) if name in named else labels.pop(next(iter(labels)))
            if gap and each.kind is not inspect.Parameter.POSITIONAL_ONLY:
                kwargs[name] = value
            else:
                args.append(value)
        elif each.kind is inspect.Parameter.VAR_POSITIONAL:
            if name in named:
                args += named.pop(name)
                continue
            args += labels.values()
            labels = {}
        elif each.kind is inspect.Parameter.VAR_KEYWORD:
            kwargs |= {**named.pop(name, {}), **labels}
            labels = {}
        elif name in named:
            kwargs[name] = named.pop(name)
    if labels:
        raise ModelError(_too_many(module, known, values, labels))
    return args, kwargs


def _by_argument(
    values: Mapping[str, Any], known: Mapping[str, inspect.Parameter]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values whose names are arguments, by argument, and those whose names are not."""
    named: dict[str, Any] = {}
    labels: dict[str, Any] = {}
    for name, value in values.items():
        root, *keys = name.split(".")
        if name in known or root not in known or root in values:
            (named if name in known else labels)[name] = value
            continue
        place = named.setdefault(root, {})
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
    return {name: _container(each, known[name]) for name, each in named.items()}, labels


def _container(value: Any, argument: inspect.Parameter) -> Any:
    """Return dicts with numbers as keys as lists, or as tuples if the argument is annotated so."""
    if not isinstance(value, dict):
        return value
    inner = {key: _container(each, argument) for key, each in value.items()}
    if not all(key.isdecimal() for key in inner):
        return inner
    ordered = [inner[key] for key in sorted(inner, key=int)]
    return tuple(ordered) if "tuple" in str(argument.annotation).lower() else ordered


def _entries(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return (key, value) for the content of a container, or None."""
    if isinstance(value, Mapping):
        return value.items()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(each.name, getattr(value, each.name)) for each in dataclasses.fields(value)]
    if isinstance(value, tuple | list):
        return zip(getattr(value, "_fields", range(len(value))), value, strict=True)
    return None


def _too_many(
    module: nn.Module,
    known: Mapping[str, inspect.Parameter],
    values: Mapping[str, Any],
    left: Iterable[str],
) -> str:
    first = next(iter(known), "x")
    marks: dict[object, str] = {
        inspect.Parameter.VAR_POSITIONAL: "*",
        inspect.Parameter.VAR_KEYWORD: "**",
        inspect.Parameter.KEYWORD_ONLY: "keyword ",
    }
    takes = ", ".join(marks.get(each.kind, "") + name for name, each in known.items())
    return (
        f"forward of {type(module).__name__} takes {len(known)} arguments ({takes}), but "
        f"{len(values)} inputs were given, and no argument takes {', '.join(map(repr, left))}. "
        "Give an input the name of its argument. The entries of a dict or a list are named by "
        f"their place, such as {first}.key or {first}.0."
    )
