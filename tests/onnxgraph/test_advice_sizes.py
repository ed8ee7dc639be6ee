"""What is advised where a batch, a size or a picture is in doubt is done to the letter."""

import numpy as np
import pytest

from graphcore.errors import GraphError
from nbhelpers import onnxgraph
from nbhelpers.onnxgraph import run_onnx
from onnxgraph.repairs import take_channels_last


def test_the_picture_is_named(graph, values):
    model = graph(
        """g (float[n, 3, 2, 2] a, float[n, 3, 2, 2] b) => (float[n, 3, 2, 2] y) {
            y = Sub(a, b) }"""
    )
    with pytest.raises(GraphError, match="Name the one you mean"):
        take_channels_last(model)
    last = take_channels_last(model, name="a").model
    a, b = values(2, 3, 2, 2), values(2, 3, 2, 2, seed=1)
    seen = run_onnx(last, {"a": np.ascontiguousarray(a.transpose(0, 2, 3, 1)), "b": b})["y"]
    np.testing.assert_array_equal(seen, a - b)


def test_an_axis_that_must_stay_is_left_out(graph, values):
    """Only 4 columns fit the bias; the rows are free."""
    model = graph(
        """g (float[1, 3, 4] x) => (float[1, 3, 4] y) <float[4] w = {1, 2, 3, 4}> {
            y = Add(x, w) }"""
    )
    with pytest.raises(GraphError, match="with these dims dynamic"):
        onnxgraph.free_dims(model, {"x": {1: "rows", 2: "columns"}})
    free = onnxgraph.free_dims(model, {"x": {1: "rows"}}).model
    x = values(1, 7, 4)
    np.testing.assert_array_equal(run_onnx(free, {"x": x})["y"], x + np.float32([1, 2, 3, 4]))
