"""Names that clash, with each other or with TensorFlow's own: inputs and outputs keep theirs."""

import random

import measure_legacy
import numpy as np
import onnx
import pytest
from onnx import helper

from graphcore.errors import GraphError
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from nbhelpers.convert import TARGETS
from tests.convert.models import graph_of, parse, seeded
from tfgraph.graphs.frozen import split_weights
from tfgraph.names.naming import legal, legal_names
from tfgraph.retargeting.retarget import retarget

AWKWARD = [
    *("a", "A", "a/b", "a/B", "a:0", "a_0", "/a", "a_", "_a", "t_a", "入力", "a\u0301", "0", "x/1"),
    *("dense", "Dense", "dense/MatMul", "dense/BiasAdd", "dense/Relu", "dense/Relu_1", "dense/add"),
    *("dense/Shape", "dense/transpose", "dense/concat/axis", "dense/barrier_0", "dense/begin"),
    *("Const", "Identity", "y", "y_1", "Relu", "w", "W", "w/read", "w/transposed", "import/a"),
    *("ConstantFolding/dense-folded-0", "ArithmeticOptimizer/a", "n" * 300),
    "dense/Conv2D-0-TransposeNHWCToNCHW-LayoutOptimizer",
]
"""Legal and illegal names, those of nodes that TensorFlow and its optimiser make, and prefixes."""

UNARY = ["Relu", "Neg", "Sigmoid", "Softmax", "Identity", "Elu", "Erf"]


