"""What TensorFlow's optimiser takes for equal and is not, in every runtime that has one."""

import re

import numpy as np
import pytest

from nbhelpers import convert, onnxgraph
from tests.convert.everywhere import run_there
from tests.convert.models import parse, seeded
from tfgraph.building.build import build
from tfgraph.comparing import processors
from tfgraph.optimising import optimise
from tfgraph.optimising.barriers import with_barriers

POSITIVE = [
    [0.1, 0.2, 0.3, 0.4, 0.6, 0.9],
    [30, 31, 32, 33, 34, 35],
    [0.9, 0.6, 0.4, 0.3, 0.2, 0.1],
    [49, 98, 147, 196, 245, 343],
    [2401, 4802, 7203, 9604, 12005, 14406],
    [1e6, 1e6 + 0.0625, 1e6 + 0.125, 1e6 + 0.1875, 1e6 + 0.25, 1e6 + 0.3125],
    [1e6, 1e6 + 0.0625, 1e6 + 0.125, 1e6 + 0.1875, 1e6 + 0.3125, 1e6 + 0.375],
]
NEGATIVE = [
    [-0.9, -0.4, -0.3, -0.2, -0.1, -0.05],
    [-3, -2, -1, 0.5, 1, 2],
]
ROWS = np.array([*POSITIVE, *NEGATIVE, [np.nan, 1, 5, 6, 7, 8]], np.float32)
PLACES = "Floor Ceil Sign Relu Sigmoid Tanh Erf Exp"
DEFINED = {  # for the positive rows only: which one of several NaN is largest, each runtime says
    f"largest of {op}": f"t = {op}(x) y = ArgMax<axis = 1>(t)" for op in ("Log", "Sqrt")
}
LARGEST = {  # for the rows without NaN
    **{f"largest of {op}": f"t = {op}(x) y = ArgMax<axis = 1>(t)" for op in PLACES.split()},
    "smallest of Ceil": "t = Ceil(x) y = ArgMin<axis = 1>(t)",
    "largest of Neg of Floor": "s = Floor(x) t = Neg(s) y = ArgMax<axis = 1>(t)",
    "largest of several of Floor": (
        "p = Floor(x) s = Neg(x) t = Floor(s) w = Concat<axis = 1>(p, t) y = ArgMax<axis = 1>(w)"
    ),
    "hardmax of Floor": "t = Floor(x) y = Hardmax(t)",
    "maximum of Reciprocal": "t = Reciprocal(x) y = ReduceMax<axes = [1]>(t)",
    "minimum of Reciprocal": "t = Reciprocal(x) y = ReduceMin<axes = [1]>(t)",
    "largest quotient": "t = Div(x, odd) y = ArgMax<axis = 1>(t)",
}
OTHERS = {
    "largest of constants": (
        "p = Floor(ramp) s = ArgMax<axis = 1>(p) t = Cast<to = 1>(s) y = Add(x, t)"
    ),
    "rounded by a sum": "t = Add(x, million) y = Sub(t, million)",
    "rounded by a difference": "t = Sub(million, x) y = Sub(million, t)",
    "rounded by three terms": "s = Add(x, million) t = Add(s, two) y = Sub(t, million)",
    "a difference and a tenth": ("p = Mul(x, large) s = Add(p, x) t = Sub(s, p) y = Add(t, tenth)"),
    "two quotients": "s = Div(x, side) t = Div(s, side) y = Floor(t)",
    "a whole quotient": "p = Mul(x, odd) s = Div(p, odd) y = Floor(s)",
    "whole quotients by each": (
        "p = Mul(x, odd) s = Reshape(odds, row) t = Div(p, s) y = Floor(t)"
    ),
    "a quotient, cut off": "p = Mul(x, odd) s = Div(p, odd) y = Cast<to = 7>(s)",
    "a quotient and a bound": "p = Mul(x, odd) s = Div(p, odd) y = GreaterOrEqual(s, x)",
    "a quotient of a quotient": "s = Div(x, side) t = Div(side, s) y = Floor(t)",
    "a quotient by a speck": (
        "p = Abs(x) s = Neg(p) t = Relu(s) u = Cast<to = 10>(t) w = Div(u, speck) "
        "y = Cast<to = 1>(w)"
    ),
    "too large on the way": "s = Mul(x, huge) t = Mul(s, large) y = Mul(t, tiny)",
    "twice, or itself": "t = Mul(x, two) y = Max(t, x)",
    "a tenth of it, or itself": "t = Div(x, tenth) y = Max(x, t)",
    "itself, or a sum with itself": "t = Add(x, x) y = Max(x, t)",
    "not less": "t = Less(x, two) y = Not(t)",
    "not greater or equal": "t = GreaterOrEqual(x, two) y = Not(t)",
}
PATTERNS = DEFINED | LARGEST | OTHERS
CONSTANTS = {
    "million": np.float32(3 << 22),
    "side": np.float32(49),
    "odd": np.float32(41),
    "huge": np.float32(1e30),
    "tiny": np.float32(1e-30),
    "two": np.float32(2),
    "tenth": np.float32(0.1),
    "large": np.float32(1e8),
    "speck": np.float16(1e-5),
    "odds": np.full(6, 41, np.float32),
    "row": np.array([1, 6]),
    "ramp": np.linspace(0.1, 0.9, 6, dtype=np.float32)[None],
}
DTYPES = {
    "ArgMax": "int64", "ArgMin": "int64", "Cast<to = 7>": "int64",
    "GreaterOrEqual": "bool", "Not": "bool",
}  # fmt: skip


