"""tf2onnx takes every form in which TensorFlow leaves a model, and gives right files."""

import numpy as np
import onnx
import pytest

from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.models import seeded
from tests.convert.toonnx.sources import OLD, fixed_batch, graph, tf, two_heads, v1


def first(array):
    """Channels first."""
    return np.moveaxis(array, -1, 1)


def seen(conversion, feeds):
    return onnxgraph.run_onnx(conversion.model, feeds)


@pytest.mark.parametrize("runtime", ["tf1.4", "tf1.15"])
def test_a_checkpoint_of_the_real_old_release_gives_its_own_outputs(trained, runtime):
    """Behind the image decoder, without dropout, batch norm switched as its default says."""
    folder, golden = trained(runtime)
    outputs = ["scores", "logits", "active"]
    made = convert.tf2onnx(folder, None, outputs=outputs, nchw=True, **OLD)
    assert [str(spec) for spec in made.inputs] == ["pictures:float32:batch,3,24,20"]
    assert [spec.name for spec in made.outputs] == outputs
    expected = {name: golden[name] for name in outputs[:2]}
    expected["active"] = first(golden["active"])
    compare(expected, seen(made, {"pictures": first(golden["images"])})).check()
    ops = onnxgraph.op_histogram(made.model)
    assert not {"RandomUniformLike", "If"} & set(ops)


@pytest.mark.parametrize("form", ["model.ckpt-3", "model.ckpt-3.meta", "model.ckpt-3.index"])
def test_a_checkpoint_is_found_by_any_of_its_names(trained, form):
    folder, golden = trained("tf1.4")
    made = convert.tf2onnx(folder / form, None, outputs="scores", **OLD)
    compare({"scores": golden["scores"]}, seen(made, {"pictures": golden["images"]})).check()


def test_a_graph_as_text_takes_its_values_from_a_checkpoint(trained, tmp_path):
    folder, golden = trained("tf1.15")
    meta = convert.open_graph(folder / "model.ckpt-3.meta")
    v1.train.write_graph(meta.graph_def, str(tmp_path), "graph.pbtxt")
    made = convert.tf2onnx(
        tmp_path / "graph.pbtxt", None, outputs=["scores"], checkpoint=folder, **OLD
    )
    compare({"scores": golden["scores"]}, seen(made, {"pictures": golden["images"]})).check()


def test_open_graph_takes_text_and_a_checkpoint_by_any_name(trained, tmp_path):
    folder, _ = trained("tf1.4")
    view = convert.open_graph(folder)
    for name in ("model.ckpt-3", "model.ckpt-3.meta", "model.ckpt-3.index"):
        assert convert.open_graph(folder / name).graph_def == view.graph_def
    v1.train.write_graph(view.graph_def, str(tmp_path), "graph.pbtxt")
    text = convert.open_graph(tmp_path / "graph.pbtxt")
    assert [each.name for each in text.inputs()] == [each.name for each in view.inputs()]


def test_masked_sequences_that_are_loops_of_tensorflow_2():
    import keras

    keras.utils.set_random_seed(0)
    sequence = keras.Input((5, 3), name="sequence")
    hidden = keras.layers.Bidirectional(keras.layers.LSTM(4))(keras.layers.Masking()(sequence))
    model = keras.Model(sequence, keras.layers.Dense(2)(hidden))
    made = convert.tf2onnx(model, None)
    x = seeded(3, 5, 3)
    x[1, 2:] = 0
    expected = {made.outputs[0].name: model(x, training=False).numpy()}
    compare(expected, seen(made, {"sequence": x})).check()


@pytest.mark.parametrize("runtime", ["tf1.4", "tf1.15"])
def test_a_saved_model_of_tensorflow_1_by_its_signatures(trained, runtime):
    folder, golden = trained(runtime)
    made = convert.tf2onnx(folder / "saved", None, signature="classify", fixed={"keep": 1.0})
    assert [spec.name for spec in made.inputs + made.outputs] == ["pictures", "classes"]
    compare({"classes": golden["scores"]}, seen(made, {"pictures": golden["images"]})).check()


def test_training_switched_on_is_right_too(trained):
    """Batch norm with the statistics of the batch: not what one wants, but what was asked for."""
    folder, _ = trained("tf1.4")
    asked = {**OLD, "fixed": {"keep_prob": 1.0, "training": True}}
    assert convert.tf2onnx(folder, None, outputs=["logits"], **asked).proven


