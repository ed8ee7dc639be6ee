"""What TensorFlow 2 must compute on every processor: in default sessions, with oneDNN and without.

Which of them a process uses depends on the processor, so each is asked in a process that says so.
"""

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest

from graphcore.errors import ConversionError
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.models import graph_of, seeded
from tfgraph import optables
from tfgraph.optables import dump_forms
from tfgraph.retargeting.retarget import retarget

RECEIVER = """
import json, sys, numpy as np, tensorflow as tf
v1 = tf.compat.v1
for name in json.load(open("names.json")):
    definition, graph = v1.GraphDef(), tf.Graph()
    definition.ParseFromString(open(name + ".pb", "rb").read())
    with graph.as_default():
        v1.import_graph_def(definition, name="")
    loaded = tf.saved_model.load(name)
    signature = loaded.signatures["serving_default"]
    function = tf.function(lambda x: signature(x=x)["y"] * 1)
    with np.load(name + ".npz") as arrays:
        cases = {key: arrays[key] for key in arrays.files}
    found = {}
    for key, feeds in cases.items():
        found["signature " + key] = signature(x=tf.constant(feeds))["y"].numpy()
        found["function " + key] = function(tf.constant(feeds)).numpy()
    with v1.Session(graph=graph) as session:
        for key, feeds in cases.items():
            found["session " + key] = session.run("y:0", {"x:0": feeds})
    with v1.Session(graph=tf.Graph()) as session:
        v1.saved_model.loader.load(session, ["serve"], name)
        for key, feeds in cases.items():
            found["loader " + key] = session.run("y:0", {"x:0": feeds})
    np.savez(name + "." + sys.argv[1] + ".npz", **found)
"""


def chain(*ops, rank=2, groups=1, dilation=1, outputs=8, bias=True, strides=1):
    """Return a model of a convolution of 8 channels and the ops that follow it."""
    kernel = [2, 3, 3][-rank:] if rank < 3 else [2, 3, 2]
    weights = {"w": seeded(outputs, 8 // groups, *kernel, seed=1) / 4}
    weights |= {name: seeded(outputs, seed=2) for name in ("b", "scale", "offset", "mean")}
    weights["variance"] = np.abs(seeded(outputs, seed=3)) + 1
    inputs = ["x", "w", "b"] if bias else ["x", "w"]
    nodes = [
        onnx.helper.make_node(
            "Conv", inputs, ["t0"], group=groups, dilations=[dilation] * rank,
            strides=[strides] * rank, pads=[1, 0, 2, 1, 2, 0][: 2 * rank],
        )
    ]  # fmt: skip
    for place, op in enumerate(ops):
        more = ["scale", "offset", "mean", "variance"] if op == "BatchNormalization" else []
        nodes.append(onnx.helper.make_node(op, [f"t{place}", *more], [f"t{place + 1}"]))
    nodes.append(onnx.helper.make_node("Identity", [f"t{len(ops)}"], ["y"]))
    read = {name for node in nodes for name in node.input}
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "chain",
        [value("x", 1, ["N", 8, *[11, 9, 7][:rank]])],
        [value("y", 1, ["N", outputs, *"DHW"[:rank]])],
        [onnx.numpy_helper.from_array(v, k) for k, v in weights.items() if k in read],
    )
    opsets = [onnx.helper.make_opsetid("", 13)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=7)


MODELS = {
    "groups": chain("Relu", groups=4),
    "groups_leaky": chain("LeakyRelu", groups=2, outputs=6),
    "groups_dilated": chain("Sigmoid", groups=4, dilation=2),
    "groups_1d": chain("Relu", groups=4, rank=1),
    "groups_3d": chain("Relu", groups=2, rank=3),
    "groups_norm": chain("BatchNormalization", "Relu", groups=4, bias=False),
    "depthwise": chain("Relu", groups=8, outputs=16),
    "depthwise_dilated": chain("Tanh", groups=8, dilation=2),
    "norm_tanh": chain("BatchNormalization", "Tanh", bias=False),
    "dilated_3d": chain("Relu", rank=3, dilation=2),
    "dilated_groups_3d": chain("Elu", rank=3, dilation=2, groups=2),
    "dilated_strided_3d": chain("Relu", rank=3, dilation=2, strides=2),
}


WAYS = ("session", "loader", "signature", "function")


@pytest.fixture(scope="module")
def received(tmp_path_factory):
    """A folder with graph, SavedModel and feeds of each model, and what the receivers computed."""
    folder, expected = tmp_path_factory.mktemp("received"), {}
    for name, model in MODELS.items():
        made = convert.onnx2tf(model, folder / f"{name}.pb", target="tf2")
        convert.build_saved_model(made, folder / name)
        feeds = {f"batch{n}": seeded(n, *made.specs["x"].shape[1:]) for n in (1, 3)}
        np.savez(folder / f"{name}.npz", **feeds)
        expected[name] = {k: onnxgraph.run_onnx(model, {"x": v})["y"] for k, v in feeds.items()}
    (folder / "names.json").write_text(json.dumps(list(MODELS)))
    return folder, expected


@pytest.mark.parametrize("onednn", ["0", "1"])
def test_artefacts_run_as_every_receiver_runs_them(received, onednn):
    folder, expected = received
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn}
    command = [sys.executable, "-c", RECEIVER, onednn]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    for name, cases in expected.items():
        with np.load(folder / f"{name}.{onednn}.npz") as found:
            ways = [(way, case) for way in WAYS for case in cases]
            assert {f"{way} {case}" for way, case in ways} == set(found.files)
            for way, case in ways:
                seen = {way: found[f"{way} {case}"]}
                compare({way: cases[case]}, seen, title=f"{name} {case}").check()


