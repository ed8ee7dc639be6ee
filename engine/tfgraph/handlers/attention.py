"""Attention: two batched matmuls, in which grouped query heads share their keys without copies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import tensorflow as tf

from tfgraph.handlers.registry import Node, refusal, register
from tfgraph.handlers.sizes import Size, inferable, product, size_of, sizes_of, vector

RAW, CAPPED, BIASED, SOFTMAX = range(4)
"""The kinds of scores that the fourth output of the op may contain."""

_HALVES = (tf.float16, tf.bfloat16)


@dataclass(frozen=True)
class Bias:
    """The tensor to add to the scores. `empty` marks queries (..., queries, 1) without any key."""

    added: tf.Tensor
    empty: tf.Tensor | None


@register("Attention")
def attention(
    node: Node,
    q: tf.Tensor,
    k: tf.Tensor,
    v: tf.Tensor,
    mask: tf.Tensor | None = None,
    past_k: tf.Tensor | None = None,
    past_v: tf.Tensor | None = None,
    filled: tf.Tensor | None = None,
) -> list[tf.Tensor | None]:
    """Return Y, the present keys and values and, if asked for, the scores at some stage."""
    packed = q.shape.rank == 3
    if packed:
        q = _heads(q, node.attrs["q_num_heads"])
        k, v = (_heads(each, node.attrs["kv_num_heads"]) for each in (k, v))
    offset: Size = 0
    if past_k is not None and past_v is not None:
        offset = size_of(past_k, 2)
        k, v = tf.concat([past_k, k], 2), tf.concat([past_v, v], 2)
    scores = _scores(node, q, k)
    stages = {RAW: scores}
    if softcap := node.attrs.get("softcap", 0.0):
        cap = tf.cast(softcap, scores.dtype)
        scores = tf.tanh(scores / cap) * cap
    stages[CAPPED] = scores
    bias = _bias(node, scores, mask, filled, offset)
    stages[BIASED] = scores if bias is None else scores + bias.added
    weights = tf.cast(_softmax(tf.cast(_safe(scores, bias), _precision(node, q.dtype))), q.dtype)
    stages[SOFTMAX] = weights
    y = _by_group(weights, v, transposed=False)
    if bias is not None and bias.empty is not None:
        seen = tf.cast(tf.logical_not(bias.empty), y.dtype)
        y, stages[SOFTMAX] = y * seen, weights * seen
    if packed:
        batch, heads, steps, size = sizes_of(y)
        sizes = inferable([batch, steps, product([heads, size])])
        y = tf.reshape(tf.transpose(y, [0, 2, 1, 3]), vector(sizes))
    shown = stages[node.attrs.get("qk_matmul_output_mode", RAW)] if node.wants(3) else None
    return [y, k, v, shown]


def _heads(packed: tf.Tensor, heads: int) -> tf.Tensor:
    """Turn batch × steps × (heads · size) into batch × heads × steps × size."""
    batch, steps, width = sizes_of(packed)
    each = width // heads
    apart = tf.reshape(packed, vector(inferable([batch, steps, heads, each])))
    apart.set_shape([packed.shape[0], packed.shape[1], heads, None])
    return tf.transpose(apart, [0, 2, 1, 3])


def _scores(node: Node, q: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """Return Q·Kᵀ scaled. For half floats scale both factors by the root, to avoid overflow."""
    if q.shape[1] is None or k.shape[1] is None:
        raise refusal(
            node, "has an unknown number of heads; fix dim 1 of its inputs, or give them packed."
        )
    scale = node.attrs.get("scale")
    if scale is None:
        size = q.shape[-1]
        scale = 1 / np.sqrt(size) if size else tf.math.rsqrt(tf.cast(size_of(q, 3), tf.float32))
    if q.dtype in _HALVES:
        root = tf.cast(tf.sqrt(tf.cast(scale, tf.float32)), q.dtype)
        return _by_group(q * root, k * root, transposed=True)
    return _by_group(q * tf.cast(scale, q.dtype), k, transposed=True)


def _by_group(left: tf.Tensor, right: tf.Tensor, *, transposed: bool) -> tf.Tensor:
    """Multiply batch × heads × queries × n by batch × groups × ..., several heads for each group.

    The heads of a group are rows of one product, so nothing is repeated or broadcast.
    """
    heads, groups = left.shape[1], right.shape[1]
    if left.dtype in _HALVES:  # TensorFlow would accumulate in half precision too
        wide = [tf.cast(each, tf.float32) for each in (left, right)]
        return tf.cast(_by_group(*wide, transposed=transposed), left.dtype)
    if heads == groups:
        return tf.matmul(left, right, transpose_b=transposed)
    batch, _, queries, inner = sizes_of(left)
    together = [batch, groups, product([heads // groups, queries]), inner]
    result = tf.matmul(tf.reshape(left, vector(inferable(together))), right, transpose_b=transposed)
    apart = tf.reshape(result, vector([batch, heads, queries, size_of(result, 3)]))
    apart.set_shape([*left.shape[:3], result.shape[3]])
    return apart


def _bias(
    node: Node,
    scores: tf.Tensor,
    mask: tf.Tensor | None,
    filled: tf.Tensor | None,
    offset: Size,
) -> Bias | None:
    """Return the sum of all masks, with -inf at the keys that a query must not see."""
    queries, keys = size_of(scores, 2), size_of(scores, 3)
    left = node.attrs.get("left_window_size", -1)
    right = node.attrs.get("right_window_size", -1)
    if node.attrs.get("is_causal", 0):
        right = 0  # j ≤ i + offset is a window without a right side
    parts = []
    if mask is not None:
        mask = _padded_mask(mask, keys) if node.since > 23 else mask
        parts.append(_minus_infinity(mask, scores.dtype) if mask.dtype == tf.bool else mask)
    if filled is not None:
        lengths = tf.reshape(tf.cast(filled, tf.int32), [-1, 1, 1, 1])
        offset = lengths - queries
        parts.append(_minus_infinity(tf.range(keys) < lengths, scores.dtype))
    if left >= 0 or right >= 0:
        distance = tf.expand_dims(tf.range(queries), 1) + offset - tf.range(keys)
        sides = [distance <= left] if left >= 0 else []
        sides += [distance >= -right] if right >= 0 else []
        seen = sides[0] if len(sides) == 1 else tf.logical_and(*sides)
        parts.append(_minus_infinity(seen, scores.dtype))
    if not parts:
        return None
    added = parts[0] if len(parts) == 1 else tf.add_n(parts) if _alike(parts) else _sum(parts)
    if mask is None and filled is None and left < 0:
        return Bias(added, None)  # every query sees the first key
    worst = tf.constant(-np.inf, added.dtype)
    return Bias(added, tf.equal(tf.reduce_max(added, -1, keepdims=True), worst))


def _safe(scores: tf.Tensor, bias: Bias | None) -> tf.Tensor:
    """Add the bias, except for queries that see no key, because softmax would make them NaN."""
    if bias is None:
        return scores
    if bias.empty is None:
        return scores + bias.added
    return scores + tf.maximum(bias.added, _minus_infinity(bias.empty, scores.dtype))


def _minus_infinity(seen: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Return 0 where True and -inf where False."""
    zeros = tf.cast(tf.zeros_like(seen), dtype)
    return tf.compat.v1.where(seen, zeros, zeros - tf.constant(np.inf, dtype))


