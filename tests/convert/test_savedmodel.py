"""SavedModels: signatures, tags, refusals, servers' files; loaded by every real runtime."""

import subprocess

import numpy as np
import pytest

from graphcore.errors import GraphError, UnknownName
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from nbhelpers.convert.savedmodels import serving
from tests.convert.models import seeded
from tfgraph.runtimes import runtimes
from tfgraph.savedmodels import writing

LOAD = """
import numpy as np, tensorflow as tf
with tf.Session(graph=tf.Graph()) as session:
    loaded = tf.saved_model.loader.load(session, ["serve"], "1")
    signature = loaded.signature_def["serving_default"]
    assert signature.method_name == "tensorflow/serving/predict"
    fed = {signature.inputs["x"].name: np.load("x.npy")}
    np.save("y.npy", session.run(signature.outputs["y"].name, fed))
"""


@pytest.fixture(scope="module")
def pb(network, tmp_path_factory):
    return convert.onnx2tf(
        network, tmp_path_factory.mktemp("pb") / "net.pb", target="tf1.4"
    ).pb_path


def test_the_clients_names_and_several_signatures(pb, network, tmp_path):
    made = convert.build_saved_model(
        pb,
        tmp_path / "1",
        inputs={"x": "images:0"},
        outputs={"y": "scores"},
        more={"inner": convert.Signature({"x": "images"}, {"features": "joined:0"})},
    )
    assert made.tags == ("serve",)
    assert set(made.signatures) == {"serving_default", "inner"}
    for batch in (1, 3):
        images = seeded(batch, 3, 9, 11, seed=batch)
        expected = onnxgraph.run_onnx(network, {"images": images}, fetch=["scores", "joined"])
        y = convert.call_saved_model(tmp_path / "1", {"x": images})
        compare({"y": expected["scores"]}, y).check()
        inner = convert.call_saved_model(tmp_path / "1", {"x": images}, signature="inner")[
            "features"
        ]
        assert np.allclose(inner, expected["joined"].transpose(0, 2, 3, 1), atol=1e-5)


def test_by_default_every_input_and_output_under_its_own_name(pb, tmp_path):
    made = convert.build_saved_model(pb, tmp_path / "1")
    entry = made.signatures["serving_default"]
    assert entry.inputs == {"images": "images:0"}
    assert entry.outputs == {"aux/out_0": "aux/out_0:0", "scores": "scores:0"}
    assert "input  images → images:0  float32 (batch,3,9,11)" in repr(made)


