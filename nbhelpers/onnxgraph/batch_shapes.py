"""Which dims of which tensors follow the batch: found by inferring the shapes at two batch sizes.

A dim that is the same at both is static; one that grows in step is a multiple of the batch. That
also sees through Shape → Gather → Concat chains, where inference with symbols gives up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from nbhelpers.errors import GraphError
from nbhelpers.onnxgraph import interface
from nbhelpers.onnxgraph.anatomy import graphs
from nbhelpers.onnxgraph.edit import light
from nbhelpers.onnxgraph.examples import feeds
from nbhelpers.onnxgraph.run import Runner

PROBES = (5, 7)
"""Two sizes that no other dim is likely to share a factor with."""


@dataclass(frozen=True)
class Rows:
    """A dim that is `times` the batch."""

    times: int


Shape = tuple[int | Rows | None, ...]
Shapes = dict[str, Shape]
"""Tensor name to its dims: a size, a multiple of the batch, or None (unknown)."""


def infer(model: onnx.ModelProto, batch: int | None, carriers: Sequence[str]) -> dict[str, tuple]:
    """Return the dims of every tensor with the first dim of the `carriers` set to `batch`.

    Nothing that the file says about other tensors is believed; what cannot be inferred is left out.
    With `batch=None` the inputs stay as they are.
    """
    probe = light(model)
    forget_shapes(probe)
    if batch is not None:
        set_first_dim(probe, carriers, batch)
    probe = onnx.shape_inference.infer_shapes(probe, data_prop=True)
    values = (*probe.graph.input, *probe.graph.value_info, *probe.graph.output)
    known = {value.name: interface.dims(value) for value in values}
    known.update((tensor.name, tuple(tensor.dims)) for tensor in probe.graph.initializer)
    return {name: shape for name, shape in known.items() if shape is not None}


def follow(model: onnx.ModelProto, carriers: Sequence[str]) -> Shapes:
    """Return how every tensor's dims follow the batch of the `carriers` (input names)."""
    few, many = (infer(model, size, carriers) for size in PROBES)
    return {
        name: tuple(_merge(one, two) for one, two in zip(few[name], many[name], strict=True))
        for name in few
        if len(few[name]) == len(many.get(name, (None,) * 99))
    }


DATA_DEPENDENT = {"NonZero", "Unique", "NonMaxSuppression", "Compress", "If", "Loop", "Scan"}
"""Operators whose output shape may depend on values: what one run shows is then no proof."""


def observe(model: onnx.ModelProto, carriers: Sequence[str], names: Sequence[str]) -> Shapes:
    """Return how the dims of the named tensors follow the batch, as seen in two runs by
    onnxruntime.

    For what inference cannot find out. Empty where a run is no proof: another dim of an input is
    symbolic too, or a shape may depend on values.
    """
    specs = interface.inputs(model)
    free = [
        dim for spec in specs for dim in spec.shape[spec.name in carriers :] if isinstance(dim, str)
    ]
    if (
        not names
        or free
        or DATA_DEPENDENT & {n.op_type for g in graphs(model.graph) for n in g.node}
    ):
        return {}
    try:
        runner = Runner(model, fetch=names)
        few, many = (runner.run(feeds(specs, batch=size)) for size in PROBES)
    except GraphError:
        return {}
    return {
        name: tuple(
            _merge(one, two) for one, two in zip(few[name].shape, many[name].shape, strict=True)
        )
        for name in names
        if isinstance(few[name], np.ndarray) and few[name].ndim == many[name].ndim
    }


def rows_axis(shape: Shape | None) -> int | None:
    """Return the axis that follows the batch, or None if there is none or more than one."""
    axes = [axis for axis, dim in enumerate(shape or ()) if isinstance(dim, Rows)]
    return axes[0] if len(axes) == 1 else None


def reshape_axis(shape: Shape, outer: int, target: Sequence[int], batch: int) -> int | None:
    """Return the axis of `target` that the batch must take, or None if it has no place there.

    A reshape keeps the flat order, so the batch stays at its place between `before` and `after`
    values.

    Args:
        shape: the dims of what is reshaped, one of them following the batch.
        outer: how many of the `times` of that dim vary slower than the batch (1: it is batch-
            major).
        target: the sizes after the reshape, at the fixed `batch`.
        batch: the batch that the sizes were written for.
    """
    axis = rows_axis(shape)
    if axis is None or any(not isinstance(dim, (int, Rows)) for dim in shape):
        return None
    sizes = [dim.times if isinstance(dim, Rows) else int(dim or 0) for dim in shape]
    before = math.prod(sizes[:axis]) * outer
    after = math.prod(sizes[axis:]) // outer
    fits = [
        place
        for place, dim in enumerate(target)
        if dim % batch == 0
        and _divides(math.prod(target[:place]), before)
        and _divides(math.prod(target[place + 1 :]), after)
    ]
    exact = [
        place for place in fits if target[place] == batch and math.prod(target[:place]) == before
    ]
    if exact:
        return exact[0]
    # Where several axes could take it: not the last, which holds the features, and rather a later
    # one (the heads of an attention split off the features of one row, not rows).
    inner = [place for place in fits if place < len(target) - 1]
    return max(inner or fits, default=None)


def set_first_dim(model: onnx.ModelProto, carriers: Sequence[str], dim: int | str) -> None:
    """Set the first dim of the inputs named `carriers`, in place, on a private copy."""
    for value in model.graph.input:
        if value.name in carriers:
            first = value.type.tensor_type.shape.dim[0]
            first.Clear()
            if isinstance(dim, int):
                first.dim_value = dim
            else:
                first.dim_param = dim


def forget_shapes(model: onnx.ModelProto) -> None:
    """Drop every shape but those of the inputs, in place, on a private copy."""
    for graph in graphs(model.graph):
        del graph.value_info[:]
    for value in model.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")


def readable(shape: Mapping | Shape, symbol: str) -> list[int | str | None]:
    """Return the dims in the form that ONNX writes: the batch as its symbol."""
    return [_label(dim, symbol) if isinstance(dim, Rows) else dim for dim in shape]


def _label(dim: Rows, symbol: str) -> str:
    return symbol if dim.times == 1 else f"{dim.times}*{symbol}"


def _divides(part: int, whole: int) -> bool:
    return part > 0 and whole % part == 0


def _merge(one: object, two: object) -> int | Rows | None:
    if not isinstance(one, int) or not isinstance(two, int):
        return None
    if one == two:
        return one
    times, rest = divmod(one, PROBES[0])
    return Rows(times) if rest == 0 and times * PROBES[1] == two else None
