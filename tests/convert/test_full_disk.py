"""Graphs and SavedModels on a full disk: one sentence, and what was there before stays."""

import pytest

from graphcore.errors import GraphError
from nbhelpers import convert
from tests.convert.models import parse, seeded
from tfgraph.savedmodels import variables


@pytest.fixture(scope="module")
def made():
    """A conversion with a weight of 1 MB."""
    text = "g (float[N, 512] x) => (float[N, 512] y) { y = MatMul(x, w) }"
    return convert.onnx2tf(parse(text, w=seeded(512, 512)), None, verify=False)


@pytest.fixture
def small():
    """A conversion that fits."""
    return convert.onnx2tf(parse("g (float[N, 4] x) => (float[N, 4] y) { y = Neg(x) }"), None)


def test_a_frozen_graph_that_does_not_fit_leaves_nothing(small_disk):
    text = "g (float[N, 512] x) => (float[N, 512] y) { y = MatMul(x, w) }"
    with pytest.raises(GraphError, match=r"net.pb cannot be written: the disk is full. Free some"):
        convert.onnx2tf(parse(text, w=seeded(512, 512)), small_disk / "net.pb", verify=False)
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("least", [1, 2**40])
def test_a_saved_model_that_does_not_fit_leaves_the_old_one(
    made, small, small_disk, monkeypatch, least
):
    folder = small_disk / "model"
    convert.build_saved_model(small, folder)
    monkeypatch.setattr(variables, "LEAST", least)  # with its weights as variables, and constants
    with pytest.raises(GraphError, match=r"model cannot be written: the disk is full. Free some"):
        convert.build_saved_model(made, folder)
    assert list(small_disk.iterdir()) == [folder]
    assert convert.read_saved_model(folder).specs["x:0"].shape == ("batch", 4)
