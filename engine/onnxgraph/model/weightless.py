"""A copy of a model without its large weights, for work that only needs names, types and shapes."""

import math

import onnx

from onnxgraph.model.external import folder_of, is_kept, is_lazy, located
from onnxgraph.model.graphs import graphs
from onnxgraph.model.sparse import dense_model

LARGE = 4096
"""Constants with more values than this are never shapes, so a weightless copy leaves them out."""


def without_weights(model: onnx.ModelProto, *, limit: int = LARGE) -> onnx.ModelProto:
    """Return a copy in which weights with more values than the limit become inputs.

    It is for work that only needs shapes. Its sparse weights are dense.
    """
    model = dense_model(model)
    copy = skeleton(model)
    graph = copy.graph
    listed = {value.name for value in graph.input}
    for tensor in model.graph.initializer:
        if size(tensor) <= limit:
            graph.initializer.append(tensor)
        elif tensor.name not in listed:
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    return copy


def with_weights_elsewhere(
    model: onnx.ModelProto,
) -> tuple[onnx.ModelProto, list[onnx.TensorProto]]:
    """Return a copy whose large weights point to another file, and these weights.

    Weights that are already kept in a file point to it, relative to `external.folder_of`.
    """
    copy, large = skeleton(model), []
    read = {name for graph in graphs(model.graph) for node in graph.node for name in node.input}
    folder = folder_of(model)
    for tensor in model.graph.initializer:
        if is_kept(tensor) and not (is_lazy(tensor) and tensor.name in read):
            copy.graph.initializer.append(located(tensor, folder))
            continue
        is_text = tensor.data_type == onnx.TensorProto.STRING
        if size(tensor) <= LARGE or is_text or tensor.name not in read:
            copy.graph.initializer.append(tensor)
            continue
        large.append(tensor)
        stub = copy.graph.initializer.add(
            name=tensor.name,
            dims=tensor.dims,
            data_type=tensor.data_type,
            data_location=onnx.TensorProto.EXTERNAL,
        )
        stub.external_data.add(key="location", value="weights")
    return copy, large


def skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that can be run and has no dense weights, although its nodes read them."""
    copy = onnx.ModelProto(ir_version=max(model.ir_version, 4))
    copy.opset_import.MergeFrom(model.opset_import)
    copy.functions.MergeFrom(model.functions)
    graph, source = copy.graph, model.graph
    graph.name = source.name
    for part in ("node", "input", "output", "value_info", "sparse_initializer"):
        getattr(graph, part).MergeFrom(getattr(source, part))
    return copy


def weights_size(model: onnx.ModelProto) -> int:
    """Return the bytes of the weights of the main graph. Texts count as zero."""
    sizes = (
        size(tensor) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        for tensor in model.graph.initializer
        if tensor.data_type != onnx.TensorProto.STRING
    )
    return sum(sizes)


def size(tensor: onnx.TensorProto) -> int:
    """Return the number of values in a tensor."""
    return math.prod(tensor.dims)
