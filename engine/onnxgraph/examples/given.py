"""Example inputs and sizes from the user, for models that accept no drawn ones.

`use_examples` applies to every verb inside its `with`. Verbs with `examples=` and `symbols=` use it
themselves.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphcore import dims
from graphcore.arrays import ArrayFile
from graphcore.dims import Dim
from graphcore.errors import GraphError, unknown_name
from graphcore.spec import Feeds, TensorSpec, parse_path
from onnxgraph.examples.examples import all_symbols
from onnxgraph.running.run import check_feeds

Examples = str | Path | Mapping[str, Any] | Sequence[Any]
"""The path of an .npz, arrays by input name, a list of these, or arrays in the order of inputs."""

Symbols = str | Mapping[str, Dim]
"""Symbol to its size or to the dim it is computed from. As text: "total=past+new time=16000"."""


@dataclass(frozen=True)
class Given:
    """What the user gave, or nothing."""

    examples: Mapping[str, Any] | Sequence[Any] | None = None
    symbols: Mapping[str, Dim] = field(default_factory=dict)


_ADVICE = "Write them with numpy.savez(path, **arrays), an array for each input"
_NOTHING = Given()
_given: ContextVar[Given] = ContextVar("given")


@contextlib.contextmanager
def use_examples(
    examples: Examples | None = None, *, symbols: Symbols | None = None
) -> Iterator[None]:
    """Let every verb inside run models on these inputs, or on drawn ones of these sizes.

    Args:
        examples: inputs that the model accepts: arrays by input name, a list of these (several
            examples), arrays in the order of the inputs, or the path of an .npz with arrays by
            name. They are used for models with inputs of these names. None or "" means to draw
            inputs.
        symbols: the sizes of symbolic dims for drawn inputs, as numbers or computed from others:
            {"total": "past + length", "time": 16000}, or the text "total=past+length time=16000".

    Raises:
        GraphError: the file cannot be read, or a text has another form.
        Refusal: no file can have such a path.
    """
    before = _given.get(_NOTHING)
    if isinstance(examples, str | Path):
        own = _read(parse_path(examples)) if str(examples) else before.examples
    else:
        own = before.examples if examples is None else examples
    now = Given(own, {**before.symbols, **_symbols(symbols or {})})
    token = _given.set(now)
    try:
        yield
    finally:
        _given.reset(token)


def relations(specs: Iterable[TensorSpec]) -> dict[str, Dim]:
    """Return the relations that were given for the symbols of these inputs."""
    known = all_symbols(specs)
    return {name: dim for name, dim in _given.get(_NOTHING).symbols.items() if name in known}


def feeds(specs: Iterable[TensorSpec]) -> list[Feeds]:
    """Return the examples that were given for these inputs, or none if they are for other inputs.

    Raises:
        GraphError: an example does not fit the inputs.
    """
    specs = tuple(specs)
    found = [_by_name(example, specs) for example in _several(_given.get(_NOTHING).examples, specs)]
    wanted = {spec.name for spec in specs}
    fitting = [example for example in found if wanted <= set(example)]
    if found and not fitting and any(wanted & set(example) for example in found):
        missing = next(spec for spec in specs if spec.name not in found[0])
        raise unknown_name("array in the examples for the input", missing.name, found[0])
    made = []
    for example in fitting:
        arrays = {spec.name: _array(example[spec.name], spec) for spec in specs}
        check_feeds(specs, arrays)
        made.append(arrays)
    return made


def _several(
    examples: Mapping[str, Any] | Sequence[Any] | None, specs: tuple[TensorSpec, ...]
) -> list[Any]:
    if examples is None:
        return []
    if isinstance(examples, Mapping | np.ndarray):
        return [examples]
    several = list(examples)
    if all(isinstance(each, Mapping) for each in several):
        return several
    # Arrays in the order of the inputs. A list of such lists is several examples.
    nested = all(isinstance(each, list | tuple) and len(each) == len(specs) for each in several)
    return several if nested and len(specs) > 1 else [several]


def _by_name(example: Any, specs: tuple[TensorSpec, ...]) -> Mapping[str, Any]:
    if isinstance(example, Mapping):
        return example
    values = [example] if isinstance(example, np.ndarray) else list(example)
    if len(values) != len(specs):
        names = ", ".join(repr(spec.name) for spec in specs)
        raise GraphError(
            f"An example must hold an array for each of the {len(specs)} inputs ({names}), but "
            f"this one holds {len(values)}. Give them by name, as a dict."
        )
    return {spec.name: value for spec, value in zip(specs, values, strict=True)}


def _array(value: Any, spec: TensorSpec) -> np.ndarray:
    """Return a value as an array. Python's own numbers and texts get the dtype of the input."""
    if hasattr(value, "dtype"):
        return np.asarray(value)
    return np.asarray(value, object if spec.dtype == "str" else spec.dtype)


def _read(path: Path) -> list[dict[str, np.ndarray]]:
    """Return the examples in an .npz: arrays by name, or the inputs of golden cases.

    Raises:
        GraphError: it cannot be read.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    with ArrayFile(path, "cannot be read as examples", error=GraphError, advice=_ADVICE) as arrays:
        for key in arrays:
            case, inputs, name = key.partition("/input/")
            if inputs:
                found.setdefault(case, {})[name] = arrays[key]
            elif not any(kind in key for kind in ("/output/", "/label/")):
                found.setdefault("", {})[key] = arrays[key]
    return list(found.values())


def _symbols(symbols: Symbols) -> dict[str, Dim]:
    """Read "total=past+length time=16000", or check a dict. Texts of digits become numbers.

    Raises:
        GraphError: it has another form.
    """
    if isinstance(symbols, str):
        symbols = {name: text for name, _, text in (p.partition("=") for p in symbols.split())}
    read: dict[str, Dim] = {}
    for name, dim in symbols.items():
        number = isinstance(dim, int) or (dim.isdecimal() and len(dim) < 19)
        if not name or not (number or dims.is_expression(dim) or str(dim).isidentifier()):
            raise GraphError(
                "A size is written name=number or name=sum, for example total=past+length or "
                f"time=16000, but this is {name!r} = {dim!r}."
            )
        read[name] = int(dim) if number else dim
        if number and int(dim) < 0:
            raise GraphError(f"The size {name} = {dim} is negative.")
    return read
