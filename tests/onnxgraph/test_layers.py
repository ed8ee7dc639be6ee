"""Two sources tensor by tensor, and the first op that differs: onnxruntime against itself."""

import copy

import numpy as np
import onnx
import pytest

from graphcore.errors import GraphError, UnknownName
from onnxgraph.comparing.activations import load_activations, save_activations
from onnxgraph.comparing.bisection import first_difference
from onnxgraph.comparing.layers import compare_layers, groups
from onnxgraph.comparing.sources import OnnxSource, Recorded
from onnxgraph.model.dataflow import dataflow
from onnxgraph.running.run import run_onnx


def spoiled(model, name, value):
    """Return the model with the weight `name` made `value(weight)`."""
    changed = copy.deepcopy(model)
    weight = next(each for each in changed.graph.initializer if each.name == name)
    array = value(onnx.numpy_helper.to_array(weight)).astype(np.float32)
    weight.CopyFrom(onnx.numpy_helper.from_array(array, name))
    return changed


def parse(text):
    """Return a model that is not checked: its weights are added later."""
    return onnx.parser.parse_model(f'<ir_version: 7, opset_import: ["" : 13]>\n{text}')


def long_chain(length=120):
    """A model with many tensors: sums with a weight, and every third time the sign turned."""
    lines = [
        f"t{n} = Add(t{n - 1}, w{n})" if n % 3 else f"t{n} = Neg(t{n - 1})"
        for n in range(1, length)
    ]
    body = "\n".join(lines).replace("t0", "x")
    last = f"y = Neg(t{length - 1})"
    model = parse(f"chain (float[N, 3] x) => (float[N, 3] y) {{ {body}\n {last} }}")
    for n in range(1, length):
        if n % 3:
            value = np.full(3, 0.1 if n % 2 else -0.12, np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, f"w{n}"))
    return model


THREE = """
three (float[N, 4] x) => (float[N, 4] a, int64[N] b, float[N, 2] c)
<float[4] w1 = {1.0, 2.0, 3.0, 4.0}, float[4] w2 = {0.5, 1.5, 2.5, -1.0}, int64[2] parts = {2, 2}> {
    [stem] s = Mul(x, w1)
    [left] l = Relu(s)
    [shift] r = Add(s, w2)
    [first] a = Sigmoid(l)
    [best] b = ArgMax<axis = 1, keepdims = 0>(r)
    [halves] h, c = Split<axis = 1>(r, parts)
}
"""


@pytest.mark.parametrize("batch", [1, 5])
def test_equal_models_agree_and_nothing_is_found(graph, values, batch):
    model, feeds = graph(THREE), {"x": values(batch, 4)}
    report = compare_layers(OnnxSource(model), OnnxSource(model), feeds)
    assert report.ok and report.first is None and report.missing == ()
    assert [layer.name for layer in report.layers] == ["x", "s", "l", "r", "a", "b", "h", "c"]
    assert report["b"].op == "ArgMax" and report["b"].row.largest_difference == 0
    assert "all agree (8 compared)" in repr(report)
    assert first_difference(OnnxSource(model), OnnxSource(model), feeds) is None


def test_one_branch_of_three_outputs_is_followed(graph, values):
    model, feeds = graph(THREE), {"x": values(3, 4)}
    judged = OnnxSource(spoiled(model, "w2", lambda w: w + np.float32([0, 9, 0, 0])))
    found = first_difference(OnnxSource(model), judged, feeds)
    assert (found.layer.name, found.layer.node, found.nodes) == ("r", "shift", ("shift",))
    assert [layer.name for layer in found.inputs] == ["s"]
    assert found.confirmed and found.healed and found.output.name in ("b", "c")
    report = compare_layers(OnnxSource(model), judged, feeds)
    assert report.first.name == "r" and not report["l"].differs and report["b"].differs
    assert report["b"].row.note.endswith("values differ, the first at (0,)")


