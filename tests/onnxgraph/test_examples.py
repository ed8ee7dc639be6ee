"""Example inputs: which sizes their symbols get, and which integers they hold."""

import numpy as np
import pytest

from nbhelpers import onnxgraph
from onnxgraph.examples.reference import batch_inputs, reference_runs

PARTED = """
    g (float[batch, 3] x, float[n, 4] y) => (float[batch, k, 4] z)
    <int64[1] rest = {-1}, int64[1] four = {4}, int64[1] first = {0}> {
        s = Shape(x)
        b = Gather(s, first)
        t = Concat<axis = 0>(b, rest, four)
        z = Reshape(y, t)
    }
"""
"""The rows of y belong to those of x: so many to each as there are."""


def shapes(model, **options):
    return [
        tuple(value.shape for value in given.values())
        for _, given, _ in reference_runs(model, **options)
    ]


def test_another_first_axis_is_no_batch(graph, values):
    model = graph(PARTED)
    assert batch_inputs(model) == ("x",)
    for (batch, _), (rows, _) in shapes(model, batches=(1, 2, 3, 5)):
        assert rows != batch and rows % batch == 0
    result = onnxgraph.make_batch_dynamic(model).model
    assert [spec.shape for spec in onnxgraph.inputs(result)] == [("batch", 3), ("n", 4)]
    y = values(6, 4)
    for batch in (1, 2, 3, 6):
        z = onnxgraph.run_onnx(result, {"x": values(batch, 3), "y": y})["z"]
        np.testing.assert_array_equal(z, y.reshape(batch, -1, 4))


def test_the_batch_may_be_the_longer_of_two_first_axes(graph, values):
    text = PARTED.replace("float[batch, 3] x, float[n, 4] y", "float[n, 4] y, float[batch, 3] x")
    model = graph(text)
    assert batch_inputs(model) == ("y",)
    result = onnxgraph.make_batch_dynamic(model).model
    y = values(6, 4)
    z = onnxgraph.run_onnx(result, {"x": values(2, 3), "y": y})["z"]
    np.testing.assert_array_equal(z, y.reshape(2, 3, 4))


@pytest.mark.parametrize("second", ["b", ""])
def test_two_names_for_one_size_are_one_batch(graph, second):
    model = graph(
        f"g (float[a, 3] x, float[{second or 'b'}, 3] w) => (float[a, 3] y) "
        "{ s = Add(x, w) y = Relu(s) }"
    )
    if not second:
        model.graph.input[1].type.tensor_type.shape.dim[0].Clear()
    assert batch_inputs(model) == ("x", "w")
    assert shapes(model) == [((1, 3), (1, 3)), ((3, 3), (3, 3))]
    assert len(onnxgraph.make_batch_dynamic(model).reports) == 4


def test_sizes_apart_and_other_symbols_go_together(graph):
    model = graph(
        """g (float[batch, even] x, float[n, 4] y) => (float[batch, half] a, float[n, 4] b)
        <int64[3] t = {0, -1, 2}, int64[1] last = {2}> {
            s = Reshape(x, t)
            a = ReduceSum<keepdims = 0>(s, last)
            b = Relu(y)
        }
        """
    )
    assert shapes(model) == [((1, 32), (2, 4)), ((3, 32), (12, 4))]


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("g (float[b, 3, h, w] x) => (float[b, 3, h, w] y) { y = Relu(x) }", (33, 35)),
        ("g (float[b, 3, h, w] x) => (float[b, 3, h, h] y) { y = MatMul(x, x) }", (33, 33)),
        (
            """g (float[b, 3, h, w] x) => (float[b, 3, n, 8] y) <int64[4] t = {0, 3, -1, 8}> {
                y = Reshape(x, t)
            }""",
            (32, 64),
        ),
    ],
)
def test_height_and_width_differ_where_the_model_takes_that(graph, text, odd):
    assert shapes(graph(text))[-1] == ((3, 3, *odd),)


def drawn(model):
    """Return the largest and smallest of each input in the first run and the last."""
    runs = [given for _, given, _ in reference_runs(model)]
    return [{name: (v.min(), v.max()) for name, v in given.items()} for given in runs]


TABLE = """
    g (int64[b, 50] ids, uint8[b, 900] bytes) => (float[b, 50, 2] y, float[b, 900] z)
    <float[ROWS, 2] table = {VALUES}> {
        y = Gather(table, ids)
        z = Cast<to = 1>(bytes)
    }
"""


@pytest.mark.parametrize(("rows", "least", "largest"), [(2, -2, 1), (5, -5, 4), (40, -40, 39)])
def test_integers_are_wider_where_the_model_takes_them(graph, rows, least, largest):
    text = TABLE.replace("ROWS", str(rows)).replace("VALUES", ", ".join("1" * 2 * rows))
    first, last = drawn(graph(text))
    assert first == {"ids": (0, rows - 1), "bytes": (0, 1)}
    assert last == {"ids": (least, largest), "bytes": (0, 255)}


def test_integers_that_must_be_positive_are(graph):
    model = graph(
        """g (int64[b, 50] steps) => (int64[n] y) <int64 from = {0}, int64 to = {6}> {
            positive = Abs(steps)
            step = ReduceMin<keepdims = 0>(positive)
            y = Range(from, to, step)
        }
        """
    )
    first, last = drawn(model)
    assert first == {"steps": (1, 2)} and last == {"steps": (1, 4)}


def test_integers_that_overflow_are_not_taken(graph):
    model = graph(
        """g (int64[b, 50] mask) => (float[b, 50] y) <float large = {3e38}> {
            x = Cast<to = 1>(mask)
            y = Mul(x, large)
        }
        """
    )
    assert drawn(model)[-1] == {"mask": (0, 1)}
