"""Special values in every op that works number by number, on every real runtime.

Numbers too small for a normal float are left out: TensorFlow takes them for zero.
"""

import numpy as np
import onnx
import pytest

from tests.convert.everywhere import disagreements, everywhere

NUMBERS = np.array(
    [
        *(0.0, -0.0, np.nan, np.inf, -np.inf, 3e38, -3e38, 1e6, -1e6, 1e-30, -1e-30),
        *(0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 1, -1, 0.3, -0.7, 3, 9, -11, 20, -20, 88.8, -88.8, 104),
    ]
)
WHOLE = np.array([0, 1, -1, 2, 3, -3, 7, -8, 100, -100, 127, -128])

UNARY = (
    *("Abs", "Neg", "Sign", "Ceil", "Floor", "Round", "Sqrt", "Reciprocal", "Exp", "Log", "Erf"),
    *("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"),
    *("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Elu", "Selu", "Celu", "LeakyRelu"),
    *("HardSigmoid", "HardSwish", "Mish", "Gelu", "ThresholdedRelu", "Shrink", "IsNaN", "IsInf"),
)
BINARY = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean", "PRelu")
COMPARED = ("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal")


def model(nodes, inputs, *, opset=20):
    """Return a model of nodes (op, inputs, attributes), each of which makes an output.

    `inputs` are arrays by name; all their sizes are symbols.
    """
    helper, made, outputs = onnx.helper, [], []
    for number, (op, names, attributes) in enumerate(nodes):
        name = f"{op}_{number}"
        made.append(helper.make_node(op, list(names), [name], name=f"{name}_node", **attributes))
        outputs.append(onnx.ValueInfoProto(name=name))
    values = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(array.dtype),
            [f"{name}{i}" for i in range(array.ndim)],
        )
        for name, array in inputs.items()
    ]
    graph = helper.make_graph(made, "g", values, outputs)
    opsets = [helper.make_opsetid("", opset)]
    return onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=opsets, ir_version=9)
    )


def unary(dtype):
    """Every op of one input over the special numbers."""
    with np.errstate(over="ignore"):
        feeds = {"x": NUMBERS.astype(dtype)}
    nodes = [(op, "x", {}) for op in UNARY]
    nodes += [("Clip", ["x", "low"], {}), ("Clip", ["x", "", "low"], {})]
    feeds["low"] = np.array(-0.5, dtype)
    return model(nodes, feeds), [feeds]


def in_a_row():
    """Pairs of ops that the optimiser makes one op of: each must be written for the target."""
    pairs = [("Tanh", "Relu"), ("Sqrt", "Neg"), ("Cos", "Abs"), ("Log", "Abs"), ("Sign", "Sqrt")]
    pairs.append(("Neg", "Reciprocal"))  # the sign of zero
    feeds = {"x": NUMBERS.astype(np.float32)}
    made = model([(op, "x", {}) for pair in pairs for op in pair], feeds)
    for first, second in zip(made.graph.node[::2], made.graph.node[1::2], strict=True):
        second.input[0] = first.output[0]
    del made.graph.output[::2]
    return made, [feeds]


def binary(dtype, ops):
    """Every op of two inputs over all pairs."""
    with np.errstate(over="ignore"):
        values = NUMBERS.astype(dtype)
    feeds = {"x": values[:, None], "y": values[None]}
    return model([(op, "xy", {}) for op in ops], feeds), [feeds]


def whole(dtype, ops, *, least=-128, **attributes):
    """Every op of two inputs over all pairs of integers, the second ones from `least` on."""
    info = np.iinfo(dtype)
    values = np.array(
        [*WHOLE[(info.min <= WHOLE) & (info.max >= WHOLE)], info.max, info.min], dtype
    )
    feeds = {"x": values[:, None], "y": values[values >= least][None]}
    return model([(op, "xy", attributes) for op in ops], feeds), [feeds]


