"""What a refused edit advises is done to the letter, and gets through."""

import re

import numpy as np
import onnx
import pytest

from graphcore.errors import GraphError
from nbhelpers import onnxgraph
from nbhelpers.onnxgraph import run_onnx

X = np.array([[1, -2, 3], [4, 5, -6]], np.float32)


def refused(do, words):
    with pytest.raises(GraphError, match=words) as no:
        do()
    return str(no.value)


def called(said, **models):
    """Return the model that the call in a message gives."""
    call = re.search(
        r"\b[a-z_]+\((?:first|second|model)\b.*?\)(?=\.( |$)|, (or|if) |, which)", said
    )
    return eval(call.group(), {**vars(onnxgraph), "np": np, **models}).model


def second(inputs, body="y2 = Neg(x)", outputs="float y2", opset=13):
    text = f"h ({inputs}) => ({outputs}) {{ {body} }}"
    return onnx.parser.parse_model(f'<ir_version: 7, opset_import: ["" : {opset}]>{text}')


@pytest.fixture
def first(graph):
    return graph("g (float[n, 3] x) => (float[n, 3] y) { s = Relu(x) y = Exp(s) }")


def test_a_cast_between_joins(first):
    other = second("double[n, 3] x", outputs="double y2")
    said = refused(lambda: onnxgraph.join(first, other, {"x": "y"}), "Put a Cast between")
    joined = onnxgraph.join(called(said, first=first), other, {"x": "y"}).model
    seen = run_onnx(joined, {"x": X})["y2"]
    np.testing.assert_array_equal(seen, -run_onnx(first, {"x": X})["y"].astype(float))


def test_a_reshape_between_joins(first):
    other = second("float[n] x")
    said = refused(lambda: onnxgraph.join(first, other, {"x": "y"}), "Put a Reshape between")
    joined = onnxgraph.join(called(said, first=first), other, {"x": "y"}).model
    seen = run_onnx(joined, {"x": X})["y2"]
    np.testing.assert_array_equal(seen, -run_onnx(first, {"x": X})["y"].ravel())


def test_a_second_model_of_fixed_sizes_joins(first):
    other = second("float[1, 3] x")
    said = refused(
        lambda: onnxgraph.join(first, other, {"x": "y"}), r"Use fix_dims.*, or make_batch"
    )
    fixed = onnxgraph.join(called(said, first=first), other, {"x": "y"}).model
    expected = -run_onnx(first, {"x": X})["y"]
    np.testing.assert_array_equal(run_onnx(fixed, {"x": X[:1]})["y2"], expected[:1])
    free = onnxgraph.make_batch_dynamic(other).model
    joined = onnxgraph.join(first, free, {"x": "y"}).model
    np.testing.assert_array_equal(run_onnx(joined, {"x": X})["y2"], expected)
    other = second("float[n, 4] x")
    said = refused(lambda: onnxgraph.join(first, other, {"x": "y"}), r"Use free_dims\(second")
    joined = onnxgraph.join(first, called(said, second=other), {"x": "y"}).model
    np.testing.assert_array_equal(run_onnx(joined, {"x": X})["y2"], expected)


def test_opsets_and_names_are_made_to_fit(first):
    other = second("float[n, 3] x", opset=12)
    refused(
        lambda: onnxgraph.join(first, other, {"x": "y"}), "the lower one first, with lower_opset"
    )
    lower = onnxgraph.lower_opset(first, 12).model
    assert onnxgraph.opset(onnxgraph.join(lower, other, {"x": "y"}).model) == 12
    for other, words in [
        (second("float[n, 3] x", "s = Neg(x)", "float s"), "an inner tensor of the first. Rename"),
        (second("float[n, 3] a, float[n, 3] x", "y2 = Sub(a, x)"), "Both models have"),
    ]:
        fed = other.graph.input[0].name
        said = refused(lambda: onnxgraph.join(first, other, {fed: "y"}), words)  # noqa: B023
        joined = onnxgraph.join(first, called(said, second=other), {fed: "y"}).model
        given = {spec.name: X for spec in onnxgraph.inputs(joined)}
        last = run_onnx(first, {"x": X})["y"]
        expected = -last if len(given) == 1 else last - X
        np.testing.assert_array_equal(list(run_onnx(joined, given).values())[-1], expected)


BRANCHES = """g (float[n, 3] x, bool c) => (float[n, 3] y) { y = If(c) <
    then_branch = t () => (float[n, 3] q) { [one] q = Abs(x) },
    else_branch = e () => (float[n, 3] q) { [two] q = Exp(x) }> }"""


