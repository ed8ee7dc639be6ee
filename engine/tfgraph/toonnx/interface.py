"""The interface of the ONNX model: inputs, outputs, layout, batch, sizes, and fixed values.

All changes are made to the TensorFlow graph, so TensorFlow's own shape inference computes the rest.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from graphcore.errors import GraphError, first_line, unknown_name
from graphcore.spec import Dim, TensorSpec
from tfgraph import framework
from tfgraph.graphs.graphdef import TensorInfo
from tfgraph.toonnx.name_prefix import PREFIX
from tfgraph.toonnx.sources import Source

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

Shape = tuple[int | None, ...]

IMAGES = (4, 5)
"""Ranks of tensors with channels: images (batch, height, width, channels) and volumes."""


@dataclass(frozen=True)
class Interface:
    """A graph with the inputs and outputs that the ONNX model must have.

    `inputs` and `outputs` map ONNX names to tensors of this graph, in ONNX order. `specs` has the
    specs of the inputs by ONNX name. `shapes` has the shapes of the outputs as far as TensorFlow
    infers them. `turned` has the names of the tensors whose channels are now first. `batch` is the
    source's batch size before it was made dynamic.
    """

    graph_def: "GraphDef" = field(repr=False)
    inputs: dict[str, str]
    outputs: dict[str, str]
    specs: dict[str, TensorSpec]
    shapes: dict[str, Shape | None]
    turned: frozenset[str]
    batch: int | None


def with_interface(
    source: Source,
    *,
    nchw: bool | Iterable[str] = False,
    batch: int | str | None = None,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> Interface:
    """Return the graph with the inputs and outputs that were asked for.

    Args:
        source: the frozen graph, with ONNX name → tensor.
        nchw: ONNX names of the tensors that get their channels before their sizes, or True for
            every input and output of rank 4 or 5.
        batch: the first dim of every input: a number, or a symbol for a dynamic one. If left out,
            it stays as it is.
        shapes: by ONNX name, sizes of inputs that the graph leaves open, in TensorFlow's layout.
        fixed: tensor → value, for switches that are not inputs ("keep_prob": 1.0).

    Raises:
        GraphError: a shape is unknown or does not fit, or the graph does not work with it.
        UnknownName: an input or output does not exist.
    """
    tf = framework.tensorflow()
    view = source.view
    known = {name: view.tensor(tensor) for name, tensor in source.inputs.items()}
    for name in shapes or {}:
        if name not in known:
            raise unknown_name("input", name, known)
    sizes = {n: _shape(n, info, (shapes or {}).get(n), batch) for n, info in known.items()}
    turned = _turned(nchw, {name: len(shape) for name, shape in sizes.items()}, source.outputs)
    with tf.Graph().as_default() as graph:
        places = {}
        for place, (name, shape) in enumerate(sizes.items()):
            offer = _first(shape) if name in turned else shape
            holder = tf.compat.v1.placeholder(known[name].dtype, offer, name=f"onnx_in_{place}")
            back = [0, *range(2, len(shape)), 1]
            places[source.inputs[name]] = tf.transpose(holder, back) if name in turned else holder
        for name, value in (fixed or {}).items():
            tensor = source.fixed[name]
            places[tensor] = _constant(name, view.tensor(tensor), value)
        asked = {"batch": batch, "shapes": shapes, "fixed": fixed}
        results = _imported(source, places, {name: a for name, a in asked.items() if a})
        ranks = {n: each.shape.rank for n, each in zip(source.outputs, results, strict=True)}
        turned |= _turned(nchw, ranks, source.inputs)
        ends = {}
        for place, (name, result) in enumerate(zip(source.outputs, results, strict=True)):
            if name in turned:
                rank = result.shape.rank
                result = tf.transpose(result, [0, rank - 1, *range(1, rank - 1)])
            ends[name] = tf.identity(result, name=f"onnx_out_{place}")
    before = {info.shape[0] for info in known.values() if info.shape}
    was = next(iter(before)) if len(before) == 1 and isinstance(batch, str) else None
    return Interface(
        graph_def=graph.as_graph_def(),
        inputs={name: f"onnx_in_{place}:0" for place, name in enumerate(sizes)},
        outputs={name: end.name for name, end in ends.items()},
        specs={
            name: _spec(name, known[name], _first(shape) if name in turned else shape, batch)
            for name, shape in sizes.items()
        },
        shapes={
            name: None if end.shape.rank is None else tuple(end.shape.as_list())
            for name, end in ends.items()
        },
        turned=frozenset(turned),
        batch=was,
    )


def _shape(
    name: str, info: TensorInfo, given: Sequence[int | None] | None, batch: int | str | None
) -> Shape:
    """Return an input's shape in TensorFlow's layout."""
    shape = info.shape if given is None else tuple(given)
    if shape is None:
        raise GraphError(_rank_wanted(name, info))
    fits = info.shape is None or (
        len(shape) == len(info.shape)
        and all(a == b for a, b in zip(shape[1:], info.shape[1:], strict=True) if b is not None)
    )
    if not fits:
        raise GraphError(
            f"The input {name!r} has the shape {_words(info.shape)} in the graph, which "
            f"{_words(shape)} does not fit; only sizes that the graph leaves open can be chosen."
        )
    if batch is None or not shape:
        return shape
    return (None if isinstance(batch, str) else batch, *shape[1:])


def _rank_wanted(name: str, info: TensorInfo) -> str:
    """Return the message for an input of unknown rank, with what to do about it."""
    said = f"The rank of the input {name!r} ({info.name}) is not known"
    if info.dtype == "bool":  # probably a switch
        return (
            f'{said}; it looks like a switch: give it its value, fixed={{"{name}": False}}, or say '
            f"that it is one value, shapes={{{name!r}: ()}}."
        )
    return (
        f"{said}; say its shape with None for what is open, such as shapes={{{name!r}: "
        "(None, 224, 224, 3)} for pictures or () for one number."
    )


def _turned(
    nchw: bool | Iterable[str], ranks: Mapping[str, int | None], others: Iterable[str]
) -> set[str]:
    """Return those names of tensors with ranks whose channels must come first."""
    if isinstance(nchw, bool):
        return {name for name, rank in ranks.items() if nchw and rank in IMAGES}
    names = {nchw} if isinstance(nchw, str) else set(nchw)
    for name in sorted(names):
        if name not in {*ranks, *others}:
            raise unknown_name("input or output", name, [*ranks, *others])
        if name in ranks and ranks[name] not in IMAGES:
            raise GraphError(
                f"{name!r} cannot be offered with its channels first: its rank is "
                f"{ranks[name] or 'not known'}, and pictures have 4, volumes 5. Leave it out of "
                "nchw=."
            )
    return names & set(ranks)


def _imported(source: Source, places: Mapping[str, Any], asked: Mapping[str, Any]) -> list[Any]:
    tf = framework.tensorflow()
    outputs = [*source.outputs.values()]
    try:
        return tf.import_graph_def(
            source.graph_def, input_map=places, return_elements=outputs, name=PREFIX
        )
    except (ValueError, KeyError, TypeError, tf.errors.OpError) as error:
        chosen = " and ".join(f"{name}={value!r}" for name, value in asked.items())
        advice = f"Leave out or change {chosen}." if chosen else "Choose other inputs=."
        said = first_line(error)
        raise GraphError(f"The graph does not work with these inputs: {said}. {advice}") from error


def _constant(name: str, info: TensorInfo, value: Any) -> Any:
    tf = framework.tensorflow()
    array = np.asarray(value).astype(info.dtype)
    shape = tf.TensorShape(info.shape)
    if not shape.is_compatible_with(array.shape):
        raise GraphError(f"{name!r} takes the shape {_words(info.shape)}, but {value!r} was given.")
    return tf.constant(array)


def _first(shape: Shape) -> Shape:
    """Return a shape with the channels, which are last, moved after the batch."""
    return (shape[0], shape[-1], *shape[1:-1])


def _spec(name: str, info: TensorInfo, shape: Shape, batch: int | str | None) -> TensorSpec:
    symbol = batch if isinstance(batch, str) else "batch"
    dims: list[Dim] = [
        (symbol if axis == 0 else f"{name}_dim{axis}") if size is None else size
        for axis, size in enumerate(shape)
    ]
    return TensorSpec(name, info.dtype, tuple(dims))


def _words(shape: Collection[int | None] | None) -> str:
    if shape is None:
        return "of any rank"
    return "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"
