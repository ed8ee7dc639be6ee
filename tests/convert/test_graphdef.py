"""Reading, looking into and running frozen graphs, ours and foreign ones."""

import numpy as np
import pytest

from graphcore.errors import GraphError, UnknownName
from nbhelpers import convert
from tests.convert.models import seeded
from tfgraph.graphs.graphdef import GraphView, save_graph_def


@pytest.fixture(scope="module")
def view(network):
    return GraphView(convert.onnx2tf(network, None).graph_def)


def test_inputs_and_outputs_are_found_without_being_told(view):
    assert [(t.name, t.dtype, t.shape) for t in view.inputs()] == [
        ("images:0", "float32", (None, 3, 9, 11))
    ]
    assert {t.name for t in view.outputs()} == {"scores:0", "aux/out_0:0"}
    assert "images:0  float32  ?×3×9×11" in repr(view)


def test_a_tensor_is_found_with_and_without_its_port(view):
    assert view.tensor("scores") == view.tensor("scores:0")


def test_a_wrong_name_gets_the_closest_ones(view):
    with pytest.raises(
        UnknownName, match=r"no TensorFlow tensor named 'score'. The closest are .*'scores:0'"
    ):
        view.tensor("score")


def test_search_by_name_op_and_shape(view):
    assert [t.name for t in view.find("SCORES$|scores:0")] == ["scores:0"]
    assert {t.op for t in view.find(op="Conv2D")} == {"Conv2D"}
    assert all(
        len(t.shape) == 4 and t.shape[3] == 8 for t in view.find(shape=[None, None, None, 8])
    )
    assert view.find(op="NoSuchOp") == ()


def test_running_fetches_inner_tensors_and_takes_both_forms_of_a_name(view, network, tmp_path):
    path = save_graph_def(view.graph_def, tmp_path / "net.pb")
    images = seeded(2, 3, 9, 11)
    plain, ported = (
        convert.run_tf(path, {"images": images}),
        convert.run_tf(path, {"images:0": images}),
    )
    assert np.array_equal(plain["scores"], ported["scores"])
    inner = convert.run_tf(path, {"images": images}, fetch=["active"])["active"]
    assert inner.min() == 0 and inner.shape == (2, 5, 6, 8)


def test_importing_a_graph_leaves_it_as_it_is(network):
    """TensorFlow writes defaults into what it imports; an old target would refuse them."""
    graph_def = convert.onnx2tf(network, None, target="tf1.4").graph_def
    before = graph_def.SerializeToString(deterministic=True)
    convert.run_tf(graph_def, {"images": seeded(1, 3, 9, 11)})
    assert graph_def.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        (
            {"images": np.zeros((1, 3, 9, 10), np.float32)},
            r"images:0 takes float32 \('\?', 3, 9, 11\), but float32 \(1, 3, 9, 10\)",
        ),
        ({"images": np.zeros((1, 3, 9, 11), np.float64)}, "but float64"),
        ({}, "inputs images:0 were not fed"),
    ],
)
def test_wrong_feeds_are_explained(view, feeds, words):
    with pytest.raises(GraphError, match=words):
        convert.run_tf(view.graph_def, feeds)


def test_a_file_that_is_not_a_whole_graph_is_refused(view, tmp_path):
    with pytest.raises(GraphError, match="There is no file"):
        convert.load_graph_def(tmp_path / "none.pb")
    content = view.graph_def.SerializeToString()
    (tmp_path / "cut.pb").write_bytes(content[: len(content) // 2])
    with pytest.raises(GraphError, match="not a whole GraphDef: the file is cut short"):
        convert.load_graph_def(tmp_path / "cut.pb")
    (tmp_path / "empty.pb").write_bytes(b"")
    with pytest.raises(GraphError, match="holds no graph nodes"):
        convert.load_graph_def(tmp_path / "empty.pb")


def test_a_failed_write_leaves_the_old_file(view, tmp_path, monkeypatch):
    path = save_graph_def(view.graph_def, tmp_path / "net.pb")
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *names: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(GraphError, match=r"net.pb cannot be written: the disk is full"):
        save_graph_def(view.graph_def, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
