import numpy as np
import pytest

from graphcore.errors import GraphError, UnknownName
from graphcore.golden import Case
from nbhelpers import onnxgraph


def test_inputs_outputs_and_inner_tensors_are_renamed(chain, values):
    names = {"x": "pixels", "y": "features", "sum": "inner", "bias": "offset"}
    renamed = onnxgraph.rename(chain, names).model
    x = values(2, 2, 3)
    new = onnxgraph.run_onnx(renamed, {"pixels": x}, fetch=["features", "inner", "offset"])
    old = onnxgraph.run_onnx(chain, {"x": x}, fetch=["y", "sum", "bias"])
    for one, two in zip(new.values(), old.values(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert [spec.name for spec in onnxgraph.inputs(chain)] == ["x"]


def test_subgraphs_see_the_new_name(graph, values):
    model = graph(
        """g (bool c, float[2] x) => (float[2] y) {
            a = Neg(x)
            y = If (c) <
                then_branch = t () => (float[2] p) { p = Relu(a) },
                else_branch = e () => (float[2] r) { r = Neg(a) }
            >
        }"""
    )
    renamed = onnxgraph.rename(model, {"a": "outer"}).model
    for choice in (True, False):
        feeds = {"c": np.array(choice), "x": values(2)}
        np.testing.assert_array_equal(
            onnxgraph.run_onnx(renamed, feeds)["y"], onnxgraph.run_onnx(model, feeds)["y"]
        )


def test_two_tensors_swap_names(chain, values):
    swapped = onnxgraph.rename(chain, {"y": "z", "z": "y"}).model
    assert [spec.name for spec in onnxgraph.outputs(swapped)] == ["z", "y"]
    x = values(1, 2, 3)
    assert onnxgraph.run_onnx(swapped, {"x": x})["z"].shape == (1, 6)


def test_what_is_taken_or_unknown_is_refused(chain):
    with pytest.raises(GraphError, match="'x' cannot be renamed to 'z', because another tensor"):
        onnxgraph.rename(chain, {"x": "z"})
    with pytest.raises(GraphError, match="'y' cannot be renamed to 'new'"):
        onnxgraph.rename(chain, {"x": "new", "y": "new"})
    with pytest.raises(GraphError, match="is empty"):
        onnxgraph.rename(chain, {"x": ""})
    with pytest.raises(UnknownName, match=r"no tensor named 'biass'.*'bias'"):
        onnxgraph.rename(chain, {"biass": "b"})


def test_golden_cases_follow(values):
    case = Case("one", {"x": values(1)}, {"y": values(1)}, {"y": np.array([0])})
    (renamed,) = onnxgraph.renamed_cases([case], {"x": "pixels", "y": "digit"})
    assert list(renamed.inputs) == ["pixels"]
    assert list(renamed.outputs) == list(renamed.labels) == ["digit"]
