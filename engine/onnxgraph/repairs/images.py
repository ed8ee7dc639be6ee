"""Let a model take pictures as they come: bytes instead of normalised floats, channels last.

The input keeps its name. The proof feeds both models: the old one gets the pictures as numpy
normalises them, which is what the new first nodes must compute.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from graphcore import parity
from graphcore.copies import copy_of
from graphcore.errors import GraphError, unknown_name
from onnxgraph.editing.finishing import add_constant, free_name
from onnxgraph.editing.proof import TOLERANCE
from onnxgraph.editing.result import Edited, edited
from onnxgraph.editing.rewire import move_readers
from onnxgraph.examples.examples import feeds, has_dynamic_batch
from onnxgraph.model import interface
from onnxgraph.model.entry_check import checked
from onnxgraph.running.run import Runner

TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]

_Picture = Callable[[np.ndarray], np.ndarray]


@checked
def take_images(
    model: onnx.ModelProto,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    name: str | None = None,
    channels_last: bool = False,
    batches: Iterable[int] = (1, 3),
) -> Edited:
    """Let a model take uint8 pictures and normalise them itself: (x / 255 − mean) / std.

    Args:
        model: the model, whose input is float, batch × channels × height × width. It is not
            changed.
        mean: the mean of each channel, in 0 … 1, as in training.
        std: the standard deviation of each channel, in the same units.
        name: the input. The default is the only one of rank 4.
        channels_last: whether the pictures are batch × height × width × channels.
        batches: batch sizes of the proof, if the batch is symbolic.

    Raises:
        GraphError: the input has another form, or another number of channels.
        UnknownName: there is no input of that name.
    """
    value = _input(model, name)
    shape = interface.dims(value) or ()
    scale, shift = 1 / (255 * np.array(std, np.float64)), -np.array(mean) / np.array(std)
    if not len(mean) == len(std) == shape[1]:
        raise GraphError(
            f"mean and std must have a number for each of the {shape[1]} channels of "
            f"{value.name!r}, but they have {len(mean)} and {len(std)}."
        )

    def normalised(pictures: np.ndarray) -> np.ndarray:
        first = pictures.transpose(TO_FIRST) if channels_last else pictures
        by_channel = first * scale[:, None, None] + shift[:, None, None]
        return by_channel.astype(dtype)

    dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    after, inner = _with_new_input(model, value, TensorProto.UINT8, channels_last)
    graph = after.graph
    data = value.name
    head = []
    if channels_last:
        head.append(_node(graph, "Transpose", [data], perm=TO_FIRST))
        data = head[-1].output[0]
    head.append(_node(graph, "Cast", [data], to=value.type.tensor_type.elem_type))
    constants = [
        add_constant(graph, each.astype(dtype).reshape(1, -1, 1, 1), stem=f"{value.name}_{stem}")
        for each, stem in ((scale, "scale"), (shift, "shift"))
    ]
    head.append(_node(graph, "Mul", [head[-1].output[0], constants[0]]))
    head.append(helper.make_node("Add", [head[-1].output[0], constants[1]], [inner], name=inner))
    order = "height × width × channels" if channels_last else "channels × height × width"
    changes = [
        f"input {value.name!r} takes uint8, batch × {order}",
        f"(x / 255 − {list(mean)}) / {list(std)} is computed in the graph",
    ]
    return _proven(model, after, head, changes, (value.name, normalised), batches)


@checked
def take_channels_last(
    model: onnx.ModelProto, *, name: str | None = None, batches: Iterable[int] = (1, 3)
) -> Edited:
    """Let a model take its pictures as batch × height × width × channels, in the same dtype.

    See `take_images` for the arguments and the errors.
    """
    value = _input(model, name)
    after, inner = _with_new_input(model, value, value.type.tensor_type.elem_type, True)
    head = [helper.make_node("Transpose", [value.name], [inner], name=inner, perm=TO_FIRST)]
    changes = [f"input {value.name!r} takes batch × height × width × channels"]
    first = (value.name, lambda pictures: pictures.transpose(TO_FIRST))
    return _proven(model, after, head, changes, first, batches)


def _input(model: onnx.ModelProto, name: str | None) -> onnx.ValueInfoProto:
    """Return the input of that name, or the only one that can hold pictures."""
    values = {value.name: value for value in interface.fed(model.graph)}
    if name is not None and name not in values:
        raise unknown_name("input", name, values)
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    pictures = [
        value
        for value in values.values()
        if len(interface.dims(value) or ()) == 4 and value.type.tensor_type.elem_type in floats
    ]
    chosen = [value for value in pictures if name in (None, value.name)]
    if len(chosen) != 1:
        seen = ", ".join(map(str, interface.inputs(model)))
        raise GraphError(
            "One input of floats with the shape batch × channels × height × width was expected, "
            f"but the inputs are {seen}. Name the one you mean."
        )
    return chosen[0]


def _with_new_input(
    model: onnx.ModelProto, value: onnx.ValueInfoProto, elem_type: int, channels_last: bool
) -> tuple[onnx.ModelProto, str]:
    """Return a copy whose input has another form, and the new name that its readers read."""
    copy = copy_of(model)
    inner = free_name(copy.graph, f"{value.name}_prepared")
    move_readers(copy.graph, value.name, inner)
    kind = next(v for v in copy.graph.input if v.name == value.name).type.tensor_type
    kind.elem_type = elem_type
    if channels_last:
        dims = [kind.shape.dim[axis] for axis in TO_LAST]
        moved = onnx.TensorShapeProto(dim=dims)
        kind.shape.CopyFrom(moved)
    return copy, inner


def _node(graph: onnx.GraphProto, op: str, inputs: list[str], **attributes: Any) -> onnx.NodeProto:
    name = free_name(graph, f"{inputs[0]}_{op.lower()}")
    return helper.make_node(op, inputs, [name], name=name, **attributes)


def _proven(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    head: list[onnx.NodeProto],
    changes: list[str],
    first: tuple[str, _Picture],
    batches: Iterable[int],
) -> Edited:
    """Put the new nodes first, and compare with the old model on pictures prepared by numpy."""
    nodes = [*head, *after.graph.node]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del after.graph.node[:]
    after.graph.node.extend(copies)
    result = edited(before, after, changes, [node.name for node in head])
    specs, (name, prepare) = interface.inputs(result.model), first
    old, new = Runner(before), Runner(result.model)
    reports = []
    for batch in batches if has_dynamic_batch(specs) else (1,):
        given = feeds(specs, batch=batch)
        if given[name].dtype == np.uint8:
            given[name] = np.random.default_rng(0).integers(0, 256, given[name].shape, np.uint8)
        expected = old.run({**given, name: prepare(given[name])})
        title = f"batch {batch}"
        report = parity.compare(expected, new.run(given), tolerance=TOLERANCE, title=title)
        reports.append(report.check())
    return replace(result, reports=tuple(reports))
