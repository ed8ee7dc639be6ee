"""Every rule, and whole graphs, run by the real old runtimes."""

import json
import subprocess
from types import SimpleNamespace

import measure_legacy
import numpy as np
import onnx
import pytest

from graphcore.errors import ConversionError
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.everywhere import run_there
from tests.convert.models import graph_of, seeded
from tfgraph import optables
from tfgraph.retargeting.retarget import retarget
from tfgraph.retargeting.rules import RULES
from tfgraph.runtimes import runtimes


def composition(tf, value, *ops):
    """Return what the optimiser makes of ops that follow one another; it has no Python function."""
    names = tf.compat.v1.AttrValue(list=tf.compat.v1.AttrValue.ListValue(s=ops))
    kind = tf.compat.v1.AttrValue(type=value.dtype.as_datatype_enum)
    attributes = {"T": kind, "op_names": names}
    graph = tf.compat.v1.get_default_graph()
    made = graph.create_op(
        "_UnaryOpsComposition", [value], [value.dtype], attrs=attributes, name="composed"
    )
    return made.outputs[0]


CASES = {
    "AddV2": (lambda tf, a, b: tf.raw_ops.AddV2(x=a, y=b), [(None, 4), (4,)]),
    "SelectV2": (
        lambda tf, a, b: tf.raw_ops.SelectV2(condition=b > 0, t=a, e=tf.constant(-np.inf)),
        [(None, 4), (4,)],
    ),
    "BatchMatMulV2": (
        lambda tf, a, b: tf.raw_ops.BatchMatMulV2(x=a, y=b, adj_y=True),
        [(None, 1, 3, 4), (2, 5, 4)],
    ),
    "FusedBatchNormV3": (
        lambda tf, a, b: (
            tf.raw_ops.FusedBatchNormV3(
                x=a, scale=b, offset=b, mean=b, variance=tf.abs(b) + 1.0, is_training=False
            ).y
        ),
        [(2, 3, 3, 4), (4,)],
    ),
    "Sin": (lambda tf, a: tf.sin(a * 1e6), [(None, 5)]),
    "Cos": (lambda tf, a: tf.cos(a * 1e6), [(None, 5)]),
    "Sqrt": (lambda tf, a: tf.sqrt(tf.abs(a) * 1e37), [(None, 5)]),
    "Rsqrt": (lambda tf, a: 1e19 * tf.math.rsqrt(tf.abs(a) * 1e37), [(None, 5)]),
    "Log": (lambda tf, a: tf.math.log(tf.abs(a) * 1e20), [(None, 5)]),
    "Sign": (lambda tf, a: tf.sign(tf.concat([a, [[np.nan] * 5]], 0)), [(None, 5)]),
    "Tanh": (lambda tf, a: tf.tanh(tf.concat([a, [[np.nan] * 5]], 0)), [(None, 5)]),
    "Erf": (
        lambda tf, a: tf.math.erf(tf.concat([tf.cast(a, tf.float64), [[9.0] * 5]], 0)),
        [(None, 5)],
    ),
    "Maximum": (lambda tf, a, b: tf.maximum(tf.sqrt(a), tf.sqrt(b)), [(None, 5), (5,)]),
    "Minimum": (lambda tf, a: tf.minimum(tf.sqrt(a), 0.5), [(None, 5)]),
    "Neg": (lambda tf, a: 1 / tf.negative(tf.nn.relu(a)), [(None, 5)]),
    "Max": (lambda tf, a: tf.reduce_max(tf.sqrt(a), 1), [(None, 3)]),
    "Min": (lambda tf, a: tf.reduce_min(tf.sqrt(a), 1, keepdims=True), [(None, 3)]),
    "LeakyRelu": (lambda tf, a: tf.nn.leaky_relu(a, 0.3), [(None, 5)]),
    "LeftShift": (
        lambda tf, a, b: tf.bitwise.left_shift(tf.cast(a * 99, tf.int64), tf.cast(b, tf.int64) * 9),
        [(None, 5), (5,)],
    ),
    "RightShift": (
        lambda tf, a, b: tf.bitwise.right_shift(tf.cast(a * 99, tf.int8), tf.cast(b, tf.int8)),
        [(None, 5), (5,)],
    ),
    "Pad": (lambda tf, a: tf.pad(a, tf.constant([[1, 0], [0, 2]], tf.int64)), [(None, 5)]),
    "PadV2": (
        lambda tf, a: tf.pad(a, tf.constant([[1, 0], [0, 2]], tf.int64), constant_values=2.0),
        [(None, 5)],
    ),
    "MirrorPad": (
        lambda tf, a: tf.pad(a, tf.constant([[1, 0], [0, 2]], tf.int64), "REFLECT"),
        [(None, 5)],
    ),
    "Softmax": (lambda tf, a: tf.nn.softmax(a), [(None, 2, None, 5)]),
    "LogSoftmax": (lambda tf, a: tf.nn.log_softmax(a), [(5,)]),
    "_UnaryOpsComposition": (lambda tf, a: composition(tf, a, b"Abs", b"Sqrt"), [(None, 5)]),
    "BroadcastTo": (
        lambda tf, a, b: tf.broadcast_to(a, tf.concat([[2], tf.shape(b)], 0)),
        [(None, 1, 4), (3, 5, 4)],
    ),
    "MatMul": (
        lambda tf, a, b: tf.matmul(
            tf.cast(a * 9, tf.int64), tf.cast(b * 9, tf.int64), transpose_b=True
        ),
        [(None, 4), (3, 4)],
    ),
    "NonMaxSuppressionV2": (
        lambda tf, a, b: tf.raw_ops.NonMaxSuppressionV2(
            boxes=a, scores=b, max_output_size=5, iou_threshold=tf.abs(b[0]) / 9
        ),
        [(7, 4), (7,)],
    ),
    "TensorScatterAdd": (
        lambda tf, a, b: tf.tensor_scatter_nd_add(a, [[1, 0], [0, 3], [1, 0]], b),
        [(None, 4, 5), (3, 5)],
    ),
    "TensorScatterUpdate": (
        lambda tf, a, b: tf.tensor_scatter_nd_update(a, [[1, 0], [0, 3], [1, 0]], b),
        [(None, 4, 5), (3, 5)],
    ),
    "UnsortedSegmentMin": (
        lambda tf, a: tf.math.unsorted_segment_min(a, [3, 0, 3], 4),
        [(None, 5)],
    ),
    "UnsortedSegmentProd": (
        lambda tf, a: tf.math.unsorted_segment_prod(a, [3, 0, 3], 6),
        [(None, 5)],
    ),
    "Conv2D": (
        lambda tf, a: tf.nn.conv2d(a, tf.ones([3, 3, 2, 4]), 1, "SAME", dilations=2),
        [(None, 9, 7, 4)],
    ),
    "Conv3D": (
        lambda tf, a: tf.nn.conv3d(
            a, tf.ones([2, 2, 2, 2, 3]), [1] * 5, "VALID", dilations=[1, 2, 2, 2, 1]
        ),
        [(None, 6, 7, 8, 2)],
    ),
    "DepthwiseConv2dNative": (
        lambda tf, a: tf.raw_ops.DepthwiseConv2dNative(
            input=tf.cast(tf.round(a), tf.float16),
            filter=tf.ones([2, 2, 3, 1], tf.float16),
            strides=[1, 1, 1, 1],
            padding="VALID",
        ),
        [(None, 5, 6, 3)],
    ),
    "ResizeBilinear": (
        lambda tf, a: tf.compat.v1.image.resize_bilinear(a, [7, 10], half_pixel_centers=True),
        [(None, 5, 6, 3)],
    ),
    "DataFormatVecPermute": (
        lambda tf, a: tf.raw_ops.DataFormatVecPermute(
            x=tf.cast(a, tf.int32), src_format="NHWC", dst_format="NCHW"
        ),
        [(4,)],
    ),
}


