"""What every edit of a graph ends with: dead parts removed, shapes inferred, the checker passed.

Also the few small things that edits share: constants by name, names that are free, a light copy.
"""

import numpy as np
import onnx

from nbhelpers.errors import GraphError
from nbhelpers.onnxgraph.anatomy import graphs
from nbhelpers.onnxgraph.files import check

LIGHT = 4096
"""Constants with more values than this are never shapes; a light copy leaves them out."""


def finished(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its shapes inferred, after checking it.

    Raises:
        GraphError: the model is not valid, or its shapes contradict each other.
    """
    return infer_shapes(check(model, subject="The edited model"))


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of the model with value infos, by ONNX's own inference with data propagation.

    Raises:
        GraphError: the shapes contradict each other.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(light(model), strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        reason = " ".join(str(error).split())
        raise GraphError(f"The shapes of the graph do not fit together: {reason}") from error
    result = onnx.ModelProto()
    result.CopyFrom(model)
    inner = {name for node in model.graph.node for name in node.output}
    inner -= {value.name for value in model.graph.output}
    del result.graph.value_info[:]
    result.graph.value_info.extend(v for v in inferred.graph.value_info if v.name in inner)
    for mine, theirs in zip(result.graph.output, inferred.graph.output, strict=True):
        mine.CopyFrom(theirs)
    return result


def light(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without large weights (they become inputs), for inference that only needs
    shapes.
    """
    copy = onnx.ModelProto(ir_version=max(model.ir_version, 4))
    copy.opset_import.MergeFrom(model.opset_import)
    copy.functions.MergeFrom(model.functions)
    graph, source = copy.graph, model.graph
    graph.name = source.name
    for part in ("node", "input", "output", "value_info", "sparse_initializer"):
        getattr(graph, part).MergeFrom(getattr(source, part))
    listed = {value.name for value in source.input}
    for tensor in source.initializer:
        if size(tensor) <= LIGHT:
            graph.initializer.append(tensor)
        elif tensor.name not in listed:
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    return copy


def size(tensor: onnx.TensorProto) -> int:
    """Return the number of values in a tensor."""
    return int(np.prod(tensor.dims, dtype=np.int64))


def constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Return name to value of the small constants: initializers and Constant nodes."""
    found = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if size(tensor) <= LIGHT and tensor.data_type != onnx.TensorProto.STRING
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
    """Add an initializer to the graph and return the name that it got."""
    name = free_name(graph, stem)
    graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    return name


def free_name(graph: onnx.GraphProto, stem: str) -> str:
    """Return `stem`, or `stem_1`, `stem_2` …: the first that no tensor and no node has."""
    taken = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    for each in graphs(graph):
        for node in each.node:
            taken.update((node.name, *node.input, *node.output))
    names = [stem, *(f"{stem}_{number}" for number in range(1, len(taken) + 2))]
    return next(name for name in names if name not in taken)


def without_dead_parts(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without the nodes and weights that no output needs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
            for attribute in node.attribute:
                inner = [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
                for sub in (each for one in inner for each in graphs(one)):
                    needed.update(name for inside in sub.node for name in inside.input)
                    needed.update(value.name for value in sub.output)
    if len(kept) < len(graph.node):
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(kept)]
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
