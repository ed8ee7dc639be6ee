"""Any verb on any small graph: valid, proven, the original untouched, and undone by its inverse.

The graphs are drawn by `random_graphs`, the same ones in each run. To hunt with more of them:
`PROPERTY_EXAMPLES=2000 python -m pytest tests/onnxgraph/test_properties.py`.
"""

import os
from collections import Counter

import numpy as np
import onnx
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from graphcore.errors import GraphError
from nbhelpers import onnxgraph
from onnxgraph.editing.weights import weights
from onnxgraph.model.graphs import graphs
from onnxgraph.model.nodes import node_name
from tests.onnxgraph.random_graphs import UNARY, models

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "25"))
many = settings(
    max_examples=EXAMPLES,
    derandomize="PROPERTY_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def after(verb, model, *args, **options):
    """Return the model that a verb gives, having held it to what every verb promises."""
    was = model.SerializeToString(deterministic=True)
    result = verb(model, *args, **options)
    assert model.SerializeToString(deterministic=True) == was
    onnx.checker.check_model(result.model, full_check=True)
    assert result.before is model and result.changes and repr(result)
    for old, new in zip(onnxgraph.inputs(model), onnxgraph.inputs(result.model), strict=False):
        assert len(old.shape) == len(new.shape)
    return result.model


def same(before, after, **options):
    """Compare the numbers; half precision is computed in another order once it is fused."""
    half = onnxgraph.inputs(before)[0].dtype == "float16"
    onnxgraph.same(before, after, tolerance=1e-2 if half else 1e-5, **options)


def without_notes(model):
    """Return what must not change over an edit and its inverse: all but the noted shapes."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for graph in graphs(copy.graph):
        del graph.value_info[:]
        for value in graph.output:
            value.type.tensor_type.ClearField("shape")
    return copy


def check_undone(model, back, *, in_order=True):
    """The same file again, but for noted shapes and the order of nodes that was moved."""
    was, now = without_notes(model), without_notes(back)
    if not in_order:
        for graph in (was.graph, now.graph):
            graph.node.sort(key=lambda node: node.output[0])
    assert was == now
    assert onnxgraph.inputs(model) == onnxgraph.inputs(back)
    assert onnxgraph.outputs(model) == onnxgraph.outputs(back)
    same(model, back)


def computed(model):
    """Return the main graph's tensors that nodes make, the whole-number ones aside."""
    kinds = {"Shape", "Constant"}
    return [n for node in model.graph.node if node.op_type not in kinds for n in node.output]


def is_inner(model, name):
    return name not in [value.name for value in model.graph.output]


@many
@given(models(), st.data())
def test_insert_after_and_remove(model, data):
    floats = ["x", *computed(model)]
    kind = model.graph.input[0].type.tensor_type.elem_type
    floats += [w.name for w in model.graph.initializer if w.data_type == kind]
    place = data.draw(st.sampled_from(floats))
    op = data.draw(st.sampled_from(("Identity", "Neg", "Mul")))
    two = onnx.helper.tensor_dtype_to_np_dtype(kind).type(2)
    more = after(onnxgraph.insert_after, model, place, op, others=[two] * (op == "Mul"), name="new")
    assert len(more.graph.node) == len(model.graph.node) + 1
    if op == "Identity":
        same(model, more)
    elif op == "Neg":
        same(model, after(onnxgraph.insert_after, more, "new", "Neg"))
    source = next(node.input[0] for node in more.graph.node if node.name == "new")
    back = after(onnxgraph.remove, more, "new", through=source)
    check_undone(model, back, in_order=is_inner(model, place))


@many
@given(models(), st.data())
def test_insert_before_and_remove(model, data):
    readers = [node for node in model.graph.node if node.input]
    node = data.draw(st.sampled_from(readers))
    tensor = data.draw(st.sampled_from([name for name in node.input if name]))
    place = {"tensor": tensor, "name": "new"}
    more = after(onnxgraph.insert_before, model, node_name(node), "Identity", **place)
    same(model, more)
    check_undone(model, after(onnxgraph.remove, more, "new"))


@many
@given(models(), st.data())
def test_rename_and_rename_back(model, data):
    known = [*onnxgraph.tensor_names(model)]
    known += [n for graph in graphs(model.graph)[1:] for node in graph.node for n in node.output]
    chosen = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
    new = [*chosen[1:], chosen[0]] if len(chosen) > 1 else [f"{chosen[0]}/new name"]
    result = onnxgraph.rename(model, dict(zip(chosen, new, strict=True)))
    same(model, result.model, renamed=dict(result.renamed))
    back = after(onnxgraph.rename, result.model, dict(zip(new, chosen, strict=True)))
    check_undone(model, back)
    labels = [node.name for node in model.graph.node if node.name]
    if labels:
        label = data.draw(st.sampled_from(labels))
        named = after(onnxgraph.rename_nodes, model, {label: "other"})
        check_undone(model, after(onnxgraph.rename_nodes, named, {"other": label}))


@many
@given(models(), st.data())
def test_set_weight_and_set_it_back(model, data):
    found = {each.name: each for each in weights(model)}
    assume(found)
    name = data.draw(st.sampled_from(sorted(found)))
    kind = onnx.helper.tensor_dtype_to_np_dtype(found[name].dtype)
    assume(kind.kind == "f")
    old = onnx.numpy_helper.to_array(found[name].held)
    new = (old + np.ones((), kind)).astype(kind)
    other = after(onnxgraph.set_weight, model, name, new)
    now = next(each for each in weights(other) if each.name == name)
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(now.held), new)
    assert now.stored == found[name].stored
    check_undone(model, after(onnxgraph.set_weight, other, name, old))
    readers = [node for node in model.graph.node if name in node.input]
    if readers:  # a value of its own for one of them, which is the old one
        reader = node_name(data.draw(st.sampled_from(readers)))
        same(model, after(onnxgraph.set_weight, model, name, old, only_for=reader))


