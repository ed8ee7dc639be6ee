"""The end of every edit: dead parts removed, shapes inferred, the checker passed.

It also has small helpers that edits share: constants by name, and free names.
"""

import numpy as np
import onnx

from graphcore.copies import copy_of
from onnxgraph.model.dataflow import needed_for
from onnxgraph.model.entry_check import checked
from onnxgraph.model.files import check
from onnxgraph.model.names import Names, used_names
from onnxgraph.model.sparse import dense_model
from onnxgraph.model.value_info import infer
from onnxgraph.model.weightless import LARGE, size, without_weights


def finished(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its shapes inferred, after checking it.

    Raises:
        GraphError: the model is not valid, or its shapes contradict each other.
    """
    return infer_shapes(check(model, subject="The edited model"))


@checked
def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of the model with value infos, by ONNX's own inference with data propagation.

    Its sparse weights are dense, and value infos that contradict the graph are left out.

    Raises:
        GraphError: the shapes contradict each other.
    """
    result = copy_of(dense_model(model))
    note_shapes(result)
    return result


def note_shapes(copy: onnx.ModelProto) -> None:
    """Write the result of inference into a private copy: its value infos and its outputs.

    Raises:
        GraphError: the shapes contradict each other.
    """
    known, graph = inferred(copy).graph, copy.graph
    inner = {name for node in graph.node for name in node.output}
    inner -= {value.name for value in graph.output}
    del graph.value_info[:]
    graph.value_info.extend(value for value in known.value_info if value.name in inner)
    for mine, theirs in zip(graph.output, known.output, strict=True):
        mine.CopyFrom(theirs)


def inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a weightless copy of the model with everything that inference knows.

    Raises:
        InferenceFailed: the shapes contradict each other.
    """
    known = infer(without_weights(model))
    given = {dim.dim_param for value in _values(model) for dim in value.type.tensor_type.shape.dim}
    for value in _values(known):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param.startswith("unk__") and dim.dim_param not in given:
                dim.ClearField("dim_param")  # made up by the inference
    return known


def _values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the tensors whose dims are noted."""
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    return [value for value in values if value.type.HasField("tensor_type")]


def constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Return name to value of the small constants: initializers and Constant nodes."""
    found = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if size(tensor) <= LARGE and tensor.data_type != onnx.TensorProto.STRING
    }
    for node in graph.node:
        if node.op_type != "Constant":
            continue
        value = onnx.helper.get_attribute_value(node.attribute[0])
        if isinstance(value, onnx.TensorProto):
            found[node.output[0]] = onnx.numpy_helper.to_array(value)
        elif node.attribute[0].name in ("value_int", "value_ints"):
            found[node.output[0]] = np.asarray(value, np.int64)
        elif node.attribute[0].name in ("value_float", "value_floats"):
            found[node.output[0]] = np.asarray(value, np.float32)
    return found


def add_constant(graph: onnx.GraphProto, value: np.ndarray, *, stem: str) -> str:
    """Add an initializer to the graph and return its name."""
    name = free_name(graph, stem)
    graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    return name


def free_name(graph: onnx.GraphProto, stem: str) -> str:
    """Return `stem`, or `stem_1`, `stem_2` …: the first that no tensor and no node has."""
    return Names(used_names(graph)).free(stem)


def without_dead_parts(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without the nodes and weights that no output needs."""
    copy = copy_of(model)
    graph = copy.graph
    places, needed = needed_for(graph, [value.name for value in graph.output])
    if len(places) < len(graph.node):
        nodes = [copy_of(graph.node[place]) for place in places]
        del graph.node[:]
        graph.node.extend(nodes)
    if any(tensor.name not in needed for tensor in graph.initializer):
        unused = {tensor.name for tensor in graph.initializer} - needed
        weights = [tensor for tensor in graph.initializer if tensor.name not in unused]
        listed = [value for value in graph.input if value.name not in unused]
        slim = onnx.GraphProto()
        slim.initializer.extend(weights)
        slim.input.extend(listed)
        del graph.initializer[:]
        del graph.input[:]
        graph.initializer.extend(slim.initializer)
        graph.input.extend(slim.input)
    return copy
