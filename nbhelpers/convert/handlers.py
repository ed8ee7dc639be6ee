"""ONNX ops that onnx-tf converts wrongly, wastefully or not at all, registered the way it registers its own.

Importing this module registers them: a later handler for the same ONNX op replaces the earlier one.
Each `handle` gets the ONNX node and the tensors made so far and returns the node's outputs.
"""

from collections.abc import Callable

import numpy as np

from nbhelpers.convert import compat

compat.load()  # before onnx_tf: it cannot be imported on its own

import tensorflow as tf  # noqa: E402
from onnx_tf.handlers.backend_handler import BackendHandler  # noqa: E402
from onnx_tf.handlers.handler import onnx_op  # noqa: E402
from onnx_tf.pb_wrapper import OnnxNode  # noqa: E402

from nbhelpers.convert.naming import Names  # noqa: E402
from nbhelpers.errors import ConversionError  # noqa: E402

Value = tf.Tensor | np.ndarray


class Tensors(dict):
    """ONNX tensor name to TensorFlow tensor; weights become constants when they are asked for.

    Our handlers take weights as arrays and write them in the layout that TensorFlow wants; an array
    that no other handler asks for never enters the graph.
    """

    def __init__(self, weights: dict[str, np.ndarray], names: Names):
        """Start with the model's `weights`; constants are named by `names`."""
        super().__init__()
        self.weights = weights
        self._names = names

    def __contains__(self, name: object) -> bool:
        """Whether a node made `name`, or it is a weight."""
        return super().__contains__(name) or name in self.weights

    def __missing__(self, name: str) -> tf.Tensor:
        """Make the constant for a weight, outside any name scope."""
        value = self.weights[name]
        with tf.compat.v1.get_default_graph().name_scope(None):
            self[name] = tf.constant(value, name=self._names.legal(name))
        return self[name]

    def get(self, name: str, default: object = None) -> object:
        """Return the tensor, as `dict.get` does (which would not see the weights)."""
        return self[name] if name in self else default


def constant(value: Value | None) -> np.ndarray | None:
    """Return a value that is known while the graph is being built, else None."""
    if value is None or isinstance(value, np.ndarray):
        return value
    return tf.get_static_value(value)


def static_shape(tensor: tf.Tensor) -> list[int] | None:
    """Return a shape for `tf.reshape` (at most one -1) if `tensor`'s is known that far, else None."""
    if tensor.shape.rank is None:
        return None
    shape = [-1 if size is None else size for size in tensor.shape.as_list()]
    return shape if shape.count(-1) <= 1 else None


def _handle(cls: type, node: OnnxNode, **kwargs: Tensors) -> list[tf.Tensor]:
    """Collect the node's inputs (None where one is left out, arrays for weights) and convert it."""
    tensors = kwargs["tensor_dict"]
    data, *others = [None if name == "" else name for name in node.inputs]
    arrays = getattr(tensors, "weights", {})
    values = [arrays[name] if name in arrays else tensors.get(name) for name in others]
    return cls.convert(node, tensors[data], *values)


def _register(op: str) -> Callable[[Callable], type]:
    """Make a function the handler of an ONNX op: onnx-tf finds subclasses of BackendHandler.

    The function gets the ONNX node and its inputs, of which the first is made a tensor.
    """

    def decorate(convert: Callable) -> type:
        body = {
            "handle": classmethod(_handle),
            "convert": staticmethod(convert),
            "__doc__": convert.__doc__,
        }
        return onnx_op(op)(type(op, (BackendHandler,), body))

    return decorate


@_register("Reshape")
def reshape(node: OnnxNode, data: tf.Tensor, shape: tf.Tensor | None = None) -> list[tf.Tensor]:
    """Reshape to a constant where the shape is one (onnx-tf builds a chain of gathers for it)."""
    wanted = node.attrs.get("shape") if shape is None else constant(shape)
    if wanted is None:
        return [tf.reshape(data, shape)]
    wanted = [int(size) for size in wanted]
    if not node.attrs.get("allowzero", 0):
        dims = data.shape.as_list() if data.shape.rank is not None else None
        for axis, size in enumerate(wanted):
            if size == 0:
                known = None if dims is None else dims[axis]
                if known is None and -1 not in wanted and wanted.count(0) == 1:
                    wanted[axis] = -1
                else:
                    wanted[axis] = tf.shape(data)[axis] if known is None else known
    return [tf.reshape(data, wanted)]