def test_a_node_of_a_branch_is_named(graph):
    model = graph(BRANCHES)
    refused(lambda: onnxgraph.insert_after(model, "q", "Neg"), "Name the node that writes the one")
    made = onnxgraph.insert_after(model, "one", "Neg").model
    for c, expected in ((True, -np.abs(X)), (False, np.exp(X))):
        seen = run_onnx(made, {"x": X, "c": np.array(c)})["y"]
        np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_ends_of_a_cut(graph):
    model = graph(BRANCHES)
    refused(lambda: onnxgraph.cut(model, outputs="q"), "Use one that the node itself writes")
    assert onnxgraph.cut(model, outputs="y").model
    two = graph("g (float[n] a, float[n] b) => (float[n] y) { s = Add(a, b) y = Mul(s, b) }")
    refused(lambda: onnxgraph.cut(two, inputs="s"), "'b' is needed too. Add it to the inputs")
    part = onnxgraph.cut(two, inputs=["s", "b"]).model
    refused(lambda: onnxgraph.cut(two, inputs=["s", "b", "a"]), "Leave it out of the inputs")
    given = {"s": X[0], "b": X[1]}
    np.testing.assert_array_equal(run_onnx(part, given)["y"], X[0] * X[1])
    foreign = onnx.parser.parse_model(
        """<ir_version: 7, opset_import: ["" : 13, "own" : 1]> g (float[n, 3] x) => (float[n, 3] y)
        { a = Relu(x) b = own.Twice(a) y = Neg(a) }"""
    )
    refused(lambda: onnxgraph.cut(foreign, outputs="b"), "Choose a tensor before or after")
    seen = run_onnx(onnxgraph.cut(foreign, outputs="a").model, {"x": X})["a"]
    np.testing.assert_array_equal(seen, np.maximum(X, 0))


def test_an_input_is_exposed_behind_an_identity(first):
    refused(lambda: onnxgraph.add_outputs(first, "x"), "Put an Identity after it with insert_after")
    behind = onnxgraph.insert_after(first, "x", "Identity").model
    shown = onnxgraph.add_outputs(behind, "x_Identity").model
    np.testing.assert_array_equal(run_onnx(shown, {"x": X})["x_Identity"], X)


def test_an_output_that_is_an_input_is_cut_off(graph):
    model = graph("g (float[n, 3] x) => (float[n, 3] x, float[n, 3] y) { y = Exp(x) }")
    refused(lambda: onnxgraph.insert_after(model, "x", "Neg"), r"cut\(model, outputs=\[…\]\)")
    made = onnxgraph.insert_after(onnxgraph.cut(model, outputs=["y"]).model, "x", "Neg").model
    np.testing.assert_allclose(run_onnx(made, {"x": X})["y"], np.exp(-X), rtol=1e-6)


def test_numbers_and_weights_get_a_dtype_and_a_shape(graph):
    model = graph("g (float[n, 3] x) => (float[n, 3] y) <float[3] w = {1, 2, 3}> { y = Mul(x, w) }")
    said = refused(
        lambda: onnxgraph.insert_after(model, "x", "Add", others=[2.0]), "as in np.float32"
    )
    number = eval(re.search(r"np\.float32\(2\.0\)", said).group())
    made = onnxgraph.insert_after(model, "x", "Add", others=[number]).model
    np.testing.assert_array_equal(run_onnx(made, {"x": X})["y"], (X + 2) * [1, 2, 3])
    value = np.array([4, 5, 6])
    refused(lambda: onnxgraph.set_weight(model, "w", value), r"\.astype\('float32'\)")
    made = onnxgraph.set_weight(model, "w", value.astype("float32")).model
    np.testing.assert_array_equal(run_onnx(made, {"x": X})["y"], X * value)
    wide = value.astype("float32")[None]
    refused(lambda: onnxgraph.set_weight(model, "w", wide), "Transpose or reshape it")
    assert onnxgraph.set_weight(model, "w", wide.reshape(3)).model
    refused(lambda: onnxgraph.set_attributes(_flat(graph), "y", axis=2**70), "that ONNX can store")
    assert onnxgraph.set_attributes(_flat(graph), "y", axis=2).model


def _flat(graph):
    return graph("g (float[2, 3, 4] x) => (float[a, b] y) { y = Flatten(x) }")


