"""Arithmetic of integers, in a dtype that the opset and onnxruntime take."""

from tfgraph.toonnx.handlers.selection import chosen
from tfgraph.toonnx.handlers.writer import FLOATS, INT32, SMALL, Writer, handler

_OPS = {"AddV2": "Add"}


@handler("Add", "AddV2", "Mul", "Sub")
def arithmetic(write: Writer) -> str | None:
    """As tf2onnx has it; small integers are taken from opset 14 on, and before that as int32."""
    dtype = write.dtype()
    if dtype not in SMALL or write.opset >= 14:
        write.theirs()
        return None
    one, other = (write.cast(each, INT32) for each in write.inputs)
    return write.add("Cast", write.add(_OPS.get(write.op, write.op), one, other), to=dtype)


@handler("Relu")
def relu(write: Writer) -> str | None:
    """As tf2onnx has it; of integers zero where they are less."""
    dtype = write.dtype()
    if dtype in FLOATS:
        write.theirs()
        return None
    held = INT32 if dtype in SMALL else dtype
    value, zero = write.cast(write.inputs[0], held), write.constant(0, held)
    found = chosen(write, write.add("Less", value, zero), zero, value, held)
    return found if held == dtype else write.add("Cast", found, to=dtype)
