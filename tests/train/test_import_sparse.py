"""A sparse weight is imported as a parameter with its zeros, simplified or not."""

import numpy as np
import onnx
import pytest
from onnx import helper

from nbhelpers import train


@pytest.mark.parametrize("simplify", [False, True])
def test_a_sparse_weight_is_a_parameter(simplify):
    text = '<ir_version: 8, opset_import: ["" : 13]> g (float[N, 4] x) => (float[N, 3] y)'
    model = onnx.parser.parse_model(text + " { [mm] y = MatMul(x, w) }")
    values = helper.make_tensor("w", onnx.TensorProto.FLOAT, [2], [5.0, 7.0])
    indices = helper.make_tensor("places", onnx.TensorProto.INT64, [2, 2], [0, 1, 3, 2])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4, 3]))
    imported = train.import_onnx(model, simplify=simplify)
    found = imported.run({"x": np.array([[1, 2, 3, 4]], np.float32)})["y"]
    assert found.tolist() == [[0, 5, 28]]
