"""Expose inner tensors as outputs, or extract the part of a graph between named tensors."""

from collections.abc import Collection, Iterable

import onnx

from graphcore.errors import GraphError, unknown_name
from onnxgraph.editing.finishing import inferred
from onnxgraph.editing.observed_shapes import observed_shapes
from onnxgraph.editing.result import Edited, copied, rewired
from onnxgraph.editing.rewire import keep_notes
from onnxgraph.model import interface
from onnxgraph.model.dataflow import needed_for
from onnxgraph.model.entry_check import checked
from onnxgraph.model.graphs import graphs
from onnxgraph.model.nodes import node_name, tensors, titled
from onnxgraph.model.sparse import dense_model


@checked
def add_outputs(model: onnx.ModelProto, names: str | Iterable[str]) -> Edited:
    """Return the model with inner tensors as additional outputs, after its own.

    Args:
        model: the model. It is not changed.
        names: tensors that nodes of the main graph compute.

    Raises:
        UnknownName: there is no such tensor.
        GraphError: it is not computed by the main graph, or its dtype cannot be inferred.
    """
    names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    copy, types = copied(model), _types(model, names)
    given = {value.name for value in model.graph.output}
    for name in names:
        node = _maker(model, name)
        if name in given:
            raise GraphError(f"{name!r} is an output already.")
        copy.graph.output.append(_typed(name, types, f"{titled(node)}, which makes it,"))
    inner = [value.name for value in copy.graph.value_info if value.name not in names]
    keep_notes(copy.graph, inner)
    return rewired(model, copy, [f"output {name!r} added" for name in names], names)


@checked
def cut(
    model: onnx.ModelProto,
    *,
    inputs: str | Iterable[str] | None = None,
    outputs: str | Iterable[str] | None = None,
) -> Edited:
    """Return the part of a model that computes some tensors from others.

    Args:
        model: the model. It is not changed.
        inputs: tensors at which the part begins, weights included. They become its inputs. The
            default is those of the model's own inputs that it needs.
        outputs: tensors at which it ends. The default is the model's own outputs.

    Raises:
        UnknownName: there is no such tensor.
        GraphError: the outputs also need something that is not among the inputs, or do not need one
            of the inputs, or a dtype cannot be inferred.
    """
    model = dense_model(model)
    ends = _listed(outputs, [value.name for value in model.graph.output])
    own = [value.name for value in interface.fed(model.graph)]
    starts = _listed(inputs, own)
    known = _main_tensors(model)
    for name in (*starts, *ends):
        if name not in known:
            raise _no_such(model, name, known)
    kept, needed = needed_for(model.graph, ends, given=starts)
    _check_ends(model, starts, ends, needed, chosen=inputs is not None)
    starts = [name for name in starts if name in needed]
    copy = copied(model)
    _keep(copy, kept, needed - set(starts))
    types = _types(model, [*starts, *ends])
    del copy.graph.input[:]
    listed = {weight.name for weight in copy.graph.initializer}
    defaults = [value for value in model.graph.input if value.name in listed]
    fed = {value.name: value for value in model.graph.input}
    copy.graph.input.extend(fed.get(name) or _typed(name, types, "it") for name in starts)
    copy.graph.input.extend(defaults)
    del copy.graph.output[:]
    copy.graph.output.extend(_typed(name, types, "it") for name in ends)
    inner = {name for node in copy.graph.node for name in node.output} - set(ends)
    keep_notes(copy.graph, inner & {value.name for value in copy.graph.value_info})
    change = f"cut from {', '.join(map(repr, starts))} to {', '.join(map(repr, ends))}"
    return rewired(model, copy, [change], [node_name(node) for node in copy.graph.node][:1])


def _listed(names: str | Iterable[str] | None, default: list[str]) -> list[str]:
    if names is None:
        return default
    return [names] if isinstance(names, str) else list(dict.fromkeys(names))


