"""What stands in the way is said at once, for every node, before the work."""

import pytest

from graphcore.errors import UnknownName
from nbhelpers import convert
from tests.convert.models import parse
from tfgraph.obstacles import Unconvertible


@pytest.fixture
def many():
    """A model with three nodes that nothing can convert, and one that TensorFlow 1.4 cannot."""
    model = parse(
        """g (float[N,4] x, uint32[N,4] u) => (float[N,4] y, uint32[N,4] v, string[N,4] t) {
            [strange] a = my.ops.Fancy(x)
            [after] b = Relu(a)
            [last] y = Sigmoid(b)
            [shifted] v = BitShift<direction = "LEFT">(u, u)
            [text] t = Cast<to = 8>(x)
        }"""
    )
    model.opset_import.add(domain="my.ops", version=2)
    return model


def test_every_node_is_in_the_table_with_what_would_help(many):
    found = convert.preflight(many, "tf1.4")
    rows = {row["node"]: row for row in found.rows()}
    assert list(rows) == ["strange", "text", "u", "shifted"]
    assert (rows["strange"]["op"], rows["strange"]["opset"]) == ("my.ops.Fancy", 2)
    assert "as a function" in rows["strange"]["help"]
    assert rows["text"]["why"].startswith("casts float32 to string")
    assert rows["text"]["help"].startswith("Cast integers to texts, or texts to int32")
    assert rows["u"]["op"] == "input"
    assert "DT_UINT32" in rows["shifted"]["why"]
    assert rows["shifted"]["help"] == "convert for tf1.13 or newer"
    assert not found.ok
    assert "Preflight for tf1.4: 4 of 5 ONNX nodes" in repr(found)
    assert "<td>strange</td>" in found._repr_html_()


def test_the_conversion_refuses_with_the_same_nodes(many):
    with pytest.raises(
        Unconvertible, match=r"4 ONNX nodes cannot be converted: .*'strange'"
    ) as refused:
        convert.onnx2tf(many, None, target="tf1.4")
    assert refused.value.obstacles == convert.preflight(many, "tf1.4").obstacles
    with pytest.raises(Unconvertible, match="'shifted'"):
        convert.preflight(many, "tf1.4").check()


def test_a_node_behind_a_refused_one_is_not_blamed(many):
    assert [row["node"] for row in convert.preflight(many).rows()] == ["strange", "text"]


def test_a_refusal_in_a_branch_names_the_node_there():
    model = parse(
        """g (bool c, float[N] x) => (float[N] y) {
            a = Identity(x)
            [choice] y = If<
                then_branch = yes () => (float[N] p) { [inner] p = Einsum<equation="ij->ij">(a) },
                else_branch = no () => (float[N] q) { q = Neg(a) }
            >(c)
        }"""
    )
    assert [row["node"] for row in convert.preflight(model).rows()] == ["inner"]


def test_nothing_in_the_way(network):
    found = convert.preflight(network, "tf1.4").check()
    assert found.ok
    assert "all 9 ONNX nodes can be converted" in repr(found)
    with pytest.raises(UnknownName, match=r"tf1\.14"):
        convert.preflight(network, "tf1.14")
