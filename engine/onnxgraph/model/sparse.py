"""Make sparse weights dense, because ONNX's inference and most tools know only dense ones."""

import math
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from graphcore.copies import copy_of
from graphcore.tensor_limit import largest_tensor
from onnxgraph.model.domains import is_default
from onnxgraph.model.graphs import graphs


def dense_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with dense weights only, or itself if none is sparse."""
    if not any(_has_sparse(graph) for graph in graphs(model.graph)):
        return model
    copy = copy_of(model)
    for graph in graphs(copy.graph):
        for weight in graph.sparse_initializer:
            name = weight.values.name
            graph.initializer.append(numpy_helper.from_array(dense_values(weight), name))
        del graph.sparse_initializer[:]
        for attribute in _sparse_constants(graph):
            value = numpy_helper.from_array(dense_values(attribute.sparse_tensor))
            attribute.CopyFrom(onnx.helper.make_attribute("value", value))
    return copy


def sparse_faults(sparse: onnx.SparseTensorProto) -> Iterator[str]:
    """Yield what is wrong with a sparse tensor whose values and indices are valid tensors."""
    called, dims = f"the sparse tensor {sparse.values.name!r}", list(sparse.dims)
    if not sparse.HasField("values") or not sparse.HasField("indices"):
        yield f"{called} has no values, or no indices."
        return
    if min(dims, default=0) < 0:
        yield f"{called} has the sizes {dims}, but none may be negative."
        return
    width = onnx.helper.tensor_dtype_to_np_dtype(sparse.values.data_type).itemsize
    needed, most = math.prod(dims) * width, largest_tensor()
    if needed > most:
        yield (
            f"{called} would take {needed / 2**30:.4g} GiB with its zeros, but one tensor may take "
            f"{most / 2**30:.1f} (a quarter of this machine's memory)."
        )
        return
    values, indices = list(sparse.values.dims), list(sparse.indices.dims)
    whole = sparse.indices.data_type == onnx.TensorProto.INT64
    if not whole or len(values) != 1 or indices not in (values, [*values, len(dims)]):
        yield f"{called} has the sizes {dims}, and {values} values at {indices} indices."
        return
    places = numpy_helper.to_array(sparse.indices)
    bounds = np.array(dims if places.ndim == 2 else [math.prod(dims)], np.int64)
    if places.size and not ((places >= 0) & (places < bounds)).all():
        yield f"{called} has the sizes {dims}, and indices beyond them."


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
        if node.op_type == "Constant" and is_default(node)
        for attribute in node.attribute
        if attribute.name == "sparse_value" and attribute.HasField("sparse_tensor")
    ]