def drawn(seed):
    """Return a model of up to nine nodes; tensors and nodes have awkward names."""
    draw = random.Random(seed)
    unused = draw.sample(AWKWARD, len(AWKWARD))
    titles = draw.sample(AWKWARD, len(AWKWARD))
    tensors = [unused.pop() for _ in range(draw.randint(1, 2))]
    inputs, nodes, weights = list(tensors), [], []
    for _ in range(draw.randint(2, 9)):
        op, first, second = draw.choice([*UNARY, "Add", "Gemm"]), *draw.choices(tensors, k=2)
        fed, made = [first], unused.pop()
        if op == "Add":
            fed.append(second)
        if op == "Gemm":
            fed += [unused.pop(), unused.pop()]
            values = zip((seeded(4, 4), seeded(4)), fed[1:], strict=True)
            weights += [onnx.numpy_helper.from_array(*each) for each in values]
        title = draw.choice([titles.pop(), made, ""])
        titles = [other for other in titles if other != title]
        title = "" if title in {node.name for node in nodes} else title
        nodes.append(helper.make_node(op, fed, [made], title))
        tensors.append(made)
    outputs = draw.sample(tensors, draw.randint(1, min(4, len(tensors))))
    values = ([helper.make_tensor_value_info(n, 1, ["N", 4]) for n in e] for e in (inputs, outputs))
    graph = helper.make_graph(nodes, "g", *values, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def converted(model, target):
    """Return the conversion, whose ends are called as in ONNX wherever TensorFlow can write it."""
    made = convert.onnx2tf(model, None, target=target)
    assert made.proven
    nodes = [node.name for node in made.graph_def.node]
    assert len(nodes) == len(set(nodes))
    ends = {**made.outputs, **made.inputs}  # an input that goes out again needs a second name
    kept = {name: tensor for name, tensor in ends.items() if legal(name, longest=None) == name}
    assert kept == {name: f"{name}:0" for name in kept}
    tensors = {*made.inputs.values(), *made.outputs.values()}
    assert len(tensors) == len(made.inputs) + len(made.outputs)
    return made


@pytest.mark.parametrize("target", TARGETS)
def test_a_node_may_be_called_as_its_output_or_as_an_input(target):
    model = parse(
        """g (float[N, 4] data) => (float[N, 3] softmax, float[N, 3] fc1) {
            [fc1] fc1 = Gemm(data, w, b)
            [data] fc2 = Relu(fc1)
            [softmax] softmax = Softmax(fc2)
        }""",
        w=seeded(4, 3),
        b=seeded(3),
    )
    made = converted(model, target)
    assert made.inputs == {"data": "data:0"}
    assert made.outputs == {"softmax": "softmax:0", "fc1": "fc1:0"}


@pytest.mark.parametrize("target", ["tf1.4", "tf2"])
def test_ends_keep_their_names_however_others_clash(target):
    for seed in range(15):
        converted(drawn(seed), target)


@pytest.mark.parametrize("target", ["tf1.4", "tf1.13", "tf1.15"])
def test_graphs_with_clashing_names_run_on_the_old_runtimes(target, legacy, tmp_path):
    models = [drawn(100 + seed) for seed in range(6)]
    feeds = [{v.name: seeded(3, 4) for v in model.graph.input} for model in models]
    jobs = [(converted(m, target), [fed]) for m, fed in zip(models, feeds, strict=True)]
    results = measure_legacy.run(target, jobs, tmp_path)
    for model, fed, seen in zip(models, feeds, results, strict=True):
        compare(onnxgraph.run_onnx(model, fed), seen[0], tolerance=1e-5).check()


def test_a_saved_model_with_clashing_names_loads_in_tensorflow_2(tmp_path):
    for seed in range(200, 206):
        model = drawn(seed)
        made = converted(model, "tf2")
        place, fed = tmp_path / str(seed), {v.name: seeded(3, 4) for v in model.graph.input}
        convert.build_saved_model(made, place, inputs=made.inputs, outputs=made.outputs)
        seen = convert.call_saved_model(place, fed)
        compare(onnxgraph.run_onnx(model, fed), seen, tolerance=1e-5).check()


def test_inputs_that_become_one_argument_in_tensorflow_2_are_refused(tmp_path):
    model = parse('g (float[N] "a/b", float[N] a_b) => (float[N] y) { y = Add("a/b", a_b) }')
    made = convert.onnx2tf(model, tmp_path / "m.pb")
    with pytest.raises(GraphError, match=r"inputs 'a/b' and 'a_b': TensorFlow 2 makes .*'a_b'"):
        convert.build_saved_model(made, tmp_path / "1")
    convert.build_saved_model(made, tmp_path / "1", inputs={"a": "a/b:0", "b": "a_b:0"})
    fed = {"a": np.float32([1, 2]), "b": np.float32([3, 5])}
    assert convert.call_saved_model(tmp_path / "1", fed)["y"].tolist() == [4, 7]


def test_what_a_rule_adds_for_an_old_target_is_kept_apart_from_what_is_there():
    def make(tf, x):
        rolled = tf.raw_ops.BroadcastTo(input=x, shape=[4, 3], name="wide")
        return tf.add(rolled, tf.identity(x, name="wide/ones"))

    graph = graph_of(make, x=("float32", [1, 3]))
    added = {n.name for n in retarget(graph, "tf1.4").graph_def.node} - {n.name for n in graph.node}
    assert any(name.startswith("wide/") for name in added)
    for taken in added:
        renamed = graph_of(make, x=("float32", [1, 3]))
        for node in renamed.node:
            node.name = node.name.replace("wide/ones", taken)
            node.input[:] = [source.replace("wide/ones", taken) for source in node.input]
        fitted = retarget(split_weights(renamed), "tf1.4").graph_def
        names = [node.name for node in fitted.node]
        assert len(names) == len(set(names))
        fed = {"x": seeded(1, 3)}
        assert np.array_equal(
            convert.run_tf(fitted, fed, fetch=["y"])["y"],
            convert.run_tf(graph, fed, fetch=["y"])["y"],
        )


def test_legal_names_stay_whatever_comes_before_them():
    names = ["a:0", "a_0", "A_0", "/a_0"]
    assert legal_names(names) == dict(zip(names, ["a_0_1", "a_0", "A_0", "a_0_2"], strict=True))
