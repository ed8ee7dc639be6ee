"""Shapes of outputs as runs show them, if an edit left more dims open than inference can resolve.

A dim from the original file is used again only if two runs, at different sizes, agree with it.
"""

from collections.abc import Iterable, Mapping

import onnx

from graphcore.errors import GraphError
from graphcore.spec import Dim
from onnxgraph.examples.reference import reference_runs
from onnxgraph.model import interface

Shape = tuple[Dim | None, ...]


def complete_outputs(
    model: onnx.ModelProto, names: Iterable[str], said: Mapping[str, Shape | None]
) -> None:
    """Fill in open dims of a private copy's outputs.

    Args:
        model: the copy. These outputs of it are changed in place.
        names: outputs to look at.
        said: name to the shape that the file stated before the edit.

    Raises:
        GraphError: not even the rank of an output is known, because the model cannot be run.
    """
    values = {value.name: value for value in model.graph.output}
    open_ = [name for name in names if _is_open(values[name], said.get(name))]
    if not open_:
        return
    try:
        runs = _runs(model, open_)
    except GraphError as error:
        blank = [name for name in open_ if interface.dims(values[name]) is None]
        if not blank:
            return
        raise GraphError(
            f"The shape of the output {blank[0]!r} is unknown after this edit: inference does not "
            f"know it, and the model cannot be run. {error}"
        ) from error
    for name in open_:
        shape = _shape(interface.dims(values[name]), said.get(name), name, runs)
        kind = values[name].type.tensor_type.elem_type
        values[name].CopyFrom(onnx.helper.make_tensor_value_info(name, kind, shape))


def observed_shapes(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, Shape]:
    """Return the shapes of tensors of the main graph as two runs show them, by name.

    Raises:
        GraphError: the model cannot be run, or a rank is not the same in both runs.
    """
    names = list(names)
    try:
        runs = _runs(model, names) if names else []
    except GraphError as error:
        raise GraphError(
            f"The shape of {names[0]!r} is unknown: inference does not know it, and the model "
            f"cannot be run. {error}"
        ) from error
    return {name: _shape(None, None, name, runs) for name in names}


def _is_open(value: onnx.ValueInfoProto, said: Shape | None) -> bool:
    """Whether a shape has no rank, or an unknown dim that had a name or a size before."""
    seen = interface.dims(value)
    if seen is None:
        return value.type.HasField("tensor_type")
    if said is None or len(said) != len(seen):
        return False
    return any(dim is None and hint is not None for dim, hint in zip(seen, said, strict=True))


def _runs(
    model: onnx.ModelProto, names: list[str]
) -> list[tuple[dict[str, int], dict[str, tuple[int, ...]]]]:
    """Return for each run the sizes of the symbols of the inputs, and the shapes of the outputs."""
    found = []
    for _, feeds, outputs in reference_runs(model, batches=(2, 3), fetch=names):
        symbols = {
            dim: size
            for spec in interface.inputs(model)
            for dim, size in zip(spec.shape, feeds[spec.name].shape, strict=True)
            if isinstance(dim, str)
        }
        found.append((symbols, {name: outputs[name].shape for name in names}))
    return found


def _shape(seen: Shape | None, said: Shape | None, name: str, runs: list) -> Shape:
    ranks = {len(shapes[name]) for _, shapes in runs}
    if len(ranks) != 1:
        raise GraphError(f"The tensor {name!r} has no fixed rank, so it cannot be an output.")
    rank = ranks.pop()
    seen = seen or (None,) * rank
    hints = said if said is not None and len(said) == rank else (None,) * rank
    return tuple(
        _dim(hint, [(symbols, shapes[name][axis]) for symbols, shapes in runs])
        if dim is None
        else dim
        for axis, (dim, hint) in enumerate(zip(seen, hints, strict=True))
    )


def _dim(hint: Dim | None, runs: list[tuple[dict[str, int], int]]) -> Dim | None:
    """Return the dim that the file stated, or the symbol of an input that it follows, if runs
    agree.

    One run alone does not show that a dim follows another. A symbol that no input has stays if
    there is no better one, because it promises nothing that could be wrong.
    """
    symbols = runs[0][0]
    for dim in (hint, *(symbols if len(runs) > 1 else ())):
        if all(size == (given.get(dim) if isinstance(dim, str) else dim) for given, size in runs):
            return dim
    return hint if isinstance(hint, str) and hint not in symbols else None
