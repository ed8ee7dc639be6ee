"""More weights than a graph of TensorFlow holds: refused before they are read, done in parts."""

import numpy as np
import pytest

from graphcore.errors import GraphError
from nbhelpers import convert, onnxgraph
from tests.convert.models import seeded
from tests.convert.toonnx.sources import tf
from tfgraph.graphs import cut

ROWS = seeded(3, 4)
FIRST, SECOND = seeded(4, 8, seed=1), seeded(8, 2, seed=2)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A limit between each of the weights and both."""
    monkeypatch.setattr(cut, "LIMIT", 150)


class Both(tf.Module):
    def __init__(self):
        self.one, self.two = tf.Variable(FIRST), tf.Variable(SECOND)

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def front(self, x):
        return {"h": tf.nn.relu(x @ self.one)}

    @tf.function(input_signature=[tf.TensorSpec([None, 8], tf.float32, name="g")])
    def back(self, g):
        return {"y": g @ self.two}

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def whole(self, x):
        return self.back(self.front(x)["h"])


def assert_joined(front, back, pair):
    whole = onnxgraph.join(front.model, back.model, pair).model
    seen = onnxgraph.run_onnx(whole, {"x": ROWS})["y"]
    np.testing.assert_allclose(seen, np.maximum(ROWS @ FIRST, 0) @ SECOND, rtol=1e-5, atol=1e-5)


def test_a_saved_model_is_converted_by_signatures_that_are_joined(tmp_path):
    model = Both()
    signatures = {name: getattr(model, name) for name in ("whole", "front", "back")}
    tf.saved_model.save(model, tmp_path / "m", signatures=signatures)
    said = "'whole' has .* GB of weights, .* less than 2 GB. Save it with several .*onnxgraph.join"
    with pytest.raises(GraphError, match=said):
        convert.tf2onnx(tmp_path / "m", None, signature="whole")
    made = [convert.tf2onnx(tmp_path / "m", None, signature=name) for name in ("front", "back")]
    assert all(each.proven for each in made)
    assert_joined(*made, {"g": "h"})


def test_a_checkpoint_is_converted_in_parts_that_are_joined(tmp_path):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        hidden = tf.nn.relu(x @ v1.get_variable("one", initializer=FIRST), name="h")
        tf.matmul(hidden, v1.get_variable("two", initializer=SECOND), name="y")
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    said = "What the outputs need of .*model.ckpt has .* GB of weights, .* in parts: name a tensor"
    with pytest.raises(GraphError, match=said):
        convert.tf2onnx(prefix, None, inputs=["x"], outputs=["y"])
    front = convert.tf2onnx(prefix, None, inputs=["x"], outputs=["h"])
    back = convert.tf2onnx(prefix, None, inputs={"g": "h"}, outputs=["y"])
    assert front.proven and back.proven
    assert_joined(front, back, {"g": "h"})
