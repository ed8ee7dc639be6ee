"""Files that runtimes take and ONNX's inference stumbles over: stale notes, sparse weights."""

import numpy as np
import pytest
from onnx import helper, numpy_helper

from graphcore.errors import GraphError
from nbhelpers import onnxgraph

VERBS = {
    "insert_after": lambda m: onnxgraph.insert_after(m, "a", "Identity"),
    "insert_before": lambda m: onnxgraph.insert_before(m, "last", "Identity"),
    "rename": lambda m: onnxgraph.rename(m, {"a": "b"}),
    "rename_nodes": lambda m: onnxgraph.rename_nodes(m, {"last": "end"}),
    "replace": lambda m: onnxgraph.replace(m, "last", "Max", inputs=["a", np.float32(0)]),
    "set_attributes": lambda m: onnxgraph.set_attributes(m, "first", group=1),
    "set_inputs": lambda m: onnxgraph.set_inputs(m, "x:float64:4,3,6,6"),
    "cut": lambda m: onnxgraph.cut(m, outputs="y"),
    "add_outputs": lambda m: onnxgraph.add_outputs(m, "a"),
    "lower_opset": lambda m: onnxgraph.lower_opset(m, 12),
    "simplify": onnxgraph.simplify,
    "make_batch_dynamic": onnxgraph.make_batch_dynamic,
}


def model(notes=(), weight=None, sparse=(), inputs=(4, 3, 6, 6), outputs=(4, 4, 4, 4)):
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["y"], name="last"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", 1, inputs)],
        [value("y", 1, outputs)],
        [] if weight is None else [numpy_helper.from_array(weight, "w")],
        value_info=[value(name, 1, shape) for name, shape in notes],
        sparse_initializer=sparse,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def stale(values):
    """The batch was set from 1 to 4 by a script, which forgot the tensor between the nodes."""
    return model([("a", (1, 4, 4, 4))], values(4, 3, 3, 3, seed=1))


def sparse_weight(values, *, flat):
    dense = values(4, 3, 3, 3, seed=1) * (np.arange(108).reshape(4, 3, 3, 3) % 5 == 0)
    places = np.argwhere(dense).astype(np.int64)
    kept = numpy_helper.from_array(dense[tuple(places.T)], "w")
    if flat:
        places = np.ravel_multi_index(tuple(places.T), dense.shape)
    where = numpy_helper.from_array(places.astype(np.int64), "w_places")
    return dense, helper.make_sparse_tensor(kept, where, [4, 3, 3, 3])


