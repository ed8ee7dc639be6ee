"""What the property tests found, each as the smallest graph that shows it."""

import numpy as np
import onnx
import pytest

from graphcore.errors import GraphError
from nbhelpers import onnxgraph
from onnxgraph.repairs import repair_missing_flatten

IDLE = """
    g (float[n, 2] x) => (float[n, 2] y) <float[2] w = {1.0, 2.0}> {
        a = Relu(x)
        [idle] b = Mul(a, w)
        y = Tanh(x)
    }
"""


def test_a_node_that_only_an_idle_one_reads_is_replaced_and_stays(graph):
    model = graph(IDLE)
    other = onnxgraph.replace(model, "a", "LeakyRelu", attributes={"alpha": 0.0}).model
    assert onnxgraph.op_histogram(other) == {"LeakyRelu": 1, "Mul": 1, "Tanh": 1}
    onnxgraph.same(model, other)


def test_a_weight_goes_with_the_only_node_that_read_it_though_no_output_needs_it(graph):
    model = graph(IDLE)
    more = onnxgraph.insert_after(model, "a", "Add", others=[np.float32(1)], name="new").model
    back = onnxgraph.remove(more, "new")
    assert [weight.name for weight in back.model.graph.initializer] == ["w"]
    assert "no longer needed: the weight 'new_1'" in repr(back)
    assert back.model.graph.node == model.graph.node


def test_a_weight_set_back_is_stored_as_it_was(graph):
    model = graph(IDLE)
    weight = model.graph.initializer[0]
    weight.CopyFrom(onnx.numpy_helper.from_array(np.array([1, 2], np.float32), "w"))
    other = onnxgraph.set_weight(model, "w", np.zeros(2, np.float32)).model
    back = onnxgraph.set_weight(other, "w", np.array([1, 2], np.float32)).model
    assert back.graph.initializer[0] == weight


def test_an_output_whose_rank_only_a_run_can_tell(graph):
    text = """
        g (float[n, 2, 3] x) => (float[n, 2, 3] y) {
            s = Shape(x)
            a = Reshape(x, s)
            y = Relu(a)
        }
    """
    model = graph(text, opset=9)
    more = onnxgraph.add_outputs(model, "a").model
    assert len(onnxgraph.outputs(more)[1].shape) == 3
    onnxgraph.same(model, more)
    head = onnxgraph.cut(model, outputs="a").model
    tail = onnxgraph.cut(model, inputs="a").model
    onnxgraph.same(model, onnxgraph.join(head, tail, {"a": "a"}).model)
    # The rank changes with what is fed, so nothing can be stated.
    loose = graph(
        """g (float[n, 2] x, int64[k] t) => (float[n, 2] y) {
            a = Reshape(x, t)
            s = Shape(x)
            y = Reshape(a, s)
        }""",
        opset=9,
    )
    with pytest.raises(GraphError, match="The tensor 'a' has no fixed rank"):
        onnxgraph.add_outputs(loose, "a")


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_in_a_reshape_between_open_sizes(graph, batch, values):
    """At even sizes the wrong shape went through, as the next Reshape undid it."""
    text = f"""
        g (float[{batch}, 4, h, w] x) => (float[{batch}, 4, h, w] y)
        <int64[3] t = {{{batch}, 4, -1}}> {{
            s = Shape(x)
            flat = Reshape(x, t)
            soft = Softmax<axis = 1>(flat)
            y = Reshape(soft, s)
        }}
    """
    model = graph(text)
    result = onnxgraph.make_batch_dynamic(model)
    assert f"Reshape 'flat': target [{batch}, 4, -1] → [0, 4, -1]" in result.changes
    assert onnxgraph.outputs(result.model)[0].shape[0] == "batch"
    for rows, height, width in ((1, 3, 5), (2, 33, 33), (5, 7, 2)):
        x = values(rows, 4, height, width)
        seen = onnxgraph.run_onnx(result.model, {"x": x})["y"]
        rowwise = [onnxgraph.run_onnx(model, {"x": np.stack([r] * batch)})["y"][0] for r in x]
        np.testing.assert_allclose(seen, np.stack(rowwise), rtol=1e-6)


def test_a_second_fault_is_said_and_left_to_its_own_repair():
    model = onnx.parser.parse_model(
        """
        <ir_version: 3, opset_import: ["" : 8]>
        g (float[1, 2, 1, 1] x, float[2] one, float[2] zero, float[2, 2] w, float[2] b)
        => (float[1, 2] y)
        <float[2] one = {1.0, 1.0}, float[2] zero = {0.0, 0.0}, float[2] b = {0.0, 0.0},
         float[2, 2] w = {1.0, 0.0, 0.0, 1.0}> {
            [norm] a = BatchNormalization<spatial = 0>(x, one, zero, zero, one)
            [dense] y = Gemm(a, w, b)
        }
        """
    )
    result = repair_missing_flatten(model)
    assert onnxgraph.op_histogram(result.model)["Flatten"] == 1
    assert result.changes[-1].startswith("another fault remains and needs another repair: ")
    assert "Invalid input scale" in result.changes[-1]
