import os
import subprocess
import sys

import numpy as np
import pytest

from graphcore.errors import GraphError, UnknownName
from nbhelpers import onnxgraph
from tests.checkout import PYTHONPATH


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_outputs_come_by_name_in_onnx_order(chain, values, batch):
    x = values(batch, 2, 3)
    found = onnxgraph.run_onnx(chain, {"x": x})
    z = np.maximum(x + np.array([1, 2, 3], np.float32), 0)
    assert list(found) == ["y", "z"]
    np.testing.assert_array_equal(found["z"], z)
    np.testing.assert_array_equal(found["y"], z.reshape(batch, 6))


def test_every_tensor_can_be_fetched_at_once(chain, values, tmp_path):
    path = onnxgraph.save(chain, tmp_path / "chain.onnx")
    x = values(3, 2, 3)
    names = onnxgraph.tensor_names(chain)
    found = onnxgraph.run_onnx(path, {"x": x}, fetch=names)
    assert list(found) == names == ["x", "target", "bias", "sum", "z", "y"]
    np.testing.assert_array_equal(found["sum"], x + found["bias"])
    np.testing.assert_array_equal(found["x"], x)
    assert len(chain.graph.output) == 2


def test_only_inputs_and_weights_can_be_fetched(chain, values):
    found = onnxgraph.run_onnx(chain, {"x": values(1, 2, 3)}, fetch=["bias", "x"])
    assert list(found) == ["bias", "x"]


def test_a_wrong_tensor_name_comes_with_the_closest(chain, values):
    with pytest.raises(UnknownName, match=r"no tensor in the ONNX graph named 'summ'.*'sum'"):
        onnxgraph.run_onnx(chain, {"x": values(1, 2, 3)}, fetch=["summ"])


def test_a_wrong_input_name_comes_with_the_right_ones(chain, values):
    with pytest.raises(UnknownName, match=r"no input named 'images'.*There are 'x'"):
        onnxgraph.run_onnx(chain, {"images": values(1, 2, 3)})


def test_what_does_not_fit_is_one_sentence(chain, values):
    with pytest.raises(GraphError, match=r"'x' must be float32, but the array is float64"):
        onnxgraph.run_onnx(chain, {"x": values(1, 2, 3).astype(np.float64)})
    with pytest.raises(GraphError, match=r"must have the shape \(batch, 2, 3\).*\(1, 3, 2\)"):
        onnxgraph.run_onnx(chain, {"x": values(1, 3, 2)})
    with pytest.raises(GraphError, match=r"'x' .* was not fed"):
        onnxgraph.run_onnx(chain, {})


def test_what_fails_inside_names_the_node(graph, values):
    model = graph(
        """g (float[n, 4] x) => (float[2, 2] y) <int64[2] t = {2, 2}> {
            [flat] y = Reshape(x, t)
        }"""
    )
    with pytest.raises(GraphError, match=r"could not run the model.*'flat'"):
        onnxgraph.run_onnx(model, {"x": values(3, 4)})


def test_the_place_in_the_runtimes_source_is_left_out(graph, values):
    model = graph(
        """g (float[n, 4] x) => (float[2, 2] y) <int64[2] t = {2, 2}> {
            [flat] y = Reshape(x, t)
        }"""
    )
    with pytest.raises(GraphError) as caught:
        onnxgraph.run_onnx(model, {"x": values(3, 4)})
    text = str(caught.value)
    assert "cannot be reshaped" in text
    assert "ONNXRuntimeError" not in text and ".h:" not in text and "\n" not in text


def test_onnxruntime_is_loaded_by_who_runs_something():
    code = (
        "import sys; from nbhelpers import onnxgraph; assert 'onnxruntime' not in sys.modules; "
        "import onnxruntime"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        check=True,
    )
