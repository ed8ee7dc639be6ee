"""What inputs are for is read from the graph, and what is drawn fits, ends included."""

import numpy as np
import pytest

from onnxgraph.examples.reference import reference_runs
from onnxgraph.examples.roles import roles


def drawn(model, name):
    return [feeds[name] for _, feeds, _ in reference_runs(model)]


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("float[7, 2] w, int64[n] i) => (float[n, 2] y) { y = Gather(w, i) }", -7, 6),
        ("float[5, k] w, int64[5, n] i) => (float[5, n] y) { y = GatherElements<axis=1>(w, i) }",
         -33, 32),
        ("float[6, 4] w, int64[n, 1] i) => (float[n, 4] y) { y = GatherND(w, i) }", -6, 5),
        ("float[1] v, int64[n] i) => (float[n, 5] y) <float[2] p = {0, 1}, int64 d = {5}> "
         "{ y = OneHot(i, d, p) }", -1, 5),
    ],
)  # fmt: skip
def test_indices_reach_both_ends(graph, text, least, most):
    first, last = drawn(graph(f"g ({text}"), "i")
    assert first.min() == 0 or first.size == 1
    assert last.min() >= least and last.max() <= most
    if last.size > 1:
        assert (last.min(), last.max()) == (least, most)


def test_lengths_of_sequences_are_from_one_to_all(graph):
    model = graph(
        """g (float[steps, b, 2] x, int32[b] lens) => (float[steps, 1, b, 3] y)
        { y = GRU<hidden_size = 3>(x, w, r, , lens) }""".replace(
            "g (", "g (float[1, 9, 2] w, float[1, 9, 3] r, "
        )
    )
    for feeds in (each for _, each, _ in reference_runs(model)):
        assert feeds["lens"].min() >= 1 and feeds["lens"].max() == len(feeds["x"])


def test_regions_are_in_the_batch_and_parts_add_up(graph):
    text = (
        "g (float[n, 1, h, w] x, float[k, 4] r, int64[k] b) => (float[k, 1, 2, 2] y) "
        "{ y = RoiAlign<output_height = 2, output_width = 2>(x, r, b) }"
    )
    for _, feeds, _ in reference_runs(graph(text, opset=16)):
        assert feeds["b"].max() == len(feeds["x"]) - 1 and feeds["b"].min() >= 0
        assert (feeds["r"][:, 2:] > feeds["r"][:, :2]).all()
    split = (
        "g (float[n, 7] x, int64[2] s) => (float[n, a] y, float[n, c] z) "
        "{ y, z = Split<axis = 1>(x, s) }"
    )
    for _, feeds, _ in reference_runs(graph(split)):
        assert feeds["s"].sum() == 7


@pytest.mark.parametrize(
    ("op", "inputs", "outputs"),
    [
        ("Reshape(x, i)", "float[n, 6] x, int64[3] i", "float[a, b, c] y"),
        ("Tile(x, i)", "float[n, 6] x, int64[2] i", "float[a, b] y"),
        ("Expand(x, i)", "float[n, 6] x, int64[2] i", "float[a, b] y"),
        ("ConstantOfShape(i)", "float[n, 6] x, int64[2] i", "float[a, b] y"),
        ("CumSum(x, i)", "float[n, 6] x, int64 i", "float[n, 6] y"),
        ("ReduceSum(x, i)", "float[n, 6] x, int64[1] i", "float[a, b] y"),
        ("Unsqueeze(x, i)", "float[n, 6] x, int64[1] i", "float[a, b, c] y"),
        ("Resize(x, , , i)", "float[n, 1, 6, 6] x, int64[4] i", "float[a, b, c, d] y"),
        ("Pad(x, i)", "float[n, 6] x, int64[4] i", "float[a, b] y"),
    ],
)
def test_sizes_that_are_fed_are_taken(graph, op, inputs, outputs):
    model = graph(f"g ({inputs}) => ({outputs}) {{ y = {op} }}")
    assert "i" in roles(model)
    assert all(np.isfinite(found["y"]).all() for _, _, found in reference_runs(model))
