"""What handlers advise where they refuse: each is followed to the letter, and then it converts."""

import re

import numpy as np
import pytest

from graphcore.errors import ConversionError
from nbhelpers import convert, onnxgraph
from tests.convert.models import parse, seeded

LOOP = """g ({inputs}float[3] x) => (float[3] y) {{ {before} y = Loop({asked}, x) <
    body = b (int64 i, bool c, float[3] a) => (bool d, float[3] e) {{ {ends} e = Add(a, a) }}> }}"""
LIST = """g ({inputs}float[3] x) => (float[m] y) {{ {before}
    s = SequenceConstruct(x) t = Constant<value = bool {{1}}>() o = Loop(n, t, s) <
    body = b (int64 i, bool c, seq(float[3]) a) => (bool d, seq(float[3]) e) {{ d = Identity(c)
    z = Constant<value_int = 0>() f = SequenceErase(a, z) h = SequenceInsert(f, x)
    e = SequenceInsert(h, x) }}> {after} }}"""
BRANCHES = """g ({inputs}float[3] x) => (float[n] y) {{ {before} s = If(c) <
    then_branch = t () => (seq(float[3]) a) {{ a = SequenceConstruct(x) }},
    else_branch = e () => (seq(float[3]) b) {{ b = SequenceConstruct(x, x) }}>
    y = ConcatFromSequence<axis = 0>(s) }}"""
RNN = """g (float[3, 1, 2] x) => (float[3, 1, 1, 2] y) {{
    y = RNN<hidden_size = 2{0}>(x, taken, kept) }}"""
STEPS = "less = Constant<value_int = 2>() d = Less(i, less)"
SAME = "d = Identity(c)"
TRUE = "t = Constant<value = bool {1}>()"
JOIN = "y = ConcatFromSequence<axis = 0>(s)"
SCALED = 'y = Resize<mode = "linear", coordinate_transformation_mode = "align_corners">(x, {})'
MEL = "=> (float[a, b] y) { y = MelWeightMatrix(n, length, rate, low, high) }"
TAKES = "g (float[b, {0}, 3, 4] q, float[b, {0}, 3, 4] k) => (float[b, {0}, 3, 4] y)"
RANDOM = """g (float[2, 3] x, bool c{0}) => (float[2, 3] y) {{ y = If (c) <
    then_branch = t () => (float[2, 3] a) {{ {1} }},
    else_branch = e () => (float[2, 3] b) {{ b = Relu(x) }}> }}"""


def branch(before="", inputs=""):
    return BRANCHES.format(before=before, inputs=inputs)


def listed(inputs="", before="", after="y = ConcatFromSequence<axis = 0>(o)"):
    return LIST.format(inputs=inputs, before=before, after=after)


def looped(asked, ends, before="", inputs=""):
    return LOOP.format(asked=asked, ends=ends, before=before, inputs=inputs)