ASKED = """
import json, sys, tensorflow as tf
from tfgraph.optables import dump_forms as d
chains = [c for c in d.chains() if d.words(*c) in json.loads(sys.argv[1])]
print(json.dumps({d.words(*c): [t for t in d.TYPES if d.fails(tf, c, t)] for c in chains}))
"""


def test_the_table_of_forms_is_what_this_tensorflow_says():
    """Some forms that fail with oneDNN, some without it, and some that fail nowhere."""
    forms = [
        "Conv2D with groups, BiasAdd",
        "Conv2D with groups, Add",
        "Conv2D with groups, FusedBatchNormV3",
        "Conv2D, BiasAdd",
        "Conv2D, FusedBatchNormV3, Tanh",
        "Conv3D with dilations",
        "DepthwiseConv2dNative with groups, BiasAdd",
    ]
    assert set(forms) <= {dump_forms.words(*each) for each in dump_forms.chains()}
    found = {form: set() for form in forms}
    for onednn in "01":
        environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn}
        command = [sys.executable, "-c", ASKED, json.dumps(forms)]
        text = subprocess.run(command, env=environment, capture_output=True, text=True).stdout
        for form, types in json.loads(text).items():
            found[form] |= set(types)
    table = optables.table("tf2").forms
    assert found == {form: set(table.get(form, ())) for form in forms}
    assert found["Conv2D with groups, BiasAdd"] == {"DT_FLOAT", "DT_DOUBLE"}


def foreign(make, *shape):
    """Return the GraphDef of a graph that was not made here."""
    return graph_of(make, x=("float32", shape))


def ops(graph_def):
    return {node.op for node in graph_def.node}


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_a_bias_after_groups_becomes_a_sum_in_a_foreign_graph(layout):
    last = layout == "NHWC"
    shape = (None, 5, 7, 8) if last else (None, 8, 5, 7)

    def make(tf, x):
        filters = tf.constant(seeded(1, 1, 4, 6))
        result = tf.raw_ops.Conv2D(
            input=x, filter=filters, strides=[1] * 4, padding="SAME", data_format=layout
        )
        return tf.nn.bias_add(result, tf.constant(seeded(6)), data_format=layout)

    made = retarget(foreign(make, *shape), "tf2")
    assert "BiasAdd" not in ops(made.graph_def) and "Add" in ops(made.graph_def)
    (rewrite,) = made.rewrites
    assert rewrite.change == ("→ Add" if last else "→ Reshape + Add")
    assert rewrite.reason == "not every CPU computes Conv2D with groups, BiasAdd there"


def test_groups_that_cannot_be_counted_get_a_sum_too():
    def make(tf, x):
        result = tf.raw_ops.Conv2D(
            input=x, filter=tf.constant(seeded(1, 1, 4, 6)), strides=[1] * 4, padding="SAME"
        )
        return tf.nn.bias_add(result, tf.constant(seeded(6)))

    assert "BiasAdd" not in ops(retarget(foreign(make, None, 5, 7, None), "tf2").graph_def)


def test_a_plain_convolution_keeps_its_bias():
    def make(tf, x):
        result = tf.nn.conv2d(x, tf.constant(seeded(1, 1, 8, 6)), 1, "SAME")
        return tf.nn.relu(tf.nn.bias_add(result, tf.constant(seeded(6))))

    made = retarget(foreign(make, None, 5, 7, 8), "tf2")
    assert "BiasAdd" in ops(made.graph_def) and not made.rewrites


@pytest.mark.parametrize("target", ["tf1.4", "tf2"])
@pytest.mark.parametrize("rank", [2, 3])
def test_attributes_that_an_older_tensorflow_did_not_write_have_their_defaults(rank, target):
    filters = seeded(*[3] * rank, 8, 6)

    def make(tf, x):
        op = tf.nn.conv2d if rank == 2 else tf.nn.conv3d
        return tf.nn.bias_add(op(x, filters, [1] * (rank + 2), "SAME"), seeded(6))

    graph = foreign(make, None, 5, 7, 4, 8) if rank == 3 else foreign(make, None, 5, 7, 8)
    fed = {"x": seeded(2, *(5, 7, 4)[:rank], 8)}
    expected = convert.run_tf(graph, fed, fetch=["y"])
    for node in graph.node:
        for name in ("dilations", "data_format", "explicit_paddings"):
            node.attr.pop(name, None)
    made = retarget(graph, target)
    assert "BiasAdd" in ops(made.graph_def)
    compare(expected, convert.run_tf(made.graph_def, fed, fetch=["y"])).check()


def test_what_has_no_other_form_is_refused_by_name():
    def make(tf, x):
        return tf.raw_ops.DepthwiseConv2dNative(
            input=x, filter=tf.constant(seeded(3, 3, 8, 1)), strides=[1] * 4, padding="SAME",
            dilations=[1, 2, 2, 1], name="wide",
        )  # fmt: skip

    with pytest.raises(
        ConversionError,
        match=r"1 node cannot .* tf2 .*: wide: not every CPU computes DepthwiseConv2dNative with "
        r"dilations there",
    ):
        retarget(foreign(make, None, 5, 7, 8), "tf2")
