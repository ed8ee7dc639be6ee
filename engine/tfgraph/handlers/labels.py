"""LabelEncoder of ONNX's machine-learning ops: an exact lookup in a table of keys and values."""

import numpy as np
import onnx
import tensorflow as tf

from tfgraph.handlers.kernel_types import SIGNED, widened
from tfgraph.handlers.registry import Node, refusal, register

_KINDS = {"strings": object, "int64s": np.int64, "floats": np.float32}
_DEFAULTS = {"strings": ("string", "_Unused"), "int64s": ("int64", -1), "floats": ("float", -0.0)}


@register("LabelEncoder", domain="ai.onnx.ml")
def class_labels(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Replace each class by its index in the list of classes, or each index by its class."""
    return _looked_up(node, data, *_classes(node, data))


@register("LabelEncoder", domain="ai.onnx.ml", since=2)
def label_encoder(node: Node, data: tf.Tensor) -> tf.Tensor:
    """Replace each key by its value, and everything else by the default."""
    keys, values = _listed(node, "keys"), _listed(node, "values")
    return _looked_up(node, data, keys, values, _default(node, values))


def _looked_up(
    node: Node, data: tf.Tensor, keys: np.ndarray, values: np.ndarray, default: np.ndarray
) -> tf.Tensor:
    if len(keys) != len(values):
        raise refusal(node, f"has {len(keys)} keys and {len(values)} values; fix the model.")
    # The last one of equal keys counts. NaN is a key like any other.
    last = {"nan" if key != key else key: place for place, key in enumerate(keys.tolist())}
    keys, values = (each[list(last.values())] for each in (keys, values))
    hits = widened(
        tf.equal,
        SIGNED | {tf.bool, tf.string},
        tf.expand_dims(data, -1),
        tf.constant(keys),
        keep=False,
    )
    if keys.dtype.kind == "f" and np.isnan(keys).any():
        unknown = tf.math.is_nan(tf.expand_dims(data, -1))
        hits = tf.logical_or(hits, tf.logical_and(unknown, np.isnan(keys)))
    numbers = tf.constant(np.arange(1, len(keys) + 1, dtype=np.int32))
    places = tf.reduce_sum(tf.cast(hits, tf.int32) * numbers, -1)
    return tf.gather(tf.constant(np.concatenate([default.reshape(1), values])), places)


def _classes(node: Node, data: tf.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return keys, values and default of the first version: from strings to indices or back."""
    texts = np.array(node.attrs.get("classes_strings", []), object)
    places = np.arange(len(texts), dtype=np.int64)
    if data.dtype == tf.string:
        return texts, places, np.array(node.attrs.get("default_int64", -1), np.int64)
    return places, texts, np.array(node.attrs.get("default_string", "_Unused"), object)


def _listed(node: Node, role: str) -> np.ndarray:
    """Return the list of keys or of values."""
    if f"{role}_tensor" in node.attrs:
        return onnx.numpy_helper.to_array(node.attrs[f"{role}_tensor"]).reshape(-1)
    for kind, dtype in _KINDS.items():
        if f"{role}_{kind}" in node.attrs:
            return np.array(node.attrs[f"{role}_{kind}"], dtype)
    raise refusal(node, f"has no {role}; ONNX asks for one list of them. Fix the model.")


def _default(node: Node, values: np.ndarray) -> np.ndarray:
    """Return the value for a missing key."""
    if "default_tensor" in node.attrs:
        return onnx.numpy_helper.to_array(node.attrs["default_tensor"])
    kind = {"O": "strings", "f": "floats"}.get(values.dtype.kind, "int64s")
    name, usual = _DEFAULTS[kind]
    return np.array(node.attrs.get(f"default_{name}", usual), values.dtype)
