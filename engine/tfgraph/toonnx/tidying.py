"""Give tf2onnx's result TensorFlow's names, and an order that is always the same.

tf2onnx numbers the names that it makes up in a random order.
"""

import re
from collections.abc import Iterator

import numpy as np
import onnx

from graphcore.copies import copy_of
from onnxgraph.editing.rename import rename_tensors
from onnxgraph.model.dataflow import reads
from onnxgraph.model.graphs import graphs
from onnxgraph.model.names import Names
from tfgraph.toonnx.interface import Interface
from tfgraph.toonnx.name_prefix import NUMBERS, PREFIX

_CALLS = re.compile(r"^((Stateful)?PartitionedCall(_\d+)?/)+")


def tidied(model: onnx.ModelProto, interface: Interface) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return the model with the names that were asked for, and the new names of its tensors.

    Returns:
        The model, and ONNX name → tensor of the source ("a/b:0"), for all tensors of the source
            that are left in it.
    """
    copy = copy_of(model)
    graph = copy.graph
    ordered = _ordered(graph)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(ordered)
    names = _tensor_names(copy, interface)
    rename_tensors(copy, names)
    _name_nodes(copy)
    _sort_weights(copy)
    used = {node.domain for each in graphs(graph) for node in each.node} | {""}
    opsets = [entry for entry in copy.opset_import if entry.domain in used]
    del copy.opset_import[:]
    copy.opset_import.extend(opsets)
    graph.name, graph.doc_string = "from_tensorflow", ""
    _state_inputs(graph, interface)
    prefix = f"{PREFIX}/"
    return copy, {n: t.removeprefix(prefix) for t, n in names.items() if t.startswith(prefix)}


def _ordered(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs need, each after its inputs, in depth-first order."""
    makers = {name: node for node in graph.node for name in node.output if name}
    ordered: list[onnx.NodeProto] = []
    seen: set[int] = set()
    waiting = [
        (makers[value.name], False) for value in reversed(graph.output) if value.name in makers
    ]
    while waiting:
        node, ready = waiting.pop()
        if ready:
            ordered.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.append((node, True))
            needs = [makers[name] for name in reads(node) if name in makers]
            waiting += [(each, False) for each in reversed(needs) if id(each) not in seen]
    return [copy_of(node) for node in ordered]


def _tensor_names(model: onnx.ModelProto, interface: Interface) -> dict[str, str]:
    """Return old name → new name for every tensor, in the order of their first use."""
    asked = {tensor: name for name, tensor in interface.inputs.items()}
    asked |= {tensor: name for name, tensor in interface.outputs.items()}
    in_use = Names(asked.values())
    names: dict[str, str] = {}
    for old in dict.fromkeys(_met(model.graph)):
        names[old] = asked[old] if old in asked else in_use.free(_plain(old))
    return names


def _met(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield tensor names in the order of use: inputs, then what each node reads and writes."""
    yield from (value.name for value in graph.input)
    for node in graph.node:
        yield from filter(None, node.input)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _met(inner)
        yield from filter(None, node.output)
    yield from (value.name for value in graph.output)


def _plain(name: str) -> str:
    """Return a name of tf2onnx as TensorFlow has it: "conv/Relu" for "source/conv/Relu:0"."""
    name = NUMBERS.sub("", name.removeprefix(f"{PREFIX}/"))
    name = _CALLS.sub("", name.removesuffix(":0").replace(":", "_"))
    return name or "tensor"


def _name_nodes(model: onnx.ModelProto) -> None:
    """Name each node after its output, but differently from any tensor ("maps/Relu" makes "maps").

    The reason is that TensorFlow has one name for both, so onnx2tf could not keep two equal ones.
    """
    in_use = Names()
    for graph in graphs(model.graph):
        for node in graph.node:
            node.doc_string = ""
            node.name = in_use.free(f"{next(iter(node.output), '')}/{node.op_type}")


def _sort_weights(model: onnx.ModelProto) -> None:
    """Sort the weights in the order in which they are read, and remove those that are not."""
    for graph in graphs(model.graph):
        place = {name: at for at, name in enumerate(dict.fromkeys(_met(graph)))}
        weights = sorted(
            (each for each in graph.initializer if each.name in place),
            key=lambda each: place[each.name],
        )
        kept = [onnx.TensorProto.FromString(each.SerializeToString()) for each in weights]
        del graph.initializer[:]
        graph.initializer.extend(kept)


def _state_inputs(graph: onnx.GraphProto, interface: Interface) -> None:
    """State the inputs in their order with their dims, including those that no node reads."""
    del graph.input[:]
    for name, spec in interface.specs.items():
        dtype = onnx.TensorProto.STRING if spec.dtype in ("str", "string") else None
        kind = dtype or onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
        graph.input.append(onnx.helper.make_tensor_value_info(name, kind, spec.shape))