@_register("Flatten")
def flatten(node: OnnxNode, data: tf.Tensor) -> list[tf.Tensor]:
    """Flatten to two axes; a constant shape where all but the batch is known."""
    axis = node.attrs.get("axis", 1)
    axis = axis + data.shape.rank if axis < 0 else axis
    head, tail = data.shape.as_list()[:axis], data.shape.as_list()[axis:]
    if None not in tail:
        return (
            [tf.reshape(data, [-1, int(np.prod(tail))])]
            if np.prod(tail)
            else _flatten_empty(data, axis)
        )
    if None not in head and np.prod(head):
        return [tf.reshape(data, [int(np.prod(head)), -1])]
    return _flatten_empty(data, axis)


def _flatten_empty(data: tf.Tensor, axis: int) -> list[tf.Tensor]:
    shape = tf.shape(data)
    return [tf.reshape(data, [tf.reduce_prod(shape[:axis]), tf.reduce_prod(shape[axis:])])]


@_register("Gemm")
def gemm(node: OnnxNode, a: tf.Tensor, b: tf.Tensor, c: tf.Tensor | None = None) -> list[tf.Tensor]:
    """Compute alpha·A·B + beta·C in the inputs' dtype, without scaling by one."""
    alpha, beta = node.attrs.get("alpha", 1.0), node.attrs.get("beta", 1.0)
    result = tf.matmul(
        a,
        b,
        transpose_a=bool(node.attrs.get("transA", 0)),
        transpose_b=bool(node.attrs.get("transB", 0)),
    )
    if alpha != 1.0:
        result = result * tf.cast(alpha, a.dtype)
    if c is None or beta == 0.0:
        return [result]
    return [result + (c if beta == 1.0 else c * tf.cast(beta, a.dtype))]


@_register("GlobalAveragePool")
def global_average_pool(node: OnnxNode, data: tf.Tensor) -> list[tf.Tensor]:
    """Average over every spatial axis, keeping them with size one.

    A mean without those axes has no layout that would have to be moved back from NHWC.
    """
    rank = data.shape.rank
    mean = tf.reduce_mean(data, list(range(2, rank)))
    if data.shape[1] is None:
        return [tf.reshape(mean, tf.concat([tf.shape(mean), [1] * (rank - 2)], 0))]
    return [tf.reshape(mean, [-1, data.shape[1], *[1] * (rank - 2)])]


@_register("Squeeze")
def squeeze(node: OnnxNode, data: tf.Tensor, axes: tf.Tensor | None = None) -> list[tf.Tensor]:
    """Remove axes; they are an attribute up to opset 12, an input from 13."""
    chosen = node.attrs.get("axes") if axes is None else _constant_axes(node, axes)
    return [tf.squeeze(data, None if chosen is None else [int(axis) for axis in chosen])]


@_register("Unsqueeze")
def unsqueeze(node: OnnxNode, data: tf.Tensor, axes: tf.Tensor | None = None) -> list[tf.Tensor]:
    """Insert axes of size one; they are an attribute up to opset 12, an input from 13."""
    chosen = node.attrs.get("axes") if axes is None else _constant_axes(node, axes)
    rank = data.shape.rank + len(chosen)
    for axis in sorted(int(axis) % rank for axis in chosen):
        data = tf.expand_dims(data, axis)
    return [data]


def _constant_axes(node: OnnxNode, axes: tf.Tensor) -> np.ndarray:
    chosen = constant(axes)
    if chosen is None:
        raise ConversionError(
            f"ONNX node {node.name!r} ({node.op_type}) computes its axes while it runs; TensorFlow "
            "needs them in the graph. Simplify the model so that they become a constant."
        )
    return chosen


