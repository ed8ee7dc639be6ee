"""What tf2onnx advises where it refuses: each is followed to the letter, and then it converts."""

import re

import numpy as np
import pytest

from graphcore.errors import ConversionError, GraphError, ParityError
from nbhelpers.convert import tf2onnx
from tests.convert.models import seeded
from tests.convert.toonnx.sources import fixed_batch, graph, tf, v1


class Counting(tf.Module):
    """Functions that read variables, that write one, and none of which is a signature yet."""

    def __init__(self):
        self.weights, self.count = tf.Variable(seeded(3, 2)), tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")])
    def call(self, x):
        return {"y": x @ self.weights}

    @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")])
    def counted(self, x):
        return {"y": x * self.count.assign_add(1.0)}

    @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")])
    def read(self, x):
        return {"y": x * self.count}


def said(source, error=GraphError, **asked):
    with pytest.raises(error) as caught:
        tf2onnx(source, None, **asked)
    return str(caught.value)


def pasted(message, name):
    """Return the value of a parameter as a message writes it."""
    return eval(re.search(rf"{name}=(\{{.*?\}}|\[.*?\]|\d+)", message)[1])


def in_rows_of_77():
    x = v1.placeholder(tf.float32, [None], name="x")
    tf.reduce_sum(tf.reshape(x, [-1, 77]), 1, name="y")


def test_inputs_that_tensorflow_takes():
    message = said(graph(in_rows_of_77))
    assert "examples={'x': array}, or sizes, with batch=, shapes= and symbols=" in message
    made = tf2onnx(graph(in_rows_of_77), None, examples={"x": seeded(154)})
    assert made.proven and "batch 154" in repr(made)
    assert tf2onnx(graph(in_rows_of_77), None, batch=77).proven
    assert tf2onnx(graph(in_rows_of_77), None, shapes={"x": (77,)}).proven


def test_sizes_that_depend_on_each_other_can_be_said():
    def make():
        x = v1.placeholder(tf.float32, [2, None], name="x")
        z = v1.placeholder(tf.float32, [2, None], name="z")
        tf.matmul(tf.reshape(x, [1, -1]), tf.reshape(z, [-1, 3]), name="y")

    assert "with batch=, shapes= and symbols=." in said(graph(make))
    assert tf2onnx(graph(make), None, symbols={"z_dim1": "x_dim1*3"}).proven


def test_a_shape_that_is_not_known():
    def make():
        tf.nn.relu(v1.placeholder(tf.float32, None, name="x"), name="y")

    message = said(graph(make))
    assert tf2onnx(graph(make), None, shapes=pasted(message, "shapes")).proven
    assert "or () for one number" in message
    assert tf2onnx(graph(make), None, shapes={"x": ()}).proven


def test_a_batch_that_does_not_fit_is_left_out():
    message = said(fixed_batch([2, 48]), batch=5)
    assert message.endswith("Leave out or change batch=5.")
    assert tf2onnx(fixed_batch([2, 48]), None).proven


def test_channels_are_left_where_they_are():
    message = said(fixed_batch([-1]), nchw=["x", "y"])
    assert "'y' cannot be" in message and "Leave it out of nchw=" in message
    assert tf2onnx(fixed_batch([-1]), None, nchw=["x"]).proven


def test_what_the_outputs_also_need():
    def make():
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        tf.multiply(x, v1.placeholder(tf.float32, [], name="factor"), name="y")

    message = said(graph(make), inputs=["x"], outputs=["y"])
    name = re.search("also need '(.*?)'", message)[1]
    assert "name them among the inputs" in message and 'fixed={"name": value}' in message
    assert tf2onnx(graph(make), None, inputs=["x", name], outputs=["y"]).proven
    assert tf2onnx(graph(make), None, inputs=["x"], outputs=["y"], fixed={name: 2.0}).proven


def test_an_op_of_another_program_is_cut_off_on_both_sides():
    odd = graph(lambda: tf.nn.relu(v1.placeholder(tf.float32, [None, 3], name="x")))
    odd.node.add(name="crop", op="ContribCrop", input=["Relu"])
    for name, op, source in (("later", "Neg", "crop"), ("y", "Abs", "later")):
        odd.node.add(name=name, op=op, input=[source]).attr["T"].type = 1
    message = said(odd, ConversionError, outputs=["y"])
    assert "give tensors as inputs that later nodes make, or choose earlier outputs" in message
    behind = said(odd, inputs=["crop"], outputs=["y"])
    assert "Cut it at a tensor behind that node" in behind
    rank = said(odd, inputs=["later"], outputs=["y"])
    shapes = pasted(rank, "shapes")
    assert tf2onnx(odd, None, inputs=["later"], outputs=["y"], shapes=shapes).proven
    assert tf2onnx(odd, None, outputs=["Relu"]).proven