@many
@given(models(), st.data())
def test_set_attributes_and_set_them_back(model, data):
    values = {"LeakyRelu": {"alpha": 0.75}, "Elu": {"alpha": 2}, "LRN": {"size": 5}}
    values |= {"Softmax": {"axis": 0}, "BatchNormalization": {"epsilon": 0.5, "momentum": 0.1}}
    nodes = [node for node in model.graph.node if node.op_type in values]
    assume(nodes)
    node = data.draw(st.sampled_from(nodes))
    new = values[node.op_type]
    old = {n: next((a for a in node.attribute if a.name == n), None) for n in new}
    old = {n: a and onnx.helper.get_attribute_value(a) for n, a in old.items()}
    other = after(onnxgraph.set_attributes, model, node_name(node), **new)
    check_undone(model, after(onnxgraph.set_attributes, other, node_name(node), **old))


@many
@given(models(), st.data())
def test_replace_and_replace_back(model, data):
    nodes = [node for node in model.graph.node if node.op_type in ("Relu", "Identity")]
    assume(nodes)
    node = data.draw(st.sampled_from(nodes))
    twin = {"Relu": {"op": "LeakyRelu", "attributes": {"alpha": 0.0}}, "Identity": {"op": "Sum"}}
    try:
        other = after(onnxgraph.replace, model, node_name(node), **twin[node.op_type])
    except GraphError as error:
        assert "Nothing reads what" in str(error)
        return
    same(model, other)
    back = after(onnxgraph.replace, other, node.output[0], node.op_type, name=node.name)
    same(model, back)
    assert Counter(onnxgraph.op_histogram(back)) == Counter(onnxgraph.op_histogram(model))