def test_one_saved_model_loads_in_every_runtime(pb, network, legacy, tmp_path):
    convert.build_saved_model(
        pb, tmp_path / "1", inputs={"x": "images:0"}, outputs={"y": "scores:0"}
    )
    images = seeded(3, 3, 9, 11)
    np.save(tmp_path / "x.npy", images)
    expected = {"y": onnxgraph.run_onnx(network, {"images": images})["scores"]}
    for runtime in legacy:
        done = subprocess.run(
            [str(runtime.python), "-c", LOAD],
            cwd=tmp_path,
            env=runtimes.clean_environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        compare(expected, {"y": np.load(tmp_path / "y.npy")}, title=str(runtime)).check()
    compare(expected, convert.call_saved_model(tmp_path / "1", {"x": images})).check()


def test_twice_the_same_bytes_and_a_new_one_replaces_the_old(pb, tmp_path):
    file = tmp_path / "1" / "saved_model.pb"
    convert.build_saved_model(pb, tmp_path / "1")
    first = file.read_bytes()
    convert.build_saved_model(pb, tmp_path / "1")
    assert file.read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_wrong_names_are_refused_with_the_closest(pb, tmp_path):
    with pytest.raises(UnknownName, match=r"no TensorFlow tensor named 'image'.*'images:0'"):
        convert.build_saved_model(pb, tmp_path / "1", inputs={"x": "image"})
    assert not (tmp_path / "1").exists()
    convert.build_saved_model(pb, tmp_path / "1")
    images = seeded(1, 3, 9, 11)
    with pytest.raises(
        UnknownName, match=r"no input of 'serving_default' named 'x'. There are 'images'"
    ):
        convert.call_saved_model(tmp_path / "1", {"x": images})
    with pytest.raises(UnknownName, match="no signature named 'predict'"):
        convert.call_saved_model(tmp_path / "1", {"images": images}, signature="predict")
    with pytest.raises(GraphError, match="also takes images"):
        convert.call_saved_model(tmp_path / "1", {})


def test_wrong_folders_and_tags_are_refused(pb, tmp_path):
    convert.build_saved_model(pb, tmp_path / "m" / "1")
    with pytest.raises(GraphError, match=r"no saved_model.pb in .*, but there is one in .*1"):
        convert.read_saved_model(tmp_path / "m")
    with pytest.raises(GraphError, match=r"no graph tagged train\. Its tags are: serve"):
        convert.read_saved_model(tmp_path / "m" / "1", tags=["train"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(GraphError, match="holds something other than a SavedModel"):
        convert.build_saved_model(pb, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    with pytest.raises(GraphError, match=r"thesis.txt is a file, but a SavedModel is a folder"):
        convert.build_saved_model(pb, tmp_path / "mine" / "thesis.txt")


@pytest.mark.parametrize("key", ["in", "None", "self"])
def test_an_input_that_tensorflow_2_cannot_call_is_refused(pb, tmp_path, key):
    said = f"has an input '{key}', .* Choose another name: inputs={{'{key}_': 'images:0'}}"
    with pytest.raises(GraphError, match=said):
        convert.build_saved_model(pb, tmp_path / "1", inputs={key: "images:0"})
    assert not (tmp_path / "1").exists()
    allowed = {"in": "scores:0"}  # an output may be called so
    made = convert.build_saved_model(pb, tmp_path / "1", inputs={"x": "images"}, outputs=allowed)
    found = convert.call_saved_model(tmp_path / "1", {"x": seeded(2, 3, 9, 11)})
    assert list(made.signatures["serving_default"].outputs) == list(found) == ["in"]


def test_a_foreign_saved_model_of_tensorflow_2_is_looked_into(tmp_path):
    """One that hides its graph in a function, as tf.Module and Keras write it."""
    tf = convert.tensorflow()

    class Doubler(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def __call__(self, x):
            return {"y": tf.nn.relu(x) * 2.0}

    tf.saved_model.save(Doubler(), str(tmp_path / "1"))
    view = convert.open_graph(tmp_path / "1")
    assert not view.find(op="StatefulPartitionedCall") and not view.find(op="PartitionedCall")
    assert view.find(op="Relu")


def test_warm_up_requests_are_read_back(tmp_path):
    images = seeded(2, 3, 4, 4)
    path = serving.write_warmup(tmp_path / serving.WARMUP, "net", [{"images": images}])
    (read,) = serving.read_warmup(path)
    assert np.array_equal(read["images"], images)


def test_one_tag_can_be_given_as_a_text(pb, tmp_path):
    assert convert.build_saved_model(pb, tmp_path / "1", tags="serve").tags == ("serve",)
    assert convert.read_saved_model(tmp_path / "1", tags="serve").tags == ("serve",)
    with pytest.raises(GraphError, match=r"no graph tagged train\. Its tags are: serve"):
        convert.read_saved_model(tmp_path / "1", tags="train")
    images = seeded(1, 3, 9, 11)
    called = convert.call_saved_model(tmp_path / "1", {"images": images}, tags="serve")
    assert called["scores"].shape == (1, 4)
    assert convert.tf2onnx(tmp_path / "1", None, tags="serve").proven


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (["input.1", "x", "2nd", "a/b:0"], ["input_1", "x", "_2nd", "a_b_0"]),
        (["input.1", "input_1", "class", 'say "x"'], ["input_1_", "input_1", "class_", "say__x_"]),
    ],
)
def test_a_client_of_inputs_that_are_no_names_in_python_runs(tmp_path, monkeypatch, keys, names):
    """TorchScript's own names are like the first ones; others' SavedModels may have all of them."""
    monkeypatch.setattr(writing, "_check_callable", lambda *_: None)
    tf = convert.tensorflow()
    with tf.Graph().as_default() as graph:
        fed = [tf.compat.v1.placeholder(tf.float32, [None], f"in{i}") for i in range(len(keys))]
        tf.add_n([value * 10.0**i for i, value in enumerate(fed)], name="y")
    (tmp_path / "g.pb").write_bytes(graph.as_graph_def().SerializeToString())
    inputs = {key: value.name for key, value in zip(keys, fed, strict=True)}
    model = convert.build_saved_model(tmp_path / "g.pb", tmp_path / "1", inputs=inputs)
    new, old = serving.client_code(model, path=str(tmp_path / "1")).split("# TensorFlow 1\n")
    compile(new, "new", "exec")
    for batch in (1, 3):
        values = {name: np.full(batch, i + 1, np.float32) for i, name in enumerate(names)}
        told = {**values, "tf": tf.compat.v1}
        exec(old, told)
        assert told["results"][0].tolist() == [4321.0] * batch
        if "class" not in keys:
            told = {**values, "tf": tf}
            exec(new, told)
            assert told["results"]["y"].numpy().tolist() == [4321.0] * batch


def test_a_client_of_plain_inputs_calls_them_by_name(pb, tmp_path):
    model = convert.build_saved_model(pb, tmp_path / "1")
    text = serving.client_code(model, path="1", old=False)
    assert text.endswith('model.signatures["serving_default"](images=tf.constant(images))\n')
