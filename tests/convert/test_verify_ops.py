"""The receiver's scripts look at the ops of an artefact before TensorFlow loads it."""

import inspect
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from graphcore.errors import GraphError
from graphcore.golden import Case, save_golden
from nbhelpers import convert
from nbhelpers.convert.proving import prove
from nbhelpers.convert.proving.artefacts import Artefact
from nbhelpers.convert.receiver import predict, verify
from tests.convert.models import parse
from tfgraph.comparing.tracing import traced

tf = convert.tensorflow()
v1 = tf.compat.v1
X = np.float32([[1, 2]])
RELU = "g (float[N, 2] x) => (float[N, 2] y) { y = Relu (x) }"
SAID = "writes files. If you trust its maker, add --allow-op WriteFile"


def writing(place):
    """A graph y = x + 1 that also writes a file."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        with tf.control_dependencies([tf.raw_ops.WriteFile(filename=place, contents="c")]):
            tf.add(x, 1.0, name="y")
    return graph.as_graph_def()


@pytest.fixture
def folder(tmp_path):
    """A folder with such a graph, and one that only computes."""
    home = tmp_path / "net"
    for target in ("tf1.4", "tf2"):
        (home / f"graph/{target}").mkdir(parents=True)
    convert.save_graph_def(writing(str(tmp_path / "out")), home / "graph/tf1.4/frozen.pb")
    model = parse(RELU)
    convert.onnx2tf(model, home / "graph/tf2/frozen.pb")
    save_golden(
        home / "golden.npz",
        [Case("one", {"x": X}, {"y": X}), Case("two", {"x": X[:0]}, {"y": X[:0]})],
    )
    promises = [
        Artefact(f"graph/{target}/frozen.pb", "frozen", target, {"x": "x:0"}, {"y": "y:0"})
        for target in ("tf1.4", "tf2")
    ]
    (home / "verify.py").write_text(prove.verify_script("net", promises))
    return home


def verified(python, folder, *options):
    command = [str(python), "verify.py", "--unsealed", "--json", "rows.json", *options]
    subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    rows = json.loads((folder / "rows.json").read_text())["rows"]
    return {(row["artefact"], row["case"]): row.get("error", row["ok"]) for row in rows}


def test_an_op_that_writes_files_is_named_and_can_be_allowed(folder, legacy):
    for python in (sys.executable, legacy[0].python):
        rows = verified(python, folder)
        error = rows["graph/tf1.4/frozen.pb", "load"]
        assert error == f"it has the op WriteFile, which {SAID}"
        assert not (folder.parent / "out").exists()
    assert rows.keys() == {("graph/tf1.4/frozen.pb", "load")}  # the other is for TensorFlow 2
    rows = verified(sys.executable, folder, "--allow-op", "WriteFile")
    assert (
        rows["graph/tf1.4/frozen.pb", "one"] is False and rows["graph/tf2/frozen.pb", "one"] is True
    )
    assert (folder.parent / "out").read_text() == "c"


def test_the_client_looks_at_the_ops_as_verify_does(folder):
    steps = {"resize": 2, "crop": [1, 1], "mean": [0, 0, 0], "std": [1, 1, 1]}
    graph = Artefact("graph/tf1.4/frozen.pb", "frozen", "tf1.4", {"x": "x:0"}, {"y": "y:0"})
    (folder / "predict.py").write_text(prove.predict_script([graph], steps))
    Image.new("RGB", (2, 2)).save(folder / "picture.png")

    def predicted(*options):
        command = [sys.executable, "predict.py", "picture.png", *options]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    said = f"graph/tf1.4/frozen.pb is not loaded: it has the op WriteFile, which {SAID}.\n"
    assert predicted().stderr.endswith(said)
    assert not (folder.parent / "out").exists()
    assert "is not loaded" not in predicted("--allow-op", "WriteFile").stderr  # but not that shape
    assert inspect.getsource(predict.check_nodes) == inspect.getsource(verify.check_nodes)


def test_a_traced_graph_only_computes_what_is_compared(tmp_path):
    model = parse(RELU)
    made = convert.onnx2tf(model, None).graph_def
    made.node.add(name="p", op="WriteFile", input=["c", "c"])
    made.node.add(name="c", op="Const").attr["dtype"].type = tf.string.as_datatype_enum
    made.node[-1].attr["value"].tensor.CopyFrom(tf.make_tensor_proto(str(tmp_path / "out")))
    assert traced(made, model).tensors(["y"], {"x": X})["y"].tolist() == X.tolist()
    next(node for node in made.node if node.name == "y").input.append("^p")
    with pytest.raises(GraphError, match="WriteFile"):
        traced(made, model)
    with pytest.raises(GraphError, match="WriteFile"):
        traced(made, model, runtime="tf1.4")
    assert not (tmp_path / "out").exists()
