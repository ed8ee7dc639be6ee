"""Resize and Upsample: gathers and products, whose known parts are computed with the graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import tensor_util

from tfgraph.handlers import interpolation, resampling
from tfgraph.handlers.interpolation import Array, Axis, Number
from tfgraph.handlers.registry import Node, constant, refusal, register
from tfgraph.handlers.sizes import Size, sizes_of


@register("Upsample", "Resize")
def upsample(node: Node, data: tf.Tensor, scales: tf.Tensor | None = None) -> list[tf.Tensor]:
    """Resize as the first versions did, with coordinates that start at the corner."""
    return [_resize(node, data, _Wish(scales=_given(node, scales)), "asymmetric", "first")]


@register("Resize", since=11)
def resize(
    node: Node,
    data: tf.Tensor,
    roi: tf.Tensor | None = None,
    scales: tf.Tensor | None = None,
    target: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """Resize the axes whose size changes, one after the other."""
    if scales is not None and scales.shape.num_elements() == 0:
        scales = None
    coordinates = node.attrs.get("coordinate_transformation_mode", "half_pixel")
    if coordinates not in interpolation.MODES:
        raise refusal(node, f"has the unknown coordinate_transformation_mode {coordinates!r}.")
    wish = _Wish(scales, None if scales is not None else target, roi)
    rounding = node.attrs.get("nearest_mode", "round_prefer_floor")
    return [_resize(node, data, wish, coordinates, rounding)]


@dataclass(frozen=True)
class _Wish:
    """The wanted size, by scales or else by sizes."""

    scales: tf.Tensor | None = None
    target: tf.Tensor | None = None
    roi: tf.Tensor | None = None

    def stretched(self, node: Node) -> bool:
        """Whether each scale is the ratio of the sizes."""
        policy = node.attrs.get("keep_aspect_ratio_policy", "stretch")
        return self.scales is None and policy == "stretch"


def _given(node: Node, scales: tf.Tensor | None) -> tf.Tensor:
    """Return the scales, which are an attribute in Upsample-7."""
    return tf.constant(node.attrs["scales"], tf.float32) if scales is None else scales


def _resize(node: Node, data: tf.Tensor, wish: _Wish, coordinates: str, rounding: str) -> tf.Tensor:
    mode = node.attrs.get("mode", "nearest")
    if mode not in ("nearest", "linear", "bilinear", "cubic"):
        raise refusal(node, f"has the mode {mode!r}, which ONNX does not define.")
    axes = _axes(node, data, wish, coordinates)
    if coordinates == "align_corners" and wish.scales is not None:
        _refuse_fractions(node, axes)
    if mode == "nearest":
        return _outside(
            node, resampling.nearest(data, axes, coordinates, rounding), axes, coordinates
        )
    dtype, antialias = data.dtype, bool(node.attrs.get("antialias", 0))
    if dtype.is_integer and (mode == "cubic" or antialias or not _is_exact(axes, coordinates)):
        raise refusal(
            node,
            "interpolates integers, for which onnxruntime and ONNX round differently. Cast them to "
            "float before; round and cast back afterwards.",
        )
    data = data if dtype in (tf.float32, tf.float64) else tf.cast(data, tf.float32)
    by_op = mode != "cubic" and not antialias
    if by_op and resampling.is_bilinear(data, axes, coordinates, stretched=wish.stretched(node)):
        data = resampling.bilinear(data, axes, coordinates)
    else:
        for axis in axes:
            indices, weights = _taps(node, axis, coordinates, cubic=mode == "cubic")
            data = interpolation.weighted(data, axis, indices, weights)
    return tf.cast(_outside(node, data, axes, coordinates), dtype)


def _axes(node: Node, data: tf.Tensor, wish: _Wish, coordinates: str) -> list[Axis]:
    """Return the axes that are resized, in order."""
    rank, known = data.shape.rank, sizes_of(data)
    chosen = [int(axis) % rank for axis in node.attrs.get("axes") or range(rank)]
    size = {axis: known[axis] for axis in chosen}
    roi = _roi(wish, len(chosen)) if coordinates == "tf_crop_and_resize" else [(0.0, 1.0)] * rank
    if wish.scales is not None:
        scales = _numbers(wish.scales, len(chosen))
        target = {axis: _floored(s, size[axis]) for axis, s in zip(chosen, scales, strict=True)}
        scale = dict(zip(chosen, scales, strict=True))
    else:
        assert wish.target is not None
        target = dict(zip(chosen, _targets(wish.target, size), strict=True))
        scale = {axis: _ratio(target[axis], size[axis]) for axis in chosen}
        if not wish.stretched(node):
            policy = node.attrs["keep_aspect_ratio_policy"]
            shared = next(iter(scale.values()))
            for each in scale.values():
                lib = interpolation.minimum if policy == "not_larger" else interpolation.maximum
                shared = lib(shared, each)
            scale = dict.fromkeys(chosen, shared)
            target = {axis: _floored(shared, size[axis], halves_up=True) for axis in chosen}
    axes = [
        Axis(axis, size[axis], target[axis], scale[axis], each)
        for axis, each in zip(chosen, roi, strict=False)
    ]
    return sorted((each for each in axes if not _stays(each)), key=lambda each: each.axis)


def _is_exact(axes: Sequence[Axis], coordinates: str) -> bool:
    """Whether float32 represents each weight of a linear resize exactly.

    It does if all scales are powers of two and the coordinates are only divided by them.
    """
    return coordinates in ("half_pixel", "asymmetric") and all(
        not isinstance(axis.scale, tf.Tensor) and float(np.log2(axis.scale)).is_integer()
        for axis in axes
    )


def _stays(axis: Axis) -> bool:
    """Whether an axis keeps its size. A batch of unknown size counts as one that does."""
    if axis.roi != (0.0, 1.0):
        return False
    if axis.size is axis.target:
        return True
    if not isinstance(axis.scale, tf.Tensor) and axis.scale == 1.0:
        return True
    both = isinstance(axis.size, int) and isinstance(axis.target, int)
    return both and axis.size == axis.target


def _numbers(vector: tf.Tensor, count: int) -> list[Number]:
    values = constant(vector)
    if values is None:
        return [vector[index] for index in range(count)]
    return [float(value) for value in np.asarray(values, np.float32)]


def _roi(wish: _Wish, count: int) -> list[tuple[Number, Number]]:
    if wish.roi is None or wish.roi.shape.num_elements() == 0:
        return [(0.0, 1.0)] * count
    values = _numbers(wish.roi, 2 * count)
    return [(values[index], values[count + index]) for index in range(count)]


def _targets(vector: tf.Tensor, size: dict[int, Size]) -> list[Size]:
    """Return the wanted sizes. An unknown size of the batch is assumed not to change."""
    known = tensor_util.constant_value_as_shape(vector).as_list()
    result: list[Size] = []
    for index, axis in enumerate(size):
        if known[index] is not None:
            result.append(known[index])
        else:
            unknown = tf.cast(vector[index], tf.int32)
            result.append(size[axis] if axis == 0 else unknown)
    return result


def _floored(scale: Number, size: Size, *, halves_up: bool = False) -> Size:
    product = interpolation.single(scale) * interpolation.single(size)
    product = product + np.float32(0.5) if halves_up else product
    if isinstance(product, tf.Tensor):
        return tf.cast(tf.floor(product), tf.int32)
    return int(np.floor(product))


def _ratio(target: Size, size: Size) -> Number:
    if target is size:
        return 1.0
    if isinstance(target, int) and isinstance(size, int):
        return float(np.float32(target) / np.float32(size))
    return interpolation.single(target) / interpolation.single(size)


def _refuse_fractions(node: Node, axes: Sequence[Axis]) -> None:
    for axis in axes:
        if isinstance(axis.scale, tf.Tensor):
            continue  # the scale is as ONNX defines it
        whole = float(axis.scale).is_integer()
        if axis.known:
            whole = abs(axis.scale * axis.size - axis.target) < 1e-4
        if not whole:
            raise refusal(
                node,
                "aligns corners and scales to a size that is no whole number, for which ONNX and "
                "onnxruntime disagree. Give the sizes instead of the scales.",
            )


def _taps(node: Node, axis: Axis, coordinates: str, *, cubic: bool) -> tuple[Array, Array]:
    """Return the cells from which each cell of the result is computed, and their weights."""
    where = interpolation.coordinates(axis, coordinates)
    coefficient = float(node.attrs.get("cubic_coeff_a", -0.75))
    outside = bool(node.attrs.get("exclude_outside", 0))
    if node.attrs.get("antialias", 0):
        return interpolation.antialiased(
            where, axis.size, axis.scale, coefficient if cubic else None, exclude_outside=outside
        )
    if cubic:
        return interpolation.cubic(where, axis.size, coefficient, exclude_outside=outside)
    return interpolation.linear(where, axis.size)


def _outside(node: Node, data: tf.Tensor, axes: Sequence[Axis], coordinates: str) -> tf.Tensor:
    """Put the extrapolation value where tf_crop_and_resize is outside the original."""
    if coordinates != "tf_crop_and_resize":
        return data
    value = float(node.attrs.get("extrapolation_value", 0.0))
    for axis in axes:
        where = interpolation.coordinates(axis, coordinates)
        last = interpolation.single(axis.size) - 1
        within = interpolation.as_single(where >= 0) * interpolation.as_single(where <= last)
        if isinstance(within, np.ndarray) and within.all():
            continue
        shape = [1] * axis.axis + [-1] + [1] * (data.shape.rank - axis.axis - 1)
        mask = tf.cast(interpolation.reshaped(within, shape), data.dtype)
        data = data * mask + tf.cast(value, data.dtype) * (1 - mask)
    return data
