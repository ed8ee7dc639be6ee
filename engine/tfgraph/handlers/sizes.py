"""Sizes: numbers where they are known while the graph is being built, scalar tensors elsewhere.

PyTorch writes a shape as Shape → Gather → Unsqueeze → Concat → Reshape. `elements` looks through
such a chain, so that only the parts that depend on the run stay in it.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tfgraph.handlers.registry import Value, constant

Size: TypeAlias = int | tf.Tensor

LONGEST = 64
"""Vectors of more elements are not inspected."""


def sizes_of(data: tf.Tensor, dtype: tf.DType = tf.int32) -> list[Size]:
    """Return the sizes of a tensor's axes."""
    known = data.shape.as_list()
    if None not in known:
        return known
    shape = tf.shape(data, dtype)
    return [shape[axis] if size is None else size for axis, size in enumerate(known)]


def size_of(data: tf.Tensor, axis: int, dtype: tf.DType = tf.int32) -> Size:
    """Return the size of one axis."""
    known = data.shape[axis]
    return tf.shape(data, dtype)[axis] if known is None else known


def vector(sizes: Sequence[Size], dtype: tf.DType = tf.int32) -> tf.Tensor:
    """Return sizes as one tensor, a constant if all are known."""
    if all(isinstance(size, int) for size in sizes):
        return tf.constant(np.array(sizes, dtype.as_numpy_dtype))
    return tf.stack([as_tensor(size, dtype) for size in sizes])


def inferable(sizes: Sequence[Size]) -> list[Size]:
    """Return a reshape's sizes, with -1 for an unknown one if it is the only one and inferable."""
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) != len(sizes) - 1 or 0 in known or -1 in known:
        return list(sizes)
    return [size if isinstance(size, int) else -1 for size in sizes]


def as_tensor(size: Size, dtype: tf.DType = tf.int32) -> tf.Tensor:
    """Return a size as a scalar tensor."""
    if isinstance(size, int):
        return tf.constant(size, dtype)
    return size if size.dtype == dtype else tf.cast(size, dtype)


def product(sizes: Sequence[Size]) -> Size:
    """Return the product of sizes."""
    known = int(np.prod([size for size in sizes if isinstance(size, int)], dtype=np.int64))
    rest = [size for size in sizes if not isinstance(size, int)]
    if not rest or known == 0:
        return known
    result = rest[0]
    for size in rest[1:]:
        result = result * size
    return result if known == 1 else result * known


def elements(value: Value) -> list[Size] | None:
    """Return the elements of a scalar or short vector of integers, or None.

    It is also None if nothing is known of any element, because then single elements gain nothing.
    """
    if isinstance(value, np.ndarray):
        return [int(each) for each in value.reshape(-1)]
    if value.shape.rank not in (0, 1) or not value.dtype.is_integer:
        return None
    if value.shape.rank == 1 and (value.shape[0] is None or value.shape[0] > LONGEST):
        return None
    known = constant(value)
    if known is not None:
        return [int(each) for each in known.reshape(-1)]
    if value.op.type in ("Cast", "Identity", "ExpandDims", "Reshape"):
        source = value.op.inputs[0]
        if source.shape.rank == 0 and source.dtype.is_integer:
            return [source]
        return elements(source)
    if value.op.type == "Pack":
        return [_scalar(each) for each in value.op.inputs]
    if value.op.type == "ConcatV2":
        parts = [_parts(each) for each in list(value.op.inputs)[:-1]]
        return None if None in parts else [each for part in parts for each in part or []]
    if value.op.type == "Shape":
        known_sizes = value.op.inputs[0].shape.as_list()
        return [value[i] if size is None else size for i, size in enumerate(known_sizes)]
    return _selected(value) if value.op.type in ("Select", "SelectV2") else None


def _selected(value: tf.Tensor) -> list[Size] | None:
    """Return the elements of Where(shape = -1, ones, shape), which PyTorch writes for an expand."""
    condition, *choices = value.op.inputs
    if condition.op.type != "Equal":
        return None
    left, right, first, second = map(elements, [*condition.op.inputs, *choices])
    if left is None or right is None or first is None or second is None:
        return None
    if not len(left) == len(right) == len(first) == len(second):
        return None
    equal = [_equal(*pair) for pair in zip(left, right, strict=True)]
    if None in equal:
        return None
    return [a if e else b for e, a, b in zip(equal, first, second, strict=True)]


def _equal(one: Size, other: Size) -> bool | None:
    """Whether two sizes are equal, or None if that is unknown. No size is negative."""
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    number, size = (one, other) if isinstance(one, int) else (other, one)
    return False if isinstance(number, int) and number < 0 and _is_size(size) else None


def _is_size(value: Size) -> bool:
    if isinstance(value, int):
        return value >= 0
    if value.op.type in ("Cast", "Identity", "StridedSlice"):
        return _is_size(value.op.inputs[0])
    return value.op.type in ("Shape", "Size")


def all_elements(value: Value, count: int) -> list[Size]:
    """Return the `count` elements of a vector of integers, sliced if they are unknown."""
    found = elements(value)
    return found if found is not None else [value[index] for index in range(count)]


def _scalar(value: tf.Tensor) -> Size:
    known = constant(value)
    return value if known is None else int(known)


def _parts(value: tf.Tensor) -> list[Size] | None:
    found = elements(value)
    if found is None and value.shape.rank == 1 and value.shape[0] is not None:
        return [value[index] for index in range(value.shape[0])]
    return found