@pytest.mark.parametrize("form", ["object", "model.keras", "model.h5", "folder"])
def test_a_keras_model_in_every_form_it_has(form, tmp_path):
    model = source = two_heads()
    names = ["mask", "digit"]
    if form == "folder":
        source, names = tmp_path / "saved", ["output_0", "output_1"]
        model.export(source, verbose=False)
    elif form != "object":
        source = tmp_path / form
        model.save(source)
    made = convert.tf2onnx(source, None, nchw=True)
    assert str(made.inputs[0]) == "images:float32:batch,3,21,18"
    assert [spec.name for spec in made.outputs] == names
    assert made.outputs[0].shape == ("batch", 2, 23, 19)
    x = seeded(4, 21, 18, 3)
    mask, digit = (each.numpy() for each in model(x, training=False))
    compare({names[0]: first(mask), names[1]: digit}, seen(made, {"images": first(x)})).check()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2"])
def test_a_published_architecture(name):
    import keras

    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(
        input_shape=(64, 64, 3), weights=None, classes=10, classifier_activation=None
    )
    for layer in model.layers:  # fresh statistics would let the norms do nothing
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma, beta + 0.1, mean + 0.1, variance * 0.5])
    made = convert.tf2onnx(model, None, nchw=True)
    x = seeded(2, 64, 64, 3)
    outputs = {made.outputs[0].name: model(x, training=False).numpy()}
    assert np.ptp(outputs[made.outputs[0].name]) > 1e-3
    compare(outputs, seen(made, {made.inputs[0].name: first(x)})).check()
    assert not onnxgraph.op_histogram(made.model).get("Transpose")


def test_a_fixed_batch_becomes_dynamic_and_is_proven_against_the_fixed_one():
    made = convert.tf2onnx(fixed_batch([-1, 48]), None, batch="n", nchw="x")
    assert str(made.inputs[0]) == "x:float32:n,3,5,7"
    assert made.outputs[0].shape == ("n", 48)
    x = seeded(5, 5, 7, 3)
    pairs = [x[[0, 1]], x[[2, 3]], x[[4, 4]]]
    expected = np.concatenate([convert.run_tf(fixed_batch([-1, 48]), {"x": p})["y"] for p in pairs])
    compare({"y": expected[:5]}, seen(made, {"x": first(x)})).check()


def test_a_dynamic_batch_becomes_fixed(trained):
    folder, golden = trained("tf1.4")
    made = convert.tf2onnx(folder, None, outputs=["scores"], batch=2, **OLD)
    assert made.inputs[0].shape == (2, 24, 20, 3)
    assert made.outputs[0].shape == (2, 10)
    got = seen(made, {"pictures": golden["images"][:2]})
    compare({"scores": golden["scores"][:2]}, got).check()


def test_a_volume_is_turned_and_sizes_stay_open():
    def make():
        ct = v1.placeholder(tf.float32, [None, None, None, None, 1], name="ct")
        tf.nn.conv3d(ct, seeded(3, 3, 3, 1, 2), [1, 2, 2, 2, 1], "SAME", name="y")

    made = convert.tf2onnx(graph(make), None, nchw=True)
    assert made.inputs[0].shape == ("batch", 1, "ct_dim2", "ct_dim3", "ct_dim4")
    x = seeded(2, 6, 9, 7, 1)
    expected = first(convert.run_tf(graph(make), {"ct": x})["y"])
    compare({"y": expected}, seen(made, {"ct": first(x)})).check()


@pytest.mark.parametrize("opset", [11, 13, 15, 17, 18])
def test_the_opset_is_the_one_that_was_asked_for(opset):
    def make():
        x = v1.placeholder(tf.float32, [None, None, None, 3], name="x")
        big = v1.image.resize_bilinear(x, tf.shape(x)[1:3] * 2, align_corners=True)
        tf.reduce_mean(tf.nn.max_pool2d(big, 3, 2, "SAME"), [1, 2], name="y")

    made = convert.tf2onnx(graph(make), None, opset=opset, nchw=True)
    assert onnxgraph.opset(made.model) == opset
    x = seeded(2, 5, 8, 3)
    compare(convert.run_tf(graph(make), {"x": x}), seen(made, {"x": first(x)})).check()


def test_loops_and_branches_that_tf2onnx_knows():
    def make():
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        many = tf.while_loop(
            lambda i, s: tf.reduce_sum(s) < 50.0, lambda i, s: (i + 1, s * 2 + 1), [0, tf.abs(x)]
        )[1]
        tf.identity(tf.cond(tf.reduce_sum(x) > 0, lambda: many, lambda: -x), name="y")

    for x in (seeded(3, 4), -np.abs(seeded(2, 4))):
        made = convert.tf2onnx(graph(make), None, outputs=["y"])
        compare(convert.run_tf(graph(make), {"x": x}, fetch=["y"]), seen(made, {"x": x})).check()


