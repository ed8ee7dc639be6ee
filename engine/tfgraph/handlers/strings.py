"""Strings: join, split, match and normalise them, and move them by their indices."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfgraph.handlers.registry import Node, refusal, register
from tfgraph.handlers.sizes import sizes_of, vector


def by_index(move: Callable[[tf.Tensor], tf.Tensor], data: tf.Tensor) -> tf.Tensor:
    """Apply a function that moves or repeats elements to strings, by moving their indices."""
    count = data.shape.num_elements()
    if count is None:
        indices = tf.range(tf.size(data))
    else:
        indices = tf.constant(np.arange(count, dtype=np.int32))
    moved = move(tf.reshape(indices, vector(sizes_of(data))))
    return tf.gather(tf.reshape(data, [-1]), moved)


@register("StringConcat")
def string_concat(node: Node, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Join strings elementwise. Both sides are broadcast."""
    known = first.shape.is_fully_defined() and first.shape == second.shape
    if known or 0 in (first.shape.rank, second.shape.rank):
        return tf.strings.join([first, second])
    zeros = tf.zeros_like(first, tf.int32), tf.zeros_like(second, tf.int32)
    sides = by_index(lambda i: i + zeros[1], first), by_index(lambda i: i + zeros[0], second)
    return tf.strings.join(sides)


@register("RegexFullMatch")
def regex_full_match(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Match whole strings. TensorFlow's regular expressions are RE2's, as ONNX's are."""
    return tf.strings.regex_full_match(data, node.attrs.get("pattern", ""))


@register("StringSplit")
def string_split(node: Node, data: tf.Tensor) -> list[tf.Tensor]:
    """Split at a delimiter, or at white space. Rows are filled up with empty strings."""
    flat, delimiter = tf.reshape(data, [-1]), node.attrs.get("delimiter", "")
    most = int(node.attrs.get("maxsplit", -1))
    if not delimiter:
        flat = tf.strings.regex_replace(flat, r"^\s+", "")
    places, parts, _ = tf.raw_ops.StringSplitV2(input=flat, sep=delimiter, maxsplit=most)
    if not delimiter:  # TensorFlow may leave an empty part after the last
        there = tf.where(tf.not_equal(parts, ""))[:, 0]
        places, parts = tf.gather(places, there), tf.gather(parts, there)
    count = tf.size(flat)
    rows = places[:, 0]
    lengths = tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, count)
    longest = tf.cast(tf.reduce_max(tf.concat([lengths, [0]], 0)), tf.int32)
    table = tf.raw_ops.SparseToDense(
        sparse_indices=places,
        output_shape=tf.cast(tf.stack([count, longest]), tf.int64),
        sparse_values=parts,
        default_value="",
    )
    shape = sizes_of(data)
    return [tf.reshape(table, vector([*shape, longest])), tf.reshape(lengths, vector(shape))]


@register("StringNormalizer")
def string_normalizer(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Remove stop words and change the case. If nothing is left, one empty string is returned."""
    words = [each.decode() for each in node.attrs.get("stopwords", [])]
    flat = tf.reshape(data, [-1])
    if words:
        compared = flat
        if not node.attrs.get("is_case_sensitive", 0):
            compared, words = _lower(flat), [word.lower() for word in words]
        differ = tf.not_equal(tf.expand_dims(compared, 1), tf.constant([words]))
        flat = tf.gather(flat, tf.where(tf.reduce_all(differ, 1))[:, 0])
    flat = tf.concat([flat, [""]], 0)[: tf.maximum(tf.size(flat), 1)]
    action = node.attrs.get("case_change_action", "NONE")
    if action not in ("NONE", "LOWER", "UPPER"):
        raise refusal(node, f"has the case_change_action {action!r}; LOWER, UPPER and NONE exist.")
    if action != "NONE":
        flat = _lower(flat) if action == "LOWER" else tf.strings.upper(flat, encoding="utf-8")
    return flat if data.shape.rank == 1 else tf.expand_dims(flat, 0)


def _lower(texts: tf.Tensor) -> tf.Tensor:
    return tf.strings.lower(texts, encoding="utf-8")
