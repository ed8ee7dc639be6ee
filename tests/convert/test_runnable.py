"""What a SavedModel needs before it can be called: filled in, or refused with advice that works."""

import subprocess

import numpy as np
import pytest

from graphcore.errors import GraphError
from nbhelpers import convert
from tfgraph.runtimes import runtimes

LOOKUP = """
import numpy as np, tensorflow as tf
from tensorflow.python.framework import graph_util
keep = {keep}
words = tf.placeholder(tf.string, [None, 3], name="words")
animals = ["cat", "dog", "fish"]
table = tf.contrib.lookup.index_table_from_tensor(animals, num_oov_buckets=1, name="v")
ids = tf.identity(table.lookup(words), name="ids")
back = tf.contrib.lookup.index_to_string_table_from_tensor(["CAT", "DOG"], default_value="?")
tf.identity(back.lookup(ids), name="loud")
tf.reduce_sum(tf.nn.embedding_lookup(tf.get_variable("emb", [4, 5]), ids), 1, name="y")
with tf.Session() as session:
    session.run([tf.global_variables_initializer(), tf.tables_initializer(name="init_all_tables")])
    graph_def = tf.get_default_graph().as_graph_def()
    frozen = graph_util.convert_variables_to_constants(session, graph_def, keep)
    open("frozen.pb", "wb").write(frozen.SerializeToString())
    fed = np.array([["cat", "dog", "fish"], ["bird", "cat", "cat"]], object)
    y, loud = session.run(["y:0", "loud:0"], {{words: fed}})
    np.savez("seen.npz", y=y, loud=loud.astype("S"))
"""

CALL = """
import numpy as np, tensorflow as tf
with tf.Session(graph=tf.Graph()) as session:
    loaded = tf.saved_model.loader.load(session, ["serve"], "1")
    signature = loaded.signature_def["serving_default"]
    fed = np.array([["cat", "dog", "fish"], ["bird", "cat", "cat"]], object)
    fed = {signature.inputs["words"].name: fed}
    y, loud = session.run([signature.outputs[k].name for k in ("y", "loud")], fed)
    np.savez("called.npz", y=y, loud=loud.astype("S"))
"""


