"""Verbs that write ONNX files on a full disk: one sentence, and the old file as it was."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from graphcore.errors import GraphError
from nbhelpers import onnxgraph
from onnxgraph.comparing.activations import save_activations
from onnxgraph.comparing.sources import Recorded


@pytest.fixture
def large(chain):
    """The chain with a weight of 1 MB that nobody reads."""
    model = onnx.ModelProto()
    model.CopyFrom(chain)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(2**18, np.float32), "w"))
    return model


def test_a_model_that_does_not_fit_leaves_the_old_one(small_disk, chain, large):
    path = onnxgraph.save(chain, small_disk / "net.onnx")
    before = path.read_bytes()
    with pytest.raises(GraphError, match=r"net.onnx cannot be written: the disk is full. Free"):
        onnxgraph.save(large, path)
    assert path.read_bytes() == before
    assert list(small_disk.iterdir()) == [path]


def test_weights_that_do_not_fit_beside_the_model_leave_nothing(small_disk, tmp_path, large):
    outside = onnxgraph.save(large, tmp_path / "net.onnx")
    kept = onnxgraph.load(outside, leave_weights=True)
    with pytest.raises(GraphError, match=r"net.onnx cannot be written: the disk is full. Free"):
        onnxgraph.save(kept, small_disk / "net.onnx")
    assert list(small_disk.iterdir()) == []


def test_recorded_tensors_that_do_not_fit_leave_nothing(small_disk):
    recorded = Recorded("torch", {"x": np.ones(3)}, {"y": np.ones(2**18)})
    with pytest.raises(GraphError, match=r"t.npz cannot be written: the disk is full. Free"):
        save_activations(recorded, small_disk / "t.npz")
    assert list(small_disk.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path, chain):
    with pytest.raises(GraphError, match=r"there is no folder \S*nowhere. Make it first"):
        onnxgraph.save(chain, tmp_path / "nowhere" / "net.onnx")
