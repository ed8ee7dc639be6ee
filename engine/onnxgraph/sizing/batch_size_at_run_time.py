"""Row numbers, counted at run time."""

import numpy as np
from onnx import helper

from onnxgraph.sizing.batch_state import Work


def row_numbers(work: Work, stem: str, behind: int) -> str:
    """Return the row numbers of the run, followed by that many dims of size one."""
    zero, step = (work.weight(np.array(each, np.int64), f"{stem}_{each}") for each in (0, 1))
    scalar = work.weight(np.array([], np.int64), f"{stem}_scalar")
    size = work.make("Reshape", [work.batch_size(), scalar], f"{stem}_batch")
    numbers = work.make("Range", [zero, size, step], f"{stem}_range")
    target = work.weight(np.array([-1] + [1] * behind, np.int64), f"{stem}_target")
    return work.make("Reshape", [numbers, target], f"{stem}_rows")


def counted(work: Work, name: str, axis: int) -> str:
    """Return, for any batch, a constant of integers whose rows are equally spaced.

    Return "" if the constant is not of that kind.
    """
    value = work.value(name)
    if value is None or work.batch < 2 or not np.issubdtype(value.dtype, np.integer):
        return ""
    if value.shape[axis] != work.batch:
        return ""
    parts = np.split(value, work.batch, axis=axis)
    step = parts[1] - parts[0]
    if any(not np.array_equal(part, parts[0] + n * step) for n, part in enumerate(parts)):
        return ""
    numbers = row_numbers(work, name, value.ndim - 1 - axis)
    if value.dtype != np.int64:
        numbers = work.make(
            "Cast", [numbers], f"{name}_cast", to=helper.np_dtype_to_tensor_dtype(value.dtype)
        )
    far = work.make("Mul", [numbers, work.weight(step, f"{name}_step")], f"{name}_far")
    return work.make("Add", [far, work.weight(parts[0], f"{name}_first")], f"{name}_any")
