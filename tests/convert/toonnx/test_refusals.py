"""What tf2onnx refuses: one sentence that names all of it, and nothing on the disk."""

import shutil

import numpy as np
import onnx
import pytest

from graphcore.errors import ConversionError, GraphError, ParityError, UnknownName
from nbhelpers import convert
from tests.convert.models import seeded
from tests.convert.toonnx.sources import OLD, fixed_batch, graph, tf, two_heads, v1
from tfgraph.toonnx import verb


@pytest.fixture
def spoiled(trained, tmp_path):
    """Copy what TensorFlow 1.4 left, with some of its files cut short or removed."""

    def copy(*, cut=(), gone=()):
        folder = tmp_path / "spoiled"
        shutil.copytree(trained("tf1.4")[0], folder)
        for name in cut:
            content = (folder / name).read_bytes()
            (folder / name).write_bytes(content[: len(content) // 2])
        for name in gone:
            (folder / name).unlink()
        return folder

    return copy


def old(source, **asked):
    return convert.tf2onnx(source, None, **{"outputs": ["scores"], **OLD, **asked})


def strange():
    x = v1.placeholder(tf.float32, [None, 2, 2], name="x")
    both = tf.linalg.inv(x, name="inverse") + tf.math.betainc(x, x, x, name="beta")
    tf.nn.relu(both, name="y")


def quantised():
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    q = tf.quantization.quantize(x, -1.0, 1.0, tf.quint8, name="q")
    tf.quantization.dequantize(q.output, q.output_min, q.output_max, name="y")


def test_ops_without_a_counterpart_are_named_all_at_once(tmp_path, capfd):
    with pytest.raises(ConversionError) as refused:
        convert.tf2onnx(graph(strange), tmp_path / "out" / "x.onnx")
    message = str(refused.value)
    for words in ("2 nodes at opset 13", "'inverse' (MatrixInverse)", "'beta' (Betainc)", "Cut"):
        assert words in message
    assert "\n" not in message and not list(tmp_path.iterdir())
    shown = capfd.readouterr()
    assert not shown.out + shown.err


def test_a_higher_opset_is_offered_where_it_helps():
    def make():
        v1.placeholder(tf.float32, [None, 4], name="x")
        tf.cumsum(v1.get_default_graph().get_tensor_by_name("x:0"), 1, name="y")

    with pytest.raises(ConversionError, match=r"'y' \(Cumsum\).*opset=11 has what they need"):
        convert.tf2onnx(graph(make), None, opset=9)
    assert convert.tf2onnx(graph(make), None, opset=11).proven


def test_a_quantised_graph_is_called_that():
    with pytest.raises(ConversionError, match="graph is quantised; convert the float graph"):
        convert.tf2onnx(graph(quantised), None, outputs=["y"])


def test_ops_of_another_program_are_named_and_can_be_cut_off():
    strange_graph = graph(lambda: tf.nn.relu(v1.placeholder(tf.float32, [None, 3], name="x")))
    strange_graph.node.add(name="odd", op="ContribCrop", input=["Relu"])
    strange_graph.node.add(name="odder", op="ContribWarp", input=["odd"])
    with pytest.raises(ConversionError, match=r"'odd' \(ContribCrop\), 'odder' \(ContribWarp\)"):
        convert.tf2onnx(strange_graph, None)
    assert convert.tf2onnx(strange_graph, None, outputs=["Relu"]).proven


def test_wrong_names_come_with_the_closest(trained):
    folder, _ = trained("tf1.4")
    with pytest.raises(UnknownName, match=r"no TensorFlow tensor named 'scorse:0'.*'scores'"):
        old(folder, outputs=["scorse"])
    with pytest.raises(UnknownName, match=r"tensor named 'keep_probe:0'.*'keep_prob'"):
        old(folder, fixed={"keep_probe": 1.0})
    with pytest.raises(UnknownName, match=r"no input or output named 'image'"):
        old(folder, nchw="image")
    with pytest.raises(UnknownName, match=r"no signature named 'classifi'.*'classify'"):
        convert.tf2onnx(folder / "saved", None, signature="classifi")


def test_a_training_graph_wants_its_outputs_and_switches_named(trained):
    folder, _ = trained("tf1.4")
    with pytest.raises(GraphError, match=r"graph for training.*outputs=\[\"logits\"\]"):
        convert.tf2onnx(folder, None)
    with pytest.raises(GraphError, match=r"also need 'keep_prob:0'.*fixed="):
        old(folder, fixed={})
    with pytest.raises(ParityError, match=r"draws random numbers \(in 'dropout.*keep_prob"):
        old(folder, fixed={"keep_prob": 0.5})


def test_signatures_that_are_not_there_or_too_many(trained, tmp_path):
    folder, _ = trained("tf1.4")
    with pytest.raises(GraphError, match="several signatures, 'classify', 'features'; choose"):
        convert.tf2onnx(folder / "saved", None)
    tf.saved_model.save(tf.Module(), tmp_path / "none")
    with pytest.raises(GraphError, match="has no signature, so it does not say"):
        convert.tf2onnx(tmp_path / "none", None)


def test_a_checkpoint_without_some_variables_names_them_all(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        kinds = {"kept": False, "newer": False, "newest": True}
        held = [
            v1.get_variable(name, [3], use_resource=resource) for name, resource in kinds.items()
        ]
        tf.identity(x * held[0] + held[1] * held[2], name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver(held[:1]).save(session, str(tmp_path / "model.ckpt"))
    with pytest.raises(GraphError, match=r"have 2 of the 3 variables.*: 'newer', 'newest'\."):
        convert.tf2onnx(tmp_path / "model.ckpt", None, outputs=["y"])


@pytest.mark.parametrize("what", ["If", "While"])
def test_a_branch_or_loop_that_holds_a_variable_itself_is_named(what, tmp_path):
    """With control flow as TensorFlow 2 writes it, in a checkpoint of the first kind."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        held = v1.get_variable("held", [3], use_resource=True)
        total = tf.reduce_sum(x)
        if what == "If":
            y = tf.cond(total > 0, lambda: x * held, lambda: x + held, name="chosen")
        else:
            (y,) = tf.while_loop(
                lambda s: tf.reduce_sum(s) < 9.0, lambda s: [s * 2 + held], [x], name="chosen"
            )
        tf.identity(y, name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    with pytest.raises(GraphError, match=rf"'chosen' \({what}\), which takes a variable itself"):
        convert.tf2onnx(tmp_path / "model.ckpt", None, outputs=["y"])


def test_a_graph_with_variables_wants_a_checkpoint(trained, tmp_path):
    folder, _ = trained("tf1.4")
    unfrozen = convert.open_graph(folder / "model.ckpt-3.meta").graph_def
    convert.save_graph_def(unfrozen, tmp_path / "x.pb")
    with pytest.raises(GraphError, match=r"not frozen: it has 6 variables.*checkpoint="):
        old(tmp_path / "x.pb")


@pytest.mark.parametrize(
    ("cut", "gone", "message"),
    [
        (["model.ckpt-3.meta"], [], "model.ckpt-3.meta is not a whole graph: it was cut short"),
        (["model.ckpt-3.index"], [], "cannot be read: .*Copy its .index and .data files again"),
        (["model.ckpt-3.data-00000-of-00001"], [], "cannot be read to its end"),
        ([], ["model.ckpt-3.meta"], "a checkpoint without its graph: there is no file model.ckpt"),
    ],
)
def test_a_checkpoint_that_is_not_whole(spoiled, cut, gone, message):
    with pytest.raises(GraphError, match=message):
        old(spoiled(cut=cut, gone=gone))


def test_other_files_that_are_not_whole(trained, tmp_path):
    two_heads().save(tmp_path / "x.keras")
    content = (tmp_path / "x.keras").read_bytes()
    (tmp_path / "x.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(GraphError, match=r"cannot load .*x.keras"):
        convert.tf2onnx(tmp_path / "x.keras", None)
    convert.save_graph_def(graph(strange), tmp_path / "x.pb")
    (tmp_path / "x.pb").write_bytes((tmp_path / "x.pb").read_bytes()[:100])
    with pytest.raises(GraphError, match=r"x.pb .* is not a whole GraphDef"):
        convert.tf2onnx(tmp_path / "x.pb", None)
    with pytest.raises(GraphError, match=r"There is no file .*nowhere.pb"):
        convert.tf2onnx(tmp_path / "nowhere.pb", None)
    with pytest.raises(GraphError, match=r"must be a frozen graph .* not something of type int"):
        convert.tf2onnx(3, None)


def test_a_batch_that_the_graph_holds_on_to_stays():
    message = r"At batch 1: .*made for its own batch; leave batch= out. Nothing was written"
    with pytest.raises(ConversionError, match=message):
        convert.tf2onnx(fixed_batch([2, 48]), None, batch="n")
    assert convert.tf2onnx(fixed_batch([2, 48]), None).proven


def test_rows_that_look_at_each_other_are_not_made_dynamic():
    """With the batch as it was, the mean is over two rows; over three it is another."""

    def make():
        x = v1.placeholder(tf.float32, [2, 4], name="x")
        tf.subtract(x, tf.reduce_mean(x, 0, keepdims=True), name="y")

    with pytest.raises(ParityError, match="Nothing was written"):
        convert.tf2onnx(graph(make), None, batch="n")


def test_shapes_that_are_not_known_or_do_not_fit():
    def make():
        tf.nn.relu(v1.placeholder(tf.float32, None, name="x"), name="y")

    with pytest.raises(GraphError, match=r"rank of the input 'x' .*shapes=\{'x'"):
        convert.tf2onnx(graph(make), None)
    made = convert.tf2onnx(graph(make), None, shapes={"x": (None, 5, 7, 3)}, nchw=True)
    assert made.inputs[0].shape == made.outputs[0].shape == ("batch", 3, 5, 7)
    with pytest.raises(GraphError, match=r"has the shape \(2, 5, 7, 3\) .* \(\?, 6, 7, 3\) does"):
        convert.tf2onnx(fixed_batch([-1]), None, shapes={"x": (None, 6, 7, 3)})
    with pytest.raises(GraphError, match="'y' cannot be offered with its channels first"):
        convert.tf2onnx(fixed_batch([-1]), None, nchw=["y"])


def test_numbers_that_are_none():
    with pytest.raises(ConversionError, match="opsets 9 to 18, but 24"):
        convert.tf2onnx(graph(strange), None, opset=24)
    with pytest.raises(ConversionError, match="number above 0 or a symbol, but 0"):
        convert.tf2onnx(graph(strange), None, batch=0)


def test_a_file_that_would_be_wrong_is_not_written(tmp_path, monkeypatch):
    def off(interface, opset):
        model = translated(interface, opset)
        weights = next(each for each in model.graph.initializer if each.data_type == 1)
        array = onnx.numpy_helper.to_array(weights)
        weights.CopyFrom(
            onnx.numpy_helper.from_array(np.ascontiguousarray(array * 1.01), weights.name)
        )
        return model

    def make():
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        tf.matmul(x, tf.constant(seeded(4, 3)), name="y")

    translated = verb.translated
    monkeypatch.setattr(verb, "translated", off)
    with pytest.raises(ParityError, match=r"y: mismatch off by .*Nothing was written"):
        convert.tf2onnx(graph(make), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