def test_what_cannot_be_removed_is_begun_behind(graph):
    model = graph(
        "g (float[n, 4] x) => (float[n, 2] y) { [halve] a, b = Split<axis = 1>(x) y = Sub(a, b) }"
    )
    said = refused(lambda: onnxgraph.remove(model, "halve"), "Begin after it with cut")
    part = called(said, model=model)
    np.testing.assert_array_equal(run_onnx(part, _pair())["y"], [[-2, -2]])
    refused(lambda: onnxgraph.remove(model, "y"), "Say with through=")
    less = onnxgraph.remove(model, "y", through="b").model
    x = np.array([[1, 2, 3, 4]], np.float32)
    np.testing.assert_array_equal(run_onnx(less, {"x": x})["y"], [[3, 4]])
    refused(lambda: onnxgraph.insert_after(model, "halve", "Neg"), "Name the one you mean")
    made = onnxgraph.insert_after(model, "a", "Neg").model
    np.testing.assert_array_equal(run_onnx(made, {"x": x})["y"], [[-4, -6]])


def _pair():
    return {"a": np.array([[1, 2]], np.float32), "b": np.array([[3, 4]], np.float32)}


def test_an_identity_of_an_output_is_cut_off(graph):
    model = graph(
        "g (float[n, 3] x) => (float[n, 3] z, float[n, 3] y) { z = Exp(x) y = Identity(z) }"
    )
    refused(
        lambda: onnxgraph.remove(model, "y"), r"Remove that output: cut\(model, outputs=\[…\]\)"
    )
    assert [node.op_type for node in onnxgraph.cut(model, outputs=["z"]).model.graph.node] == [
        "Exp"
    ]


def test_names_that_are_taken(graph):
    body = "[k] a = Relu(x) [k] b = Neg(a) y = Exp(b)"
    twice = graph(f"g (float[n, 3] x) => (float[n, 3] y) {{ {body} }}")
    model = graph(f"g (float[n, 3] x) => (float[n, 3] y) {{ {body.replace('[k]', '')} }}")
    refused(lambda: onnxgraph.rename(model, {"a": "b"}), "rename that tensor in the same call")
    swapped = onnxgraph.rename(model, {"a": "b", "b": "a"}).model
    other = onnxgraph.rename(model, {"a": "c"}).model
    refused(lambda: onnxgraph.remove(twice, "k"), "Name the tensor that the node writes, or give")
    less = onnxgraph.remove(twice, "b").model
    named = onnxgraph.rename_nodes(twice, {"b": "minus"}).model
    again = onnxgraph.remove(named, "minus").model
    for each, sign in ((swapped, -1), (other, -1), (less, 1), (again, 1)):
        seen = run_onnx(each, {"x": X})["y"]
        np.testing.assert_allclose(seen, np.exp(sign * np.maximum(X, 0)), rtol=1e-6)
    refused(lambda: onnxgraph.insert_after(model, "a", "Add", others=["y"]), "computed earlier")
    made = onnxgraph.insert_after(model, "a", "Add", others=["x"]).model
    expected = np.exp(-(np.maximum(X, 0) + X))
    np.testing.assert_allclose(run_onnx(made, {"x": X})["y"], expected, rtol=1e-6)


def test_an_input_gets_another_rank(first):
    spec = "x:float32:n,3,1"
    said = refused(lambda: onnxgraph.set_inputs(first, spec), "put a Reshape behind it first")
    wide = onnxgraph.set_inputs(called(said, model=first), spec).model
    seen = run_onnx(wide, {"x": X[:, :, None]})["y"]
    np.testing.assert_array_equal(seen, run_onnx(first, {"x": X})["y"])


def test_a_batch_of_any_size(graph):
    model = graph(
        "g (float[1, 3] x) => (float[1, 3] y) <int64[2] s = {1, 3}> { y = Reshape(x, s) }"
    )
    refused(lambda: onnxgraph.set_inputs(model, "x:float32:n,3"), "use make_batch_dynamic")
    made = onnxgraph.make_batch_dynamic(model, symbol="n").model
    np.testing.assert_array_equal(run_onnx(made, {"x": X})["y"], X)
    points = graph("g (float[2, 3] x) => (float[1, 3] y) { y = ReduceMean<axes = [0]>(x) }")
    refused(lambda: onnxgraph.set_inputs(points, "x:float32:n,3"), "with try_run=False")
    free = onnxgraph.set_inputs(points, "x:float32:n,3", try_run=False).model
    np.testing.assert_allclose(run_onnx(free, {"x": X[:1]})["y"], X[:1])
