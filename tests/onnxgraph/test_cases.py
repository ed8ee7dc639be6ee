import numpy as np
import pytest

from graphcore.errors import GraphError, ParityError
from graphcore.golden import Case
from nbhelpers import onnxgraph


@pytest.fixture
def fixed(graph):
    return graph("g (float[2, 3] x) => (float[2, 3] y) { y = Relu(x) }")


def test_a_fixed_batch_is_run_in_parts_and_says_so(fixed, values):
    x = values(6, 3)
    cases = [
        Case("batch2", {"x": x[:2]}, {"y": np.maximum(x[:2], 0)}),
        Case("batch6", {"x": x}, {"y": np.maximum(x, 0)}),
    ]
    two, six = onnxgraph.check_cases(fixed, cases)
    assert two.check().title == "batch2"
    assert six.check().title == "batch6 (2 of 6 rows at a time)"


def test_a_case_that_cannot_be_cut_is_refused(fixed, values):
    case = Case("batch3", {"x": values(3, 3)}, {"y": values(3, 3)})
    with pytest.raises(GraphError, match=r"must have the shape \(2, 3\)"):
        onnxgraph.check_cases(fixed, [case])


def test_another_result_is_reported(fixed, values):
    x = values(2, 3)
    (report,) = onnxgraph.check_cases(fixed, [Case("wrong", {"x": x}, {"y": np.abs(x)})])
    with pytest.raises(ParityError, match="wrong: 1 of 1 tensors differ"):
        report.check()


def test_accuracy_counts_the_right_labels():
    case = Case("held_out", {}, {}, {"y": np.array([0, 1, 1, 0])})
    outputs = {"y": np.array([[2, 1], [0, 1], [3, 1], [1, 0]], np.float32)}
    assert onnxgraph.accuracy(case, outputs) == {"y": 0.75}


def test_only_what_holds_rows_is_cut(graph, values):
    x, w, k = values(6, 3), values(2, 3, seed=1), np.array(3.0, np.float32)
    text = "g (float k, float[2, 3] w, float[{}, 3] x) => (float[{}, 3] y, float n) "
    text += "{{ a = ReduceSum<keepdims = 0>(w) s = Mul(x, a) y = Mul(s, k) n = Neg(k) }}"
    outputs = {"y": x * w.sum() * k, "n": -k}
    case = Case("all", {"k": k, "w": w, "x": x}, outputs)
    for size, title in (("batch", "all"), (2, "all (2 of 6 rows at a time)"), (6, "all")):
        model = graph(text.format(size, size))
        (report,) = onnxgraph.check_cases(model, [case])
        assert report.check().title == title
        seen = onnxgraph.run_case(model, case)
        np.testing.assert_allclose(seen["y"], outputs["y"], rtol=1e-5)
    with pytest.raises(
        GraphError, match=r"'m' is one number for 2 rows, .* Record a case of 2 rows"
    ):
        mean = graph("g (float[2, 3] x) => (float m) { m = ReduceMean<keepdims = 0>(x) }")
        onnxgraph.check_cases(mean, [Case("all", {"x": x}, {"m": x.mean()})])
