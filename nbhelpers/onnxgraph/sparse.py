"""Sparse weights written out with their zeros: ONNX's inference, and most tools, know no others."""

import numpy as np
import onnx
from onnx import numpy_helper

from nbhelpers.onnxgraph.anatomy import graphs


def dense_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with dense weights only: itself, if none is sparse."""
    if not any(_has_sparse(graph) for graph in graphs(model.graph)):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for graph in graphs(copy.graph):
        for weight in graph.sparse_initializer:
            name = weight.values.name
            graph.initializer.append(numpy_helper.from_array(dense_values(weight), name))
        del graph.sparse_initializer[:]
        for attribute in _sparse_constants(graph):
            value = numpy_helper.from_array(dense_values(attribute.sparse_tensor))
            attribute.CopyFrom(onnx.helper.make_attribute("value", value))
    return copy


def dense_values(sparse: onnx.SparseTensorProto) -> np.ndarray:
    """Return the values of a sparse weight, of any dtype, with its zeros."""
    values = numpy_helper.to_array(sparse.values)
    indices = numpy_helper.to_array(sparse.indices)
    result = np.zeros(list(sparse.dims), values.dtype)
    if indices.ndim == 1:
        result.reshape(-1)[indices] = values
    else:
        result[tuple(indices.T)] = values
    return result


def _has_sparse(graph: onnx.GraphProto) -> bool:
    return bool(graph.sparse_initializer or _sparse_constants(graph))


def _sparse_constants(graph: onnx.GraphProto) -> list[onnx.AttributeProto]:
    return [
        attribute
        for node in graph.node
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx")
        for attribute in node.attribute
        if attribute.name == "sparse_value"
    ]
