"""A lowered node may become several; each has a name of its own, and one keeps the node's."""

import pytest

from onnxgraph.lowering import lowered

WIDENED = "g (uint8[n, 4] x) => (uint8[n, 4] y) <uint8[1] c = {3}> { [a] y = Div(x, c) }"

SMALLEST = """g (float[n, 4] x) => (float[n, 2] y, int64[n, 2] i) <int64[1] k = {2}> {
    [a] y, i = TopK<axis = 1, largest = 0>(x, k) }"""

BATCH_FIRST = """g (float[n, t, 2] x, float[1, 6, 2] w, float[1, 6, 2] r)
     => (float[n, t, 1, 2] y, float[n, 1, 2] h) {
    [a] y, h = GRU<hidden_size = 2, layout = 1>(x, w, r) }"""


@pytest.mark.parametrize(
    ("text", "opset"),
    [(WIDENED, 14), (SMALLEST, 11), (BATCH_FIRST, 14)],
    ids=["Div", "TopK", "GRU"],
)
def test_every_node_has_a_name_of_its_own(text, opset, graph):
    low, _ = lowered(graph(text, opset=opset), opset - 1)
    names = [node.name for node in low.graph.node]
    assert "a" in names
    assert len(names) == len(set(names)) > 1