def test_ops_without_a_counterpart_are_left_outside():
    def make():
        x = v1.placeholder(tf.float32, [None, 2, 2], name="x")
        both = tf.linalg.inv(x, name="inverse") + tf.math.betainc(x, x, x, name="beta")
        tf.nn.relu(both, name="y")

    message = said(graph(make), ConversionError)
    assert "Cut the graph with inputs= and outputs=, so that they are left outside" in message
    inner = re.findall(r"'(\w+)' \(", message)
    assert tf2onnx(graph(make), None, inputs=inner, outputs=["y"]).proven


def test_signatures_are_saved_chosen_and_read_only(tmp_path):
    model = Counting()
    folder = tmp_path / "saved"
    tf.saved_model.save(model, folder)
    message = said(folder)
    assert message.endswith("Save it with signatures=.")
    tf.saved_model.save(model, folder, signatures={"call": model.call, "counted": model.counted})
    assert "'call', 'counted'; choose one with signature=" in said(folder)
    assert tf2onnx(folder, None, signature="call").proven
    assert "Save a signature that only reads them" in said(folder, signature="counted")
    tf.saved_model.save(model, folder, signatures=model.read)
    assert tf2onnx(folder, None).proven


def test_a_graph_of_tensorflow_1_without_signatures_is_named_by_its_tensors(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        tf.identity(v1.placeholder(tf.float32, [None, 3], name="x") * 2, name="y")
        builder = v1.saved_model.Builder(str(tmp_path / "saved"))
        builder.add_meta_graph_and_variables(session, ["serve"])
        builder.save()
    message = said(tmp_path / "saved")
    assert message.endswith("or name the tensors with inputs= and outputs=.")
    assert tf2onnx(tmp_path / "saved", None, inputs=["x"], outputs=["y"]).proven


@pytest.mark.parametrize("what", ["If", "While"])
def test_a_variable_inside_a_branch_is_read_from_a_saved_model(what, tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        held = v1.get_variable("held", [3], use_resource=True)
        if what == "If":
            y = tf.cond(tf.reduce_sum(x) > 0, lambda: x * held, lambda: x + held)
        else:
            y = tf.while_loop(lambda s: tf.reduce_sum(s) < 9, lambda s: [s * 2 + held**2], [x])[0]
        y = tf.identity(y, name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        v1.saved_model.simple_save(session, str(tmp_path / "saved"), {"x": x}, {"y": y})
    message = said(tmp_path / "model.ckpt", outputs=["y"])
    assert "save the model as a SavedModel and give that" in message
    assert tf2onnx(tmp_path / "saved", None).proven


def test_keras_models_that_need_their_own_code(tmp_path):
    import keras

    class Thrice(keras.layers.Layer):
        def call(self, x):
            return x * 3

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    net = Net()
    message = said(net)
    assert "Call it once on an example, write it with model.export(folder), and give" in message
    net(np.zeros((1, 3), np.float32))
    net.export(str(tmp_path / "net"), verbose=False)
    assert tf2onnx(tmp_path / "net", None).proven
    images = keras.Input((3,))
    keras.Model(images, Thrice()(images)).save(tmp_path / "own.keras")
    assert "loaded by your code (custom_objects=…) and given as" in said(tmp_path / "own.keras")
    own = keras.models.load_model(tmp_path / "own.keras", custom_objects={"Thrice": Thrice})
    assert tf2onnx(own, None).proven
    own.save_weights(tmp_path / "own.weights.h5")
    message = said(tmp_path / "own.weights.h5")
    assert "a file of weights alone belongs into its model first" in message
    own.load_weights(tmp_path / "own.weights.h5")
    assert tf2onnx(own, None).proven


def test_the_value_that_is_advised_for_a_switch_with_dropout():
    def make():
        x = v1.placeholder(tf.float32, [None, 8], name="x")
        keep = v1.placeholder(tf.float32, [], name="keep_prob")
        kept = tf.cast(tf.random.uniform(tf.shape(x)) < keep, tf.float32)
        tf.multiply(x, kept / keep, name="y")

    message = said(graph(make), ParityError, fixed={"keep_prob": 0.5})
    assert tf2onnx(graph(make), None, fixed=pasted(message, "fixed")).proven


def test_a_checkpoint_by_the_name_that_is_meant(tmp_path):
    with tf.Graph().as_default() as made, v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        tf.multiply(x, v1.get_variable("held", [3]), name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"), global_step=100)
        tf.io.write_graph(made.as_graph_def(), str(tmp_path), "graph.pb", as_text=False)
    message = said(tmp_path / "graph.pb", outputs=["y"])
    name = re.search('checkpoint="(.*?)"', message)[1]
    wrong = said(tmp_path / "graph.pb", outputs=["y"], checkpoint=tmp_path / f"{name}.txt")
    assert f"name it without the end of its files: {name} for {name}.index" in wrong
    assert tf2onnx(tmp_path / "graph.pb", None, outputs=["y"], checkpoint=tmp_path / name).proven
