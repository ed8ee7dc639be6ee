"""Weights that stay in files: models above 2 GB are edited without being held in memory."""

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from graphcore.errors import GraphError
from nbhelpers import onnxgraph

GB = 2**30


def external(name, shape, offset, kind=TensorProto.FLOAT, location="weights.data"):
    tensor = onnx.TensorProto(name=name, dims=shape, data_type=kind)
    tensor.data_location = TensorProto.EXTERNAL
    length = int(np.prod(shape)) * helper.tensor_dtype_to_np_dtype(kind).itemsize
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


@pytest.fixture
def large(tmp_path, values):
    """Write a model with 2.5 GB of weights, most of them a hole in a file; return its path."""
    table, weight = [2**18, 2**11], values(2048, 8)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "words"], ["vectors"], name="embed"),
            helper.make_node("MatMul", ["vectors", "weight"], ["mixed"], name="mix"),
            helper.make_node("Add", ["mixed", "bias"], ["scores"], name="shift"),
        ],
        "large",
        [helper.make_tensor_value_info("words", TensorProto.INT64, ["batch", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3, 8])],
        [
            external("table", table, 0),
            external("weight", [2048, 8], 2 * GB),
            external("spare", [2**17, 1000], 2 * GB + 2**20),
            onnx.numpy_helper.from_array(values(8, seed=1), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    (tmp_path / "here").mkdir()
    path = tmp_path / "here" / "large.onnx"
    path.write_bytes(model.SerializeToString())
    with (path.parent / "weights.data").open("wb") as file:
        file.write(values(2, 2048, seed=2).tobytes())  # the rows of the table that are looked up
        file.seek(2 * GB)
        file.write(weight.tobytes())
        file.truncate(2 * GB + 2**20 + 2**17 * 1000 * 4)
    return path


def test_a_model_above_2_gb_is_edited_run_and_saved(large, values, tmp_path):
    model = onnxgraph.load(large, keep_external=True)
    words = {"words": np.array([[0, 1, 0], [1, 1, 0]])}
    rows, weight = values(2, 2048, seed=2), values(2048, 8)
    expected = rows[words["words"]] @ weight + values(8, seed=1)

    def near(edited, factor=1.0):
        seen = onnxgraph.run_onnx(edited, words)["scores"]
        np.testing.assert_allclose(seen, factor * expected, rtol=1e-3, atol=1e-3)

    near(model)
    near(onnxgraph.insert_after(model, "scores", "Mul", others=[np.float32(2)]).model, 2)
    near(onnxgraph.rename(model, {"table": "embedding", "weight": "w"}).proven().model)
    near(onnxgraph.replace(model, "shift", "Sum", inputs=["mixed", "bias"]).proven().model)
    near(
        onnxgraph.remove(
            onnxgraph.insert_after(model, "mixed", "Identity").model, "mixed_Identity"
        ).model
    )
    exposed = onnxgraph.add_outputs(model, "mixed").proven().model
    tail = onnxgraph.cut(exposed, inputs="mixed", outputs="scores").model
    assert [each.name for each in tail.graph.initializer] == ["bias"]
    head = onnxgraph.cut(model, outputs="mixed").model
    near(onnxgraph.join(head, tail, {"mixed": "mixed"}).model)
    changed = onnxgraph.set_weight(model, "weight", 3 * weight)
    assert "taken out of its file, read by MatMul 'mix'" in repr(changed)
    sizes = onnxgraph.weight_sizes(model).set_index("name")
    assert sizes.loc["weight", "stored"] == f"file weights.data at {2 * GB}"
    assert sizes["bytes"].sum() > 2.5e9
    # The table is read at some places only: it is a parameter, and costs no multiply-adds.
    cost = onnxgraph.cost(model, batch=2)
    assert cost.macs == 2 * 3 * 2048 * 8
    assert cost.parameters == 2**18 * 2**11 + 2048 * 8 + 8
    assert onnxgraph.find_nodes(model, op="Gather")["shape"].tolist() == ["batch × 3 × 2048"]
    # Beside the old file the new one uses the old weights; only the changed one is new.
    saved = onnxgraph.save(changed.model, large.with_name("changed.onnx"))
    assert saved.stat().st_size < 100_000
    again = onnxgraph.load(saved, keep_external=True)
    seen = onnxgraph.run_onnx(again, words)["scores"]
    np.testing.assert_allclose(
        seen, rows[words["words"]] @ (3 * weight) + values(8, seed=1), atol=1e-2
    )


def test_weights_go_with_a_model_that_is_saved_elsewhere(large, values, tmp_path):
    model = onnxgraph.load(large, keep_external=True)
    part = onnxgraph.cut(model, inputs="vectors").model  # without the table
    (tmp_path / "elsewhere").mkdir()
    saved = onnxgraph.save(part, tmp_path / "elsewhere" / "there.onnx")
    assert sorted(p.name for p in saved.parent.iterdir()) == ["there.onnx", "there.onnx.data"]
    os.truncate(large.with_name("weights.data"), 0)
    feeds = {"vectors": values(2, 3, 2048)}
    for kept in (True, False):
        seen = onnxgraph.run_onnx(onnxgraph.load(saved, keep_external=kept), feeds)["scores"]
        expected = feeds["vectors"] @ values(2048, 8) + values(8, seed=1)
        np.testing.assert_allclose(seen, expected, rtol=1e-3, atol=1e-3)
    again = onnxgraph.load(saved, keep_external=True)
    onnxgraph.save(again, saved)  # nothing to move: the weights stay where they are
    assert onnxgraph.run_onnx(saved, feeds)["scores"].shape == (2, 3, 8)


def test_files_that_do_not_hold_the_weights_are_refused(large):
    data = large.with_name("weights.data")
    os.truncate(data, 2 * GB + 100)
    with pytest.raises(
        GraphError, match=r"'weight' takes 65536 bytes, but 'weights.data' holds 100"
    ):
        onnxgraph.load(large, keep_external=True)
    data.unlink()
    with pytest.raises(GraphError, match=r"'table' is in 'weights.data', which is not a file"):
        onnxgraph.load(large, keep_external=True)
