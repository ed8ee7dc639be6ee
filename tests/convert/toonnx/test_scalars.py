"""tf2onnx with inputs and outputs that have no batch, and from inside a folder."""

import numpy as np
import pytest

from graphcore.errors import ConversionError
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.models import seeded
from tests.convert.toonnx.sources import graph, tf, v1


def scaled():
    keep = v1.placeholder(tf.float32, [], name="a_keep")
    x = v1.placeholder(tf.float32, [2, 4], name="x")
    tf.multiply(x, keep, name="y")
    tf.multiply(keep, 2.0, name="twice")


def summed():
    tf.reduce_sum(v1.placeholder(tf.float32, [2, 4], name="x"), name="y")


def test_a_scalar_input_and_an_output_of_it_alone_are_no_obstacle_to_any_batch():
    made = convert.tf2onnx(graph(scaled), None, batch="batch")
    assert made.proven
    assert [str(spec) for spec in made.inputs] == ["a_keep:float32:", "x:float32:batch,4"]
    for batch in (1, 3):
        feeds = {"a_keep": np.float32(0.5), "x": seeded(batch, 4)}
        expected = {"y": feeds["x"] * np.float32(0.5), "twice": np.float32(1)}
        compare(expected, onnxgraph.run_onnx(made.model, feeds)).check()


def test_one_number_for_a_whole_batch_is_not_made_into_one_for_any(tmp_path):
    with pytest.raises(ConversionError, match=r"'y' is one number for a whole batch.*leave batch="):
        convert.tf2onnx(graph(summed), tmp_path / "x.onnx", batch="batch")
    assert not list(tmp_path.iterdir())
    assert convert.tf2onnx(graph(summed), None).proven


def test_a_saved_model_is_found_from_inside_its_folder(tmp_path, monkeypatch):
    (tmp_path / "g.pb").write_bytes(graph(scaled).SerializeToString())
    convert.build_saved_model(tmp_path / "g.pb", tmp_path / "model")
    monkeypatch.chdir(tmp_path / "model")
    for name in (".", "saved_model.pb"):
        made = convert.tf2onnx(name, None)
        assert made.proven and repr(made).startswith("ONNX from model: proven")