REDUCTIONS = ("ReduceMax", "ReduceMin", "ReduceSum", "ReduceMean", "ReduceProd", "ReduceL1")
REDUCTIONS += ("ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ReduceLogSum")
ROWS = np.array(
    [
        *([1, 2, 3], [np.nan, 1, 2], [1, 2, np.nan], [np.inf, 1, 2], [-np.inf, 1, 2]),
        *([-np.inf] * 3, [np.inf] * 3, [np.inf, -np.inf, 0], [3e38, 3e38, 1], [-3e38, 0, 1]),
        *([0, -0.0, 0], [-0.0] * 3, [1e-30] * 3, [2.5, 2.5, 2.5], [1e6, -1e6, 0.5], [100, 89, 0]),
    ],
    np.float32,
)


def rows():
    """Every reduction of the last axis, over rows of special numbers."""
    feeds = {"x": ROWS}
    return model([(op, "x", {"axes": [1]}) for op in REDUCTIONS], feeds, opset=12), [feeds]


def shares():
    """What makes rows into shares of them; rows with NaN or plus infinity are left out.

    Softmax makes NaN of such a row, but TensorFlow 1.13 and oneDNN of that one number only.
    """
    usual = np.isfinite(ROWS) | np.isneginf(ROWS)
    feeds = {"x": ROWS[usual.all(1)]}
    nodes = [(op, "x", {"axis": 1}) for op in ("Softmax", "LogSoftmax", "Hardmax")]
    nodes += [("LpNormalization", "x", {"p": p, "axis": 1}) for p in (1, 2)]
    return model(nodes, feeds), [feeds]


def where():
    """A choice between numbers, one of them NaN or infinite."""
    feeds = {"c": np.arange(NUMBERS.size) % 2 == 0, "x": NUMBERS.astype(np.float32)[:, None]}
    feeds["y"] = NUMBERS.astype(np.float32)[None, ::-1]
    return model([("Where", "cxy", {})], feeds), [feeds]


def sampled(mode):
    """An image with special numbers in its corners, and places in it, around it and far away."""
    image = np.linspace(-1, 1, 40).reshape(1, 2, 4, 5).astype(np.float32)
    image[0, 0, 0, 0], image[0, 1, 3, 4], image[0, 0, 3, 0] = np.nan, np.inf, -np.inf
    places = [[-0.9, -0.9], [0.3, 0.2], [1.3, 0], [5, -7], [-1e6, 1e6], [1, 1.1], [0, 0]]
    feeds = {"x": image, "g": np.array([[places]], np.float32)}
    nodes = [
        ("GridSample", "xg", {"mode": mode, "padding_mode": padding, "align_corners": align})
        for padding in ("zeros", "border")
        for align in (0, 1)
    ]
    return model(nodes, feeds, opset=16), [feeds]


MODELS = {
    "unary": unary(np.float32),
    "unary, double": unary(np.float64),
    "unary, half": unary(np.float16),
    "unary, in a row": in_a_row(),
    "binary": binary(np.float32, (*BINARY, *COMPARED)),
    "binary, double": binary(np.float64, (*BINARY[:-2], *COMPARED)),
    "binary, half": binary(np.float16, (*BINARY, *COMPARED)),
    "rows": rows(),
    "shares": shares(),
    "where": where(),
    "sampled between cells": sampled("bilinear"),
    "sampled at cells": sampled("nearest"),
    **{
        f"integers, {dtype.__name__}": whole(dtype, ("Add", "Sub", "Mul", "Max", "Min", *COMPARED))
        for dtype in (np.int8, np.uint8, np.int16, np.int32, np.int64)
    },
}


@pytest.fixture(scope="module")
def seen(legacy, tmp_path_factory):
    """What every runtime makes of every model that is converted for it."""
    return everywhere(MODELS, tmp_path_factory.mktemp("everywhere"), later=False)


@pytest.mark.parametrize("name", MODELS)
def test_every_runtime_says_what_onnxruntime_says(name, seen):
    assert not disagreements(name, MODELS, seen)