DILATED = np.zeros([3, 3, 3, 2, 3], np.float32)
DILATED[::2, ::2, ::2] = 1

WRITTEN_OUT = {
    "Conv3D": lambda tf, a: tf.nn.conv3d(
        a,
        tf.constant(DILATED),
        [1] * 5,
        "VALID",
    )
}
"""The same in ops that TensorFlow 2 runs on every processor: zeros between the dilated weights."""


def test_every_rule_has_a_case():
    assert set(CASES) == set(RULES)


def case(op, *, written_out=False):
    """Return the graph of a rule's case, and what to feed."""
    make, shapes = CASES[op]
    make = WRITTEN_OUT.get(op, make) if written_out else make
    names = "ab"[: len(shapes)]
    kind = convert.tensorflow().float32
    graph_def = graph_of(make, **dict(zip(names, [(kind, shape) for shape in shapes], strict=True)))
    sizes = [[3 if size is None else size for size in shape] for shape in shapes]
    feeds = {n: 3 * seeded(*s, seed=i) for i, (n, s) in enumerate(zip(names, sizes, strict=True))}
    return graph_def, feeds


@pytest.fixture(scope="module")
def seen(legacy, tmp_path_factory):
    """What every runtime makes of every case: (op, runtime) → its output, or what went wrong."""
    found = {}
    for runtime in legacy:
        jobs = []
        for op in CASES:
            graph_def, feeds = case(op)
            older = retarget(graph_def, runtime.name).graph_def
            assert not {n.op for n in older.node} - set(optables.table(runtime.name).ops)
            names = {name: f"{name}:0" for name in feeds}
            jobs.append(
                (SimpleNamespace(graph_def=older, inputs=names, outputs={"y": "y:0"}), [feeds])
            )
        results = measure_legacy.run(runtime.name, jobs, tmp_path_factory.mktemp(runtime.name))
        found |= {(op, runtime.name): each for op, each in zip(CASES, results, strict=True)}
    return found


