"""Insert a new node: after a tensor, for all its readers, or before one reader."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from graphcore.errors import GraphError, unknown_name
from onnxgraph.editing.attributes import schema_of, typed
from onnxgraph.editing.finishing import add_constant, free_name
from onnxgraph.editing.result import Edited, copied, rewired
from onnxgraph.editing.rewire import move_readers, rename_output
from onnxgraph.model.entry_check import checked
from onnxgraph.model.nodes import home, locate, node_name, nodes, tensors, titled

Operand = str | np.ndarray | np.generic
"""An input of a new node: a tensor's name, or an array that becomes an initializer."""


@checked
def insert_after(
    model: onnx.ModelProto,
    place: str,
    op: str,
    *,
    others: Sequence[Operand] = (),
    position: int = 0,
    attributes: Mapping[str, Any] | None = None,
    name: str = "",
) -> Edited:
    """Return the model with a new node after a tensor. All readers of the tensor read the new node.

    An output of the model keeps its name, and the tensor that had this name gets another one.

    Args:
        model: the model. It is not changed.
        place: a tensor (an input, a weight, a node's output), or a node with one output.
        op: the operator, after its domain if it is not ONNX's own: `Mul`, `com.microsoft.Gelu`.
        others: the node's other inputs, in order: names of tensors, or numpy arrays.
        position: the position of the tensor among its inputs.
        attributes: the new node's attributes, typed as in `set_attributes`.
        name: the new node's name. The default is made from the tensor's name.

    Raises:
        UnknownName: there is no such tensor, or the operator has no such attribute.
        GraphError: the graph would not be valid. The message names the node.
    """
    copy = copied(model)
    tensor = _tensor(copy, place)
    graph, maker = home(copy, tensor) if place == tensor else locate(copy, place)
    made = free_name(copy.graph, name or f"{tensor}_{op.split('.')[-1]}")
    source, result = tensor, made
    if any(value.name == tensor for value in graph.output):
        source, result = free_name(copy.graph, f"{tensor}_before_{op.split('.')[-1]}"), tensor
        if maker is None:
            raise GraphError(
                f"{tensor!r} is an output of the graph that the graph does not compute, so it "
                "must keep its value. Remove it from the outputs first: cut(model, outputs=[…])."
            )
        rename_output(graph, maker, tensor, source)
        move_readers(graph, source, tensor)
    else:
        move_readers(graph, tensor, made)
    read = [source if isinstance(each, str) and each == tensor else each for each in others]
    node = new_node(copy, op, _operands(source, read, position), [result], attributes, made)
    graph.node.append(node)
    change = f"{titled(node)} after {tensor!r}, for all its readers"
    if result == tensor:
        change += f", and the former {tensor!r} is now {source!r}"
    return rewired(model, copy, [change], [made])


@checked
def insert_before(
    model: onnx.ModelProto,
    node: str,
    op: str,
    *,
    tensor: str = "",
    others: Sequence[Operand] = (),
    position: int = 0,
    attributes: Mapping[str, Any] | None = None,
    name: str = "",
) -> Edited:
    """Return the model with a new node before one node. Other readers are not changed.

    Args:
        model: the model. It is not changed.
        node: the reader: its name, or the name of a tensor that it writes.
        op: the operator, as in `insert_after`.
        tensor: which of its inputs. The default is its first.
        others: the new node's other inputs.
        position: the position of the tensor among its inputs.
        attributes: the new node's attributes, typed as in `set_attributes`.
        name: the new node's name. The default is made from the reader's name.

    Raises:
        UnknownName: there is no such node, or it does not read the tensor.
        GraphError: the graph would not be valid. The message names the node.
    """
    copy = copied(model)
    graph, reader = locate(copy, node)
    sources = [each for each in reader.input if each]
    if not sources:
        raise GraphError(f"{titled(reader)} reads nothing, so nothing can be put before it.")
    tensor = tensor or sources[0]
    if tensor not in sources:
        raise unknown_name(f"input of {titled(reader)}", tensor, sources)
    made = free_name(copy.graph, name or f"{node_name(reader)}_{op.split('.')[-1]}")
    inputs = _operands(tensor, others, position)
    new = new_node(copy, op, inputs, [made], attributes, made)
    for place, each in enumerate(reader.input):
        if each == tensor:
            reader.input[place] = made
    graph.node.append(new)
    change = f"{titled(new)} between {tensor!r} and {titled(reader)}"
    return rewired(model, copy, [change], [made, node_name(reader)])


def new_node(
    copy: onnx.ModelProto,
    op: str,
    inputs: Sequence[Operand],
    outputs: Sequence[str],
    attributes: Mapping[str, Any] | None,
    name: str,
) -> onnx.NodeProto:
    """Return a node. Its arrays become initializers of the private copy.

    Raises:
        UnknownName: a tensor that it reads does not exist, or the operator has no such attribute.
        GraphError: the model's opset has no such operator, or an input is neither name nor array.
    """
    domain, _, kind = op.rpartition(".")
    node = onnx.NodeProto(op_type=kind, domain=domain, name=name, output=outputs)
    known = tensors(copy)
    for number, each in enumerate(inputs):
        if isinstance(each, np.ndarray | np.generic):
            each = add_constant(copy.graph, np.asarray(each), stem=f"{name}_{number}")
        elif not isinstance(each, str):
            raise GraphError(
                f"{titled(node)} reads names of tensors or numpy arrays, but {each!r} is "
                f"{type(each).__name__}. Give its dtype, as in np.float32({each!r})."
            )
        elif each and each not in known:
            raise unknown_name("tensor", each, known)
        node.input.append(each)
    schema = schema_of(copy, node)
    domains = {entry.domain for entry in copy.opset_import}
    if schema is None and (not domain or domain not in domains):
        versions = ", ".join(f"{o.domain or 'ai.onnx'} {o.version}" for o in copy.opset_import)
        raise GraphError(f"There is no operator {op!r} in the model's operator sets ({versions}).")
    node.attribute.extend(typed(node, schema, *pair) for pair in (attributes or {}).items())
    return node


def _operands(tensor: str, others: Sequence[Operand], position: int) -> list[Operand]:
    if not 0 <= position <= len(others):
        raise GraphError(
            f"position must be 0 to {len(others)}, among the other inputs, but is {position}."
        )
    return [*others[:position], tensor, *others[position:]]


def _tensor(model: onnx.ModelProto, place: str) -> str:
    """Return the tensor meant by a name: its own, or that of a node that writes only one."""
    named = [list(filter(None, node.output)) for node in nodes(model) if node.name == place]
    if place in tensors(model):
        if place and named and [place] not in named:
            raise GraphError(
                f"{place!r} is a tensor, and also a node that does not write it. Name the tensor "
                f"you mean: the node writes {', '.join(map(repr, named[0]))}."
            )
        return place
    if not named:
        raise unknown_name(
            "tensor or node", place, [*tensors(model), *map(node_name, nodes(model))]
        )
    if len(named) > 1 or len(named[0]) != 1:
        writes = ", ".join(repr(name) for each in named for name in each)
        raise GraphError(f"{place!r} writes {writes}. Name the one you mean.")
    return named[0][0]
