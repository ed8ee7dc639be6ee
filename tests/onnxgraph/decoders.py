"""Small twins of decoders that take past key values, as optimum and transformers.js export them."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEADS, WORDS, PLACES = 8, 2, 11, 600
EACH = WIDTH // HEADS


class Builder:
    """Adds nodes, and names their tensors."""

    def __init__(self):
        self.nodes, self.weights = [], {}
        self._random = np.random.default_rng(0)

    def op(self, op_type, *inputs, out=None, **attributes):
        out = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [out], **attributes))
        return out

    def constant(self, value):
        name = f"c{len(self.weights)}"
        self.weights[name] = np.asarray(value)
        return name

    def weight(self, *shape):
        return self.constant((self._random.standard_normal(shape) * 0.3).astype(np.float32))

    def dim(self, name, axis):
        return self.op("Gather", self.op("Shape", name), self.constant(np.array([axis])))

    def join(self, *parts):
        parts = [p if isinstance(p, str) else self.constant(np.array(p)) for p in parts]
        return self.op("Concat", *parts, axis=0)

    def reshape(self, name, *parts):
        return self.op("Reshape", name, self.join(*parts))


def decoder(
    *,
    total="total_sequence_length",
    new="sequence_length",
    past="past_sequence_length",
    positions="mask",
    rows="batch_size",
    flat=False,
):
    """Return a decoder of one layer.

    Args:
        total: the dim of the mask.
        new: the dim of the tokens, 1 for one at a time (GPT-2).
        past: the dim of the past.
        positions: "fed" (Llama), from the "mask" (OPT), or after the "past" (GPT-2, NeoX).
        rows: the first dim of the past.
        flat: heads and batch in one axis (BLOOM).
    """
    b = Builder()
    shapes = {"input_ids": ["batch_size", new], "attention_mask": ["batch_size", total]}
    if positions == "fed":
        shapes["position_ids"] = ["batch_size", new]
    key, value = (
        ([rows, EACH, past], [rows, past, EACH]) if flat else ([rows, HEADS, past, EACH],) * 2
    )
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, s) for n, s in shapes.items()]
    for name, shape in (("past_key", key), ("past_value", value)):
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    count, length = b.dim("input_ids", 0), b.dim("input_ids", 1)
    before = b.dim("past_value", 1 if flat else 2)
    places = "position_ids"
    if positions == "mask":
        sums = b.op("CumSum", "attention_mask", b.constant(np.int64(1)))
        ends, axis = b.constant(np.array([2**31])), b.constant(np.array([1]))
        places = b.op("Slice", sums, before, ends, axis)
    elif positions == "past":
        zero = b.constant(np.array([0]))
        first, behind = (b.op("Squeeze", t, zero) for t in (before, b.op("Add", before, length)))
        places = b.op("Range", first, behind, b.constant(np.int64(1)))
    x = b.op("Gather", b.weight(WORDS, WIDTH), "input_ids")
    x = b.op("Add", x, b.op("Gather", b.weight(PLACES, WIDTH), places))

    def heads():
        y = b.reshape(b.op("MatMul", x, b.weight(WIDTH, WIDTH)), count, length, [HEADS, EACH])
        y = b.op("Transpose", y, perm=[0, 2, 1, 3])
        return b.reshape(y, [-1], length, [EACH]) if flat else y

    query, k, v = heads(), heads(), heads()
    k = b.op("Transpose", k, perm=[0, 2, 1]) if flat else k
    k = b.op("Concat", "past_key", k, axis=2, out="present_key")
    v = b.op("Concat", "past_value", v, axis=1 if flat else 2, out="present_value")
    k = k if flat else b.op("Transpose", k, perm=[0, 1, 3, 2])
    scores = b.op("MatMul", query, k)
    scores = b.reshape(scores, count, [HEADS], length, [-1]) if flat else scores
    mask = b.op("Unsqueeze", b.op("Cast", "attention_mask", to=1), b.constant(np.array([1, 2])))
    hidden = b.op("Sub", b.constant(np.float32(1)), mask)
    hidden = b.op("Mul", hidden, b.constant(np.float32(-1e9)))
    shares = b.op("Softmax", b.op("Add", scores, hidden), axis=-1)
    shares = b.op("Reshape", shares, b.op("Shape", b.op("MatMul", query, k))) if flat else shares
    y = b.op("MatMul", shares, v)
    y = b.reshape(y, count, [HEADS], length, [EACH]) if flat else y
    y = b.reshape(b.op("Transpose", y, perm=[0, 2, 1, 3]), count, length, [WIDTH])
    b.op("MatMul", y, b.weight(WIDTH, WORDS), out="logits")
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"{name}_{i}" for i in range(rank)])
        for name, rank in (("logits", 3), ("present_key", 4 - flat), ("present_value", 4 - flat))
    ]
    weights = [numpy_helper.from_array(value, name) for name, value in b.weights.items()]
    graph = helper.make_graph(b.nodes, "decoder", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    return model


SPELLED = "past_sequence_length + sequence_length"
KINDS = {
    "OPT": {},
    "OPT, the sum is spelled": {"total": SPELLED},
    "GPT-2, one token": {"total": "past_sequence_length + 1", "new": 1, "positions": "past"},
    "GPT-2, several": {"positions": "past"},
    "NeoX, names with dashes": {"total": "all-tokens", "new": "new-tokens", "past": "past.1"},
    "Llama": {"positions": "fed"},
    "Qwen2, spelled": {"positions": "fed", "total": SPELLED},
    "Phi, other names": {"positions": "fed", "total": "t", "new": "s", "past": "p"},
    "BLOOM": {"flat": True, "rows": "batch_size x num_heads"},
    "BLOOM, one name for both": {"flat": True, "rows": "rows"},
}
