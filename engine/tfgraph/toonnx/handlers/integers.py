"""Arithmetic of integers, in a dtype that the opset and onnxruntime support."""

from tfgraph.toonnx.handlers.selection import chosen
from tfgraph.toonnx.handlers.writer import FLOATS, INT32, SMALL, Writer, handler

_OPS = {"AddV2": "Add"}


@handler("Add", "AddV2", "Mul", "Sub")
def arithmetic(write: Writer) -> str | None:
    """Use tf2onnx's way, but compute small integers as int32 below opset 14, which lacks them."""
    dtype = write.dtype()
    if dtype not in SMALL or write.opset >= 14:
        write.theirs()
        return None
    one, other = (write.cast(each, INT32) for each in write.inputs)
    return write.add("Cast", write.add(_OPS.get(write.op, write.op), one, other), to=dtype)


@handler("Relu")
def relu(write: Writer) -> str | None:
    """Use tf2onnx's way for floats, and replace negative integers by zero with a comparison."""
    dtype = write.dtype()
    if dtype in FLOATS:
        write.theirs()
        return None
    held = INT32 if dtype in SMALL else dtype
    value, zero = write.cast(write.inputs[0], held), write.constant(0, held)
    found = chosen(write, write.add("Less", value, zero), zero, value, held)
    return found if held == dtype else write.add("Cast", found, to=dtype)
