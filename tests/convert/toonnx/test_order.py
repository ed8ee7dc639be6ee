"""A node that only waits for an input, as constants of TensorFlow's optimiser do, is no reader."""

import numpy as np
import onnx
import pytest

from nbhelpers import convert, onnxgraph


@pytest.mark.parametrize("form", ["the conversion", "its file"])
def test_an_input_added_to_itself_goes_back_to_onnx(form, tmp_path):
    """TensorFlow makes 2·x of x + x, and the new constant waits for x."""
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[N, 3] x) => (float[N, 3] y) { y = Add(x, x) }"""
    )
    made = convert.onnx2tf(model, tmp_path / "g.pb", verify=False)
    assert ["^x"] in [list(node.input) for node in made.graph_def.node]
    if form == "the conversion":
        back = convert.tf2onnx(made, None)
    else:
        back = convert.tf2onnx(tmp_path / "g.pb", None, inputs=made.inputs, outputs=made.outputs)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(onnxgraph.run_onnx(back.model, {"x": x})["y"], x + x)
