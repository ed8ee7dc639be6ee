"""Bad files and awkward names: converted rightly, or refused in one sentence, nothing written."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from graphcore.errors import ConversionError, GraphError, Refusal
from nbhelpers import convert
from tests.checkout import PYTHONPATH
from tests.convert.models import parse, seeded
from tfgraph.building.build import build, prepare
from tfgraph.graphs.graphdef import GraphView, load_graph_def, save_graph_def
from tfgraph.graphs.order import in_order
from tfgraph.names.naming import LONGEST, Names, legal

ROOT = Path(__file__).resolve().parents[2]

LEGAL = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_./-]*")
"""What every TensorFlow since 1.4 takes as a node's name (the newer ones also take `>`)."""

NAMES = [
    *("a b", "a/b", "//a//b/", "/", ".", "..", "-", "_x", "0", "^x", "a:0", "a\\b", "a>b", "%s{}"),
    *("a\"b'c", "<script>alert(1)</script>", "naïve 😀", "入力", "a\nb", "\t", "a\0b", "\u202e"),
    *("n" * 10_000, "n" * (LONGEST - 1) + "/n", "import/x", "self", "None", "x" * 9 + "/" * 9000),
]


def relu(*names):
    """Return a model of one Relu, and one Add of a weight, for each name."""
    nodes, weights = [], []
    inputs = [helper.make_tensor_value_info(name, 1, ["N", 4]) for name in names]
    outputs = [helper.make_tensor_value_info(name + "y", 1, ["N", 4]) for name in names]
    for name in names:
        nodes.append(helper.make_node("Relu", [name], [name + "r"], name=name))
        nodes.append(helper.make_node("Add", [name + "r", name + "w"], [name + "y"]))
        weights.append(numpy_helper.from_array(seeded(4), name + "w"))
    graph = helper.make_graph(nodes, "<b>", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        ["x", "X", "/x", "x ", "x\n", "x_", "x/", "x:", "x_1", "X_1", "x_1_1", "tx", "入", "力"],
        ["n" * 5000 + str(number) for number in range(9)],
        [f"{chr(0x4E00 + number)}" for number in range(300)],
    ],
    ids=["awkward", "alike", "long", "other script"],
)
@pytest.mark.parametrize("target", ["tf1.4", "tf2"])
def test_every_name_comes_back_through_the_map(names, target, tmp_path):
    made = convert.onnx2tf(relu(*names), tmp_path / "m.pb", target=target)
    assert made.proven
    assert list(made.inputs) == names
    assert list(made.outputs) == [name + "y" for name in names]
    tensors = [*made.inputs.values(), *made.outputs.values()]
    assert all(LEGAL.fullmatch(tensor.removesuffix(":0")) for tensor in tensors)
    assert len(set(tensors)) == 2 * len(names)
    assert "<script>" not in made._repr_html_()
    fed = {made.inputs[name]: seeded(2, 4, seed=number) for number, name in enumerate(names)}
    seen = convert.run_tf(tmp_path / "m.pb", fed)
    for number, name in enumerate(names):
        expected = np.maximum(seeded(2, 4, seed=number), 0) + seeded(4)
        assert np.allclose(seen[made.outputs[name + "y"].removesuffix(":0")], expected)


def test_the_map_of_all_tensors_is_reversible():
    built = build(prepare(relu(*NAMES)))
    assert {"入力r", "a\nbr", "<script>alert(1)</script>r"} <= set(built.tensors)
    assert len(set(built.tensors.values())) == len(built.tensors)


def test_thousands_of_names_that_become_one_are_quickly_told_apart():
    names = Names()
    made = [names.legal(chr(0x4E00 + number)) for number in range(20_000)]
    assert len(set(made)) == 20_000
    assert all(not legal(name).endswith("/") for name in NAMES)


