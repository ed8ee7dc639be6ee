"""Make the padding of pools (and of auto-padded convolutions) explicit: no converter guesses it.

A padded MaxPool becomes a Pad with the lowest value and a pool without pads; AveragePool becomes a
Pad with zeros, a pool without pads and, where padding must not be counted, a factor for each output
cell. The output sizes follow ONNX's MaxPool and AveragePool: a last window that would begin in the
padding at the end is dropped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nbhelpers.onnxgraph.edit import light


@dataclass(frozen=True)
class ExplicitPadding:
    """The rewritten model, and one sentence for each node that was rewritten."""

    model: onnx.ModelProto
    changes: tuple[str, ...]


@dataclass(frozen=True)
class _Window:
    """One pooled axis: sizes in elements; `extra` is the padding at the end that ceil_mode adds."""

    kernel: int
    stride: int
    dilation: int
    begin: int
    end: int
    extra: int
    outputs: int | None


def explicit_padding(model: onnx.ModelProto) -> ExplicitPadding:
    """Return `model` with explicit padding on MaxPool, AveragePool and Conv; the original stays.

    Nodes that need a spatial size which is not known (ceil_mode, auto_pad, or uncounted padding, on
    a dynamic axis) are left as they are: the conversion names and refuses them.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    shapes = _shapes(result)
    opset = next(o.version for o in result.opset_import if o.domain in ("", "ai.onnx"))
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    changes: list[str] = []
    for node in result.graph.node:
        replaced = None
        if node.domain in ("", "ai.onnx") and node.op_type in ("MaxPool", "AveragePool"):
            replaced = _explicit_pool(node, shapes, constants, opset)
        elif node.op_type == "Conv" and _attributes(node).get("auto_pad", b"NOTSET") != b"NOTSET":
            replaced = _explicit_conv(node, shapes)
        nodes.extend(replaced or [node])
        if replaced:
            steps = " → ".join(step.op_type for step in replaced)
            changes.append(
                f"{node.op_type} {node.name or node.output[0]}: padding made explicit ({steps})"
            )
    if changes:
        del result.graph.node[:]
        result.graph.node.extend(nodes)
        result.graph.initializer.extend(constants)
    return ExplicitPadding(result, tuple(changes))


def _explicit_pool(
    node: onnx.NodeProto, shapes: "_Types", constants: list[onnx.TensorProto], opset: int
) -> list[onnx.NodeProto] | None:
    """Return the nodes that replace a pool, or None; their constants are added to `constants`."""
    attributes = _attributes(node)
    shape = shapes.get(node.input[0])
    if shape is None or len(node.output) > 1:
        return None
    auto_pad = attributes.pop("auto_pad", b"NOTSET").decode()
    pads = attributes.pop("pads", None)
    ceil_mode = attributes.pop("ceil_mode", 0)
    include = attributes.pop("count_include_pad", 0)
    if auto_pad == "NOTSET" and not any(pads or ()) and not ceil_mode:
        return None
    windows = _windows(shape[2:], attributes, pads, auto_pad, ceil_mode)
    if windows is None:
        return None
    average = node.op_type == "AveragePool"
    needs_factor = average and any(w.extra or (not include and (w.begin or w.end)) for w in windows)
    sizes = [size for size in shape[2:] if size is not None]
    if needs_factor and len(sizes) < len(windows):
        return None
    begins, ends = [w.begin for w in windows], [w.end + w.extra for w in windows]
    name = node.name or node.output[0]
    steps: list[onnx.NodeProto] = []
    data = node.input[0]
    if any(begins) or any(ends):
        padding = [0, 0, *begins, 0, 0, *ends]
        lowest = 0.0 if average else _lowest(shapes.dtype(node.input[0]))
        steps.append(_pad(data, f"{name}/padded", padding, lowest, shapes, constants, opset))
        data = f"{name}/padded"
    pooled = f"{name}/average" if needs_factor else node.output[0]
    steps.append(helper.make_node(node.op_type, [data], [pooled], name=name, **attributes))
    if needs_factor:
        factor = _cells_over_counted(windows, sizes, bool(include))
        dtype = helper.tensor_dtype_to_np_dtype(shapes.dtype(node.input[0]))
        constants.append(numpy_helper.from_array(factor.astype(dtype), f"{name}/factor"))
        steps.append(
            helper.make_node(
                "Mul", [pooled, f"{name}/factor"], [node.output[0]], name=f"{name}/Mul"
            )
        )
    return steps


