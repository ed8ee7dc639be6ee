"""Products: Einsum, powers, cumulative products, and shifts."""

import re
import string

from tfgraph.toonnx.handlers.writer import FLOATS, INT32, INT64, Writer, handler


@handler("Einsum")
def einsum(write: Writer) -> str:
    """Write Einsum. Capital letters get free small ones, because tf2onnx confuses the two."""
    if write.opset < 12:
        raise ValueError("there is none below opset 12")
    equation = write.attribute("equation")
    letters = sorted(set(re.findall("[A-Za-z]", equation)))
    free = iter(sorted(set(string.ascii_lowercase) - set(letters)))
    try:
        renamed = {each: next(free) for each in letters if each.isupper()}
    except StopIteration:
        raise ValueError("it has more than 26 letters") from None
    equation = "".join(renamed.get(each, each) for each in equation)
    return write.add("Einsum", *write.inputs, equation=equation)


@handler("Pow")
def power(write: Writer) -> str:
    """Write Pow, for integers from opset 12 on."""
    if write.opset < 12 and write.dtype() not in FLOATS:
        raise ValueError("integers have powers from opset 12 on")
    return write.add("Pow", *write.inputs)


@handler("Cumprod")
def cumulative_product(write: Writer) -> None:
    """Use tf2onnx's way with a positive axis, because it does not support a negative one."""
    if write.opset < 11:
        raise ValueError("there is none below opset 11")
    axis, rank = write.value(1), write.rank(0)
    if axis is not None and int(axis) < 0:
        if rank is None:
            raise ValueError("the rank of its input is not known")
        write.replaced(1, write.constant(int(axis) + rank, INT32))
    write.theirs()


@handler("LeftShift", "RightShift")
def shifted(write: Writer) -> str | None:
    """Use tf2onnx's way, but shift int8 as int32, so that the sign is extended."""
    from onnx import TensorProto

    if write.dtype() == INT64 and write.op == "RightShift":
        raise ValueError("ONNX shifts integers without a sign")
    if write.dtype() != TensorProto.INT8:
        write.theirs()
        return None
    wide = [write.add("Cast", each, to=INT32) for each in write.inputs]
    return write.add("Cast", write.theirs_for(write.op, wide, INT32), to=TensorProto.INT8)
