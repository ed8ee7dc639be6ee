"""Switches such as is_training, without a default: no receiver is asked for them by surprise."""

import numpy as np
import pytest

from graphcore.errors import GraphError, UnknownName
from nbhelpers import convert
from tests.convert.models import parse, seeded

ROWS = {"x": seeded(3, 2)}


def graph_with(name, *, shape=(), later=False):
    """Return a graph whose switch, a placeholder, turns dropout on."""
    tf = convert.tensorflow()
    v1 = tf.compat.v1
    (v1.enable_control_flow_v2 if later else v1.disable_control_flow_v2)()
    try:
        with tf.Graph().as_default() as graph:
            x = v1.placeholder(tf.float32, [None, 2], name="x")
            keep = v1.placeholder(tf.float32, [], name="keep_prob")
            switch = v1.placeholder(tf.bool, shape, name=name)
            y = v1.cond(switch, lambda: tf.random.uniform(tf.shape(x)) * x, lambda: x + 1.0)
            tf.divide(y, keep, name="y")
    finally:
        v1.enable_control_flow_v2()
    return graph.as_graph_def()


def written(graph_def, folder):
    return convert.save_graph_def(graph_def, folder / "graph.pb")


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("shape", [(), None])
@pytest.mark.parametrize("name", ["is_training", "model/phase_train"])
def test_a_switch_is_given_its_value_as_the_message_says(name, shape, later, tmp_path):
    graph_def = graph_with(name, shape=shape, later=later)
    path = written(graph_def, tmp_path)
    said = rf"looks like a switch for training.*every client.*fixed=\{{'{name}': False\}}, or say"
    with pytest.raises(GraphError, match=said):
        convert.build_saved_model(path, tmp_path / "1", outputs={"y": "y:0"})
    assert not (tmp_path / "1").exists()
    fixed = {name: False}
    made = convert.build_saved_model(path, tmp_path / "1", outputs={"y": "y:0"}, fixed=fixed)
    assert set(made.signatures["serving_default"].inputs) == {"x", "keep_prob"}
    fed = ROWS | {"keep_prob": np.float32(0.5)}
    seen = convert.call_saved_model(tmp_path / "1", fed)["y"]
    np.testing.assert_allclose(seen, (ROWS["x"] + 1) * 2, rtol=1e-6)
    said = "for training.*whoever runs the ONNX model" if shape == () else "its value, fixed="
    with pytest.raises(GraphError, match=f"looks like a switch.*{said}"):
        convert.tf2onnx(path, None, outputs=["y"])
    fixed["keep_prob"] = 1.0
    both = convert.tf2onnx(path, None, outputs=["y"], fixed=fixed)
    assert both.proven and [spec.name for spec in both.inputs] == ["x"]
    whole = convert.build_saved_model(path, tmp_path / "2", outputs={"y": "y:0"}, fixed=fixed)
    assert list(whole.signatures["serving_default"].inputs) == ["x"]
    np.testing.assert_allclose(
        convert.call_saved_model(tmp_path / "2", ROWS)["y"], ROWS["x"] + 1, rtol=1e-6
    )


def test_who_names_the_switch_gets_it(tmp_path):
    path = written(graph_with("is_training"), tmp_path)
    inputs = {"x": "x:0", "keep_prob": "keep_prob:0", "training": "is_training:0"}
    made = convert.build_saved_model(path, tmp_path / "1", inputs=inputs, outputs={"y": "y:0"})
    assert set(made.signatures["serving_default"].inputs) == set(inputs)
    del inputs["training"]
    with pytest.raises(GraphError, match=r"leaves out 'is_training'.*fixed=\{'is_training': value"):
        convert.build_saved_model(path, tmp_path / "2", inputs=inputs, outputs={"y": "y:0"})


def test_other_truth_values_are_inputs_as_before(tmp_path):
    path = written(graph_with("flipped"), tmp_path)
    made = convert.build_saved_model(path, tmp_path / "1", outputs={"y": "y:0"})
    assert "flipped" in made.signatures["serving_default"].inputs
    model = parse(
        """g (float[N, 2] x, bool training) => (float[N, 2] y) {
        y = Where(training, x, two)
    }""",
        two=np.float32([2]),
    )
    made = convert.onnx2tf(model, None, target="tf1.4", verify=False)
    signed = convert.build_saved_model(made, tmp_path / "2")
    assert "training" in signed.signatures["serving_default"].inputs


def test_a_value_must_fit_a_placeholder(tmp_path):
    path, place = written(graph_with("is_training"), tmp_path), tmp_path / "1"
    with pytest.raises(UnknownName, match="is_training"):
        convert.build_saved_model(path, place, fixed={"is_trainin": False})
    with pytest.raises(GraphError, match=r"'is_training' takes the shape \(\), but"):
        convert.build_saved_model(path, place, fixed={"is_training": [False, True]})