def chain(length):
    """Return a model of `length` nodes in a row."""
    steps = ["x", *(f"t{number}" for number in range(1, length)), "y"]
    nodes = [
        helper.make_node("Relu" if number % 2 else "Neg", [before], [after])
        for number, (before, after) in enumerate(itertools.pairwise(steps))
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", 1, ["N", 4])], [value("y", 1, ["N", 4])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize(("length", "target"), [(1000, "tf1.4"), (10_000, "tf2")])
def test_a_graph_of_thousands_of_nodes_in_a_row_is_converted(length, target):
    assert convert.onnx2tf(chain(length), None, target=target).proven


def test_conditions_thirty_deep_are_converted():
    def branch(name, *nodes):
        return helper.make_graph(nodes, "b", [], [helper.make_tensor_value_info(name, 1, None)])

    inner = branch("z", helper.make_node("Identity", ["x"], ["z"]))
    for _ in range(30):
        other = branch("e", helper.make_node("Neg", ["x"], ["e"]))
        choice = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=other)
        inner = branch("y", choice)
    value = helper.make_tensor_value_info
    inputs = [value("x", 1, ["N", 4]), value("c", onnx.TensorProto.BOOL, [])]
    graph = helper.make_graph([choice], "g", inputs, [value("y", 1, ["N", 4])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    assert convert.onnx2tf(model, None, target="tf1.4").proven


def test_a_model_without_nodes_is_converted():
    model = parse("g (float[N, 4] x) => (float[N, 4] x, float[3] w) {}", w=seeded(3))
    made = convert.onnx2tf(model, None)
    assert made.proven and list(made.outputs) == ["x", "w"]


BAD = {
    "does not have": lambda m: setattr(m.graph.initializer[0], "data_type", 99),
    "reads 'gone', which nothing": lambda m: m.graph.node[0].input.__setitem__(0, "gone"),
    "is not an output of any node": lambda m: m.graph.ClearField("node"),
    "takes .* bytes, but has": lambda m: m.graph.initializer[0].dims.append(2**40),
    "Frobnicate": lambda m: setattr(m.graph.node[0], "op_type", "Frobnicate"),
    "no TensorFlow counterpart": lambda m: (
        setattr(m.graph.node[0], "domain", "my.own"),
        m.opset_import.append(helper.make_opsetid("my.own", 1)),
    ),
    "knows 1 to": lambda m: setattr(m.opset_import[0], "version", 999),
}


@pytest.mark.parametrize("words", BAD)
@pytest.mark.parametrize("as_file", [True, False])
def test_a_refused_model_writes_nothing(words, as_file, network, tmp_path):
    model = onnx.ModelProto()
    model.CopyFrom(network)
    BAD[words](model)
    given = model
    if as_file:
        given = tmp_path / "bad.onnx"
        given.write_bytes(model.SerializeToString())
    (tmp_path / "old.pb").write_bytes(b"as it was")
    before = sorted(tmp_path.iterdir())
    for path in (tmp_path / "old.pb", tmp_path / "new" / "new.pb"):
        with pytest.raises(Refusal, match=words) as refused:
            convert.onnx2tf(given, path)
        assert "\n" not in str(refused.value)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "old.pb").read_bytes() == b"as it was"


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "linked"])
def test_weights_outside_the_folder_are_refused_and_nothing_is_written(location, tmp_path):
    model = parse("g (float[N, 4] x) => (float[N, 5000] y) { y = MatMul(x, w) }")
    weight = model.graph.initializer.add(name="w", data_type=1, dims=[4, 5000])
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    (tmp_path / "secret").write_bytes(bytes(80_000))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path / "secret")
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    for work in (convert.preflight, lambda path: convert.onnx2tf(path, folder / "m.pb")):
        with pytest.raises(GraphError, match=r"is not a file in the model's folder"):
            work(folder / "m.onnx")
    assert sorted(each.name for each in folder.iterdir()) == ["linked", "m.onnx"]


def test_an_optimiser_that_dies_ends_nothing(network, tmp_path):
    """A Range of 2^50 numbers is more than Grappler can fold: it ends its process."""
    model = parse(
        "g (float[N] x) => (float[N] y, int64[M] z) <int64 a = {0}, int64 b = {1125899906842624}, "
        "int64 c = {1}> { y = Relu(x) z = Range(a, b, c) }"
    )
    with pytest.raises((ConversionError, GraphError), match=r"crashed|too large|memory|Range"):
        convert.onnx2tf(model, tmp_path / "m.pb")
    assert not list(tmp_path.iterdir())
    assert convert.onnx2tf(network, None).proven  # and the next one has another


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda nodes: nodes["scores"].input.__setitem__(0, "gone"),
            "reads 'gone', which the graph",
        ),
        (lambda nodes: nodes["active"].input.__setitem__(0, "scores"), "has a cycle"),
        (lambda nodes: setattr(nodes["active"], "op", "Frobnicate"), "Frobnicate"),
        (lambda nodes: setattr(nodes["active"], "name", "scores"), "several nodes named 'scores'"),
        (lambda nodes: setattr(nodes["images"].attr["dtype"], "type", 9), "refuses the graph"),
        (lambda nodes: setattr(nodes["weight"].attr["dtype"], "type", 3), "type than its value"),
    ],
)
def test_a_bad_frozen_graph_is_refused_in_one_sentence(change, words, network, tmp_path):
    graph_def = convert.onnx2tf(network, None).graph_def
    nodes = {node.name: node for node in graph_def.node}
    nodes["weight"] = next(node for node in graph_def.node if node.op == "Const")
    change(nodes)
    path = save_graph_def(graph_def, tmp_path / "bad.pb")
    for work in (
        lambda: GraphView(load_graph_def(path)),
        lambda: convert.run_tf(path, {"images": seeded(1, 3, 9, 11)}),
        lambda: convert.build_saved_model(path, tmp_path / "saved"),
    ):
        with pytest.raises(GraphError, match=words) as refused:
            work()
        assert "\n" not in str(refused.value)
    assert [each.name for each in tmp_path.iterdir()] == ["bad.pb"]


def test_an_order_is_only_given_where_there_is_one(network):
    graph_def = convert.onnx2tf(network, None).graph_def
    next(node for node in graph_def.node if node.name == "active").input[0] = "scores"
    with pytest.raises(GraphError, match="has a cycle without a loop"):
        in_order(graph_def)


def test_whatever_bit_flips_it_is_refused_or_right(tmp_path):
    """ONNX files, frozen graphs and SavedModels, in a process whose crash would be seen."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "convert" / "fuzz.py", tmp_path, "100", "0"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": PYTHONPATH, "PATH": ""},
    )
    assert done.returncode == 0, (done.returncode, done.stderr.splitlines()[-20:])
    assert done.stdout == ""