@_register("Conv")
def conv(
    node: OnnxNode, data: tf.Tensor, weights: Value, bias: Value | None = None
) -> list[tf.Tensor]:
    """Convolve over one, two or three axes; groups become depthwise where they are."""
    rank = data.shape.rank - 2
    if rank not in (1, 2, 3):
        raise ConversionError(
            f"ONNX node {node.name!r} (Conv) works on {rank} axes; TensorFlow knows one, two and three."
        )
    if node.attrs.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise ConversionError(
            f"ONNX node {node.name!r} (Conv) pads by itself (auto_pad) over a size that is not known; "
            "fix the spatial dims of the model's inputs, or give the padding as numbers."
        )
    kernel, group = list(weights.shape)[2:], node.attrs.get("group", 1)
    ones = [1] * rank
    strides, dilations = node.attrs.get("strides", ones), node.attrs.get("dilations", ones)
    pads = node.attrs.get("pads", [0] * 2 * rank)
    if rank == 1:  # TensorFlow's conv1d is the same detour
        data, weights = tf.expand_dims(data, 2), weights[:, :, None]
        kernel, strides, dilations = [1, *kernel], [1, *strides], [1, *dilations]
        pads = [0, pads[0], 0, pads[1]]
    data, padding = _padded(data, kernel, strides, dilations, [int(pad) for pad in pads])
    result = _convolve(data, weights, group, strides, dilations, padding)
    if bias is not None:
        result = tf.nn.bias_add(result, bias, data_format="NC" + "DHW"[3 - len(kernel) :])
    return [tf.squeeze(result, 2) if rank == 1 else result]