def _main_tensors(model: onnx.ModelProto) -> dict[str, None]:
    graph = model.graph
    names = [value.name for value in graph.input] + [weight.name for weight in graph.initializer]
    return dict.fromkeys(names + [name for node in graph.node for name in node.output if name])


def _maker(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    node = next((each for each in model.graph.node if name and name in each.output), None)
    if node is not None:
        return node
    known = _main_tensors(model)
    if name in known:
        raise GraphError(
            f"{name!r} is an input or a weight, and no node computes it. Put an Identity after it "
            "with insert_after, and expose that."
        )
    raise _no_such(model, name, known)


def _no_such(model: onnx.ModelProto, name: str, known: Iterable[str]) -> Exception:
    """Return the error for a name that the main graph does not have."""
    for node in model.graph.node:
        inner = graphs(onnx.GraphProto(node=[node]))[1:]
        if any(name in one.output for graph in inner for one in graph.node):
            return GraphError(
                f"{name!r} is inside a branch or body of {titled(node)}, but only tensors of the "
                "main graph can be inputs or outputs. Use one that the node itself writes."
            )
    return unknown_name("tensor", name, known if name not in tensors(model) else tensors(model))


def _check_ends(
    model: onnx.ModelProto, starts: list[str], ends: list[str], needed: set[str], *, chosen: bool
) -> None:
    also = [v.name for v in interface.fed(model.graph) if v.name in needed and v.name not in starts]
    if also:
        raise GraphError(
            f"{', '.join(map(repr, ends))} cannot be computed from {', '.join(map(repr, starts))} "
            f"alone: {', '.join(map(repr, also))} is needed too. Add it to the inputs."
        )
    useless = [name for name in starts if chosen and name not in needed]
    if useless:
        raise GraphError(
            f"{', '.join(map(repr, ends))} does not need {', '.join(map(repr, useless))}. Leave "
            "it out of the inputs, or look at the neighbours of both."
        )
    passed = [name for name in ends if name in starts or name in _given(model)]
    if passed:
        raise GraphError(
            f"{', '.join(map(repr, passed))} cannot be an output, because no node in between "
            "computes it."
        )


def _given(model: onnx.ModelProto) -> set[str]:
    graph = model.graph
    return {value.name for value in (*graph.input, *graph.initializer)}


def _keep(copy: onnx.ModelProto, kept: Collection[int], needed: set[str]) -> None:
    """Remove all other nodes, and the weights that are not needed."""
    graph = copy.graph
    for place in reversed(range(len(graph.node))):
        if place not in kept:
            del graph.node[place]
    for part, name in (
        (graph.initializer, lambda weight: weight.name),
        (graph.sparse_initializer, lambda weight: weight.values.name),
    ):
        for place in reversed(range(len(part))):
            if name(part[place]) not in needed:
                del part[place]


def _types(model: onnx.ModelProto, wanted: Iterable[str]) -> dict[str, onnx.ValueInfoProto]:
    """Return what is known of each tensor of the main graph.

    If inference does not know even the rank of a wanted tensor, two runs of the model show it.
    """
    graph = inferred(model).graph
    values = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}
    for weight in model.graph.initializer:
        values[weight.name] = onnx.helper.make_tensor_value_info(
            weight.name, weight.data_type, weight.dims
        )
    blank = [name for name in wanted if name in values and _has_no_rank(values[name])]
    for name, shape in observed_shapes(model, blank).items():
        kind = values[name].type.tensor_type.elem_type
        values[name] = onnx.helper.make_tensor_value_info(name, kind, shape)
    return values


def _has_no_rank(value: onnx.ValueInfoProto) -> bool:
    return value.type.HasField("tensor_type") and interface.dims(value) is None


def _typed(name: str, types: dict[str, onnx.ValueInfoProto], whose: str) -> onnx.ValueInfoProto:
    value = types.get(name)
    if value is None or not value.type.WhichOneof("value"):
        raise GraphError(
            f"The dtype of {name!r} cannot be inferred, and an input or output needs one: {whose} "
            "is not an operator that ONNX knows. Choose a tensor before or after."
        )
    return value
