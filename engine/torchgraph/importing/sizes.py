"""Shapes, computed as Python numbers instead of tensors.

Everything that follows from `Shape` by arithmetic stays an array of integers. So `torch.export`
sees sizes and not data, and the batch stays dynamic in the exported program.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

Numbers: TypeAlias = np.ndarray
"""An array of Python's (or torch.export's symbolic) integers and floats."""


def numbers(value: Any) -> Numbers:
    """Return nested lists, or an array, as an array of Python numbers."""
    return np.array(value, dtype=object) if not isinstance(value, np.ndarray) else value


def as_list(value: Any) -> list[Any]:
    """Return numbers as a flat list. A single number becomes a list of one."""
    return numbers(value).reshape(-1).tolist()


def as_tensor(value: Any) -> Tensor:
    """Return numbers as a tensor, int64 or float32, for ops that need a tensor."""
    flat = as_list(value)
    whole = all(isinstance(each, int | torch.SymInt) for each in flat)
    made = torch.tensor(flat, dtype=torch.int64 if whole else torch.float32)
    return made.reshape(numbers(value).shape)


def shape(x: Tensor, *, start: int = 0, end: int | None = None) -> Numbers:
    """Shape: the sizes of a tensor."""
    return numbers(list(x.shape)[start:end])


def size(x: Tensor) -> Numbers:
    """Size: the number of values of a tensor."""
    return numbers(math.prod(x.shape))


def gather(data: Any, indices: Any, *, axis: int = 0) -> Numbers:
    """Gather on numbers."""
    return numbers(np.take(numbers(data), numbers(indices).astype(int), axis=axis))


def concat(*parts: Any, axis: int) -> Numbers:
    """Concat on numbers."""
    return np.concatenate([numbers(part) for part in parts], axis=axis)


def cut(
    data: Any,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> Numbers:
    """Slice on numbers in one dimension."""
    ((start, end, step),) = zip(as_list(starts), as_list(ends), as_list(steps or [1]), strict=True)
    end = None if step < 0 and end < -len(data) else end
    return numbers(data)[start:end:step]


def unsqueeze(data: Any, axes: Any) -> Numbers:
    """Unsqueeze on numbers."""
    return np.expand_dims(numbers(data), tuple(as_list(axes)))


def squeeze(data: Any, axes: Any = None) -> Numbers:
    """Squeeze on numbers."""
    made = np.squeeze(numbers(data), None if axes is None else tuple(as_list(axes)))
    return numbers(made)


def cast(data: Any, *, to: int, saturate: int = 1) -> Numbers:
    """Cast on numbers: to float for ONNX's types 1, 10 and 11, to integers otherwise."""
    turn = torch.sym_float if to in (1, 10, 11) else torch.sym_int
    return _each(turn, data)


def floor(data: Any) -> Numbers:
    """Floor on numbers."""
    return _each(lambda value: torch.sym_float(math.floor(value)), data)


def product(data: Any, axes: Any = None, *, keepdims: int = 1) -> Numbers:
    """ReduceProd on numbers in one dimension."""
    made = math.prod(as_list(data))
    return numbers([made] if keepdims else made)


def add(one: Any, two: Any) -> Numbers:
    """Add on numbers."""
    return numbers(numbers(one) + numbers(two))


def subtract(one: Any, two: Any) -> Numbers:
    """Sub on numbers."""
    return numbers(numbers(one) - numbers(two))


def multiply(one: Any, two: Any) -> Numbers:
    """Mul on numbers."""
    return numbers(numbers(one) * numbers(two))


def divide(one: Any, two: Any) -> Numbers:
    """Div on numbers. Integers are sizes, which are never negative."""
    whole = all(isinstance(each, int | torch.SymInt) for each in as_list(one) + as_list(two))
    return numbers(numbers(one) // numbers(two) if whole else numbers(one) / numbers(two))


def identity(data: Any) -> Numbers:
    """Identity on numbers."""
    return numbers(data)


def _each(turn: Callable[[Any], Any], data: Any) -> Numbers:
    values = numbers(data)
    return numbers([turn(each) for each in values.reshape(-1)]).reshape(values.shape)


SOURCES = {"Shape": shape, "Size": size}
"""Ops that make numbers from a tensor."""

ARITHMETIC = {
    "Add": add,
    "Cast": cast,
    "Concat": concat,
    "Div": divide,
    "Floor": floor,
    "Gather": gather,
    "Identity": identity,
    "Mul": multiply,
    "ReduceProd": product,
    "Slice": cut,
    "Squeeze": squeeze,
    "Sub": subtract,
    "Unsqueeze": unsqueeze,
}
"""Ops that make numbers from numbers."""