def _explicit_conv(node: onnx.NodeProto, shapes: "_Types") -> list[onnx.NodeProto] | None:
    attributes = _attributes(node)
    weight, shape = shapes.get(node.input[1]), shapes.get(node.input[0])
    if shape is None or weight is None:
        return None
    auto_pad = attributes.pop("auto_pad").decode()
    attributes.setdefault("kernel_shape", weight[2:])
    windows = _windows(shape[2:], attributes, None, auto_pad, 0)
    if windows is None:
        return None
    attributes["pads"] = [w.begin for w in windows] + [w.end for w in windows]
    return [helper.make_node("Conv", node.input, node.output, name=node.name, **attributes)]


def _windows(
    sizes: Sequence[int | None],
    attributes: dict[str, Any],
    pads: Sequence[int] | None,
    auto_pad: str,
    ceil_mode: int,
) -> list[_Window] | None:
    """Return one window an axis, or None where an unknown size would have to be known."""
    rank = len(attributes["kernel_shape"])
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    pads = list(pads or [0] * 2 * rank) if auto_pad == "NOTSET" else [0] * 2 * rank
    windows = []
    for axis, kernel in enumerate(attributes["kernel_shape"]):
        size, stride, reach = sizes[axis], strides[axis], (kernel - 1) * dilations[axis] + 1
        begin, end, extra = pads[axis], pads[rank + axis], 0
        outputs: int | None
        if auto_pad.startswith("SAME"):
            if size is None:
                return None
            outputs = -(-size // stride)
            total = max((outputs - 1) * stride + reach - size, 0)
            begin = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
            end = total - begin
        elif ceil_mode:
            if size is None:
                return None
            padded = size + begin + end
            outputs = math.ceil((padded - reach) / stride) + 1
            if (outputs - 1) * stride >= size + begin:
                outputs -= 1
            extra = max((outputs - 1) * stride + reach - padded, 0)
        else:
            outputs = None if size is None else (size + begin + end - reach) // stride + 1
        windows.append(_Window(kernel, stride, dilations[axis], begin, end, extra, outputs))
    return windows


def _cells_over_counted(
    windows: Sequence[_Window], sizes: Sequence[int], include: bool
) -> np.ndarray:
    """Return window cells / counted cells, shape 1×1×outputs (the axes' counts multiply)."""
    factor = np.ones([1] * (2 + len(windows)))
    for axis, (window, size) in enumerate(zip(windows, sizes, strict=True)):
        assert window.outputs is not None  # its size is known
        first = np.arange(window.outputs)[:, None] * window.stride - window.begin
        cells = first + np.arange(window.kernel)[None, :] * window.dilation
        low, high = (-window.begin, size + window.end) if include else (0, size)
        counted = ((cells >= low) & (cells < high)).sum(axis=1)
        shape = [1] * factor.ndim
        shape[2 + axis] = window.outputs
        factor = factor * (window.kernel / counted).reshape(shape)
    return factor


def _pad(
    data: str,
    output: str,
    padding: Sequence[int],
    value: float,
    shapes: "_Types",
    constants: list[onnx.TensorProto],
    opset: int,
) -> onnx.NodeProto:
    """Return a Pad, whose amounts are attributes up to opset 10 and constants from 11."""
    name = f"{output}/Pad"
    if opset < 11:
        return helper.make_node(
            "Pad", [data], [output], name=name, pads=padding, value=float(value)
        )
    dtype = helper.tensor_dtype_to_np_dtype(shapes.dtype(data))
    constants.append(numpy_helper.from_array(np.array(padding, np.int64), f"{name}/pads"))
    constants.append(numpy_helper.from_array(np.array(value, dtype), f"{name}/value"))
    return helper.make_node("Pad", [data, f"{name}/pads", f"{name}/value"], [output], name=name)


def _lowest(dtype: int) -> float | int:
    numpy_dtype = helper.tensor_dtype_to_np_dtype(dtype)
    if np.issubdtype(numpy_dtype, np.integer):
        return int(np.iinfo(numpy_dtype).min)
    return -math.inf


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


class _Types(dict[str, list[int | None]]):
    """Tensor name to shape (None for an unknown size), and its element type."""

    def __init__(self) -> None:
        super().__init__()
        self._dtypes: dict[str, int] = {}

    def add(self, value: onnx.ValueInfoProto) -> None:
        tensor = value.type.tensor_type
        self._dtypes[value.name] = tensor.elem_type
        if tensor.HasField("shape"):
            self[value.name] = [
                d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim
            ]

    def dtype(self, name: str) -> int:
        return self._dtypes.get(name) or onnx.TensorProto.FLOAT


def _shapes(model: onnx.ModelProto) -> _Types:
    inferred = onnx.shape_inference.infer_shapes(light(model), data_prop=True).graph
    types = _Types()
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        types.add(value)
    for tensor in model.graph.initializer:
        types[tensor.name] = list(tensor.dims)
        types._dtypes[tensor.name] = tensor.data_type
    return types