@pytest.mark.parametrize("op", CASES)
def test_a_rule_computes_the_same_on_the_real_runtimes(op, legacy, seen):
    # As it is written: TensorFlow 2's optimiser takes Max(Sqrt(x)) for Sqrt(Max(x)), NaN or not.
    expected = convert.run_tf(*case(op, written_out=True), optimised=False)
    for runtime in legacy:
        (result,) = seen[op, runtime.name]
        compare(expected, result).check()


REFUSED = {
    "LeakyRelu": (lambda tf, a: tf.nn.leaky_relu(a, 1.5), (3, 4)),
}


@pytest.mark.parametrize("op", REFUSED)
def test_what_a_rule_cannot_do_exactly_is_refused(op):
    make, shape = REFUSED[op]
    tf = convert.tensorflow()
    graph_def = graph_of(make, a=(tf.float32, shape))
    with pytest.raises(ConversionError, match=rf"cannot be written for tf1.4 .*{op}"):
        retarget(graph_def, "tf1.4")


@pytest.mark.parametrize("target", optables.TARGETS)
def test_what_calls_this_process_is_refused_for_every_target(target):
    kind = convert.tensorflow().float32
    graph_def = graph_of(lambda tf, a: tf.numpy_function(np.negative, [a], kind), a=(kind, [3]))
    with pytest.raises(ConversionError, match="op PyFunc is unknown"):
        retarget(graph_def, target)


def test_the_table_of_this_tensorflow_has_its_public_ops():
    ops = optables.table("tf2").ops
    assert {"Conv2D", "Einsum"} <= set(ops) and "_UnaryOpsComposition" not in ops
    assert ops["Relu"]["T"] and len(ops) > 1000


def test_a_graph_that_was_not_retargeted_is_refused_by_the_old_runtime(network, legacy, tmp_path):
    """The reason for all this, seen: without the rewriting TensorFlow 1.4 says no."""
    result = convert.onnx2tf(network, None, target="tf2")
    feeds = {"images": seeded(1, 3, 9, 11)}
    with pytest.raises(AssertionError, match=r"No op named|mentions attr"):
        run_there(legacy[0].name, result, [feeds], tmp_path)


@pytest.mark.parametrize("target", ["tf1.4", "tf1.13", "tf1.15"])
def test_a_network_runs_on_its_target_and_every_later_runtime(network, legacy, tmp_path, target):
    result = convert.onnx2tf(network, None, target=target)
    feeds = [{"images": seeded(batch, 3, 9, 11, seed=batch)} for batch in (1, 3)]
    for runtime in legacy[[each.name for each in legacy].index(target) :]:
        results = run_there(runtime.name, result, feeds, tmp_path)
        for each, seen in zip(feeds, results, strict=True):
            expected = onnxgraph.run_onnx(network, each)
            compare(expected, seen, title=f"{target} on {runtime}").check()


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


def test_what_a_rule_writes_on_purpose_stays_as_it_is():
    """Both sides of a LeakyRelu's maximum are NaN together, which needs no further ops."""
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[N, 3] x) => (float[N, 3] y) { y = LeakyRelu <alpha = 0.1> (x) }"""
    made = convert.onnx2tf(onnx.parser.parse_model(text), None, target="tf1.4")
    assert {node.op for node in made.graph_def.node} >= {"Mul", "Maximum"}
    assert "IsNan" not in {node.op for node in made.graph_def.node}
