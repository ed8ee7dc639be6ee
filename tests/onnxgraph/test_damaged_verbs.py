"""Every verb refuses a model that is not valid in one sentence, also one that no file brought."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from graphcore.errors import GraphError
from nbhelpers import onnxgraph

VERBS = {
    "cost": onnxgraph.cost,
    "fix_dims": lambda model: onnxgraph.fix_dims(model, {"N": 2}),
    "make_batch_dynamic": onnxgraph.make_batch_dynamic,
    "infer_shapes": onnxgraph.infer_shapes,
    "insert_after": lambda model: onnxgraph.insert_after(model, "x", "Identity"),
    "lower_opset": lambda model: onnxgraph.lower_opset(model, 9),
    "run_onnx": lambda model: onnxgraph.run_onnx(model, {"x": np.ones((1, 4), np.float32)}),
    "find_nodes": onnxgraph.find_nodes,
    "fold_reshapes": onnxgraph.repairs.fold_reshapes,
    "simplify": onnxgraph.simplify,
}


def whole():
    text = '<ir_version: 8, opset_import: ["" : 13]> g (float[N, 4] x) => (float[N, 3] y)'
    return onnx.parser.parse_model(text + " { [mm] y = MatMul(x, w) }")


def with_weight(*, dims=(4, 3), count=12, kind=TensorProto.FLOAT):
    model = whole()
    model.graph.initializer.add(name="w", dims=dims, data_type=kind, raw_data=b"\0" * 4 * count)
    return model


def with_sparse(*, dims, places, shape=None):
    model = whole()
    values = helper.make_tensor("w", TensorProto.FLOAT, [len(places)], [1.0] * len(places))
    shape = [len(places)] if shape is None else shape
    indices = TensorProto(data_type=TensorProto.INT64, dims=shape, int64_data=places)
    sparse = onnx.SparseTensorProto(values=values, indices=indices, dims=dims)
    model.graph.sparse_initializer.append(sparse)
    return model


def without_values():
    model = with_sparse(dims=[4, 3], places=[1])
    model.graph.sparse_initializer[0].ClearField("values")
    return model


def with_functions(*calls):
    """Return a model whose function number i calls those of `calls[i]`."""
    model = with_weight()
    model.opset_import.append(helper.make_opsetid("d", 1))
    for number, called in enumerate(calls):
        nodes = [helper.make_node("Identity", ["a"], ["b"])]
        nodes += [
            helper.make_node(f"f{each}", ["a"], [f"c{i}"], domain="d")
            for i, each in enumerate(called)
        ]
        made = helper.make_function("d", f"f{number}", ["a"], ["b"], nodes, [*model.opset_import])
        model.functions.append(made)
    model.graph.node.append(helper.make_node("f0", ["y"], ["z"], domain="d"))
    return model


def in_another_file(**entries):
    model = with_weight(count=0)
    weight = model.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        weight.external_data.add(key=key, value=value)
    return model


def unknown_type():
    model = with_weight()
    model.graph.input[0].type.tensor_type.elem_type = 99
    return model


def with_constant(*outputs, **values):
    model = with_weight()
    model.graph.node.insert(0, helper.make_node("Constant", [], outputs, **values))
    return model


def with_empty_function():
    model = with_functions([])
    del model.functions[0].node[:]
    return model


DAMAGED = {
    "a Constant gives 'c' and has 0 values, but must have one": with_constant("c"),
    "a Constant gives no tensor and has 1 values": with_constant(value_ints=[1]),
    "nothing in its function 'f0' makes the output 'b'": with_empty_function(),
    "takes 48 bytes, but has 8": with_weight(count=2),
    "has the type 77, which ONNX does not have": with_weight(kind=77),
    "none may be negative": with_weight(dims=(-4, 3)),
    "'x' has the type 99": unknown_type(),
    "would take 4096 GiB with its zeros": with_sparse(dims=[2**40], places=[1]),
    "and indices beyond them": with_sparse(dims=[4, 3], places=[1, 12]),
    r"and \[2\] values at \[2, 1\] indices": with_sparse(dims=[4, 3], places=[1, 2], shape=[2, 1]),
    "the sparse tensor '' has no values, or no indices": without_values(),
    "functions call themselves endlessly: 'f0'": with_functions([0]),
    "endlessly: 'f.', 'f": with_functions([1], [0]),
    "call each other more than 100 deep": with_functions(*([i + 1] for i in range(150)), []),
    "written out it has .* nodes": with_functions(*([i + 1] * 2 for i in range(40)), []),
    "is in another file. Read the model with": in_another_file(location="weights.bin"),
    "says? where its values are|say where its values are|should be": in_another_file(
        location="weights.bin", basepath="/nowhere", offset="x"
    ),
}


def test_a_table_of_weights_leaves_out_what_has_no_name():
    assert list(onnxgraph.weight_sizes(with_constant(value_ints=[1]))["name"]) == ["w"]


@pytest.mark.parametrize("words", DAMAGED)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_what_is_not_valid(verb, words):
    model = DAMAGED[words]
    before = model.SerializeToString()
    with pytest.raises(GraphError, match=words) as caught:
        VERBS[verb](model)
    assert len(str(caught.value)) < 400
    assert str(caught.value).startswith("The model is not a valid ONNX model: ")
    assert model.SerializeToString() == before


def test_a_sparse_weight_of_a_size_that_fits_is_still_taken():
    model = with_sparse(dims=[4, 3], places=[0, 1, 1, 2], shape=[2, 2])
    del model.graph.sparse_initializer[0].values.dims[:]
    model.graph.sparse_initializer[0].values.CopyFrom(helper.make_tensor("w", 1, [2], [5.0, 7.0]))
    found = onnxgraph.run_onnx(model, {"x": np.ones((1, 4), np.float32)})["y"]
    assert found.tolist() == [[0, 5, 7]]


def test_outputs_without_shapes_are_still_inferred():
    model = with_weight()
    model.graph.output[0].type.tensor_type.ClearField("shape")
    inferred = onnxgraph.infer_shapes(model)
    assert [str(dim) for dim in onnxgraph.outputs(inferred)[0].shape] == ["N", "3"]


def test_verbs_that_other_verbs_call_check_nothing_again(monkeypatch):
    from onnxgraph.model import entry_check

    seen = []
    monkeypatch.setattr(entry_check, "check", lambda model, **_: seen.append(model))
    model = with_weight()
    onnxgraph.fix_dims(model, {"N": 2})
    assert seen == [model]


def test_a_name_that_is_not_utf8_is_refused_where_names_are_listed():
    model = with_weight()
    model.graph.output[0].name = "name"
    content = model.SerializeToString().replace(b"name", b"na\x80e")
    with pytest.raises(GraphError, match=r"An output has a name that is not UTF-8"):
        onnxgraph.outputs(onnx.ModelProto.FromString(content))
