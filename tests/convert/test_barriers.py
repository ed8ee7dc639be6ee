"""What TensorFlow's optimiser takes for equal and is not, in every runtime that has one."""

import re

import numpy as np
import pytest

from nbhelpers import convert, onnxgraph
from tests.convert.models import parse
from tests.convert.test_retarget import run_there

POSITIVE = [
    [0.1, 0.2, 0.3, 0.4, 0.6, 0.9],
    [30, 31, 32, 33, 34, 35],
    [49, 98, 147, 196, 245, 343],
    [1e6, 1e6 + 0.0625, 1e6 + 0.125, 1e6 + 0.1875, 1e6 + 0.25, 1e6 + 0.3125],
]
NEGATIVE = [[-0.9, -0.4, -0.3, -0.2, -0.1, -0.05], [-3, -2, -1, 0.5, 1, 2]]
ROWS = np.array([*POSITIVE, *NEGATIVE, [np.nan, 1, 5, 6, 7, 8]], np.float32)
PLACES = "Floor Ceil Round Sign Relu Sigmoid Tanh Erf Exp Sqrt Log Reciprocal Elu Selu"
PATTERNS = {
    **{f"largest of {op}": f"t = {op}(x) y = ArgMax<axis = 1>(t)" for op in PLACES.split()},
    "smallest of Ceil": "t = Ceil(x) y = ArgMin<axis = 1>(t)",
    "last of Floor": "t = Floor(x) y = ArgMax<axis = 1, select_last_index = 1>(t)",
    "largest of Neg of Floor": "s = Floor(x) t = Neg(s) y = ArgMax<axis = 1>(t)",
    "hardmax of Floor": "t = Floor(x) y = Hardmax(t)",
    "maximum of Reciprocal": "t = Reciprocal(x) y = ReduceMax<axes = [1]>(t)",
    "minimum of Reciprocal": "t = Reciprocal(x) y = ReduceMin<axes = [1]>(t)",
    "rounded by a sum": "t = Add(x, million) y = Sub(t, million)",
    "rounded by a difference": "t = Sub(million, x) y = Sub(million, t)",
    "two quotients": "p = Mul(x, square) s = Div(p, side) t = Div(s, side) y = Floor(t)",
    "a whole quotient": "p = Mul(x, odd) s = Div(p, odd) y = Floor(s)",
    "a quotient, half of one more": "p = Mul(x, odd) s = Div(p, odd) t = Add(s, two) y = Round(t)",
    "a quotient, cut off": "p = Mul(x, odd) s = Div(p, odd) y = Cast<to = 7>(s)",
    "a quotient of a quotient": "s = Div(x, side) t = Div(side, s) y = Floor(t)",
    "too large on the way": "s = Mul(x, huge) t = Mul(s, huge) y = Mul(t, tiny)",
    "twice, or itself": "t = Mul(x, two) y = Max(t, x)",
    "itself, or a sum with itself": "t = Add(x, x) y = Max(x, t)",
    "not less": "t = Less(x, two) y = Not(t)",
    "not greater or equal": "t = GreaterOrEqual(x, two) y = Not(t)",
}
CONSTANTS = {
    "million": np.float32(3 << 22),
    "side": np.float32(49),
    "odd": np.float32(41),
    "square": np.float32(49 * 49),
    "huge": np.float32(1e20),
    "tiny": np.float32(1e-20),
    "two": np.float32(2),
}
DTYPES = {"ArgMax": "int64", "ArgMin": "int64", "Not": "bool", "Cast<to = 7>": "int64"}


def model_of(patterns, opset=13):
    """Return one model with an input and an output for each pattern."""
    inputs, outputs, body = [], [], []
    for number, text in enumerate(patterns):
        dtype = next((DTYPES[op] for op in DTYPES if f"y = {op}" in text), "float")
        inputs.append(f"float[N, 6] x{number}")
        outputs.append(f"{dtype}[N, m{number}] y{number}")
        body.append(re.sub(r"\b([pstxy])\b", rf"\g<1>{number}", text))
    signature = f"g ({', '.join(inputs)}) => ({', '.join(outputs)})"
    return parse(f"{signature} {{ {' '.join(body)} }}", opset=opset, **CONSTANTS)


def by_tensorflow(graph_def, feeds, outputs):
    """Run a graph in this TensorFlow as anybody would: its optimiser works on it first."""
    tf = convert.tensorflow()
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return session.run(outputs, {f"{name}:0": value for name, value in feeds.items()})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("target", ["tf2", "tf1.15", "tf1.13", "tf1.4"])
def test_every_runtime_computes_what_onnxruntime_does(target, legacy, tmp_path):
    model = model_of(PATTERNS.values())
    made = convert.onnx2tf(model, None, target=target, verify=False)
    feeds = {spec.name: ROWS for spec in onnxgraph.inputs(model)}
    expected = onnxgraph.run_onnx(model, feeds)
    names = list(made.outputs.values())
    if target == "tf2":
        seen = by_tensorflow(made.graph_def, feeds, names)
    else:
        runtime = next(each for each in legacy if each.name == target)
        found = run_there(runtime, made.graph_def, feeds, names, tmp_path)
        seen = [found[name.partition(":")[0]] for name in names]
    for title, want, got in zip(PATTERNS, expected.values(), seen, strict=True):
        rows = slice(rows_of(title))
        np.testing.assert_allclose(got[rows], want[rows], rtol=1e-6, err_msg=title)


def rows_of(title):
    """Return how many of the rows count: what is largest beside NaN is for each runtime to say."""
    if title.endswith(("Sqrt", "Log")):
        return len(POSITIVE)
    return len(ROWS) - 1 if " of " in title else len(ROWS)