@pytest.mark.parametrize("place", [1, 58, 118])
def test_a_long_graph_is_bisected_with_few_tensors_a_run(values, place):
    model, feeds = long_chain(), {"x": values(2, 3)}
    reference = Counted(model)
    found = first_difference(
        reference, OnnxSource(spoiled(model, f"w{place}", lambda w: w * 1.5)), feeds, budget=64
    )
    assert found.layer.name == f"t{place}" and found.confirmed
    assert max(reference.fetched) <= 4 and len(reference.fetched) < 25
    everything = compare_layers(OnnxSource(model), OnnxSource(model), feeds, budget=192)
    assert len(everything.layers) == 121 and everything.runs == 16


class Counted(OnnxSource):
    """Remembers how many tensors were asked for in each run."""

    def __init__(self, model):
        super().__init__(model)
        self.fetched = []

    def tensors(self, names, feeds):
        self.fetched.append(len(list(names)))
        return super().tensors(names, feeds)


def test_nan_on_both_sides_agrees_and_on_one_side_is_found(graph, values):
    text = """
    roots (float[N, 3] x) => (float[N, 3] y) <float[3] w = {1.0, 1.0, 1.0}> {
        [shift] s = Add(x, w)
        [root] q = Sqrt(s)
        [twice] y = Add(q, q)
    }
    """
    model, feeds = graph(text), {"x": -2 * np.ones((2, 3), np.float32)}
    report = compare_layers(OnnxSource(model), OnnxSource(model), feeds)
    assert report.ok and report["q"].not_finite == (6, 6)
    assert "not finite: 6 in the reference, 6 here" in repr(report)
    feeds = {"x": np.zeros((2, 3), np.float32)}
    judged = OnnxSource(spoiled(model, "w", lambda w: w * [1, -1e-8, 1]))
    found = first_difference(OnnxSource(model), judged, feeds)
    assert found.layer.name == "s" and found.layer.status == "mismatch"
    report = compare_layers(OnnxSource(model), judged, feeds)
    assert report["q"].status == "nan" and report.worst(1)[0].name in ("q", "y")


def test_a_name_that_stands_for_something_else_has_no_effect(graph, values):
    """As where an optimiser folded a factor into the weights before it."""
    text = """
    m (float[N, 4] x) => (float[N, 4] y)
    <float[4] w = {1.0, 2.0, 3.0, 4.0}, float f = {2.0}, float[4] v = {1.0, 1.0, 1.0, 1.0}> {
        t = Mul(x, w)
        u = Mul(t, f)
        s = Add(u, v)
        y = Relu(s)
    }
    """
    model = graph(text)
    folded = spoiled(spoiled(model, "w", lambda w: 2 * w), "f", lambda f: f / 2)
    report = compare_layers(OnnxSource(model), OnnxSource(folded), {"x": values(3, 4)})
    assert report.ok and report["t"].status == "no effect" and not report["t"].differs
    assert "everything computed from it agrees" in report["t"].row.note
    wrong = copy.deepcopy(folded)
    wrong.graph.node[2].op_type = "Sub"
    found = first_difference(OnnxSource(model), OnnxSource(wrong), {"x": values(3, 4)})
    assert found.layer.name == "s" and found.confirmed


def test_rounding_that_grows_is_no_ops_fault(values):
    lines = "\n".join(f"t{n} = Mul(t{n - 1}, w{n})" for n in range(1, 9)).replace("t0", "x")
    model = parse(f"m (float[N, 2] x) => (float[N, 2] y) {{ {lines}\n y = Identity(t8) }}")
    judged = copy.deepcopy(model)
    for n in range(1, 9):
        for each, value in ((model, 1.0), (judged, 1.00004)):
            array = np.full(2, value, np.float32)
            each.graph.initializer.append(onnx.numpy_helper.from_array(array, f"w{n}"))
    found = first_difference(OnnxSource(model), OnnxSource(judged), {"x": values(2, 2)})
    assert found.layer.name == "t3" and not found.confirmed
    assert "no op is wrong by itself, and rounding grew until here" in repr(found)


def test_an_op_inside_of_which_nothing_can_be_seen_is_taken_with_its_neighbours(graph, values):
    """The judged side has no `s`: what lies between the nearest tensors is named as a whole."""
    model, feeds = graph(THREE), {"x": values(2, 4)}
    told = run_onnx(model, feeds, fetch=["l", "a", "b", "c"])
    judged = Recorded("a recording", feeds, told | {"l": told["l"] + 1, "a": told["a"] * 1.1})
    found = first_difference(OnnxSource(model), judged, feeds)
    assert found.layer.name == "l" and found.nodes == ("stem", "left")
    assert [layer.name for layer in found.inputs] == ["x"]
    assert found.confirmed and found.healed is None