def output(edited, x):
    (spec,) = onnxgraph.inputs(edited)
    return onnxgraph.run_onnx(edited, {spec.name: x.astype(spec.dtype)}, fetch=["y"])["y"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", ["stale", "sparse", "sparse, flat"])
def test_every_verb_takes_the_file(values, verb, kind):
    if kind == "stale":
        before = stale(values)
    else:
        before = model(sparse=[sparse_weight(values, flat="flat" in kind)[1]])
    content = before.SerializeToString()
    x = values(4, 3, 6, 6)
    result = VERBS[verb](before)
    assert not getattr(result, "reason", "")
    np.testing.assert_allclose(output(result.model, x), output(before, x), rtol=1e-5, atol=1e-6)
    notes = {each.name: each for each in result.model.graph.value_info}
    batch = 4 if verb != "make_batch_dynamic" else "batch"
    for name in {"a", "b"} & set(notes):
        dim = notes[name].type.tensor_type.shape.dim[0]
        assert (dim.dim_param or dim.dim_value) == batch
    assert not result.model.graph.sparse_initializer
    assert before.SerializeToString() == content


def test_a_sparse_weight_can_be_cut_at_read_and_saved(values, tmp_path):
    dense, sparse = sparse_weight(values, flat=False)
    before = model(sparse=[sparse])
    part = onnxgraph.cut(before, inputs=["x", "w"])
    x = values(4, 3, 6, 6)
    seen = onnxgraph.run_onnx(part.model, {"x": x, "w": dense})["y"]
    np.testing.assert_allclose(seen, output(before, x), rtol=1e-5, atol=1e-6)
    onnxgraph.save(before, tmp_path / "m.onnx")
    again = onnxgraph.infer_shapes(onnxgraph.load(tmp_path / "m.onnx"))
    np.testing.assert_array_equal(numpy_helper.to_array(again.graph.initializer[0]), dense)
    assert onnxgraph.weight_sizes(again)["name"].tolist() == ["w"]


def test_a_sparse_constant_inside_a_branch(graph, values):
    before = graph(
        """g (float[N, 3] x) => (float[N, 3] y) <bool c = {1}> {
            y = If(c)<then_branch = t () => (float[N, 3] a) { k = Constant() a = Add(x, k) },
                      else_branch = e () => (float[N, 3] b) { b = Neg(x) }>
        }""".replace("k = Constant()", "k = Constant<value = float[3] {0., 2., 0.}>()")
    )
    attribute = before.graph.node[0].attribute[0].g.node[0].attribute[0]
    kept, places = np.array([2.0], np.float32), np.array([1], np.int64)
    tensors = numpy_helper.from_array(kept), numpy_helper.from_array(places)
    attribute.CopyFrom(
        helper.make_attribute("sparse_value", helper.make_sparse_tensor(*tensors, [3]))
    )
    result = onnxgraph.insert_after(before, "y", "Neg").model
    x, shift = values(5, 3), np.array([0, 2, 0], np.float32)
    np.testing.assert_array_equal(onnxgraph.run_onnx(result, {"x": x})["y"], -(x + shift))


def test_a_size_that_was_left_beside_a_symbol_is_no_longer_believed(values):
    """A script made the batch of the input a symbol, and forgot every other note."""
    before = model(
        [("a", (1, 4, 4, 4))],
        values(4, 3, 3, 3, seed=1),
        inputs=("N", 3, 6, 6),
        outputs=(1, 4, 4, 4),
    )
    result = onnxgraph.insert_after(before, "y", "Neg").model
    assert onnxgraph.outputs(result)[0].shape == ("N", 4, 4, 4)
    note = onnxgraph.infer_shapes(before).graph.value_info[0]
    assert note.type.tensor_type.shape.dim[0].dim_param == "N"


def test_an_output_that_is_labelled_wrongly_is_labelled_anew(values):
    before = model(weight=values(4, 3, 3, 3, seed=1), outputs=(1, 4, 4, 4))
    assert onnxgraph.outputs(onnxgraph.infer_shapes(before))[0].shape == (4, 4, 4, 4)


def test_what_inference_cannot_tell_is_still_believed(graph):
    before = graph(
        """g (float[N, 6] x, int64[2] t) => (float[N, 6] y) { a = Reshape(x, t) y = Neg(a) }"""
    )
    before.graph.value_info.append(helper.make_tensor_value_info("a", 1, ["N", 6]))
    notes = onnxgraph.infer_shapes(before).graph.value_info
    assert [dim.dim_param or dim.dim_value for dim in notes[0].type.tensor_type.shape.dim] == [
        "N",
        6,
    ]


def test_nodes_that_contradict_each_other_are_still_refused(graph):
    before = graph("g (float[2, 3] x, float[2, 3] z) => (float[2, 3] y) { y = Add(x, z) }")
    del before.graph.input[1].type.tensor_type.shape.dim[:]
    for size in (4, 3):
        before.graph.input[1].type.tensor_type.shape.dim.add(dim_value=size)
    before.graph.value_info.append(helper.make_tensor_value_info("k", 1, [1]))
    with pytest.raises(GraphError, match="do not fit together"):
        onnxgraph.infer_shapes(before)


def test_stale_notes_inside_a_branch(graph, values):
    before = graph(
        """g (float[4, 3] x) => (float[4, 3] y) <bool c = {1}> {
            y = If(c)<then_branch = t () => (float[4, 3] a) { k = Relu(x) a = Neg(k) },
                      else_branch = e () => (float[4, 3] b) { b = Neg(x) }>
        }"""
    )
    inner = before.graph.node[0].attribute[0].g
    inner.value_info.append(helper.make_tensor_value_info("k", 1, [1, 3]))
    result = onnxgraph.insert_after(before, "y", "Neg").model
    x = values(4, 3)
    np.testing.assert_array_equal(onnxgraph.run_onnx(result, {"x": x})["y"], np.maximum(x, 0))
