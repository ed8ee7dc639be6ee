"""SavedModels that TensorFlow 1's loader cannot read, signatures that write, and names."""

import numpy as np
import pytest

from graphcore.errors import GraphError, UnknownName
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.models import seeded
from tests.convert.toonnx.sources import tf


@pytest.fixture(scope="module")
def fitted():
    """Return a Keras model with the slots of its optimiser."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Input((4,), name="x"),
            layers.Dense(8, activation="gelu"),
            layers.BatchNormalization(),
            layers.Dense(2),
        ]
    )
    model.compile("adam", "mse")
    model.fit(seeded(8, 4), np.zeros((8, 2)), verbose=0)
    return model


class Holder(tf.Module):
    def __init__(self, model):
        self.model, self.slots = model, model.optimizer

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def serve(self, x):
        return {"y": self.model(x, training=False)}


@pytest.mark.parametrize("form", ["model", "holder"])
def test_keras_layers_and_optimiser_slots(form, fitted, tmp_path):
    x = seeded(3, 4)
    if form == "model":
        tf.saved_model.save(fitted, tmp_path / "saved")
    else:
        holder = Holder(fitted)
        tf.saved_model.save(holder, tmp_path / "saved", signatures=holder.serve)
    made = convert.tf2onnx(tmp_path / "saved", None)
    results = onnxgraph.run_onnx(made.model, {made.inputs[0].name: x})
    compare({made.outputs[0].name: fitted(x, training=False).numpy()}, results).check()
    assert made.tensors[made.outputs[0].name] == "StatefulPartitionedCall:0"


def test_tensors_of_such_a_model_by_their_own_names(fitted, tmp_path):
    holder = Holder(fitted)
    tf.saved_model.save(holder, tmp_path / "saved", signatures=holder.serve)
    source = {"pictures": "serving_default_x:0"}
    made = convert.tf2onnx(
        tmp_path / "saved", None, inputs=source, outputs={"y": "StatefulPartitionedCall:0"}
    )
    assert [spec.name for spec in made.inputs + made.outputs] == ["pictures", "y"]
    with pytest.raises(UnknownName, match=r"no TensorFlow tensor named 'StatefulPartitionedCal:0'"):
        convert.tf2onnx(tmp_path / "saved", None, outputs=["StatefulPartitionedCal"])


class Writing(tf.Module):
    def __init__(self):
        self.count = tf.Variable(0.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def counted(self, x):
        self.count.assign_add(1.0)
        return {"y": x + self.count}

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def read(self, x):
        return {"x": x + self.count}


def test_a_signature_that_writes_a_variable_is_refused_by_its_node(tmp_path):
    model = Writing()
    signatures = {"counted": model.counted, "read": model.read}
    tf.saved_model.save(model, tmp_path / "saved", signatures=signatures)
    message = r"signature 'counted' writes variables .*\(AssignAddVariableOp\).*only reads them"
    with pytest.raises(GraphError, match=message):
        convert.tf2onnx(tmp_path / "saved", None, signature="counted")


def test_an_output_named_as_an_input_gets_the_name_that_is_advised(tmp_path):
    model = Writing()
    tf.saved_model.save(model, tmp_path / "saved", signatures=model.read)
    with pytest.raises(GraphError, match=r"both named 'x'.*outputs=\{'x_out': 'x'\}"):
        convert.tf2onnx(tmp_path / "saved", None)
    made = convert.tf2onnx(tmp_path / "saved", None, outputs={"x_out": "x"})
    assert made.proven and [spec.name for spec in made.outputs] == ["x_out"]
