"""Every rule, and whole graphs, run by the real old runtimes."""

import json
import subprocess

import numpy as np
import pytest

from nbhelpers import convert, onnxgraph
from nbhelpers.convert import optables, runtimes
from nbhelpers.convert.retarget import retarget
from nbhelpers.convert.rules import RULES
from nbhelpers.errors import ConversionError
from nbhelpers.parity import compare
from tests.convert.models import seeded

RUN = """
import sys, numpy as np, tensorflow as tf
graph = tf.GraphDef()
graph.ParseFromString(open("graph.pb", "rb").read())
fed = np.load("fed.npz")
with tf.Graph().as_default():
    tf.import_graph_def(graph, name="")
    with tf.Session() as session:
        names = sys.argv[1:]
        values = session.run(names, {name + ":0": fed[name] for name in fed.files})
np.savez("out.npz", **dict(zip([name.split(":")[0] for name in names], values)))
"""


def run_there(runtime, graph_def, feeds, outputs, folder):
    """Run a graph in a legacy runtime and return its outputs by name."""
    convert.save_graph_def(graph_def, folder / "graph.pb")
    np.savez(folder / "fed.npz", **feeds)
    done = subprocess.run(
        [str(runtime.python), "-c", RUN, *outputs],
        cwd=folder,
        env=runtimes.clean_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(folder / "out.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def graph_of(make, **inputs):
    """Return a GraphDef with placeholders of the given dtype and shape, and `y` as its output."""
    tf = convert.tensorflow()
    graph = tf.Graph()
    with graph.as_default():
        fed = [tf.compat.v1.placeholder(d, shape, name=n) for n, (d, shape) in inputs.items()]
        tf.identity(make(tf, *fed), name="y")
    return graph.as_graph_def()


CASES = {
    "AddV2": (lambda tf, a, b: tf.raw_ops.AddV2(x=a, y=b), [(None, 4), (4,)]),
    "SelectV2": (lambda tf, a, b: tf.raw_ops.SelectV2(condition=a > b, t=a, e=b), [(3, 4), (3, 4)]),
    "BatchMatMulV2": (
        lambda tf, a, b: tf.raw_ops.BatchMatMulV2(x=a, y=b, adj_y=True),
        [(2, 3, 4), (2, 5, 4)],
    ),
    "FusedBatchNormV3": (
        lambda tf, a, b: (
            tf.raw_ops.FusedBatchNormV3(
                x=a, scale=b, offset=b, mean=b, variance=tf.abs(b) + 1.0, is_training=False
            ).y
        ),
        [(2, 3, 3, 4), (4,)],
    ),
    "LeakyRelu": (lambda tf, a: tf.nn.leaky_relu(a, 0.3), [(None, 5)]),
    "DataFormatVecPermute": (
        lambda tf, a: tf.raw_ops.DataFormatVecPermute(
            x=tf.cast(a, tf.int32), src_format="NHWC", dst_format="NCHW"
        ),
        [(4,)],
    ),
}


def test_every_rule_has_a_case():
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize("op", CASES)
def test_a_rule_computes_the_same_on_the_real_runtimes(op, legacy, tmp_path):
    make, shapes = CASES[op]
    names = "ab"[: len(shapes)]
    tf = convert.tensorflow()
    graph_def = graph_of(make, **dict(zip(names, [(tf.float32, s) for s in shapes], strict=True)))
    sizes = [[3 if size is None else size for size in shape] for shape in shapes]
    feeds = {n: 3 * seeded(*s, seed=i) for i, (n, s) in enumerate(zip(names, sizes, strict=True))}
    expected = convert.run_tf(graph_def, feeds)
    for runtime in legacy:
        older = retarget(graph_def, runtime.name)
        assert not {n.op for n in older.graph_def.node} - set(optables.table(runtime.name).ops)
        compare(expected, run_there(runtime, older.graph_def, feeds, ["y:0"], tmp_path)).check()


REFUSED = {
    "SelectV2": (lambda tf, a: tf.raw_ops.SelectV2(condition=a > 0, t=a, e=tf.zeros([4])), (3, 4)),
    "BatchMatMulV2": (
        lambda tf, a: tf.raw_ops.BatchMatMulV2(x=a, y=tf.ones([1, 4, 5])),
        (2, 3, 4),
    ),
    "LeakyRelu": (lambda tf, a: tf.nn.leaky_relu(a, 1.5), (3, 4)),
    "Conv2D": (
        lambda tf, a: tf.nn.conv2d(a, tf.ones([3, 3, 2, 2]), 1, "VALID", dilations=2),
        (1, 9, 9, 2),
    ),
}


@pytest.mark.parametrize("op", REFUSED)
def test_what_a_rule_cannot_do_exactly_is_refused(op):
    make, shape = REFUSED[op]
    tf = convert.tensorflow()
    graph_def = graph_of(make, a=(tf.float32, shape))
    with pytest.raises(ConversionError, match=rf"cannot be written for tf1.4 .*{op}"):
        retarget(graph_def, "tf1.4")


def test_a_graph_that_was_not_retargeted_is_refused_by_the_old_runtime(network, legacy, tmp_path):
    """The reason for all this, seen: without the rewriting TensorFlow 1.4 says no."""
    result = convert.onnx2tf(network, None, target="tf2")
    feeds = {"images": seeded(1, 3, 9, 11)}
    with pytest.raises(AssertionError, match="AddV2"):
        run_there(legacy[0], result.graph_def, feeds, ["scores:0"], tmp_path)


@pytest.mark.parametrize("target", ["tf1.4", "tf1.13", "tf1.15"])
def test_a_network_runs_on_its_target_and_every_later_runtime(network, legacy, tmp_path, target):
    result = convert.onnx2tf(network, None, target=target)
    tensors = list(result.outputs.values())
    for runtime in legacy[[each.name for each in legacy].index(target) :]:
        for batch in (1, 3):
            feeds = {"images": seeded(batch, 3, 9, 11, seed=batch)}
            seen = run_there(runtime, result.graph_def, feeds, tensors, tmp_path)
            expected = onnxgraph.run_onnx(network, feeds)
            named = {name: seen[t.split(":")[0]] for name, t in result.outputs.items()}
            compare(expected, named, title=f"{target} on {runtime}").check()


def test_the_tables_are_what_the_runtimes_say(legacy, tmp_path):
    dump = optables.__path__[0] + "/dump.py"
    for runtime in legacy:
        path = tmp_path / f"{runtime.name}.json"
        done = subprocess.run(
            [str(runtime.python), dump, str(path)],
            env=runtimes.clean_environment(),
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        table = optables.table(runtime.name)
        said = json.loads(path.read_text())
        assert said == {"version": table.version, "producer": table.producer, "ops": table.ops}
