"""Rules for convolutions and resizing at any size: the sizes are computed at run time."""

from typing import TYPE_CHECKING, Any

from tfgraph.graphs.shapes import Shapes, groups
from tfgraph.retargeting.rules.composing import composed
from tfgraph.retargeting.rules.node_writer import FLOAT, HALF, INT32
from tfgraph.retargeting.rules.registry import rule

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


@rule("Conv2D", until="tf1.15")
@rule("Conv3D", until="tf1.15")
def convolution(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Convolve groups one by one and dilations by space-to-batch. Plain ones stay as they are."""
    data, filters = (shapes.of(source) for source in node.input[:2])
    layout, padding = node.attr["data_format"].s.decode(), node.attr["padding"].s.decode()
    if data is None or filters is None or None in filters or padding not in ("SAME", "VALID"):
        return None
    places, count = [i for i, c in enumerate(layout) if c in "DHW"], groups(node, shapes)
    strides, dilations = (
        [node.attr[name].list.i[i] for i in places] for name in ("strides", "dilations")
    )
    if not count or (count == 1 and max(dilations) == 1):
        return None
    dtype = node.attr["T"].type

    def convolve(images: Any, kernel: Any) -> Any:
        import tensorflow as tf

        channels_last = [0, *places, layout.index("C")]
        back = [channels_last.index(i) for i in range(len(layout))]
        moved = channels_last != back or layout.index("C") != len(layout) - 1
        images = tf.transpose(images, channels_last) if moved else images
        parts = zip(tf.split(images, count, -1), tf.split(kernel, count, -1), strict=True)
        results = [_convolved(*part, strides, dilations, padding) for part in parts]
        result = tf.concat(results, -1) if count > 1 else results[0]
        return tf.transpose(result, back) if moved else result

    return composed(node, shapes, [dtype, dtype], convolve)


def _convolved(images: Any, kernel: Any, strides: list, dilations: list, padding: str) -> Any:
    """Convolve with channels last, without dilations."""
    import tensorflow as tf

    from tfgraph.handlers import sizes, windows

    rank = len(strides)
    op = tf.nn.conv2d if rank == 2 else tf.nn.conv3d
    if max(dilations) == 1:
        return op(images, kernel, [1, *strides, 1], padding)
    if padding == "SAME":
        amounts = [
            windows.same_padding(size, strides[i], (kernel.shape[i] - 1) * dilations[i] + 1)
            for i, size in enumerate(sizes.sizes_of(images)[1:-1])
        ]
        images = windows.pad(images, amounts, first=1)
    ones = [1] * (rank + 2)
    return windows.undilated(
        images, strides, dilations, lambda part: op(part, kernel, ones, "VALID")
    )


@rule("DepthwiseConv2dNative")
def depthwise_convolution(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Convolve half floats in float32."""
    if node.attr["T"].type != HALF or set(node.attr["dilations"].list.i) != {1}:
        return None

    def convolve(images: Any, kernel: Any) -> Any:
        import tensorflow as tf

        result = tf.raw_ops.DepthwiseConv2dNative(
            input=tf.cast(images, tf.float32),
            filter=tf.cast(kernel, tf.float32),
            strides=list(node.attr["strides"].list.i),
            padding=node.attr["padding"].s.decode(),
            data_format=node.attr["data_format"].s.decode(),
        )
        return tf.cast(result, tf.float16)

    return composed(node, shapes, [HALF, HALF], convolve)


@rule("ResizeBilinear")
def resize_bilinear(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Take two gathers per axis and their weighted sum, for half-pixel centres."""
    if node.attr["T"].type != FLOAT or not node.attr["half_pixel_centers"].b:
        return None
    known = shapes.constant(node.input[1])

    def resize(images: Any, target: Any) -> Any:
        from tfgraph.handlers import interpolation, sizes

        for axis in (1, 2):
            size = sizes.sizes_of(images)[axis]
            length = target[axis - 1] if known is None else int(known[axis - 1])
            ratio = interpolation.single(length) / interpolation.single(size)
            along = interpolation.Axis(axis, size, length, ratio)
            where = interpolation.coordinates(along, "half_pixel")
            images = interpolation.weighted(images, along, *interpolation.linear(where, size))
        return images

    return composed(node, shapes, [FLOAT, INT32], resize)