@many
@given(models(), st.data())
def test_cut_and_join(model, data):
    inner = [name for name in computed(model) if is_inner(model, name)]
    assume(inner)
    name = data.draw(st.sampled_from(inner))
    try:
        head = after(onnxgraph.cut, model, outputs=name)
        tail = after(onnxgraph.cut, model, inputs=name)
    except GraphError as error:
        words = ("is needed too", "does not need", "cannot be an output")
        assert any(each in str(error) for each in words), error
        return
    same(model, head, outputs=[name])
    same(model, tail)
    whole = after(onnxgraph.join, head, tail, {name: name})
    same(model, whole)
    assert onnxgraph.outputs(whole) == onnxgraph.outputs(model)


@many
@given(models(), st.data())
def test_add_outputs_and_cut_them_off(model, data):
    inner = [name for name in computed(model) if is_inner(model, name)]
    assume(inner)
    names = data.draw(st.lists(st.sampled_from(inner), min_size=1, unique=True, max_size=3))
    more = after(onnxgraph.add_outputs, model, names)
    same(model, more)
    ends = [value.name for value in model.graph.output]
    back = after(onnxgraph.cut, more, outputs=ends)
    same(model, back)
    assert onnxgraph.outputs(back) == onnxgraph.outputs(model)


@many
@given(models(), st.integers(1, 4))
def test_fix_dims_and_free_them(model, size):
    symbols = [dim for dim in onnxgraph.inputs(model)[0].shape if isinstance(dim, str)]
    assume(symbols)
    fixed = after(onnxgraph.fix_dims, model, dict.fromkeys(symbols, size))
    same(fixed, model)
    shape = onnxgraph.inputs(fixed)[0].shape
    assert all(isinstance(dim, int) for dim in shape)
    assert all(isinstance(d, int) for spec in onnxgraph.outputs(fixed) for d in spec.shape)
    free = fixed
    try:
        if "height" in symbols:
            axes = {"x": {2: "height", 3: "width"}}
            free = after(onnxgraph.free_dims, free, axes, references=[model])
        if "batch" in symbols:
            free = after(onnxgraph.make_batch_dynamic, free)
    except GraphError as error:
        assert "cannot be made" in str(error), error
        return
    same(model, free)
    assert [spec.shape for spec in onnxgraph.outputs(free)] == [
        spec.shape for spec in onnxgraph.outputs(model)
    ]


@many
@given(models())
def test_inputs_of_another_dtype_and_back(model):
    (spec,) = onnxgraph.inputs(model)
    wide = after(onnxgraph.set_inputs, model, [type(spec)("x", "float64", spec.shape)])
    same(model, wide)
    back = after(onnxgraph.set_inputs, wide, [spec])
    same(model, back)
    assert onnxgraph.inputs(back) == (spec,)


@many
@given(models(), st.sampled_from((9, 11)))
def test_lower_the_opset(model, opset):
    assume(onnxgraph.opset(model) > opset)
    try:
        lower = onnxgraph.lower_opset(model, opset)
    except GraphError as error:
        assert any(op in str(error) for op in onnxgraph.op_histogram(model)), error
        return
    same(model, lower.model)
    assert onnxgraph.opset(lower.model) == opset


def test_every_kind_of_graph_is_drawn():
    seen = Counter()

    @settings(many, max_examples=max(EXAMPLES, 60))
    @given(models())
    def draw(model):
        seen.update(onnxgraph.op_histogram(model))
        seen[f"IR {model.ir_version}"] += 1
        seen[onnxgraph.inputs(model)[0].dtype] += 1
        listed = len(model.graph.input) > 1 and model.ir_version > 3
        seen["weights among inputs"] += listed
        readers = Counter(n for g in graphs(model.graph) for node in g.node for n in node.input)
        seen["shared weights"] += any(readers[w.name] > 1 for w in model.graph.initializer)

    draw()
    wanted = {*UNARY, "If", "Loop", "Constant", "Conv", "BatchNormalization", "IR 3", "float16"}
    assert wanted | {"weights among inputs", "shared weights"} <= set(+seen), seen