CASES = {
    "64-bit integers in Shrink": (
        "g (int64[3] x) => (int64[3] y) { y = Shrink<lambd = 1.0, bias = 1.0>(x) }",
        "cast them to int32 or to a float before, and back afterwards",
        *(
            f"g (int64[3] x) => (int64[3] y) {{ a = Cast<to = {dtype}>(x) "
            "b = Shrink<lambd = 1.0, bias = 1.0>(a) y = Cast<to = 7>(b) }"
            for dtype in (6, 1)
        ),
    ),
    "a loop that never ends": (
        looped('"", ""', SAME),
        "no trip count and no condition that could end it. Give it one of them",
        looped('n, ""', SAME, before="n = Constant<value_int = 3>()"),
        looped('"", t', STEPS, before=TRUE),
    ),
    "a condition that is ignored or not": (
        looped('n, ""', STEPS, inputs="int64 n, "),
        "Give the loop a condition, true to begin with",
        looped("n, t", STEPS, before=TRUE, inputs="int64 n, "),
    ),
    "a list through a loop": (
        listed("int64 n, "),
        "Make the trip count a constant, or give the steps' results as scan outputs",
        listed(before="n = Constant<value_int = 3>()"),
        """g (int64 n, float[3] x) => (float[m, 3] y) { t = Constant<value = bool {1}>()
            y = Loop(n, t) <body = b (int64 i, bool c) => (bool d, float[3] e) {
            d = Identity(c) f = Cast<to = 1>(i) e = Add(x, f) }> }""",
    ),
    "lists in branches": (
        branch(inputs="bool c, "),
        "Make the condition a constant, or return tensors",
        branch(before="c = Constant<value = bool {0}>()"),
        """g (bool c, float[3] x) => (float[n] y) { y = If(c) <
            then_branch = t () => (float[p] a) { a = Identity(x) },
            else_branch = e () => (float[q] b) { b = Concat<axis = 0>(x, x) }> }""",
    ),
    "dropout that drops": (
        'g (float[3] x) => (float[3] y) { t = Constant<value = bool {1}>() y = Dropout(x, "", t) }',
        "evaluation mode: training_mode false",
        'g (float[3] x) => (float[3] y) { t = Constant<value = bool {0}>() y = Dropout(x, "", t) }',
    ),
    "weights of any size": (
        "g (float[1, 2, 5, 5] x, float[o, i, h, w] k) => (float[1, a, b, c] y) { y = Conv(x, k) }",
        "a fixed shape, with onnxgraph.fix_dims",
        {"o": 4, "i": 2, "h": 3, "w": 3},
    ),
    "any number of axes to reduce": (
        "g (float[3, 4] x, int64[n] a) => (float[m] y) { y = ReduceSum<keepdims = 0>(x, a) }",
        "Set keepdims to 1, or give the axes a fixed length",
        "g (float[3, 4] x, int64[n] a) => (float[p, q] y) { y = ReduceSum<keepdims = 1>(x, a) }",
        {"n": 1},
    ),
    "any number of axes to insert": (
        "g (float[3] x, int64[k] s) => (float[m, n] y) { y = Unsqueeze(x, s) }",
        "Give the axes a fixed length, or make them a constant",
        {"k": 1},
        "g (float[3] x) => (float[m, n] y) { s = Constant<value_ints = [1]>() "
        "y = Unsqueeze(x, s) }",
    ),
    "any number of sizes to fill": (
        "g (int64[n] s) => (float y) { a = ConstantOfShape(s) y = ReduceSum<keepdims = 0>(a) }",
        "fix that length (onnxgraph.fix_dims for an input)",
        {"n": 2},
    ),
    "any number of sizes to expand to": (
        "g (float[3] x, int64[k] s) => (float[m, n] y) { y = Expand(x, s) }",
        "fix that length (onnxgraph.fix_dims for an input)",
        {"k": 2},
    ),
    "indices of any length": (
        "g (float[3, 4] x, int64[2, k] i) => (float[m, n] y) { y = GatherND(x, i) }",
        "fix their last size (onnxgraph.fix_dims for an input)",
        {"k": 1},
    ),
    "indices of any length to write at": (
        "g (float[3, 4] x, int64[2, k] i, float[2] u) => (float[3, 4] y) "
        "{ y = ScatterND(x, i, u) }",
        "fix their last size (onnxgraph.fix_dims for an input)",
        {"k": 2},
    ),
    "real or complex": (
        "g (float[1, 8, k] x) => (float[1, m, n] y) { y = DFT(x) }",
        "fix its last dim to 1 or 2 (onnxgraph.fix_dims for an input)",
        {"k": 1},
        {"k": 2},
    ),
    "a rank that nobody knows": (
        "g (float[a, b, c] x) => (float[m, n] y) { s = Squeeze(x) y = Softmax(s) }",
        "give the Squeeze its axes, or fix the sizes of the inputs with onnxgraph.fix_dims",
        {"a": 2, "b": 1, "c": 3},
        "g (float[a, 1, c] x) => (float[m, n] y) { i = Constant<value_ints = [1]>() "
        "s = Squeeze(x, i) y = Softmax(s) }",
    ),
    "integers that are interpolated": (
        "g (uint8[1, 1, 4, 4] x) => (uint8[1, 1, 7, 7] y) { s = Constant<value_ints = [1, 1, 7, 7]>"
        '() y = Resize<mode = "linear">(x, "", "", s) }',
        "Cast them to float before; round and cast back afterwards",
        "g (uint8[1, 1, 4, 4] x) => (uint8[1, 1, 7, 7] y) { s = Constant<value_ints = [1, 1, 7, 7]>"
        '() a = Cast<to = 1>(x) b = Resize<mode = "linear">(a, "", "", s) c = Round(b) '
        "y = Cast<to = 2>(c) }",
    ),
    "scales to no whole number": (
        "g (float[1, 1, 4, 4] x) => (float[1, 1, h, w] y) { "
        "s = Constant<value_floats = [1.0, 1.0, 1.6, 1.6]>() " + SCALED.format('"", s') + " }",
        "Give the sizes instead of the scales",
        "g (float[1, 1, 4, 4] x) => (float[1, 1, h, w] y) { "
        "s = Constant<value_ints = [1, 1, 6, 6]>() " + SCALED.format('"", "", s') + " }",
    ),
    "a list of computed parts": (
        f"g (float[4] x, int64 n) => (float[m] y) {{ s = SplitToSequence(x, n) {JOIN} }}",
        "Give the split as a constant",
        "g (float[4] x) => (float[m] y) { n = Constant<value_int = 2>() s = SplitToSequence(x, n) "
        f"{JOIN} }}",
    ),
    "a list of as many parts as there are": (
        f"g (float[n] x) => (float[m] y) {{ s = SplitToSequence(x) {JOIN} }}",
        "Fix that dim of the model's inputs with onnxgraph.fix_dims",
        {"n": 4},
    ),
    "mel bands that change": (
        f"g (int64 n) {MEL}",
        "make them constants of the model",
        "g (int64 unused) " + MEL.replace("{", "{ n = Constant<value_int = 4>()"),
    ),
    "a list as an input": (
        f"g (seq(float[3]) s) => (float[n] y) {{ {JOIN} }}",
        "pass its elements as tensors",
        f"g (float[3] a, float[3] b) => (float[n] y) {{ s = SequenceConstruct(a, b) {JOIN} }}",
    ),
    "scales of two axes": (
        "g (float[2, 4] x) => (uint8[2, 4] y) { y = QuantizeLinear(x, plane) }",
        "give it one number, one for each slice of an axis, or blocks",
        "g (float[2, 4] x) => (uint8[2, 4] y) { y = QuantizeLinear(x, one) }",
        "g (float[2, 4] x) => (uint8[2, 4] y) { y = QuantizeLinear<axis = 1>(x, row, zero) }",
        "g (float[2, 4] x) => (uint8[2, 4] y) "
        "{ y = QuantizeLinear<axis = 1, block_size = 2>(x, blocks, zeros) }",
    ),
    "too many activations": (
        RNN.format(', activations = ["Tanh", "Tanh"]'),
        "write all of them or none",
        RNN.format(', activations = ["Tanh"]'),
        RNN.format(""),
    ),
    "an activation without numbers": (
        RNN.format(', activations = ["Affine"]'),
        "write activation_alpha and activation_beta",
        RNN.format(', activations = ["Affine"], activation_alpha = [0.5], activation_beta = [0.1]'),
    ),
    "an activation of another runtime": (
        RNN.format(', activations = ["Gelu"]'),
        "use another of Relu, Tanh, Sigmoid",
        *(RNN.format(f', activations = ["{name}"]') for name in ("Relu", "Sigmoid", "Softsign")),
    ),
    "heads that nobody has counted": (
        TAKES.format("h") + " { y = Attention(q, k, k) }",
        "fix dim 1 of its inputs, or give them packed",
        {"h": 2},
        "g (float[b, 3, 8] q, float[b, 3, 8] k) => (float[b, 3, 8] y) "
        "{ y = Attention<q_num_heads = 2, kv_num_heads = 2>(q, k, k) }",
    ),
    "random numbers in a branch": (
        RANDOM.format("", "a = RandomNormalLike(x)"),
        "export the model with these numbers as an input",
        RANDOM.format(", float[2, 3] r", "a = Identity(r)"),
    ),
    "a dtype that TensorFlow lacks": (
        "g (float[2] x) => (float[2] y) { b = Cast<to = 17>(x) y = Cast<to = 1>(b) }",
        "integers of 8 to 64 bits, floats of 16 to 64 and booleans. Export the model with one",
        "g (float[2] x) => (float[2] y) { b = Cast<to = 10>(x) y = Cast<to = 1>(b) }",
    ),
    "floats as texts": (
        "g (float[2] x) => (string[2] y) { y = Cast<to = 8>(x) }",
        "Cast integers to texts",
        "g (float[2] x) => (string[2] y) { z = Cast<to = 7>(x) y = Cast<to = 8>(z) }",
    ),
    "texts that are put in order": (
        "g (string[2] x, string[2] z) => (bool[2] y) { y = Less(x, z) }",
        "compare numbers",
        "g (int64[2] x, int64[2] z) => (bool[2] y) { y = Less(x, z) }",
    ),
    "a rank that grows in a loop": (
        """g (int64 n, float[3] x) => (float[m] y) { t = Constant<value = bool {1}>()
            y = Loop(n, t, x) <body = b (int64 i, bool c, float[k] a) => (bool d, float[l] e) {
            d = Identity(c) z = Constant<value_ints = [0]>() e = Unsqueeze(a, z) }> }""",
        "Keep the rank, for instance by a dim of size one",
        """g (int64 n, float[1, 3] x) => (float[1, m] y) { t = Constant<value = bool {1}>()
            y = Loop(n, t, x) <body = b (int64 i, bool c, float[1, k] a) =>
            (bool d, float[1, l] e) { d = Identity(c) e = Concat<axis = 1>(a, a) }> }""",
    ),
}
WEIGHTS = {
    "plane": np.ones((2, 4), np.float32),
    "one": np.float32(0.1),
    "row": np.float32([0.1, 0.2, 0.3, 0.4]),
    "zero": np.zeros(4, np.uint8),
    "blocks": np.float32([[0.1, 0.2], [0.3, 0.4]]),
    "zeros": np.zeros((2, 2), np.uint8),
    "taken": seeded(1, 2, 2),
    "kept": seeded(1, 2, 2, seed=1),
    "length": np.int64(16),
    "rate": np.int64(8000),
    "low": np.float32(0),
    "high": np.float32(4000),
}
OPSETS = {
    "real or complex": 17,
    "mel bands that change": 17,
    "random numbers in a branch": 17,
    "a dtype that TensorFlow lacks": 19,
    "scales of two axes": 21,
    "heads that nobody has counted": 23,
}


def model_of(case, body):
    read = {name: value for name, value in WEIGHTS.items() if re.search(rf"\b{name}\b", body)}
    return parse(body, opset=OPSETS.get(case, 13), **read)


@pytest.mark.parametrize("case", CASES)
def test_a_refusal_is_followed(case):
    body, words, *ways = CASES[case]
    refused = model_of(case, body)
    with pytest.raises(ConversionError) as caught:
        convert.onnx2tf(refused, None)
    assert words in str(caught.value)
    for way in ways:
        if isinstance(way, dict):
            assert "fix" in words
            followed = onnxgraph.fix_dims(refused, way).model
        else:
            followed = model_of(case, way)
        assert convert.onnx2tf(followed, None).proven