def model_of(patterns, opset=13):
    """Return one model with an input and an output for each pattern."""
    inputs, outputs, body = [], [], []
    for number, text in enumerate(patterns):
        dtype = next((DTYPES[op] for op in DTYPES if f"y = {op}" in text), "float")
        inputs.append(f"float[N, 6] x{number}")
        outputs.append(f"{dtype}[N, m{number}] y{number}")
        body.append(re.sub(r"\b([pstuwxy])\b", rf"\g<1>{number}", text))
    signature = f"g ({', '.join(inputs)}) => ({', '.join(outputs)})"
    return parse(f"{signature} {{ {' '.join(body)} }}", opset=opset, **CONSTANTS)


def by_tensorflow(graph_def, feeds, outputs):
    """Run a graph in this TensorFlow as anybody would: its optimiser works on it first."""
    tf = convert.tensorflow()
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return session.run(outputs, {f"{name}:0": value for name, value in feeds.items()})


def by_processor(onednn, made, feeds):
    """Run a converted graph as processors do that TensorFlow uses with oneDNN, or without it."""
    held = processors.OtherProcessor(made.graph, made.outputs.values(), onednn)
    return list(held.run({f"{name}:0": value for name, value in feeds.items()}).values())


def ran_on(target, made, feeds, folder):
    """Run a converted graph on its target's own runtime, as anybody would."""
    if target == "tf2":
        return by_tensorflow(made.graph_def, feeds, list(made.outputs.values()))
    (found,) = run_there(target, made, [feeds], folder)
    return list(found.values())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("target", ["tf2", "tf1.15", "tf1.13", "tf1.4"])
def test_every_runtime_computes_what_onnxruntime_does(target, legacy, tmp_path):
    model = model_of(PATTERNS.values())
    made = convert.onnx2tf(model, None, target=target, verify=False)
    feeds = {spec.name: ROWS for spec in onnxgraph.inputs(model)}
    expected = onnxgraph.run_onnx(model, feeds)
    seen = ran_on(target, made, feeds, tmp_path)
    for title, want, got in zip(PATTERNS, expected.values(), seen, strict=True):
        rows = slice(rows_of(title))
        np.testing.assert_allclose(got[rows], want[rows], rtol=1e-6, err_msg=title)


def rows_of(title):
    """Return how many of the rows count."""
    if title in DEFINED:
        return len(POSITIVE)
    return len(ROWS) - 1 if title in LARGEST else len(ROWS)


UNARY = (
    "Floor Ceil Round Sign Relu Sigmoid Tanh Exp Neg Abs Sqrt Erf Elu Selu Softplus Log Identity"
)
SCALARS = [name for name, value in CONSTANTS.items() if type(value) is np.float32]
BINARY = "Add Sub Mul Div Max Min"
LAST = (
    "y = ArgMax<axis = 1>({0})", "y = ReduceMax<axes = [1]>({0})", "y = Floor({0})",
    "s = Less({0}, two) y = Not(s)", "y = Identity({0})",
)  # fmt: skip


def chain(random):
    """Return a pattern of up to five ops, one behind the other."""
    steps, last = [], "x"
    for name in "pt"[: random.integers(1, 3)]:
        if random.random() < 0.5:
            steps.append(f"{name} = {random.choice(UNARY.split())}({last})")
        else:
            sides = [last, random.choice([*SCALARS, "x"])]
            random.shuffle(sides)
            steps.append(f"{name} = {random.choice(BINARY.split())}({', '.join(sides)})")
        last = name
    return " ".join([*steps, random.choice(LAST).format(last)])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_optimiser_changes_nothing_in_chains_of_ops():
    random = np.random.default_rng(0)
    patterns = [chain(random) for _ in range(400)]
    model = model_of(patterns)
    plain = build(model)
    feeds = {spec.name: ROWS for spec in onnxgraph.inputs(model)}
    made = convert.onnx2tf(model, None, verify=False)
    names = plain.outputs.values()
    expected = convert.run_tf(plain.graph_def, feeds, fetch=names, optimised=False)
    seen = by_tensorflow(made.graph_def, feeds, list(made.outputs.values()))
    for text, want, got in zip(patterns, expected.values(), seen, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, err_msg=text)