def test_recordings_are_kept_in_a_file_and_belong_to_their_inputs(graph, values, tmp_path):
    model, feeds = graph(THREE), {"x": values(2, 4)}
    told = Recorded("PyTorch (recorded)", feeds, run_onnx(model, feeds, fetch=["l", "r"]))
    path = save_activations(told, tmp_path / "debug" / "activations.npz", made_for="abc")
    before = path.read_bytes()
    assert save_activations(told, path, made_for="abc").read_bytes() == before
    again = load_activations(path, made_for="abc")
    report = compare_layers(again, OnnxSource(model), again.feeds)
    assert report.ok and report.title == "onnxruntime against PyTorch (recorded)"
    assert {layer.name for layer in report.layers} == {"x", "l", "r"} and "s" in report.missing
    with pytest.raises(
        GraphError, match=r"were recorded for other values of 'x'\. Feed the inputs"
    ):
        compare_layers(again, OnnxSource(model), {"x": values(2, 4, seed=1)})
    with pytest.raises(UnknownName, match=r"no tensor recorded by PyTorch.*named 'rr'.*'r'"):
        again.tensors(["rr"], feeds)
    with pytest.raises(GraphError, match="was recorded for another ONNX file"):
        load_activations(path, made_for="def")
    path.write_bytes(before[:100])
    with pytest.raises(GraphError, match=r"does not hold activations.*Record them again"):
        load_activations(path)


def test_what_cannot_be_compared_is_refused(graph, values):
    model, feeds = graph(THREE), {"x": values(2, 4)}
    source, nothing = OnnxSource(model), Recorded("nobody", feeds, {})
    with pytest.raises(GraphError, match="order of the tensors is not known"):
        compare_layers(nothing, nothing, feeds)
    with pytest.raises(GraphError, match="no computed tensor in common"):
        compare_layers(source, nothing, feeds)
    with pytest.raises(GraphError, match="The inputs 'x' were not fed"):
        source.tensors(["s"], {})
    with pytest.raises(UnknownName, match=r"named 'ss'.*closest"):
        source.tensors(["ss"], feeds)


def test_pieces_start_at_any_tensor_and_keep_their_weights(graph, values):
    model = spoiled(graph(THREE), "w2", lambda w: w)
    big = onnx.numpy_helper.from_array(values(4, 4096), "big")
    model.graph.initializer.append(big)
    model.graph.node.append(onnx.helper.make_node("MatMul", ["r", "big"], ["wide"], "widen"))
    source, feeds = OnnxSource(model), {"x": values(2, 4)}
    given = run_onnx(model, feeds, fetch=["r", "wide"])
    assert source.model.ByteSize() < 4000, "the large weight lies in a file"
    fed = {"r": given["r"]}
    assert np.array_equal(source.tensors(["wide"], fed)["wide"], given["wide"])
    piece = source.piece(["wide"], fed)
    assert [node.name for node in piece.graph.node] == ["widen"]
    assert [value.name for value in piece.graph.input] == ["r"]
    assert np.array_equal(run_onnx(piece, fed)["wide"], given["wide"])


def test_subgraphs_read_from_outside(graph):
    model = graph(
        """
        choice (bool flag, float[2] x) => (float[2] y) {
            [twice] d = Add(x, x)
            [both] y = If (flag) <
                then_branch = yes () => (float[2] p) { p = Neg(d) },
                else_branch = no () => (float[2] q) { q = Identity(x) }
            >
        }
        """
    )
    flow = dataflow(model)
    assert set(flow.sources["y"]) == {"flag", "x", "d"}
    assert flow.before("y", {"d"}) == ({"flag", "x"}, {"d"})


def test_groups_hold_what_fits_and_at_least_one():
    sizes = {"a": 10, "b": 50, "c": 200, "d": 10}
    assert list(groups("abcde", sizes, 100)) == [["a", "b"], ["c"], ["d"], ["e"]]
