"""Texts and bytes into TensorFlow and out: every form of NumPy's, any shape, on every runtime."""

import numpy as np
import onnx
import pytest

from graphcore import golden, parity, texts
from graphcore.errors import GraphError, HandoffError
from nbhelpers import convert
from nbhelpers.convert.proving import artefacts, prove
from nbhelpers.convert.savedmodels import serving
from nbhelpers.onnxgraph import run_onnx
from tfgraph.comparing.tracing import traced

RAW = b"\x89PNG\r\n\x00\x00"
"""Bytes that NumPy's own type for them cuts the end off."""

FORMS = {
    "unicode": np.array([["a", "ä"]]),
    "bytes": np.array([[b"a", "ä".encode()]]),
    "objects": np.array([["a", "ä"]], object),
    "bytes in objects": np.array([[b"a", "ä".encode()]], object),
    "a list": [["a", "ä"]],
}


@pytest.fixture(scope="module")
def joined():
    """A graph that puts a mark behind each text, whatever the shape."""
    tf = convert.tensorflow()
    with tf.Graph().as_default() as graph:
        word = tf.compat.v1.placeholder(tf.string, None, name="word")
        tf.strings.join([word, "!"], name="loud")
    return graph.as_graph_def()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_text_is_fed(joined, form):
    got = convert.run_tf(joined, {"word": FORMS[form]}, fetch=["loud"])["loud"]
    assert got.tolist() == [[b"a!", "ä!".encode()]]


@pytest.mark.parametrize("value", [RAW, "ä", np.array(RAW, object), np.bytes_(b"x"), np.str_("x")])
def test_a_plain_text_is_a_tensor_of_rank_0(joined, value):
    plain = value.item() if isinstance(value, np.ndarray) else value
    plain = plain.encode() if isinstance(plain, str) else bytes(plain)
    got = convert.run_tf(joined, {"word": value})["loud"]
    assert (got.shape, got.item()) == ((), plain + b"!")


def test_empty_and_larger_shapes_and_what_is_no_text(joined):
    for shape in ((0,), (2, 0, 3), (2, 3, 1)):
        fed = np.full(shape, "x")
        assert convert.run_tf(joined, {"word": fed})["loud"].shape == shape
    with pytest.raises(GraphError, match=r"word:0 takes text or bytes: .* this is a float"):
        convert.run_tf(joined, {"word": np.array(["x", 1.5], object)})
    with pytest.raises(
        GraphError, match=r"word:0 takes string any shape, but int64 \(1,\) was fed"
    ):
        convert.run_tf(joined, {"word": np.array([1])})


def test_a_saved_model_and_its_warm_up_take_text(joined, tmp_path):
    (tmp_path / "g.pb").write_bytes(joined.SerializeToString())
    convert.build_saved_model(tmp_path / "g.pb", tmp_path / "1")
    for value in (*FORMS.values(), RAW, np.empty((0, 2), "U3")):
        got = convert.call_saved_model(tmp_path / "1", {"word": value})["loud"]
        expected = [each + b"!" for each in texts.as_bytes(value).ravel()]
        assert list(np.ravel(texts.as_bytes(got))) == expected
        path = serving.write_warmup(tmp_path / "warm", "m", [{"word": value}])
        (read,) = serving.read_warmup(path)
        assert texts.as_bytes(read["word"]).tolist() == texts.as_bytes(value).tolist()


def chooser():
    """Gather a name and choose between it and a text that is fed; the shapes are broadcast."""
    h, info = onnx.helper, onnx.helper.make_tensor_value_info
    nodes = [
        h.make_node("Gather", ["names", "i"], ["label"]),
        h.make_node("Where", ["c", "s", "label"], ["chosen"]),
    ]
    inputs = [info("s", 8, ["n", 1]), info("i", 7, ["m"]), info("c", 9, ["n", "m"])]
    outputs = [info("label", 8, ["m"]), info("chosen", 8, ["n", "m"])]
    names = onnx.numpy_helper.from_array(np.array(["cat", "dög", "fish"], object), "names")
    graph = h.make_graph(nodes, "g", inputs, outputs, [names])
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("target", convert.TARGETS)
def test_texts_are_computed_with_by_every_runtime(legacy, target):
    model = chooser()
    made = convert.onnx2tf(model, None, target=target)
    assert made.proven
    runtime = {r.name: r for r in legacy}.get(target)
    source = traced(made, model, runtime=target if runtime else "tf2")
    for n, m in ((1, 1), (2, 3), (3, 1), (1, 4)):
        feeds = {
            "s": np.array([[f"text {k}"] for k in range(n)], object),
            "i": np.arange(m) % 3,
            "c": (np.arange(n * m).reshape(n, m) % 2).astype(bool),
        }
        expected = run_onnx(model, feeds)
        seen = source.tensors(["label", "chosen"], feeds)
        parity.compare(expected, seen).check()
        seen["chosen"].flat[0] = b"other"
        assert not parity.compare(expected, seen).ok


def test_a_handoff_of_texts_is_verified_on_every_runtime(legacy, tmp_path):
    model = chooser()
    fed = {
        "s": np.array([["text"], ["größe"]], object),
        "i": np.array([2, 0, 1]),
        "c": np.array([[True, False, True], [False, True, False]]),
    }
    home = tmp_path / "net"
    made = convert.onnx2tf(model, home / "graph/tf1.4/frozen.pb", target="tf1.4")
    signed = convert.build_saved_model(made.pb_path, home / "savedmodel/tf1.4/1")
    golden.save_golden(home / "golden.npz", [golden.Case("a", fed, run_onnx(model, fed))])
    (read,) = golden.load_golden(home / "golden.npz")
    assert read.inputs["s"].tolist() == [["text"], ["größe"]]
    promises = artefacts.artefacts(
        {"tf1.4": artefacts.conversion_fact(made)}, {"tf1.4": artefacts.signature_fact(signed)}
    )
    files = [p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file()]
    proofs = prove.prove(home, files, prove.verify_script("net", promises))
    assert len({proof.runtime for proof in proofs}) >= 4
    assert [proof for proof in proofs if not proof.ok] == []
    wrong = {**run_onnx(model, fed), "label": np.array(["fish", "cat", "cat"], object)}
    golden.save_golden(home / "golden.npz", [golden.Case("a", fed, wrong)])
    runtime = prove.rt.runtimes()[:1]
    proofs = prove.prove(home, files, prove.verify_script("net", promises), runtimes=runtime)
    assert proofs and not any(proof.ok for proof in proofs)
    with pytest.raises(HandoffError, match="'png' holds neither"):
        picture = {"png": np.array(RAW, object)}
        golden.save_golden(home / "golden.npz", [golden.Case("a", picture, {})])
