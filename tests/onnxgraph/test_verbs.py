"""The editing verbs on small graphs: what they change, what they leave, and what they refuse."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from graphcore.errors import GraphError, ParityError, UnknownName
from nbhelpers import onnxgraph

BRANCHES = """
    g (bool c, float[batch, 2] x) => (float[batch, 2] y) <float[2] w = {1.0, -2.0}> {
        [negate] a = Neg(x)
        [choose] y = If (c) <
            then_branch = t () => (float[batch, 2] p) { [inner] q = Mul(a, w) [clip] p = Relu(q) },
            else_branch = e () => (float[batch, 2] r) { [other] r = Add(a, w) }
        >
    }
"""


def after(verb, model, *args, **options):
    """Return what a verb gives, having held it to what every verb promises."""
    was = model.SerializeToString(deterministic=True)
    result = verb(model, *args, **options)
    assert model.SerializeToString(deterministic=True) == was
    onnx.checker.check_model(result.model, full_check=True)
    assert result.before is model
    assert result.changes
    return result


def dims(model):
    return {spec.name: spec.shape for spec in onnxgraph.outputs(model)}


def both(model, feeds, fetch=None):
    """Return what a model computes at batches 1 and 5."""
    return [
        onnxgraph.run_onnx(model, {n: np.repeat(v, b, 0) for n, v in feeds.items()}, fetch=fetch)
        for b in (1, 5)
    ]


def test_insert_after_any_tensor(chain, values):
    x, two = values(1, 2, 3), np.float32(2)
    old = both(chain, {"x": x})
    # An output keeps its name, and all that read it read the new node.
    doubled = after(onnxgraph.insert_after, chain, "clip", "Mul", others=[two], name="double")
    assert [node.name for node in doubled.model.graph.node] == ["plus", "clip", "double", "flat"]
    for seen, was in zip(both(doubled.model, {"x": x}), old, strict=True):
        np.testing.assert_array_equal(seen["z"], 2 * was["z"])
        np.testing.assert_array_equal(seen["y"], 2 * was["y"])
    assert dims(doubled.model) == {"y": ("batch", 6), "z": ("batch", 2, 3)}
    assert "3 → 4 nodes (Mul 0 → 1)" in repr(doubled)
    with pytest.raises(ParityError, match="z: mismatch"):
        doubled.proven()
    # The other operand is the tensor itself: as it was before.
    for name in ("sum", "y"):
        squared = after(onnxgraph.insert_after, chain, name, "Mul", others=[name], name="sq").model
        (node,) = (node for node in squared.graph.node if node.name == "sq")
        assert len(set(node.input)) == 1
    np.testing.assert_array_equal(
        onnxgraph.run_onnx(squared, {"x": x})["y"], np.square(old[0]["y"])
    )
    # The first node, by the input's name; the other operand first; and a weight.
    turned = after(onnxgraph.insert_after, chain, "x", "Sub", others=[two], position=1).model
    for seen, was in zip(both(turned, {"x": 2 - x}), old, strict=True):
        np.testing.assert_allclose(seen["z"], was["z"], rtol=1e-6)
    bias = after(onnxgraph.insert_after, chain, "bias", "Neg").model
    np.testing.assert_array_equal(
        onnxgraph.run_onnx(bias, {"x": x})["z"], np.maximum(x - [[[1, 2, 3]]], 0).astype("f")
    )


def test_insert_before_one_reader_only(chain, values):
    x = values(1, 2, 3)
    result = after(onnxgraph.insert_before, chain, "flat", "Neg")
    for seen, was in zip(both(result.model, {"x": x}), both(chain, {"x": x}), strict=True):
        np.testing.assert_array_equal(seen["y"], -was["y"])
        np.testing.assert_array_equal(seen["z"], was["z"])
    assert after(onnxgraph.insert_before, chain, "flat", "Identity").proven().reports[1].ok
    with pytest.raises(UnknownName, match=r"no input of Reshape 'flat' named 'x'.*'z', 'target'"):
        onnxgraph.insert_before(chain, "flat", "Neg", tensor="x")


def test_what_cannot_be_inserted_is_refused(chain, graph):
    cases = [
        (("plus", "Neg"), {"others": ["nowhere"]}, UnknownName, "no tensor named 'nowhere'"),
        (("sum", "Mul"), {"others": [2.0]}, GraphError, r"np\.float32\(2\.0\)"),
        (("sum", "Mull"), {}, GraphError, r"no operator 'Mull' in the model's .*ai\.onnx 13"),
        (("sum", "Add"), {"others": ["y"]}, GraphError, "would need its own result"),
        (("sum", "Softmax"), {"attributes": {"axes": 1}}, UnknownName, "closest are 'axis'"),
        (("sum", "MatMul"), {"others": [np.ones((4, 4), "f")]}, GraphError, "do not fit together"),
        (("summ", "Neg"), {}, UnknownName, "closest are 'sum'"),
    ]
    for args, options, kind, words in cases:
        with pytest.raises(kind, match=words):
            onnxgraph.insert_after(chain, *args, **options)
    split = graph(
        "g (float[2, 4] x) => (float[2, 2] y) { [halve] a, b = Split<axis=1>(x) y = Add(a, b) }"
    )
    with pytest.raises(GraphError, match=r"'halve' writes 'a', 'b'. Name the one"):
        onnxgraph.insert_after(split, "halve", "Neg")


def test_nodes_are_removed_and_rewired(chain, values):
    x = values(1, 2, 3)
    without = after(onnxgraph.remove, chain, "clip")
    old = both(chain, {"x": x}, ["sum"])
    for seen, was in zip(both(without.model, {"x": x}), old, strict=True):
        np.testing.assert_array_equal(seen["z"], was["sum"])
    last = after(onnxgraph.remove, chain, "flat")  # its input is an output too
    assert "no longer needed: the weight 'target'" in repr(last)
    assert dims(last.model) == {"y": ("batch", 2, 3), "z": ("batch", 2, 3)}
    assert "and an Identity keeps the name 'y'" in repr(last)
    with pytest.raises(
        GraphError, match="Identity 'y_Identity' cannot be removed, because it gives 'z'"
    ):
        onnxgraph.remove(last.model, "y_Identity")
    every = after(onnxgraph.remove, chain, ["plus", "clip", "flat"]).model
    np.testing.assert_array_equal(onnxgraph.run_onnx(every, {"x": x})["y"], x)
    assert not every.graph.initializer


def test_what_cannot_be_removed_is_refused(graph):
    model = graph(
        """g (float[b, 4] x, float[b, 2] u) => (float[b, 2] y) <float[2] w = {1.0, 2.0}> {
            [halve] l, r = Split<axis = 1>(x)
            [join] s = Add(l, u)
            [scale] t = Mul(s, w)
            [fixed] k = Constant<value_float = 2.0>()
            [times] m = Mul(t, k)
            [end] y = Add(m, r)
        }"""
    )
    for name, words in [
        ("halve", "Split 'halve' writes 'l', 'r', and all of them are read"),
        ("join", "Add 'join' reads 'l', 'u'. Say with through="),
        ("fixed", "Constant 'fixed' reads nothing"),
    ]:
        with pytest.raises(GraphError, match=words):
            onnxgraph.remove(model, name)
    with pytest.raises(UnknownName, match="no input of Add 'join' named 'x'"):
        onnxgraph.remove(model, "join", through="x")
    through = after(onnxgraph.remove, model, "join", through="u").model
    assert [node.name for node in through.graph.node][:2] == ["halve", "scale"]
    less = after(onnxgraph.remove, model, "times")  # the Constant goes with its only reader
    assert "no longer needed: Constant 'fixed'" in repr(less)
    wide = graph(
        "g (float[b, 4] x, float[4, 2] w) => (float[b, 2] y) { p = Relu(x) y = MatMul(p, w) }"
    )
    with pytest.raises(GraphError, match=r"MatMul 'y' reads 'p', 'w'. Say with"):
        onnxgraph.remove(wide, "y")
    with pytest.raises(GraphError, match="'n' may mean 2 nodes"):
        onnxgraph.remove(graph("g (float x) => (float y) { [n] a = Neg(x) [n] y = Neg(a) }"), "n")


def test_one_node_takes_the_place_of_several(chain, values):
    x = values(1, 2, 3)
    model = after(onnxgraph.replace, chain, ["plus", "clip"], "Mul").model
    assert [node.op_type for node in model.graph.node] == ["Mul", "Reshape"]
    np.testing.assert_array_equal(
        onnxgraph.run_onnx(model, {"x": x})["z"], x * np.array([1, 2, 3], np.float32)
    )
    leaky = after(onnxgraph.replace, chain, "z", "LeakyRelu", attributes={"alpha": 0.5}).model
    summed = onnxgraph.run_onnx(chain, {"x": x}, fetch=["sum"])["sum"]
    np.testing.assert_allclose(
        onnxgraph.run_onnx(leaky, {"x": x})["z"], np.where(summed < 0, summed / 2, summed)
    )
    flat = after(onnxgraph.replace, chain, "flat", "Flatten", inputs=["z"])
    assert flat.proven().reports[1].worst == 0
    assert dims(flat.model)["y"] == ("batch", 6)
    with pytest.raises(GraphError, match="nothing to replace"):
        onnxgraph.replace(chain, [], "Neg")


def test_attributes_are_typed(graph):
    model = graph(
        """g (float[b, 1, 8, 8] x) => (float[b, 1, 4, 4] y) {
            [pool] y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)
        }"""
    )
    wide = after(onnxgraph.set_attributes, model, "pool", kernel_shape=(3, 3), pads=np.ones(4, int))
    assert "MaxPool 'pool': kernel_shape [2, 2] → [3, 3]" in repr(wide)
    assert dims(wide.model) == {"y": ("b", 1, 4, 4)}
    dense = after(onnxgraph.set_attributes, model, "pool", strides=None)
    assert dims(dense.model) == {"y": ("b", 1, 7, 7)}  # the note in the file said 4
    cases = [
        ({"kernel_shape": 3}, GraphError, "must be a list of whole numbers, but 3 is int"),
        ({"kernel_shape": [3, 3.5]}, GraphError, "must be a list of whole numbers"),
        ({"ceil_mode": 0.5}, GraphError, "'ceil_mode' of MaxPool 'pool' must be a whole number"),
        ({"auto_pad": 1}, GraphError, "must be text, but 1 is int"),
        ({"strides": np.array(2)}, GraphError, r"list of whole numbers, but array\(2\) is ndarray"),
        ({"strides": [[1], [1, 2]]}, GraphError, r"numbers, but \[\[1\], \[1, 2\]\] is list"),
        ({"ceil_mode": 2**70}, GraphError, "'ceil_mode' of MaxPool 'pool' cannot hold 1180591.*: "),
        ({"kernel_shape": None}, GraphError, "cannot be removed, because the operator needs it"),
        ({"stride": [1, 1]}, UnknownName, "no attribute of MaxPool 'pool'.*'strides'"),
    ]
    for values, kind, words in cases:
        with pytest.raises(kind, match=words):
            onnxgraph.set_attributes(model, "pool", **values)


def test_tensors_and_nodes_are_renamed(chain):
    swapped = after(onnxgraph.rename, chain, {"x": "y", "y": "x", "sum": "inner"})
    assert [report.worst for report in swapped.proven().reports] == [0, 0]
    named = after(onnxgraph.rename_nodes, chain, {"clip": "relu", "y": "clip"})
    assert [node.name for node in named.model.graph.node] == ["plus", "relu", "clip"]
    with pytest.raises(
        GraphError, match="'plus' cannot be renamed to 'flat', because another node has"
    ):
        onnxgraph.rename_nodes(chain, {"plus": "flat"})


def test_branches_keep_what_they_read_from_outside(graph, values):
    model = graph(BRANCHES)
    x, w = values(1, 2), np.array([1, -2], np.float32)
    plain = {True: np.maximum(-x * w, 0), False: -x + w}

    def check(edited, expected):
        for choice in (True, False):
            for batch in (1, 3):
                feeds = {"c": np.array(choice), "x": np.repeat(x, batch, 0)}
                y = onnxgraph.run_onnx(edited.model, feeds)["y"]
                np.testing.assert_allclose(y, np.repeat(expected[choice], batch, 0), rtol=1e-6)
        assert dims(edited.model)["y"] == ("batch", 2)

    turned = {True: np.maximum(x * w, 0), False: x + w}
    check(after(onnxgraph.insert_after, model, "a", "Neg"), turned)
    check(after(onnxgraph.remove, model, "negate"), turned)
    check(after(onnxgraph.remove, model, "clip"), plain | {True: -x * w})
    # What is left of the branch is a tensor from outside: an Identity makes it the branch's own.
    check(after(onnxgraph.remove, model, ["inner", "clip"]), plain | {True: -x})
    check(after(onnxgraph.insert_after, model, "p", "Neg"), plain | {True: -plain[True]})
    check(after(onnxgraph.insert_before, model, "other", "Abs"), plain | {False: np.abs(x) + w})
    check(after(onnxgraph.replace, model, "inner", "Add"), plain | {True: np.maximum(-x + w, 0)})
    check(after(onnxgraph.set_weight, model, "w", -w), {True: np.maximum(x * w, 0), False: -x - w})
    check(after(onnxgraph.set_weight, model, "w", -w, only_for="other"), plain | {False: -x - w})
    check(after(onnxgraph.rename, model, {"a": "outer", "q": "within", "w": "weight"}), plain)
    check(after(onnxgraph.rename_nodes, model, {"inner": "product"}), plain)
    with pytest.raises(GraphError, match="'q' is inside a branch or body of If 'choose'"):
        onnxgraph.add_outputs(model, "q")
    part = after(onnxgraph.cut, model, inputs=["a", "c"])
    assert {spec.name for spec in onnxgraph.inputs(part.model)} == {"a", "c"}
    assert part.proven().reports[1].ok


def test_loop_bodies_too(graph):
    model = graph(
        """g (int64 n, float[2] x) => (float[2] y) <bool go = {1}, float[2] w = {1.0, 2.0}> {
            [begin] a = Neg(x)
            [turn] y = Loop (n, go, a) <body = b (int64 i, bool on, float[2] s) =>
                (bool more, float[2] t) { more = Identity(on) [step] t = Add(s, w) }>
        }"""
    )
    x = np.array([1, 2], np.float32)
    feeds = {"n": np.array(3, np.int64), "x": x}
    w = np.array([1, 2], np.float32)
    run = lambda result: onnxgraph.run_onnx(result.model, feeds)["y"]  # noqa: E731
    np.testing.assert_array_equal(run(after(onnxgraph.remove, model, "begin")), x + 3 * w)
    np.testing.assert_array_equal(run(after(onnxgraph.insert_after, model, "w", "Neg")), -x - 3 * w)
    inner = after(onnxgraph.insert_after, model, "s", "Abs")  # |x| in the first round, then sums
    np.testing.assert_array_equal(run(inner), x + 3 * w)
    np.testing.assert_array_equal(run(after(onnxgraph.set_weight, model, "w", 2 * w)), -x + 6 * w)
    removed = after(onnxgraph.remove, model, "step", through="s")
    np.testing.assert_array_equal(run(removed), -x)
    assert "the weight 'w'" in repr(removed)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64, np.int64, bool])
def test_weights_are_stored_as_they_were(dtype, raw):
    old = np.array([[1, 0], [0, 1]]).astype(dtype)
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    weight = onnx.helper.make_tensor("w", kind, (2, 2), old.tobytes() if raw else old, raw=raw)
    held = onnx.helper.make_node("Constant", [], ["k"], name="held", value=weight)
    held.attribute[0].t.name = ""
    nodes = [
        held,
        onnx.helper.make_node("Identity", ["w"], ["a"], name="first"),
        onnx.helper.make_node("Identity", ["w"], ["b"], name="second"),
        onnx.helper.make_node("Identity", ["k"], ["c"], name="third"),
    ]
    outputs = [onnx.helper.make_tensor_value_info(name, kind, (2, 2)) for name in "abc"]
    graph = onnx.helper.make_graph(nodes, "g", [], outputs, [weight])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)])
    model.ir_version = 8
    new = np.array([[0, 1], [1, 1]]).astype(dtype)

    def run(result):
        return onnxgraph.run_onnx(result.model, {}) if dtype is not ml_dtypes.bfloat16 else None

    shared = after(onnxgraph.set_weight, model, "w", new)
    assert "read by Identity 'first', Identity 'second'" in repr(shared)
    (kept,) = shared.model.graph.initializer
    assert kept.HasField("raw_data") == raw
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(kept), new)
    constant = after(onnxgraph.set_weight, model, "k", new).model.graph.node[0].attribute[0].t
    assert constant.HasField("raw_data") == raw
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(constant), new)
    seen = run(after(onnxgraph.set_weight, model, "w", new, only_for="second"))
    if seen:
        np.testing.assert_array_equal(seen["a"], old)
        np.testing.assert_array_equal(seen["b"], new)
    with pytest.raises(GraphError, match=r"must be \w+, but the value is complex64"):
        onnxgraph.set_weight(model, "w", new.astype(np.complex64))
    with pytest.raises(GraphError, match=r"must have the shape \(2, 2\), but the value has \(4,\)"):
        onnxgraph.set_weight(model, "w", new.ravel())
    with pytest.raises(UnknownName, match="no reader of 'w' named 'third'"):
        onnxgraph.set_weight(model, "w", new, only_for="third")


def test_sparse_weights_become_dense(values):
    sparse = onnx.helper.make_sparse_tensor(
        onnx.helper.make_tensor("w", TensorProto.FLOAT, [1], [2.0]),
        onnx.helper.make_tensor("at", TensorProto.INT64, [1], [1]),
        [4],
    )
    x, y = (onnx.helper.make_tensor_value_info(n, TensorProto.FLOAT, ["b", 4]) for n in "xy")
    nodes = [
        onnx.helper.make_node("Add", ["x", "w"], ["a"], name="add"),
        onnx.helper.make_node("Neg", ["a"], ["y"], name="turn"),
    ]
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], sparse_initializer=[sparse])
    imports = [onnx.helper.make_opsetid("", 13)]
    model = onnx.helper.make_model(graph, opset_imports=imports, ir_version=8)
    feeds = {"x": values(3, 4)}
    result = onnxgraph.insert_after(model, "a", "Neg").model
    expected = feeds["x"] + np.array([0, 2, 0, 0], np.float32)
    np.testing.assert_array_equal(onnxgraph.run_onnx(result, feeds)["y"], expected)
    assert not onnxgraph.remove(model, "add").model.graph.sparse_initializer
    dense = onnxgraph.set_weight(model, "w", np.ones(4, np.float32)).model
    np.testing.assert_array_equal(onnxgraph.run_onnx(dense, feeds)["y"], -(feeds["x"] + 1))


def test_a_weight_that_is_a_shape_changes_the_shapes(chain, values):
    result = after(onnxgraph.set_weight, chain, "target", np.array([-1, 3], np.int64))
    x = values(2, 2, 3)
    assert onnxgraph.run_onnx(result.model, {"x": x})["y"].shape == (4, 3)
    assert dims(result.model)["y"][1] == 3
    assert dims(result.model)["y"][0] != "batch"
    plain = chain
    plain.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["n"], value_ints=[1, 2]))
    assert after(onnxgraph.set_weight, plain, "n", np.array([3, 4])).model.graph.node


def test_initializers_of_ir_3_stay_listed_as_inputs(graph, values):
    model = graph(
        """g (float[b, 2] x, float[2] w, float[2] v) => (float[b, 2] y)
        <float[2] w = {1.0, 2.0}, float[2] v = {3.0, 4.0}> {
            [one] a = Mul(x, w)  [two] y = Add(a, v)
        }""",
        opset=8,
    )
    model.ir_version = 3
    x = values(3, 2)
    more = after(onnxgraph.insert_after, model, "a", "Mul", others=[np.float32(2)]).model
    assert len(more.graph.input) == 4
    assert [spec.name for spec in onnxgraph.inputs(more)] == ["x"]
    np.testing.assert_allclose(
        onnxgraph.run_onnx(more, {"x": x})["y"], 2 * x * [1, 2] + [3, 4], rtol=1e-6
    )
    less = after(onnxgraph.remove, model, "one").model
    assert [value.name for value in less.graph.input] == ["x", "v"]
    assert [value.name for value in after(onnxgraph.cut, model, outputs="a").model.graph.input] == [
        "x",
        "w",
    ]
    with pytest.raises(UnknownName, match="no input named 'w'"):
        onnxgraph.set_inputs(model, "w:float32:3")


def test_inner_tensors_are_exposed(chain):
    result = after(onnxgraph.add_outputs, chain, ["sum"])
    assert dims(result.model)["sum"] == ("batch", 2, 3)
    assert [row.name for row in result.proven().reports[1].rows].count("sum") == 1
    back = after(onnxgraph.cut, result.model, outputs=["y", "z"])
    assert [value.name for value in back.model.graph.output] == ["y", "z"]
    assert onnxgraph.same(chain, back.model)[0].worst == 0
    for name, kind, words in [
        ("z", GraphError, "'z' is an output already"),
        ("bias", GraphError, "'bias' is an input or a weight, and no node computes"),
        ("summ", UnknownName, "closest are 'sum'"),
    ]:
        with pytest.raises(kind, match=words):
            onnxgraph.add_outputs(chain, name)


def test_a_part_is_cut_out_and_joined_again(chain, graph):
    head = after(onnxgraph.cut, chain, outputs="sum")
    tail = after(onnxgraph.cut, chain, inputs="sum")
    assert dims(head.model) == {"sum": ("batch", 2, 3)}
    assert onnxgraph.inputs(tail.model)[0].shape == ("batch", 2, 3)
    assert head.proven().reports[1].ok
    assert tail.proven().reports[1].ok
    whole = after(onnxgraph.join, head.model, tail.model, {"sum": "sum"})
    assert onnxgraph.same(chain, whole.model)[1].worst == 0
    weight = after(onnxgraph.cut, chain, inputs=["x", "bias"], outputs="z").model
    assert [spec.name for spec in onnxgraph.inputs(weight)] == ["x", "bias"]
    two = graph("g (float[n] a, float[n] b) => (float[n] y) { s = Add(a, b) y = Mul(s, b) }")
    for options, words in [
        ({"inputs": "a"}, "'y' cannot be computed from 'a' alone: 'b' is needed too"),
        ({"inputs": ["s", "a", "b"]}, "'y' does not need 'a'"),
        ({"inputs": ["s", "b"], "outputs": ["s", "y"]}, "'s' cannot be an output"),
    ]:
        with pytest.raises(GraphError, match=words):
            onnxgraph.cut(two, **options)
    with pytest.raises(UnknownName, match="no tensor named 'ss'"):
        onnxgraph.cut(two, outputs="ss")


def test_models_are_joined(chain, graph, values):
    # It uses the first model's names inside, and calls the batch n.
    head = graph(
        """head (float[n, 6] x) => (float[n, 6] scores)
        <float[6] bias = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}> {
            [plus] sum = Mul(x, bias)  [squash] scores = Softmax<axis = 1>(sum)
        }"""
    )
    joined = after(onnxgraph.join, chain, head, {"x": "y"})
    assert "size 'n' of the second model is 'batch'" in repr(joined)
    assert "renamed in the second model: 'bias' → 'bias_1', 'sum' → 'sum_1'" in repr(joined)
    assert dims(joined.model) == {"z": ("batch", 2, 3), "scores": ("batch", 6)}
    for batch in (1, 4):
        feeds = {"x": values(batch, 2, 3)}
        first = onnxgraph.run_onnx(chain, feeds)
        second = onnxgraph.run_onnx(head, {"x": first["y"]})
        seen = onnxgraph.run_onnx(joined.model, feeds)
        np.testing.assert_array_equal(seen["scores"], second["scores"])
        np.testing.assert_array_equal(seen["z"], first["z"])


def test_models_that_do_not_fit_are_not_joined(chain, graph):
    def second(inputs, body="y2 = Neg(x)", outputs="float y2", opset=13):
        text = f"g ({inputs}) => ({outputs}) {{ {body} }}"
        return onnx.parser.parse_model(f'<ir_version: 7, opset_import: ["" : {opset}]>{text}')

    for model, feeds, words in [
        (second("float16[n, 6] x"), {"x": "y"}, "it is float32, but float16 is needed"),
        (second("float[n, 7] x"), {"x": "y"}, r"shape \(batch, 6\), but \(n, 7\) is needed"),
        (second("float[1, 6] x"), {"x": "y"}, "if the second accepts any size"),
        (second("float[n] x"), {"x": "y"}, "Put a Reshape between"),
        (second("float[n, 6] x", opset=12), {"x": "y"}, r"ai.onnx 13, the second in 12"),
        (
            second("float[n, 6] a, float[n, 6] x", "y2 = Add(a, x)"),
            {"a": "y"},
            "'x', which is not joined",
        ),
        (
            second("float[n, 6] x", "z = Neg(x)", "float z"),
            {"x": "y"},
            "output 'z', which is not joined",
        ),
        (second("float[n, 6] x", "sum = Neg(x)", "float sum"), {"x": "y"}, "'sum' is an input or"),
        (second("float[n, 6] x"), {}, "No input of the second model is fed"),
        (second("float[n, 6] x"), {"u": "y"}, "no input of the second model named 'u'"),
        (second("float[n, 6] x"), {"x": "u"}, "no output of the first model named 'u'"),
    ]:
        with pytest.raises((GraphError, UnknownName), match=words):
            onnxgraph.join(chain, model, feeds)


def test_inputs_take_another_dtype_and_shape(chain, graph, values):
    bytes_ = after(onnxgraph.set_inputs, chain, "x:uint8:n,2,3")
    assert onnxgraph.inputs(bytes_.model)[0].dtype == "uint8"
    assert bytes_.proven().reports[1].ok
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(
        onnxgraph.run_onnx(bytes_.model, {"x": pixels})["z"], pixels + np.array([1.0, 2, 3])
    )
    fixed = after(onnxgraph.set_inputs, chain, "x:float32:4,2,3")
    assert dims(fixed.model) == {"y": (4, 6), "z": (4, 2, 3)}
    assert fixed.proven().reports[0].ok
    model = graph(
        "g (float[1, 2] x) => (float[1, 2] y) <int64[2] s = {1, 2}> { [f] y = Reshape(x, s) }"
    )
    with pytest.raises(GraphError, match=r"'x' in the new form: .*Reshape.*make_batch_dynamic"):
        onnxgraph.set_inputs(model, "x:float32:batch,2")
    with pytest.raises(GraphError, match=r"has 3 dims, \(batch, 2, 3\), but x:float32:batch,6"):
        onnxgraph.set_inputs(chain, "x:float32:batch,6")
    with pytest.raises(GraphError, match=r"'x' in the new form: The shapes .* do not fit"):
        onnxgraph.set_inputs(chain, "x:float32:batch,2,4")


def test_a_first_dim_becomes_a_symbol_only_if_rows_stay_rows(graph, values):
    model = graph(
        """g (float[1, 3, 4] x) => (float[1, 2] y) <int64[2] all = {1, -1}> {
            r = Reshape(x, all)
            s = ReduceMean<axes = [1]>(r)
            y = Concat<axis = 1>(s, s)
        }
        """
    )
    words = r"the output 'y'.* at batch 2, so rows of 'n' do not stay rows.*use make_batch_dynamic"
    with pytest.raises(GraphError, match=words):
        onnxgraph.set_inputs(model, "x:float32:n,3,4")
    assert dims(onnxgraph.set_inputs(model, "x:float32:n,3,4", try_run=False).model)["y"]
    model = graph(
        "g (float[2, 3] x, float[1, 3] w) => (float[2, 3] y) { a = Mul(x, x) y = Add(a, w) }"
    )
    freed = after(onnxgraph.set_inputs, model, "x:uint8:batch,3").model
    x, w = np.arange(15, dtype=np.uint8).reshape(5, 3), values(1, 3)
    y = onnxgraph.run_onnx(freed, {"x": x, "w": w})["y"]
    np.testing.assert_allclose(y, np.float32(x) ** 2 + w, rtol=1e-6)
    with pytest.raises(GraphError, match=r"first dims \{'x': 2, 'w': 1\} cannot all be 'n'"):
        onnxgraph.set_inputs(model, "x:float32:n,3 w:float32:n,3")


def test_notes_stand_in_the_order_of_the_graph(graph):
    nodes = " ".join(f"t{place + 1} = Relu(t{place})" for place in range(30))
    model = graph(f"g (float[n, 3] t0) => (float[n, 3] y) {{ {nodes} y = Neg(t30) }}")
    model = onnx.shape_inference.infer_shapes(model)
    longer = onnxgraph.insert_after(model, "t2", "Mul", others=[np.float32(2)]).model
    wider = onnxgraph.set_inputs(model, "t0:float32:n,5").model
    for result in (longer, wider):
        made = [name for node in result.graph.node for name in node.output]
        assert [value.name for value in result.graph.value_info] == made[:-1]


def test_notes_are_right_after_an_edit_or_gone(graph):
    # Inference knows neither the batch behind a Reshape to -1, nor an operator of another domain.
    model = onnx.parser.parse_model(
        """<ir_version: 7, opset_import: ["" : 13, "elsewhere" : 1]>
        g (float[batch, 2, 4, 4] x) => (float[batch, 32] y, float[batch, 3] z)
        <int64[2] s = {-1, 32}> {
            [clip] a = Relu(x)
            [shrink] b = MaxPool<kernel_shape = [1, 1]>(a)
            [flat] y = Reshape(b, s)
            [foreign] z = elsewhere.Op(y)
        }"""
    )
    kept = after(onnxgraph.remove, model, "clip").model
    assert dims(kept) == {"y": ("batch", 32), "z": ("batch", 3)}
    with pytest.raises(GraphError, match=r"shape of the output 'z' is unknown.*elsewhere"):
        onnxgraph.set_attributes(model, "shrink", strides=[2, 2])
    model = onnxgraph.cut(model, outputs="y").model
    assert dims(model) == {"y": ("batch", 32)}
    smaller = onnxgraph.set_attributes(model, "shrink", strides=[2, 2]).model
    assert dims(smaller) == {"y": ("y_dim0", 32)}  # a row is made of four pictures now
    wider = after(onnxgraph.set_weight, model, "s", np.array([-1, 16])).model
    assert dims(wider) == {"y": ("y_dim0", 16)}
    taller = after(onnxgraph.set_inputs, model, "x:float32:images,2,4,4").model
    assert dims(taller) == {"y": ("images", 32)}


def test_names_are_escaped_and_changes_marked(graph):
    evil = "<script>&\"'"
    model = graph("g (float[2] x) => (float[2] y) { a = Relu(x) b = Neg(a) y = Abs(b) }")
    for node in model.graph.node:
        node.name = f"{node.op_type}{evil}"
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = evil
    result = onnxgraph.insert_after(model, evil, "Exp", name=f"new{evil}")
    page = result._repr_html_()
    assert "<script>" not in page
    assert page.count("<img src='data:image/svg+xml;base64,") == 2
    picture = onnxgraph.excerpt(result.model, [f"new{evil}"])
    assert repr(picture).splitlines() == [
        f"Relu Relu{evil}",
        f"*Exp new{evil}",
        f"Neg Neg{evil}",
    ] or repr(picture).startswith("input x")
    assert picture.svg.count("stroke-width='4'") == 1
    assert "and 1976 more nodes" in repr(
        onnxgraph.excerpt(
            graph(
                "g (float[2] x) => (float[2] y) {"
                + "".join(f"t{n + 1} = Neg({'x' if not n else f't{n}'}) " for n in range(2000))
                + "y = Neg(t2000) }"
            ),
            [f"t{n}" for n in range(1, 2001)],
        )
    )