def test_loops_and_branches_of_a_saved_model_that_read_variables(tmp_path):
    class Model(tf.Module):
        def __init__(self):
            self.one, self.two = tf.Variable(seeded(3)), tf.Variable(seeded(3, seed=2))

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def branch(self, x):
            return tf.cond(tf.reduce_sum(x) > 0, lambda: x * self.one, lambda: x + self.two)

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def loop(self, x):
            step = tf.abs(self.one) + 0.1
            return tf.while_loop(lambda s: tf.reduce_sum(s) < 50.0, lambda s: [s * 2 + step], [x])

    model = Model()
    for function in (model.branch, model.loop):
        tf.saved_model.save(model, tmp_path / "saved", signatures=function)
        made = convert.tf2onnx(tmp_path / "saved", None)
        for x in (seeded(3, 3), -np.abs(seeded(2, 3))):
            expected = {"output_0": np.reshape(function(x), x.shape)}
            compare(expected, seen(made, {"x": x})).check()


@pytest.mark.parametrize("resource", [False, True])
def test_partitioned_variables_are_read_part_by_part(resource, tmp_path):
    """The checkpoint has them whole, the graph in three parts of unequal sizes."""
    with tf.Graph().as_default(), v1.Session() as session:
        rows = v1.placeholder(tf.int64, [None], name="rows")
        parts = v1.fixed_size_partitioner(3)
        with v1.variable_scope("cut", partitioner=parts, use_resource=resource):
            table = v1.get_variable("table", [7, 4])
        found = v1.nn.embedding_lookup(table, rows, partition_strategy="div")
        tf.identity(found, name="found")
        tf.transpose(tf.convert_to_tensor(table), name="turned")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        feeds = {"rows": np.array([6, 0, 3, 5, 2])}
        tensors = {"found": "found:0", "turned": "turned:0"}
        expected = session.run(tensors, {rows: feeds["rows"]})
    made = convert.tf2onnx(tmp_path / "model.ckpt", None, outputs=[*expected])
    compare(expected, seen(made, feeds)).check()


def test_one_tensor_of_several_can_be_an_output_and_an_input():
    def make():
        x = v1.placeholder(tf.float32, [None, 6], name="x")
        left, right = tf.split(x, 2, axis=1, name="split")
        tf.add(left * 2.0, right, name="y")

    outputs = ["split:1", "y"]
    made = convert.tf2onnx(graph(make), None, outputs=outputs)
    assert [spec.name for spec in made.outputs] == ["split_1", "y"]
    cut = convert.tf2onnx(graph(make), None, inputs=["x", "split:1"], outputs=["y"])
    assert [str(spec) for spec in cut.inputs] == ["x:float32:batch,6", "split_1:float32:batch,3"]
    x, right = seeded(2, 6), seeded(2, 3, seed=1)
    compare({"y": x[:, :3] * 2 + right}, seen(cut, {"x": x, "split_1": right})).check()


def test_what_onnx2tf_returned_gets_its_onnx_names_back(network):
    for target in ("tf1.4", "tf2"):
        back = convert.tf2onnx(convert.onnx2tf(network, None, target=target), None)
        assert [spec.name for spec in back.inputs] == ["images"]
        assert [spec.name for spec in back.outputs] == ["scores", "aux/out:0"]
        assert back.tensors["aux/out:0"] == "aux/out_0:0"
        feeds = {"images": seeded(2, 3, 9, 11)}
        compare(onnxgraph.run_onnx(network, feeds), seen(back, feeds)).check()


def test_the_file_is_valid_named_and_the_same_every_time(trained, tmp_path):
    folder, _ = trained("tf1.15")
    asked = {"outputs": ["scores"], "nchw": True, **OLD}
    for name in ("a", "b"):
        made = convert.tf2onnx(folder, tmp_path / f"{name}.onnx", **asked)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    model = onnx.load(tmp_path / "a.onnx")
    onnx.checker.check_model(model, full_check=True)
    names = {name for node in model.graph.node for name in node.output}
    assert {"active", "pool", "logits", "scores"} <= names
    assert not [name for name in names if "__" in name or ":" in name]
    assert made.tensors["pool"] == "pool:0"
    text = repr(made)
    for words in ("proven", "pictures:float32:batch,3,24,20", "from images:0", "b.onnx", "batch 3"):
        assert words in text
    unproven = convert.tf2onnx(folder, None, verify=False, **asked)
    assert not unproven.proven and "UNPROVEN" in repr(unproven)