ELSEWHERE = {"maximum of Reciprocal", "minimum of Reciprocal", "largest of constants"}
"""What TensorFlow 1.13 alone takes for equal, and what must not get a barrier."""

WITH_ONEDNN = {"twice, or itself", "a tenth of it, or itself", "itself, or a sum with itself"}
"""What TensorFlow 2 takes for a LeakyRelu where it uses oneDNN."""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("onednn", [False, True])
def test_every_processor_computes_what_onnxruntime_does(onednn):
    model = model_of(PATTERNS.values())
    made = convert.onnx2tf(model, None, verify=False)
    feeds = {spec.name: ROWS for spec in onnxgraph.inputs(model)}
    seen = by_processor(onednn, made, feeds)
    for title, want, got in zip(
        PATTERNS, onnxgraph.run_onnx(model, feeds).values(), seen, strict=True
    ):
        rows = slice(rows_of(title))
        np.testing.assert_allclose(got[rows], want[rows], rtol=1e-6, err_msg=title)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("onednn", [False, True])
def test_each_of_them_is_needed(onednn, monkeypatch):
    model = model_of(PATTERNS.values())
    feeds = {spec.name: ROWS for spec in onnxgraph.inputs(model)}
    expected = onnxgraph.run_onnx(model, feeds)
    monkeypatch.setattr(optimise, "with_barriers", lambda graph: graph)
    made = convert.onnx2tf(model, None, verify=False)
    seen = by_processor(onednn, made, feeds)
    same = set()
    for title, want, got in zip(PATTERNS, expected.values(), seen, strict=True):
        rows = slice(rows_of(title))
        if np.allclose(got[rows], want[rows], rtol=1e-6, equal_nan=True):
            same.add(title)
    assert same == (ELSEWHERE if onednn else ELSEWHERE | WITH_ONEDNN)


@pytest.mark.parametrize("target", ["tf2", "tf1.15", "tf1.13", "tf1.4"])
def test_what_a_loop_divides_again_and_again(target, legacy, tmp_path):
    model = parse(
        "g (float[N, 6] x) => (float[N, 6] y) { p = Mul(x, square) z = Loop<body = divided "
        "(int64 i, bool go, float[n, 6] v) => (bool on, float[n, 6] w) "
        "{ on = Identity(go) w = Div(v, odd) }>(times, true, p) y = Floor(z) }",
        square=np.float32(41 * 41),
        odd=np.float32(41),
        times=np.array(2),
        true=np.array(True),
    )
    feeds = {"x": np.arange(1, 37, dtype=np.float32).reshape(6, 6)}
    made = convert.onnx2tf(model, None, target=target)
    (seen,) = ran_on(target, made, feeds, tmp_path)
    np.testing.assert_array_equal(seen, onnxgraph.run_onnx(model, feeds)["y"])


def test_a_chain_that_rounds_the_same_gets_no_barrier():
    """Scaled pictures, biases, HardSigmoid: what networks do all the time stays as it is."""
    model = model_of(
        [
            "s = Div(x, odd) t = Sub(s, two) y = Mul(t, side)",
            "s = Add(x, two) t = HardSigmoid(s) y = Mul(t, x)",
            "s = Mul(x, tenth) y = Max(s, x)",
            "s = Div(x, two) y = Floor(s)",
        ]
    )
    graph = with_barriers(build(model).graph).skeleton
    assert [node.name for node in graph.node if "barrier" in node.name] == []


def test_a_pool_stays_behind_its_relu():
    model = parse(
        "g (float[N, 3, 8, 10] x) => (float[N, 4, 4, 5] y) "
        "{ c = Conv<pads = [1, 1, 1, 1]>(x, w) r = Relu(c) "
        "p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r) y = Sigmoid(p) }",
        w=seeded(4, 3, 3, 3),
    )
    made = convert.onnx2tf(model, None)
    report = convert.compare_layers(model, made, {"x": seeded(2, 3, 8, 10)})
    assert {"c", "r", "p", "y"} <= {layer.name for layer in report.layers}
    assert all(layer.row.status == "ok" for layer in report.layers)
