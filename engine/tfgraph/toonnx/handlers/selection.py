"""Values chosen by a condition: Select and OneHot.

tf2onnx instead multiplies both sides by 1 and 0, so a NaN or an infinity of the side that is not
chosen spoils the result.
"""

from tfgraph.toonnx.handlers.writer import BOOL, INT32, INT64, LARGE, SMALL, Writer, handler


def chosen(write: Writer, condition: str, one: str, other: str, dtype: int) -> str:
    """Return the result of `Where`, in a dtype for which onnxruntime has a kernel."""
    if dtype == BOOL:
        yes = write.add("And", condition, one)
        return write.add("Or", yes, write.add("And", write.add("Not", condition), other))
    held = INT32 if dtype in SMALL else INT64 if dtype in LARGE else dtype
    picked = write.add("Where", condition, write.cast(one, held), write.cast(other, held))
    return picked if held == dtype else write.add("Cast", picked, to=dtype)


@handler("Select", "SelectV2")
def select(write: Writer) -> str:
    """Write Where. For the old op a condition of rank 1 chooses rows."""
    condition, one, other = write.inputs
    ranks = [write.rank(place) for place in (1, 2)]
    rank = next((each for each in ranks if each is not None), None)
    if write.op == "Select" and write.rank(0) != rank and write.rank(0) != 0:
        if rank is None or write.rank(0) is None:
            raise ValueError("the rank of what it chooses from is not known")
        rows = write.constant([-1] + [1] * (rank - 1), INT64)
        condition = write.add("Reshape", condition, rows)
    return chosen(write, condition, one, other, write.output_dtype())


@handler("OneHot")
def one_hot(write: Writer) -> str:
    """Compare with each class, because ONNX's OneHot would count -1 from the end."""
    indices, depth, on, off = write.inputs
    rank = write.rank(0)
    if rank is None:
        raise ValueError("the rank of its indices is not known")
    kind = INT64 if write.dtype(0) == INT64 else INT32
    axis = write.attribute("axis", -1)
    axis = rank if axis == -1 else axis
    classes = write.cast(_classes(write, depth), kind)
    shape = [-1 if place == axis else 1 for place in range(rank + 1)]
    classes = write.add("Reshape", classes, write.constant(shape, INT64))
    spread = unsqueezed(write, write.cast(indices, kind), axis)
    return chosen(write, write.add("Equal", spread, classes), on, off, write.output_dtype())


def unsqueezed(write: Writer, tensor: str, axis: int) -> str:
    """Return a tensor with one more axis."""
    if write.opset < 13:
        return write.add("Unsqueeze", tensor, axes=[axis])
    return write.add("Unsqueeze", tensor, write.constant([axis], INT64))


def counted(write: Writer, size: str) -> str:
    """Return 0, 1, … below a size, by NonZero, because opset 9 has no Range yet."""
    ones = write.add("Expand", write.constant(1, INT64), size)
    return write.add("Reshape", write.add("NonZero", ones), write.constant([-1], INT64))


def _classes(write: Writer, depth: str) -> str:
    """Return the classes below a depth."""
    value = write.value(1)
    if value is not None:
        return write.constant(list(range(int(value))), INT64)
    return counted(
        write, write.add("Reshape", write.cast(depth, INT64), write.constant([1], INT64))
    )
