"""TfIdfVectorizer over integers and words."""

import numpy as np
import tensorflow as tf

from tfgraph.handlers.registry import Node, refusal, register


@register("TfIdfVectorizer")
def tf_idf_vectorizer(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Count the n-grams of the pool, with up to `max_skip_count` skipped tokens between two."""
    if ("pool_strings" if data.dtype == tf.string else "pool_int64s") not in node.attrs:
        raise refusal(node, "has a pool of another kind than its input; fix the model.")
    rows = data if data.shape.rank == 2 else tf.expand_dims(data, 0)
    rows = rows if rows.dtype == tf.string else tf.cast(rows, tf.int64)
    columns = 1 + max(node.attrs["ngram_indexes"])
    counts = tf.zeros([columns], tf.float32)
    for length, grams, places in _pools(node):
        found = _counted(rows, grams, length, _skips(node, length))
        # A product with zeros and ones puts each n-gram into its own column of the output.
        counts = counts + found @ tf.constant(np.eye(columns, dtype=np.float32)[places])
    counts = counts + tf.zeros([1, 1], tf.float32)
    counts = _weighted(node, counts, columns)
    return counts if data.shape.rank == 2 else tf.squeeze(counts, 0)


def _pools(node: Node) -> list[tuple[int, np.ndarray, list[int]]]:
    """Return (n, n-grams, their columns) for each n that is asked for and has any."""
    kind = "pool_strings" if "pool_strings" in node.attrs else "pool_int64s"
    pool, dtype = node.attrs[kind], np.dtype(object if kind == "pool_strings" else np.int64)
    starts = list(node.attrs["ngram_counts"])
    indexes = list(node.attrs["ngram_indexes"])
    found, used = [], 0
    for length, (begin, end) in enumerate(zip(starts, [*starts[1:], len(pool)], strict=True), 1):
        grams = np.array(pool[begin:end], dtype).reshape(-1, length)
        places, used = indexes[used : used + len(grams)], used + len(grams)
        wanted = node.attrs["min_gram_length"] <= length <= node.attrs["max_gram_length"]
        if wanted and len(grams):
            found.append((length, grams, places))
    return found


def _skips(node: Node, length: int) -> range:
    return range(1, 2 if length == 1 else node.attrs["max_skip_count"] + 2)


def _counted(rows: tf.Tensor, grams: np.ndarray, length: int, strides: range) -> tf.Tensor:
    """Return rows × n-grams: how often each one occurs, summed over the strides."""
    total = tf.zeros([len(grams)], tf.float32)
    for stride in strides:
        reach = stride * (length - 1)
        size = tf.shape(rows)[1] - reach
        hits = None
        for position in range(length):
            begin = position * stride
            tokens = rows[:, begin : tf.maximum(begin + size, begin)]
            same = tf.equal(tf.expand_dims(tokens, -1), tf.constant(grams[:, position]))
            hits = same if hits is None else tf.logical_and(hits, same)
        total = total + tf.reduce_sum(tf.cast(hits, tf.float32), 1)
    return total


def _weighted(node: Node, counts: tf.Tensor, columns: int) -> tf.Tensor:
    mode = node.attrs["mode"]
    if mode not in ("TF", "IDF", "TFIDF"):
        raise refusal(node, f"has the mode {mode!r}, unknown to ONNX.")
    weights = np.ones(columns, np.float32)
    if "weights" in node.attrs:
        weights[list(node.attrs["ngram_indexes"])] = node.attrs["weights"]
    if mode == "TF":
        return counts
    return (counts if mode == "TFIDF" else tf.minimum(counts, 1)) * tf.constant(weights)
