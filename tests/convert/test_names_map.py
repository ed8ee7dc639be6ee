"""names.json, the map of torch, ONNX and TensorFlow, when somebody has changed it."""

import json

import pytest

from graphcore.errors import GraphError
from tfgraph.comparing.tensor_map import read_names

ROW = {"torch": "a.b", "onnx": "t", "op": "Relu", "tensorflow": "t:0", "layout": "as is"}


def test_a_good_map_is_read(tmp_path):
    (tmp_path / "names.json").write_text(json.dumps([ROW, {**ROW, "onnx": "u"}]))
    assert read_names(tmp_path / "names.json") == {"t": "t:0", "u": "t:0"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({}, "it should be a list, but is an object"),
        ([[]], "[0] should be an object, but is a list"),
        ([{"onnx": "t"}], "[0] lacks 'tensorflow'"),
        ([{**ROW, "onnx": 1}], "[0].onnx should be text, but is 1"),
        ([{**ROW, "tensorflow": None}], "[0].tensorflow should be text, but is None"),
        ([ROW, ROW], "an ONNX name is there twice"),
        ([{**ROW, "tensorflow": "t"}], "has the twin 't', not a tensor like 'name:0'"),
        ([{**ROW, "tensorflow": "t:-1"}], "has the twin 't:-1'"),
        ([{**ROW, "tensorflow": "t:99999999999999"}], "has the twin"),
    ],
)
def test_a_map_of_another_form_is_one_sentence(tmp_path, rows, said):
    (tmp_path / "names.json").write_text(json.dumps(rows))
    with pytest.raises(GraphError, match=r"Run the notebook 04_tensor_names again") as caught:
        read_names(tmp_path / "names.json")
    assert said in str(caught.value)