def _padded(
    data: tf.Tensor, kernel: list, strides: list, dilations: list, pads: list
) -> tuple[tf.Tensor, str]:
    """Return the data to convolve and TensorFlow's padding word for it.

    SAME pads half of `reach - 1` on each side whatever the size, if the stride is one and the reach
    is odd; everywhere else it depends on the size, so the padding is made an op of its own.
    """
    rank = len(kernel)
    begins, ends = pads[:rank], pads[rank:]
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    half = [(size - 1) // 2 for size in reach]
    if not any(pads):
        return data, "VALID"
    odd = all(size % 2 for size in reach)
    if odd and begins == ends == half and all(stride == 1 for stride in strides):
        return data, "SAME"
    return tf.pad(data, [[0, 0], [0, 0], *zip(begins, ends, strict=True)]), "VALID"


def _convolve(
    data: tf.Tensor, weights: Value, group: int, strides: list, dilations: list, padding: str
) -> tf.Tensor:
    """Convolve in NCHW or NCDHW; `weights` are M×C/group×kernel as ONNX stores them."""
    rank = len(strides)
    options = {
        "strides": [1, 1, *map(int, strides)],
        "padding": padding,
        "data_format": "NCHW" if rank == 2 else "NCDHW",
    }
    if group > 1 and rank == 2 and group == data.shape[1]:
        # M×1×kH×kW, with M = C·multiplier, becomes kH×kW×C×multiplier.
        height, width = list(weights.shape)[2:]
        filters = _permuted(weights, [2, 3, 0, 1])
        filters = tf.reshape(filters, [height, width, group, -1])
        return tf.nn.depthwise_conv2d(data, filters, dilations=list(map(int, dilations)), **options)
    filters = _permuted(weights, [*range(2, 2 + rank), 1, 0])
    convolve = tf.nn.conv2d if rank == 2 else tf.nn.conv3d
    options["dilations"] = [1, 1, *map(int, dilations)]
    if group == 1:
        return convolve(data, filters, **options)
    parts = zip(tf.split(data, group, axis=1), tf.split(filters, group, axis=-1), strict=True)
    return tf.concat(
        [convolve(part, part_filters, **options) for part, part_filters in parts], axis=1
    )


def _permuted(weights: Value, permutation: list[int]) -> tf.Tensor:
    """Transpose weights now where they are constant: folding them later costs much more."""
    value = constant(weights)
    if value is None:
        return tf.transpose(weights, permutation)
    return tf.constant(np.ascontiguousarray(value.transpose(permutation)))


@_register("Pad")
def pad(
    node: OnnxNode,
    data: tf.Tensor,
    pads: tf.Tensor | None = None,
    value: tf.Tensor | None = None,
    *axes: tf.Tensor,
) -> list[tf.Tensor]:
    """Pad with a constant, the edge or a reflection; negative padding crops."""
    amounts = node.attrs.get("pads", node.attrs.get("paddings")) if pads is None else constant(pads)
    if amounts is None or axes:
        raise ConversionError(
            f"ONNX node {node.name!r} (Pad) computes its padding while it runs or names axes; simplify "
            "the model so that the padding becomes a constant for every axis."
        )
    amounts = np.array(amounts, np.int64).reshape(2, -1).T
    if (amounts < 0).any():
        begins = np.maximum(-amounts[:, 0], 0)
        crops = [
            slice(int(b), -int(e) if e else None)
            for b, e in zip(begins, np.maximum(-amounts[:, 1], 0), strict=True)
        ]
        data, amounts = data[tuple(crops)], np.maximum(amounts, 0)
    mode = node.attrs.get("mode", "constant")
    if mode == "constant":
        fill = node.attrs.get("value", 0) if value is None else value
        known = constant(fill) if isinstance(fill, tf.Tensor) else fill
        fill = fill if known is None else data.dtype.as_numpy_dtype(np.asarray(known).item())
        return [tf.pad(data, amounts.tolist(), constant_values=fill)]
    if mode == "reflect":
        return [tf.pad(data, amounts.tolist(), mode="REFLECT")]
    if mode != "edge":
        raise ConversionError(
            f"ONNX node {node.name!r} (Pad) has the mode {mode!r}, which TensorFlow lacks."
        )
    return [_pad_edge(data, amounts)]


def _pad_edge(data: tf.Tensor, amounts: np.ndarray) -> tf.Tensor:
    for axis, (begin, end) in enumerate(amounts.tolist()):
        first = [slice(None)] * axis + [slice(0, 1)]
        last = [slice(None)] * axis + [slice(-1, None)]
        parts = [data[tuple(first)]] * begin + [data] + [data[tuple(last)]] * end
        data = tf.concat(parts, axis) if len(parts) > 1 else data
    return data


@_register("MaxPool")
def max_pool(node: OnnxNode, data: tf.Tensor) -> list[tf.Tensor]:
    """Pool without padding: `nbhelpers.onnxgraph.explicit_pooling` has made it a Pad before."""
    return [_pool(node, data, "MAX")]


@_register("AveragePool")
def average_pool(node: OnnxNode, data: tf.Tensor) -> list[tf.Tensor]:
    """Pool without padding: `nbhelpers.onnxgraph.explicit_pooling` has made it explicit before."""
    return [_pool(node, data, "AVG")]


_POOLS = {
    ("MAX", 1): tf.nn.max_pool1d,
    ("MAX", 2): tf.nn.max_pool2d,
    ("MAX", 3): tf.nn.max_pool3d,
    ("AVG", 1): tf.nn.avg_pool1d,
    ("AVG", 2): tf.nn.avg_pool2d,
    ("AVG", 3): tf.nn.avg_pool3d,
}


def _pool(node: OnnxNode, data: tf.Tensor, kind: str) -> tf.Tensor:
    window = [int(size) for size in node.attrs["kernel_shape"]]
    explicit = node.attrs.get("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    if not explicit or any(node.attrs.get("pads", ())) or node.attrs.get("ceil_mode", 0):
        raise ConversionError(
            f"ONNX node {node.name!r} ({node.op_type}) still pads by itself (auto_pad, pads or "
            "ceil_mode), which TensorFlow rounds differently; its input size must be known so that "
            "the padding can be made explicit. Fix the spatial dims of the model's inputs."
        )
    if len(node.outputs) > 1:
        raise ConversionError(
            f"ONNX node {node.name!r} (MaxPool) also returns indices, which are counted differently in "
            "TensorFlow; remove that output from the model."
        )
    rank = len(window)
    if rank not in (1, 2, 3):
        raise ConversionError(
            f"ONNX node {node.name!r} ({node.op_type}) pools over {len(window)} axes; TensorFlow knows "
            "one, two and three."
        )
    ones = [1] * rank
    strides = [int(size) for size in node.attrs.get("strides", ones)]
    dilations = [int(size) for size in node.attrs.get("dilations", ones)]
    if rank == 3:
        # The layout optimiser leaves 3-D pools as they are, and old runtimes know them in NDHWC only.
        data = tf.transpose(data, [0, 2, 3, 4, 1])
    layout = ("NCW", "NCHW", "NDHWC")[rank - 1]
    if max(dilations) > 1:
        pooled = tf.nn.pool(
            data, window, kind, strides, padding="VALID", data_format=layout, dilations=dilations
        )
    else:
        # Not tf.nn.pool, which refuses windows that are smaller than their stride.
        pooled = _POOLS[kind, rank](data, window, strides, "VALID", data_format=layout)
    if rank < 3:
        return pooled
    return tf.transpose(pooled, [0, 4, 1, 2, 3])
