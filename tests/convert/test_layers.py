"""Where a conversion differs: faults of three kinds, each found, cut out and shown again."""

import copy
import subprocess
import sys

import numpy as np
import onnx
import pytest

from graphcore.errors import GraphError, UnknownName
from nbhelpers import convert, onnxgraph
from onnxgraph.comparing.activations import save_activations
from onnxgraph.comparing.sources import Recorded
from tests.convert.models import parse, seeded
from tfgraph.runtimes import runtimes

DEEP = """
deep (float[N, 3, S, S] images) => (float[N, 4] scores, int64[N] best, float[N, 2] pair) {
    [stem] hidden = Conv<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>
        (images, w1, b1)
    [norm] normal = BatchNormalization<epsilon = 0.001>(hidden, scale, shift, mean, var)
    [stem_relu] active = Relu(normal)
    [pool] pooled = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(active)
    [body] wide = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(pooled, w2, b2)
    [join] joined = Add(wide, pooled)
    [gap] mean_ = GlobalAveragePool(joined)
    [flat] flat = Flatten(mean_)
    [head] scores = Gemm<transB = 1>(flat, w3, b3)
    [label] best = ArgMax<axis = 1, keepdims = 0>(scores)
    [aux] pair = Gemm<transB = 1>(flat, w4, b4)
}
"""


@pytest.fixture(scope="module")
def deep():
    """A network with every op that the faults are made in, and three outputs, one of integers."""
    return parse(
        DEEP,
        w1=seeded(8, 3, 3, 3, seed=1),
        b1=seeded(8, seed=2),
        scale=np.abs(seeded(8, seed=9)) + 0.5,
        shift=seeded(8, seed=10),
        mean=seeded(8, seed=11),
        var=np.abs(seeded(8, seed=12)) / 10 + 0.05,
        w2=seeded(8, 8, 3, 3, seed=3) / 8,
        b2=seeded(8, seed=4),
        w3=seeded(4, 8, seed=5),
        b3=seeded(4, seed=6),
        w4=seeded(2, 8, seed=7),
        b4=seeded(2, seed=8),
    )


def weight_layout(model):
    """Read a kernel as rows × columns where it is columns × rows."""
    weight = next(each for each in model.graph.initializer if each.name == "w2")
    array = onnx.numpy_helper.to_array(weight).transpose(0, 1, 3, 2)
    weight.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(array), "w2"))


def padding(model):
    """Pad a pool as TensorFlow's SAME does with an even size: at the end only."""
    node = next(each for each in model.graph.node if each.name == "pool")
    pads = next(each for each in node.attribute if each.name == "pads")
    pads.ints[:] = [0, 0, 2, 2]


def epsilon(model):
    """Take another framework's default."""
    node = next(each for each in model.graph.node if each.name == "norm")
    node.attribute[0].f = 1e-5


FAULTS = {"body": weight_layout, "pool": padding, "norm": epsilon}


def broken(model, fault):
    """Return the conversion of a model after a fault was made in it."""
    changed = copy.deepcopy(model)
    fault(changed)
    return convert.onnx2tf(changed, None, target="tf1.4")


@pytest.mark.parametrize(("batch", "size"), [(1, 16), (3, 19)])
def test_a_right_conversion_has_no_difference(deep, batch, size):
    conversion = convert.onnx2tf(deep, None)
    feeds = {"images": seeded(batch, 3, size, size)}
    report = convert.compare_layers(deep, conversion, feeds)
    assert report.ok, report
    assert {"images", "active", "pooled", "joined", "scores", "best", "pair"} <= {
        layer.name for layer in report.layers
    }
    assert report["active"].layouts == ("as is", "0,2,3,1")
    assert report["best"].row.largest_difference == 0
    assert convert.first_difference(deep, conversion, feeds) is None


