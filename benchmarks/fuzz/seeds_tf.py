"""Whole TensorFlow files, small and of several kinds, from which the damaged ones are made."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import seeds_onnx

from nbhelpers import convert

tf = convert.tensorflow()
v1 = tf.compat.v1

Files = dict[str, bytes]


def graphs() -> dict[str, Files]:
    """Return frozen graphs: of TensorFlow 1, of a converted model, and with functions."""
    found = {name: {"graph.pb": each.SerializeToString()} for name, each in _graph_defs().items()}
    with TemporaryDirectory() as folder:
        for name in ("convolutions", "branches", "quantised"):
            model = Path(folder, "model.onnx")
            model.write_bytes(seeds_onnx.models()[name]["model.onnx"])
            convert.onnx2tf(model, Path(folder, "graph.pb"), verify=False)
            found[f"converted {name}"] = {"graph.pb": Path(folder, "graph.pb").read_bytes()}
    return found


def texts() -> dict[str, Files]:
    """Return the same graphs as text."""
    graphs = _graph_defs().items()
    return {name: {"graph.pbtxt": str(graph).encode()} for name, graph in graphs}


def saved_models() -> dict[str, Files]:
    """Return SavedModels of TensorFlow 1 and 2, with variables, and with a table and its asset."""
    with TemporaryDirectory() as folder:
        tf.saved_model.save(_Module(folder), f"{folder}/two")
        _save_version_1(f"{folder}/one")
        return {name: _files(Path(folder, name), "model") for name in ("one", "two")}


def checkpoints() -> dict[str, Files]:
    """Return checkpoints of TensorFlow 1, in one shard and in two."""
    with TemporaryDirectory() as folder:
        for name, sharded in (("whole", False), ("sharded", True)):
            with _training() as session:
                os.mkdir(f"{folder}/{name}")
                saver = v1.train.Saver(sharded=sharded)
                saver.save(session, f"{folder}/{name}/model.ckpt-7")
        return {name: _files(Path(folder, name), "model") for name in ("whole", "sharded")}


def named() -> dict[str, Files]:
    """Return a graph with the table of its tensors' names."""
    model = seeds_onnx.models()["sizes"]["model.onnx"]
    with TemporaryDirectory() as folder:
        Path(folder, "model.onnx").write_bytes(model)
        made = convert.onnx2tf(f"{folder}/model.onnx", f"{folder}/graph.pb", verify=False)
        graph = Path(folder, "graph.pb").read_bytes()
    rows = [
        {"onnx": key, "tensorflow": name, "verdict": "same"} for key, name in made.tensors.items()
    ]
    content = json.dumps(rows, indent=1).encode()
    return {"names": {"names.json": content, "graph.pb": graph, "model.onnx": model}}


def _graph_defs() -> dict:
    with tf.Graph().as_default() as plain:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        keep = v1.placeholder_with_default(1.0, [], "keep")
        w = tf.constant(np.random.default_rng(0).random((6, 4), np.float32), name="w")
        h = tf.nn.relu(tf.matmul(x, w) * keep)
        tf.reshape(h, [-1, 2, 2], name="y")
        tf.strings.as_string(tf.argmax(h, 1), name="label")
    with tf.Graph().as_default() as loop:
        n = v1.placeholder(tf.int32, [], "n")
        v1.disable_control_flow_v2()
        rounds = v1.while_loop(lambda i, a: i < n, lambda i, a: (i + 1, a * 2), (0, tf.ones([2])))
        tf.identity(rounds[1], name="y")
        v1.enable_control_flow_v2()
    with tf.Graph().as_default() as calls:
        x = v1.placeholder(tf.float32, [2, 3], "x")
        double = tf.function(lambda a: a + tf.fill([2, 3], 1.0))
        tf.identity(double(tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: -x)), name="y")
    kinds = {"plain": plain, "loop": loop, "calls": calls}
    return {name: graph.as_graph_def() for name, graph in kinds.items()}


class _Module(tf.Module):
    def __init__(self, folder: str) -> None:
        super().__init__()
        words = Path(folder, "words.txt")
        words.write_text("one\ntwo\n")
        self.w = tf.Variable(np.ones((3, 2), np.float32))
        self.path = tf.saved_model.Asset(str(words))
        self.words = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                self.path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
            ), -1,
        )  # fmt: skip

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
    def __call__(self, x):
        return {"y": tf.nn.relu(x @ self.w), "n": self.words.lookup(tf.constant(["two"]))}


def _save_version_1(folder: str) -> None:
    with _training() as session:
        graph = session.graph
        inputs = {"x": graph.get_tensor_by_name("x:0")}
        outputs = {"y": graph.get_tensor_by_name("y:0")}
        v1.saved_model.simple_save(session, folder, inputs, outputs)


@contextmanager
def _training() -> Iterator:
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        w = v1.get_variable("w", [3, 2], use_resource=False)
        b = v1.get_variable("b", [2], use_resource=True)
        loss = tf.reduce_sum(tf.nn.softmax(x @ w + b, name="y"))
        v1.train.GradientDescentOptimizer(0.1).minimize(loss)
        session.run(v1.global_variables_initializer())
        yield session


def _files(folder: Path, top: str) -> Files:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {os.path.join(top, path.relative_to(folder)): path.read_bytes() for path in paths}
