"""Broadcast tensors before an op that does not broadcast, exactly and at any size.

Old TensorFlow has no BroadcastTo. A product with ones leaves every number as it is, even NaN,
infinities and the sign of zero. "Or false" does the same for booleans. For strings the indices are
broadcast, and the strings are gathered by them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfgraph.graphs.node_defs import const, new
from tfgraph.graphs.shapes import Shapes

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


def broadcast(
    node: "NodeDef",
    sources: list[str],
    dtypes: Sequence[int],
    shapes: Shapes,
    *,
    keep: Sequence[int] = (),
) -> tuple[list["NodeDef"], list[str]]:
    """Return new nodes, and for each source the tensor with its value in the common shape.

    `dtypes` are the sources' types. The sources at the positions `keep` are not broadcast. The
    nodes are named after `node`. Every rank must be known.
    """
    from tensorflow.core.framework import types_pb2

    known = [shapes.of(source) or () for source in sources]
    target: tuple[int, ...] | None = None
    if all(size is not None for shape in known for size in shape):
        target = np.broadcast_shapes(*(tuple(map(int, shape)) for shape in known))  # type: ignore[arg-type]
    todo = [
        index
        for index, shape in enumerate(known)
        if index not in keep and (target is None or shape != target)
    ]
    if not todo or not any(known):
        return [], sources
    nodes = _target_shape(node, sources, dtypes, known, target)
    dims = nodes[-1].name
    result = list(sources)
    units: dict[int, str] = {}
    for index in todo:
        name, dtype = f"{node.name}/broadcast_{index}", dtypes[index]
        if known[index] == ():
            nodes.append(new(name, "Fill", [dims, sources[index]], T=dtype))
        else:
            kind = types_pb2.DT_INT32 if dtype == types_pb2.DT_STRING else dtype
            if kind not in units:
                units[kind] = f"{node.name}/unit_{index}"
                nodes += _unit(units[kind], dims, kind)
            nodes += _combined(name, sources[index], units[kind], dtype)
        result[index] = name
    return nodes, result


def _target_shape(
    node: "NodeDef",
    sources: list[str],
    dtypes: Sequence[int],
    known: Sequence[tuple[int | None, ...]],
    target: tuple[int, ...] | None,
) -> list["NodeDef"]:
    """Return the nodes that compute the common shape. The last one returns it."""
    from tensorflow.core.framework import types_pb2

    int32 = types_pb2.DT_INT32
    if target is not None:
        return [const(f"{node.name}/dims", np.array(target, np.int32), int32)]
    nodes: list[NodeDef] = []
    dims = ""
    for index, source in enumerate(sources):
        if known[index] == ():
            continue
        name = f"{node.name}/shape_{index}"
        nodes.append(new(name, "Shape", [source], T=dtypes[index], out_type=int32))
        if dims:
            both = [dims, name]
            name = f"{node.name}/dims_{index}"
            nodes.append(new(name, "BroadcastArgs", both, T=int32))
        dims = name
    return nodes


def _unit(name: str, dims: str, dtype: int) -> list["NodeDef"]:
    """Return nodes that make a tensor of ones, or of False."""
    from tensorflow.core.framework import types_pb2

    value = np.array(0 if dtype == types_pb2.DT_BOOL else 1)
    one = const(f"{name}/value", value.astype(bool) if dtype == types_pb2.DT_BOOL else value, dtype)
    return [one, new(name, "Fill", [dims, one.name], T=dtype)]


def _combined(name: str, source: str, unit: str, dtype: int) -> list["NodeDef"]:
    from tensorflow.core.framework import types_pb2

    if dtype == types_pb2.DT_BOOL:
        return [new(name, "LogicalOr", [source, unit])]
    if dtype == types_pb2.DT_STRING:
        return _gathered(name, source, unit)
    return [new(name, "Mul", [source, unit], T=dtype)]


def _gathered(name: str, source: str, unit: str) -> list["NodeDef"]:
    """Return nodes that number a tensor's elements, broadcast the numbers, and gather by them."""
    from tensorflow.core.framework import types_pb2

    text, int32 = types_pb2.DT_STRING, types_pb2.DT_INT32
    zero, one, all_ = (
        const(f"{name}/{key}", np.array(value, np.int32), int32)
        for key, value in (("zero", 0), ("one", 1), ("all", [-1]))
    )
    size = new(f"{name}/size", "Size", [source], T=text, out_type=int32)
    shape = new(f"{name}/shape", "Shape", [source], T=text, out_type=int32)
    numbers = new(f"{name}/range", "Range", [zero.name, size.name, one.name], Tidx=int32)
    own = new(f"{name}/own", "Reshape", [numbers.name, shape.name], T=int32, Tshape=int32)
    places = new(f"{name}/places", "Mul", [own.name, unit], T=int32)
    flat = new(f"{name}/flat", "Reshape", [source, all_.name], T=text, Tshape=int32)
    types = {"Tparams": text, "Tindices": int32}
    found = new(name, "Gather", [flat.name, places.name], **types)
    return [zero, one, all_, size, shape, numbers, own, places, flat, found]