def _padded_mask(mask: tf.Tensor, keys: Size) -> tf.Tensor:
    """Extend a mask that is shorter than the keys. The additional keys are not seen."""
    missing = keys - size_of(mask, -1)
    if isinstance(missing, int) and missing == 0:
        return mask
    if mask.dtype == tf.bool:
        mask = _minus_infinity(mask, tf.float32)
        return tf.equal(_padded_mask(mask, keys), 0)
    missing = tf.maximum(missing, 0)
    none = [[0, 0]] * (mask.shape.rank - 1)
    beyond = tf.constant(-np.inf, mask.dtype)
    return tf.pad(mask, [*none, [0, missing]], constant_values=beyond)


def _alike(parts: Sequence[tf.Tensor]) -> bool:
    shapes = [part.shape for part in parts]
    return shapes[0].is_fully_defined() and all(shape == shapes[0] for shape in shapes)


def _sum(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _precision(node: Node, dtype: tf.DType) -> tf.DType:
    code = node.attrs.get("softmax_precision", 0)
    return tf.as_dtype(onnx.helper.tensor_dtype_to_np_dtype(code)) if code else dtype


def _softmax(logits: tf.Tensor) -> tf.Tensor:
    """Compute softmax. For half floats round after each step, but accumulate in float32."""
    if logits.dtype not in _HALVES:
        return tf.nn.softmax(logits)
    shifted = logits - tf.reduce_max(logits, -1, keepdims=True)
    powers = tf.cast(tf.exp(tf.cast(shifted, tf.float32)), logits.dtype)
    total = tf.reduce_sum(tf.cast(powers, tf.float32), -1, keepdims=True)
    return powers / tf.cast(total, logits.dtype)
