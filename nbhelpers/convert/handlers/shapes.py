"""Ops that only give a tensor another shape, and Pad."""

import numpy as np
import tensorflow as tf

from nbhelpers.convert.handlers.registry import Node, constant, refusal, register


@register("Reshape")
def reshape(node: Node, data: tf.Tensor, shape: tf.Tensor | None = None) -> list[tf.Tensor]:
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


@register("Flatten")
def flatten(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
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


@register("Squeeze")
def squeeze(node: Node, data: tf.Tensor, axes: tf.Tensor | None = None) -> list[tf.Tensor]:
    """Remove axes; they are an attribute up to opset 12, an input from 13."""
    chosen = node.attrs.get("axes") if axes is None else _constant_axes(node, axes)
    return [tf.squeeze(data, None if chosen is None else [int(axis) for axis in chosen])]


@register("Unsqueeze")
def unsqueeze(node: Node, data: tf.Tensor, axes: tf.Tensor | None = None) -> list[tf.Tensor]:
    """Insert axes of size one; they are an attribute up to opset 12, an input from 13."""
    chosen = node.attrs["axes"] if axes is None else _constant_axes(node, axes)
    rank = data.shape.rank + len(chosen)
    for axis in sorted(int(axis) % rank for axis in chosen):
        data = tf.expand_dims(data, axis)
    return [data]


def _constant_axes(node: Node, axes: tf.Tensor) -> np.ndarray:
    chosen = constant(axes)
    if chosen is None:
        raise refusal(
            node,
            "computes its axes while it runs; TensorFlow needs them in the graph. Simplify "
            "the model so that they become a constant.",
        )
    return chosen


@register("Pad")
def pad(
    node: Node,
    data: tf.Tensor,
    pads: tf.Tensor | None = None,
    value: tf.Tensor | None = None,
    *axes: tf.Tensor,
) -> list[tf.Tensor]:
    """Pad with a constant, the edge or a reflection; negative padding crops."""
    amounts = node.attrs.get("pads", node.attrs.get("paddings")) if pads is None else constant(pads)
    if amounts is None or axes:
        raise refusal(
            node,
            "computes its padding while it runs or names axes; simplify the model so that the "
            "padding becomes a constant for every axis.",
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
        raise refusal(
            node,
            f"has the mode {mode!r}, which TensorFlow lacks.",
        )
    return [_pad_edge(data, amounts)]


def _pad_edge(data: tf.Tensor, amounts: np.ndarray) -> tf.Tensor:
    for axis, (begin, end) in enumerate(amounts.tolist()):
        first = [slice(None)] * axis + [slice(0, 1)]
        last = [slice(None)] * axis + [slice(-1, None)]
        parts = [data[tuple(first)]] * begin + [data] + [data[tuple(last)]] * end
        data = tf.concat(parts, axis) if len(parts) > 1 else data
    return data