@pytest.mark.parametrize(("batch", "size"), [(1, 16), (2, 21)])
@pytest.mark.parametrize("node", FAULTS)
def test_each_fault_is_found_at_its_node(deep, node, batch, size, tmp_path):
    feeds = {"images": seeded(batch, 3, size, size, seed=batch)}
    conversion = broken(deep, FAULTS[node])
    folder = tmp_path / "cut"
    found = convert.first_difference(deep, conversion, feeds, folder=folder, budget=4096)
    assert node in found.nodes and found.confirmed and found.healed, found
    assert (
        found.layer.name
        in {"body": ["wide"], "pool": ["pooled"], "norm": ["normal", "active"]}[node]
    )
    assert set(found.nodes) <= {node, "stem", "stem_relu"}
    report = convert.compare_layers(deep, conversion, feeds)
    assert report.first.name == found.layer.name
    if batch == 1:
        return  # once is enough: it starts a TensorFlow
    done = shown_again(folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "DIFFERS  piece.pb (judged) on TensorFlow" in done.stdout
    assert "agrees   piece.onnx (reference) on onnxruntime" in done.stdout


def shown_again(folder, python=sys.executable):
    return subprocess.run(
        [python, "reproduce.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=runtimes.clean_environment(),
    )


def test_a_cut_out_is_small_whole_and_replaces_only_its_like(deep, tmp_path):
    feeds = {"images": seeded(2, 3, 16, 16)}
    conversion, folder = broken(deep, weight_layout), tmp_path / "cut"
    convert.first_difference(deep, conversion, feeds, folder=folder)
    files = {path.name for path in folder.iterdir()}
    assert files == {"case.json", "piece.onnx", "piece.pb", "reproduce.py", "tensors.npz"}
    piece = onnx.load(folder / "piece.onnx")
    assert [node.name for node in piece.graph.node] == ["body"]
    ops = convert.op_histogram(convert.load_graph_def(folder / "piece.pb"))
    assert ops["Conv2D"] == 1 and "MatMul" not in ops
    before = {path: path.read_bytes() for path in folder.iterdir()}
    convert.first_difference(deep, conversion, feeds, folder=folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    convert.first_difference(deep, broken(deep, padding), feeds, folder=folder)
    assert [n.name for n in onnx.load(folder / "piece.onnx").graph.node] == ["pool"]
    assert [path.name for path in tmp_path.iterdir()] == ["cut"], "nothing is left behind"
    other = tmp_path / "mine"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(GraphError, match=r"mine exists and is no cut-out.*choose another folder"):
        convert.first_difference(deep, conversion, feeds, folder=other)
    assert (other / "notes.txt").read_text() == "mine"


def test_equal_height_width_and_channels_do_not_mislead():
    text = """
    cube (float[N, 4, 4, 4] x) => (float[N, 4, 4, 4] y) {
        [one] a = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w)
        [two] y = Relu(a)
    }
    """
    model = parse(text, w=seeded(4, 4, 3, 3))
    feeds = {"x": seeded(4, 4, 4, 4, seed=1)}
    report = convert.compare_layers(model, convert.onnx2tf(model, None), feeds)
    assert report.ok and report["y"].layouts == ("as is", "as is")
    wrong = parse(text, w=seeded(4, 4, 3, 3).transpose(0, 1, 3, 2))
    found = convert.first_difference(model, convert.onnx2tf(wrong, None), feeds)
    assert found.layer.name == "a" and found.confirmed


def test_nan_in_the_middle_and_integers():
    text = """
    middle (float[N, 5] x) => (float[N, 5] y, int64[N] which, int64[2] size) {
        [root] q = Sqrt(x)
        [bound] y = Max(q, x)
        [label] which = ArgMax<axis = 1, keepdims = 0>(x)
        [extent] size = Shape(y)
    }
    """
    model, feeds = parse(text), {"x": seeded(3, 5)}
    conversion = convert.onnx2tf(model, None, verify=False)
    report = convert.compare_layers(model, conversion, feeds)
    assert report["q"].not_finite[0] > 0 and not report["q"].differs
    assert report["which"].status == "ok" and report["size"].shape == (2,)


def test_tensors_keep_their_twins_where_node_and_tensor_have_one_name():
    """As MXNet's exporter names them."""
    text = """
    same (float[N, 4] data) => (float[N, 4] relu1) {
        [fc0] fc0 = Gemm(data, w)
        [relu0] relu0 = Relu(fc0)
        [fc1] fc1 = Gemm(relu0, w)
        [relu1] relu1 = Relu(fc1)
    }
    """
    model, feeds = parse(text, w=seeded(4, 4)), {"data": seeded(2, 4, seed=1)}
    report = convert.compare_layers(model, convert.onnx2tf(model, None), feeds)
    assert report.ok and report.missing == (), report


def test_paths_recordings_and_two_graphs_are_compared_alike(deep, tmp_path):
    feeds = {"images": seeded(2, 3, 16, 16)}
    onnxgraph.save(deep, tmp_path / "deep.onnx")
    for target in ("tf1.4", "tf2"):
        convert.onnx2tf(deep, tmp_path / target / "frozen.pb", target=target)
    convert.build_saved_model(tmp_path / "tf2/frozen.pb", tmp_path / "saved")
    graph, saved = tmp_path / "tf1.4/frozen.pb", tmp_path / "saved"
    both = convert.compare_layers(graph, saved, feeds, model=tmp_path / "deep.onnx")
    assert both.ok and both["pooled"].layouts == ("as is", "as is")
    told = onnxgraph.run_onnx(deep, feeds, fetch=["active", "joined", "scores"])
    told["joined"] = told["joined"] + 1
    recorded = tmp_path / "activations.npz"
    save_activations(Recorded("PyTorch (recorded)", feeds, told), recorded)
    report = convert.compare_layers(recorded, graph, model=tmp_path / "deep.onnx")
    assert report.title.endswith("against PyTorch (recorded)")
    assert [layer.name for layer in report.layers if layer.status != "ok"] == ["joined"]
    told["scores"] = told["scores"] * 2
    save_activations(Recorded("PyTorch (recorded)", feeds, told), recorded)
    found = convert.first_difference(recorded, graph, model=deep, folder=tmp_path / "cut")
    assert found.layer.name == "joined" and found.nodes == ("pool", "body", "join")
    assert shown_again(tmp_path / "cut").returncode == 1


def test_a_foreign_graph_is_compared_by_the_names_that_one_gives(deep):
    graph_def = convert.onnx2tf(deep, None).graph_def
    for node in graph_def.node:
        node.name = f"z{node.name}z"
        node.input[:] = [f"z{source}z" for source in node.input]
    feeds = {"images": seeded(2, 3, 16, 16)}
    with pytest.raises(GraphError, match="no computed tensor in common"):
        convert.compare_layers(deep, graph_def, feeds)
    tensors = {twin.onnx: twin.tensor for twin in convert.twins(deep, graph_def, feeds)}
    report = convert.compare_layers(deep, convert.traced(graph_def, deep, tensors=tensors), feeds)
    assert report.ok and "joined" in {layer.name for layer in report.layers}
    with pytest.raises(UnknownName, match="There is no TensorFlow tensor named 'nothing:0'"):
        convert.traced(graph_def, deep, tensors={"joined": "nothing:0"})


def test_what_is_missing_is_said(deep):
    conversion = convert.onnx2tf(deep, None, verify=False)
    with pytest.raises(GraphError, match="No inputs were given; pass feeds="):
        convert.compare_layers(deep, conversion)
    with pytest.raises(GraphError, match="Neither side is an ONNX model"):
        convert.compare_layers(conversion, conversion, {"images": seeded(1, 3, 16, 16)})
    with pytest.raises(UnknownName, match=r"no installed TensorFlow runtime named 'tf1\.3'"):
        convert.compare_layers(deep, conversion, {}, runtime="tf1.3")
    with pytest.raises(GraphError, match=r"input 'images' must have the shape .* has \(1, 4"):
        convert.compare_layers(deep, conversion, {"images": seeded(1, 4, 16, 16)})
    source = convert.traced(conversion, deep)
    with pytest.raises(GraphError, match=r"TensorFlow 2\S+ cannot compute the graph"):
        source.tensors(["scores"], {"images": seeded(1, 4, 16, 16)})
    with pytest.raises(UnknownName, match=r"no ONNX tensor with a twin.*named 'score'.*'scores'"):
        source.tensors(["score"], {})
