"""Looking into a graph: finding nodes, neighbours, sizes, costs, pictures."""

import itertools
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from graphcore.errors import GraphError, UnknownName
from nbhelpers import onnxgraph


def resnet18():
    """Return torchvision's ResNet-18 as nodes, its weights in no more than their shapes."""
    nodes, weights = [], []

    def weight(name, *shape):
        values = np.zeros(shape, np.float32)
        weights.append(onnx.numpy_helper.from_array(values, name))
        return name

    def conv(data, name, ins, outs, kernel, stride, relu=True):
        made = f"{name}_sum"
        inputs = [data, weight(f"{name}_w", outs, ins, kernel, kernel)]
        options = {"strides": [stride] * 2, "pads": [kernel // 2] * 4, "name": name}
        nodes.append(helper.make_node("Conv", inputs, [made], **options))
        norm = [weight(f"{name}_{part}", outs) for part in ("scale", "bias", "mean", "var")]
        nodes.append(helper.make_node("BatchNormalization", [made, *norm], [f"{name}_bn"]))
        if relu:
            nodes.append(helper.make_node("Relu", [f"{name}_bn"], [f"{name}_out"]))
        return f"{name}_out" if relu else f"{name}_bn"

    data = conv("images", "stem", 3, 64, 7, 2)
    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}
    nodes.append(helper.make_node("MaxPool", [data], ["pooled"], **pool))
    data, ins = "pooled", 64
    for stage, outs in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride, name = (2 if stage and not block else 1), f"s{stage}b{block}"
            main = conv(data, f"{name}c1", ins, outs, 3, stride)
            main = conv(main, f"{name}c2", outs, outs, 3, 1, relu=False)
            way = conv(data, f"{name}d", ins, outs, 1, stride, relu=False) if ins != outs else data
            nodes.append(helper.make_node("Add", [main, way], [f"{name}_add"]))
            nodes.append(helper.make_node("Relu", [f"{name}_add"], [f"{name}_out"]))
            data, ins = f"{name}_out", outs
    nodes.append(helper.make_node("GlobalAveragePool", [data], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
    inputs = ["flat", weight("fc_w", 1000, 512), weight("fc_b", 1000)]
    nodes.append(helper.make_node("Gemm", inputs, ["scores"], transB=1, name="fc"))
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "h", "w"])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 1000])
    graph = helper.make_graph(nodes, "resnet18", [images], [scores], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def test_the_cost_of_resnet18_is_the_known_one():
    model = resnet18()
    with pytest.raises(GraphError, match=r"has unknown sizes. Give them: sizes=\{'h': …, 'w': …\}"):
        onnxgraph.cost(model)
    one = onnxgraph.cost(model, sizes={"h": 224, "w": 224})
    assert one.macs == 1_814_073_344
    assert one.parameters == 11_689_512 + 9_600  # and the running means and variances
    five = onnxgraph.cost(model, batch=5, sizes={"h": 224, "w": 224})
    assert (five.macs, five.parameters) == (5 * one.macs, one.parameters)
    table = one.table.set_index("node")
    assert table.loc["fc", "multiply-adds"] == 512_000
    assert table.loc["stem", "parameters"] == 64 * 3 * 49
    assert table["share of multiply-adds"].sum() == pytest.approx(1)
    assert repr(one).splitlines()[:2] == [
        "Cost for images 1×3×224×224: 1.814 G multiply-adds, 11.7 M parameters",
        "  Conv 1.814 G, Gemm 512 k",
    ]
    fixed = onnxgraph.set_inputs(model, "images:float32:2,3,64,64", try_run=False).model
    with pytest.raises(GraphError, match=r"'images' is fixed at 2, so it cannot be 4"):
        onnxgraph.cost(fixed, batch=4)


@pytest.mark.parametrize(
    ("text", "opset", "macs"),
    [
        # Attention by hand: 2 rows, 4 heads, 7 queries, 9 keys, 8 wide.
        (
            """g (float[n, 4, 7, 8] q, float[n, 4, 8, 9] k, float[n, 4, 9, 8] v) =>
                (float[n, 4, 7, 8] y) {
                s = MatMul(q, k) p = Softmax(s) y = MatMul(p, v) }""",
            13,
            2 * 2 * 4 * 7 * 9 * 8,
        ),
        (
            """g (float[n, 4, 7, 8] q, float[n, 4, 9, 8] k, float[n, 4, 9, 6] v) =>
                (float[n, 4, 7, 6] y) {
                y = Attention(q, k, v) }""",
            23,
            2 * 4 * 7 * 9 * (8 + 6),
        ),
        (
            """g (float[n, 7, 32] q, float[n, 9, 16] k, float[n, 9, 12] v) => (float[n, 7, 24] y) {
                y = Attention<q_num_heads = 4, kv_num_heads = 2>(q, k, v) }""",
            23,
            2 * 7 * 9 * (32 + 24),
        ),
        (
            "g (float[n, 3, 4] a, float[n, 4, 5] b) => (float[n, 3, 5] y) "
            '{ y = Einsum<equation = "...ij,...jk->...ik">(a, b) }',
            13,
            2 * 3 * 4 * 5,
        ),
        (
            "g (float[3, n] a, float[3, 5] b) => (float[n, 5] y) { y = Gemm<transA = 1>(a, b) }",
            13,
            2 * 3 * 5,
        ),
        (
            "g (float[n, 6, 5, 5] x, float[6, 2, 3, 3] w) => (float[n, 4, 11, 11] y) "
            "{ y = ConvTranspose<strides = [2, 2], group = 2>(x, w) }",
            13,
            2 * 6 * 25 * 2 * 9,
        ),
        (
            "g (float[7, n, 3] x, float[1, 20, 3] w, float[1, 20, 5] r) => (float[7, 1, n, 5] y) "
            "{ y = LSTM<hidden_size = 5>(x, w, r) }",
            13,
            7 * 2 * (20 * 3 + 20 * 5),
        ),
        (
            """g (bool c, float[n, 4] x, float[4, 4] w) => (float[n, 4] y) { y = If (c) <
                then_branch = t () => (float[n, 4] p) { o = MatMul(x, w) p = MatMul(o, w) },
                else_branch = e () => (float[n, 4] q) { q = MatMul(x, w) }> }""",
            13,
            2 * 2 * 4 * 4,
        ),
    ],
)
def test_the_formulas(graph, text, opset, macs):
    model = graph(text, opset=opset)
    assert onnxgraph.cost(model, sizes={"n": 2}).macs == macs


def test_what_cannot_be_told_is_said(graph):
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 13, "elsewhere" : 1]>
        g (int64 n, bool go, float[b, 4] x) => (float[b, 4] y, float[b, 4] z) <float[4, 4] w> {
            [odd] z = elsewhere.Op(x)
            [round] y = Loop (n, go, x) <body = body (int64 i, bool on, float[b, 4] s) =>
                (bool more, float[b, 4] t) { more = Identity(on) t = MatMul(x, w) }>
        }"""
    )
    weight = onnx.numpy_helper.from_array(np.zeros((4, 4), np.float32), "w")
    del model.graph.initializer[:]
    model.graph.initializer.append(weight)
    cost = onnxgraph.cost(model, batch=3)
    assert cost.macs == 3 * 16
    assert cost.parameters == 16
    assert "Loop 'round': one iteration is counted" in repr(cost)
    assert "not counted, because it is unknown: elsewhere.Op 'odd'" in repr(cost)


def test_nodes_are_found(graph):
    model = graph(
        """g (bool c, float[batch, 2, 8, 8] x) => (float[batch, 2, 4, 4] y) {
            [a_relu] a = Relu(x)
            [pool] p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)
            [soft] s = Softmax(p)
            y = If (c) <
                then_branch = t () => (float[batch, 2, 4, 4] u) { [b_relu] u = Relu(s) },
                else_branch = e () => (float[batch, 2, 4, 4] v) { [b_neg] v = Neg(s) }>
        }"""
    )

    def found(**options):
        return list(onnxgraph.find_nodes(model, **options)["node"])

    assert found(op="Relu") == ["a_relu", "b_relu"]
    assert found(op=["*Pool", "If"]) == ["pool", "y"]
    assert found(name="b_*") == ["b_relu", "b_neg"]
    assert found(tensor="s") == ["soft", "b_relu", "b_neg"]
    assert found(attributes={"strides": [2, 2]}) == ["pool"]
    assert found(attributes={"strides": [2, 3]}) == []
    assert found(attributes={"axis": -1}) == ["soft"]  # the default of this opset
    assert found(attributes={"auto_pad": "NOTSET"}) == ["pool"]
    assert found(shape=("batch", None, 4, None)) == ["pool", "soft", "y", "b_relu", "b_neg"]
    assert found(op="Conv") == []
    table = onnxgraph.find_nodes(model, op="MaxPool")
    assert table["shape"][0] == "batch × 2 × 4 × 4"
    assert "kernel_shape=[2, 2]" in table["attributes"][0]


def test_neighbours_by_steps(chain, graph):
    near = onnxgraph.neighbours(chain, "clip")
    assert list(zip(near["steps"], near["node"], strict=True)) == [
        (-1, "plus"),
        (0, "clip"),
        (1, "flat"),
    ]
    assert list(onnxgraph.neighbours(chain, "y", up=2, down=0)["steps"]) == [-2, -1, 0]
    branch = graph(
        """g (bool c, float[2] x) => (float[2] y) { a = Neg(x) b = Abs(a) y = If (c) <
            then_branch = t () => (float[2] p) { p = Relu(a) },
            else_branch = e () => (float[2] r) { r = Neg(b) }> }"""
    )
    assert list(onnxgraph.neighbours(branch, "a", down=2)["node"]) == ["a", "b", "y"]
    with pytest.raises(UnknownName, match="closest are 'clip'"):
        onnxgraph.neighbours(chain, "clipp")


def test_sizes_of_weights(chain):
    chain.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value_floats=[1.0] * 9))
    half = helper.make_tensor("half", TensorProto.FLOAT16, [4, 2], np.ones(8, np.float16))
    chain.graph.initializer.append(half)
    table = onnxgraph.weight_sizes(chain).set_index("name")
    assert list(table.index) == ["k", "target", "half", "bias"]
    assert list(table["bytes"]) == [36, 16, 16, 12]
    assert table.loc["half", "dtype"] == "float16"
    assert table.loc["half", "stored"] == "numbers"
    assert table.loc["k", "stored"] == "Constant, attribute"
    assert table.loc["bias", "readers"] == "plus"
    assert table["share"].sum() == pytest.approx(1)
    assert onnxgraph.weight_sizes(onnx.ModelProto()).empty


def test_the_six_messages(chain):
    chain.graph.node[2].attribute.append(helper.make_attribute("allowzero", 0))
    parts = onnxgraph.anatomy(chain)
    assert list(parts.messages["count"]) == [1, 1, 3, 1, 2, 3]
    assert (
        parts.messages.loc["NodeProto", "refers to"] == "tensors that it reads and writes, by name"
    )
    (row,) = parts.attributes.to_dict("records")
    assert row == {
        "node": "flat",
        "op": "Reshape",
        "name": "allowzero",
        "type": "INT",
        "value": "0",
    }


def test_an_arrow_that_passes_a_row_goes_beside_its_boxes(graph):
    model = graph(
        "g (float[n, 4] x, float[n, 4] z) => (float[n, 4] y) "
        "{ a = Relu(x) b = Neg(a) c = Add(b, x) y = Mul(c, z) }"
    )
    picture = onnxgraph.excerpt(model, ["a", "b", "c", "y"])
    assert [[name for _, name in row] for row in picture.rows] == [
        ["x"],
        ["a"],
        ["b"],
        ["c", "z"],  # an input stands just above the first that reads it
        ["y"],
        ["y"],
    ]
    boxes = [
        tuple(map(float, each))
        for each in re.findall(
            r"<rect x='(\S+)' y='(\S+)' width='(\S+)' height='(\S+)'", picture.svg
        )
    ]
    ways = re.findall(r"<path d='M(\S+ \S+L[^z']+)' stroke", picture.svg)
    assert len(ways) == 7 and sum(way.count("L") > 1 for way in ways) == 1
    for way in ways:
        points = [tuple(map(float, point.split())) for point in way.split("L")]
        for (x1, y1), (x2, y2) in itertools.pairwise(points):
            for part in (0.25, 0.5, 0.75):
                x, y = x1 + part * (x2 - x1), y1 + part * (y2 - y1)
                assert not any(
                    left < x < left + wide and top < y < top + high
                    for left, top, wide, high in boxes
                )
