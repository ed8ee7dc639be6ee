import onnx
import pytest

from graphcore.errors import GraphError
from graphcore.spec import TensorSpec
from nbhelpers import onnxgraph


def test_symbols_stay_and_weights_are_no_inputs(chain):
    chain.graph.input.append(onnx.helper.make_tensor_value_info("bias", 1, [3]))
    assert onnxgraph.inputs(chain) == (TensorSpec("x", "float32", ("batch", 2, 3)),)
    assert [str(spec) for spec in onnxgraph.outputs(chain)] == [
        "y:float32:batch,6",
        "z:float32:batch,2,3",
    ]
    assert onnxgraph.opset(chain) == 13


def test_a_dim_without_a_name_gets_a_readable_one(graph):
    model = graph("g (float16[?, 3, ?] in) => (float16[?, 3, ?] out) { out = Relu(in) }")
    assert onnxgraph.inputs(model)[0].shape == ("in_dim0", 3, "in_dim2")
    assert onnxgraph.inputs(model)[0].dtype == "float16"


def test_only_tensors_are_taken(graph):
    model = graph("g (float[2] x) => (float[2] y) { y = Relu(x) }")
    sequence = onnx.helper.make_tensor_sequence_value_info("many", 1, None)
    model.graph.input.append(sequence)
    with pytest.raises(GraphError, match="'many' must be a tensor, but its type is sequence"):
        onnxgraph.inputs(model)
