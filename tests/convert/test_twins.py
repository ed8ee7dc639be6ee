"""Twins: by name in our graphs, by value in foreign ones, never wrong."""

import json

import numpy as np
import pytest

from nbhelpers import convert, onnxgraph
from onnxgraph.comparing.scopes import torch_module
from tests.convert.models import seeded
from tfgraph.comparing.tensor_map import names_json


def test_every_twin_holds_the_numbers_of_its_onnx_tensor(network):
    feeds = {"images": seeded(3, 3, 9, 11)}
    result = convert.onnx2tf(network, None, target="tf1.4")
    found = convert.twins(network, result.graph_def, feeds)
    assert {"images", "active", "pooled", "joined", "scores", "aux/out:0"} <= {
        t.onnx for t in found
    }
    fresh = {"images": seeded(2, 3, 9, 11, seed=9)}
    names = [t.onnx for t in found if t.op != "input"]
    expected = fresh | onnxgraph.run_onnx(network, fresh, fetch=names)
    seen = convert.run_tf(result.graph_def, fresh, fetch=[t.tensor for t in found])
    for twin in found:
        value = twin.onnx_layout(seen[twin.tensor])
        assert np.allclose(value, expected[twin.onnx], rtol=1e-4, atol=1e-5), twin


def test_channels_last_is_said(network):
    result = convert.onnx2tf(network, None)
    found = {
        t.onnx: t for t in convert.twins(network, result.graph_def, {"images": seeded(2, 3, 9, 11)})
    }
    assert found["active"].layout == "0,2,3,1"
    assert found["scores"].layout == "as is"


def test_tensors_of_a_foreign_graph_are_found_by_value(network):
    """The same numbers under other names: nothing but their values gives them away."""
    graph_def = convert.onnx2tf(network, None).graph_def
    for node in graph_def.node:
        node.name = f"z{node.name}z"
        node.input[:] = [f"z{source}z" for source in node.input]
    found = {
        t.onnx: t.tensor for t in convert.twins(network, graph_def, {"images": seeded(2, 3, 9, 11)})
    }
    assert found["scores"] in ("zscoresz:0", "zscores_1z:0", "zhead/addz:0")
    assert found["active"] == "zactivez:0"


def test_a_changed_weight_leaves_later_tensors_without_a_twin(network):
    graph_def = convert.onnx2tf(network, None).graph_def
    (second,) = [n for n in graph_def.node if n.op == "Conv2D" and "body" in n.name]
    weight = next(n for n in graph_def.node if n.name == second.input[1])
    content = np.frombuffer(weight.attr["value"].tensor.tensor_content, np.float32) * 1.01
    weight.attr["value"].tensor.tensor_content = content.astype(np.float32).tobytes()
    found = {t.onnx for t in convert.twins(network, graph_def, {"images": seeded(2, 3, 9, 11)})}
    assert "pooled" in found
    assert not {"wide", "joined", "scores"} & found


def test_the_map_as_json(network):
    result = convert.onnx2tf(network, None)
    found = convert.twins(network, result.graph_def, {"images": seeded(2, 3, 9, 11)})
    rows = json.loads(names_json(found))
    assert {row["onnx"]: row["tensorflow"] for row in rows}["scores"] == "scores:0"


@pytest.mark.parametrize(
    ("node", "module"),
    [
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
        ("/conv1/Conv", "conv1"),
        ("/Add", ""),
        ("/encoder/layers/layers.11/self_attn/MatMul_1", "encoder.layers.11.self_attn"),
        ("Conv_0", ""),
    ],
)
def test_the_torch_module_is_read_from_the_node_name(node, module):
    assert torch_module(node) == module