def run(runtime, code, folder):
    done = subprocess.run(
        [str(runtime.python), "-c", code],
        cwd=folder,
        env=runtimes.clean_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def tables(legacy, tmp_path_factory):
    """Frozen by TensorFlow 1.4: with the node that fills the tables, and without."""
    folders = []
    for keep in (["y", "loud", "init_all_tables"], ["y", "loud"]):
        folders.append(tmp_path_factory.mktemp("tables"))
        run(legacy[0], LOOKUP.format(keep=keep), folders[-1])
    return folders


def test_tables_are_filled_when_any_runtime_loads_the_saved_model(tables, legacy):
    folder, _ = tables
    made = convert.build_saved_model(folder / "frozen.pb", folder / "1")
    assert set(made.signatures["serving_default"].outputs) == {"y", "loud"}
    with np.load(folder / "seen.npz") as seen:
        expected = dict(seen)
    words = np.array([["cat", "dog", "fish"], ["bird", "cat", "cat"]])
    found = convert.call_saved_model(folder / "1", {"words": words})
    assert np.allclose(found["y"], expected["y"])
    assert found["loud"].tolist() == expected["loud"].tolist()
    for runtime in legacy:
        run(runtime, CALL, folder)
        with np.load(folder / "called.npz") as called:
            assert all(np.array_equal(called[key], expected[key]) for key in expected), runtime


def test_a_table_that_nobody_fills_is_refused_and_freezing_with_it_helps(tables):
    whole, cut = tables
    with pytest.raises(GraphError, match="The table 'v/hash_table' has no initializer") as caught:
        convert.build_saved_model(cut / "frozen.pb", cut / "1", outputs={"y": "y"})
    assert "session.graph_def, ['y', 'init_all_tables'])" in str(caught.value)
    assert not (cut / "1").exists()
    convert.build_saved_model(whole / "frozen.pb", whole / "2", outputs={"y": "y"})
    ids = {"ids": "ids:0"}
    made = convert.build_saved_model(cut / "frozen.pb", cut / "1", inputs=ids, outputs={"y": "y"})
    fed = np.array([[0, 3]])
    assert convert.call_saved_model(made.path, {"ids": fed})["y"].shape == (1, 5)


@pytest.mark.parametrize("size", [3, 2000])
def test_a_table_of_a_tensor_is_filled_and_one_of_a_file_refused(tmp_path, size):
    words = [f"word {place}" for place in range(size)]
    (tmp_path / "words.txt").write_text("\n".join(words))

    def made(source):
        def build(tf, v1):
            x = v1.placeholder(tf.string, [None], name="x")
            table = tf.lookup.StaticHashTable(source(tf), -1)
            tf.identity(table.lookup(x), name="y")
            v1.tables_initializer()

        return graph(build, tmp_path)

    path = made(
        lambda tf: tf.lookup.KeyValueTensorInitializer(words, tf.range(size, dtype=tf.int64))
    )
    convert.build_saved_model(path, tmp_path / "1", outputs={"y": "y"})
    found = convert.call_saved_model(tmp_path / "1", {"x": [words[-1], "other"]})["y"]
    assert found.tolist() == [size - 1, -1]
    path = made(
        lambda tf: tf.lookup.TextFileInitializer(
            str(tmp_path / "words.txt"),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
    )
    with pytest.raises(GraphError, match="is filled from a text file, which a frozen graph does"):
        convert.build_saved_model(path, tmp_path / "2", outputs={"y": "y"})


def graph(build, tmp_path):
    tf = convert.tensorflow()
    with tf.Graph().as_default() as made:
        build(tf, tf.compat.v1)
    path = tmp_path / "g.pb"
    path.write_bytes(made.as_graph_def().SerializeToString())
    return path


def from_iterator(tf, v1):
    data = v1.data.make_initializable_iterator(tf.data.Dataset.from_tensors((1.0, [2.0, 3.0])))
    one, two = data.get_next()
    tf.add(one, two, name="y")


def from_one_shot(tf, v1):
    one, two = v1.data.make_one_shot_iterator(tf.data.Dataset.from_tensors((1.0, [2.0]))).get_next()
    tf.add(one, two, name="y")


def from_queue(tf, v1):
    queue = tf.queue.FIFOQueue(3, [tf.float32, tf.float32], [[], [2]])
    one, two = queue.dequeue()
    tf.add(one, two, name="y")


@pytest.mark.parametrize("build", [from_iterator, from_one_shot, from_queue])
def test_what_a_file_cannot_feed_is_refused_and_fed_by_the_client_instead(tmp_path, build):
    path = graph(build, tmp_path)
    with pytest.raises(GraphError, match="whose state is not in the file") as caught:
        convert.build_saved_model(path, tmp_path / "1", outputs={"y": "y"})
    advice = str(caught.value).partition("inputs=")[2].rstrip(".")
    inputs = eval(advice)
    made = convert.build_saved_model(path, tmp_path / "1", inputs=inputs, outputs={"y": "y"})
    fed = {"x0": np.float32(1), "x1": np.array([2, 3], np.float32)}
    if build is from_one_shot:
        fed["x1"] = fed["x1"][:1]
    assert convert.call_saved_model(made.path, fed)["y"].tolist()[0] == 3


def test_python_in_the_graph_is_refused(tmp_path):
    def build(tf, v1):
        x = v1.placeholder(tf.float32, [2], name="x")
        tf.identity(v1.py_func(np.sin, [x], tf.float32, name="sine"), name="y")

    path = graph(build, tmp_path)
    with pytest.raises(GraphError, match=r"'sine' \(PyFunc.*inputs=\{'x': 'sine:0'\}"):
        convert.build_saved_model(path, tmp_path / "1", outputs={"y": "y"})


@pytest.mark.parametrize("resource", [False, True])
def test_an_unfrozen_graph_is_refused_and_the_advice_freezes_it(tmp_path, resource):
    tf = convert.tensorflow()
    v1 = tf.compat.v1
    with tf.Graph().as_default() as made:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        w = v1.get_variable("w", [3, 2], use_resource=resource)
        tf.matmul(x, w, name="y")
        init = v1.global_variables_initializer()
    path = tmp_path / "g.pb"
    path.write_bytes(made.as_graph_def().SerializeToString())
    call = {"inputs": {"x": "x:0"}, "outputs": {"y": "y:0"}}
    with pytest.raises(GraphError, match="not frozen: the outputs need the variable 'w'") as caught:
        convert.build_saved_model(path, tmp_path / "1", **call)
    advice = str(caught.value).partition("write ")[2].partition(" to a file")[0]
    with v1.Session(graph=made) as session:
        session.run(init)
        frozen = eval(advice)
        weight = session.run(w)
    path.write_bytes(frozen.SerializeToString())
    convert.build_saved_model(path, tmp_path / "1", **call)
    got = convert.call_saved_model(tmp_path / "1", {"x": np.ones((1, 3), np.float32)})["y"]
    assert np.allclose(got, weight.sum(0, keepdims=True), atol=1e-6)


def test_an_input_that_was_left_out_is_named(tmp_path):
    def build(tf, v1):
        x = v1.placeholder(tf.float32, [None], name="x")
        tf.multiply(x, v1.placeholder(tf.float32, [], name="keep_prob"), name="y")

    path = graph(build, tmp_path)
    said = "leaves out 'keep_prob', which its outputs need. Add it to its inputs: {'keep_prob': 'ke"
    with pytest.raises(GraphError, match=said):
        convert.build_saved_model(path, tmp_path / "1", inputs={"x": "x:0"})
    both = {"x": "x:0", "keep_prob": "keep_prob:0"}
    convert.build_saved_model(path, tmp_path / "1", inputs=both)
    fed = {"x": np.ones(2, np.float32), "keep_prob": np.float32(0.5)}
    assert convert.call_saved_model(tmp_path / "1", fed)["y"].tolist() == [0.5, 0.5]


def test_a_fed_placeholder_may_be_waited_for(tmp_path):
    """As the optimiser makes it of what depends on an input in no other way."""

    def build(tf, v1):
        x = v1.placeholder(tf.float32, [None], name="x")
        scale = v1.placeholder(tf.float32, [], name="scale")
        with tf.control_dependencies([scale]):
            tf.multiply(x, 2.0, name="y")

    path = graph(build, tmp_path)
    entry = convert.build_saved_model(path, tmp_path / "1").signatures["serving_default"]
    assert set(entry.inputs) == {"x", "scale"}
    fed = {"x": np.ones(2, np.float32), "scale": np.float32(1)}
    assert convert.call_saved_model(tmp_path / "1", fed)["y"].tolist() == [2, 2]


def test_defaults_are_no_inputs_and_assertions_no_outputs(tmp_path):
    def build(tf, v1):
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        training = v1.placeholder_with_default(False, None, name="is_training")
        keep = v1.placeholder_with_default(1.0, [], name="keep_prob")
        with tf.control_dependencies([v1.assert_rank(x, 2), v1.assert_less(x, 9.0)]):
            checked = tf.identity(x)
        v1.summary.scalar("mean", tf.reduce_mean(checked))
        guard = tf.debugging.Assert(tf.reduce_all(x > -9.0), [x])
        with tf.control_dependencies([guard] if guard is not None else []):
            y = tf.identity(checked) * keep
        v1.cond(training, lambda: y * 2.0, lambda: y, name="chosen")
        tf.identity(v1.cond(training, lambda: y * 2.0, lambda: y), name="y")

    v1 = convert.tensorflow().compat.v1
    for choose in (v1.disable_control_flow_v2, v1.enable_control_flow_v2):
        choose()
        path = graph(build, tmp_path)
        v1.enable_control_flow_v2()
        entry = convert.build_saved_model(path, tmp_path / "1").signatures["serving_default"]
        assert list(entry.inputs) == ["x"]
        assert "y" in entry.outputs
        assert not [key for key in entry.outputs if "ssert" in key or "mean" in key]
        assert {key.partition("/")[0] for key in entry.outputs} == {"y", "chosen"}
        fed = {"x": np.ones((3, 2), np.float32)}
        assert (convert.call_saved_model(tmp_path / "1", fed)["y"] == 1).all()


def test_data_with_a_default_is_an_input_where_there_is_no_other(tmp_path):
    def build(tf, v1):
        x = v1.placeholder_with_default(np.zeros((1, 2), np.float32), [None, 2], name="x")
        training = v1.placeholder_with_default(False, [], name="is_training")
        tf.where(training, x * 2.0, x, name="y")

    entry = convert.build_saved_model(graph(build, tmp_path), tmp_path / "1")
    assert list(entry.signatures["serving_default"].inputs) == ["x"]
