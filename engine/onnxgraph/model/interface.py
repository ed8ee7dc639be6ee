"""The interface of a model: its inputs, its outputs and its opset.

Dims keep their symbols ("batch"). A dim without a size or a symbol gets a readable symbol.
"""

import re

import onnx

from graphcore.errors import GraphError
from graphcore.spec import Dim, TensorSpec
from onnxgraph.model.domains import is_default


def inputs(model: onnx.ModelProto) -> tuple[TensorSpec, ...]:
    """Return the inputs that a caller must feed, in ONNX order, without initializers.

    Raises:
        GraphError: an input is not a tensor, or its rank is not known.
    """
    return tuple(_spec(value, "input") for value in fed(model.graph))


def outputs(model: onnx.ModelProto) -> tuple[TensorSpec, ...]:
    """Return the outputs, in ONNX order.

    Raises:
        GraphError: an output is not a tensor, or its rank is not known.
    """
    return tuple(_spec(value, "output") for value in model.graph.output)


def opset(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operator set that the model is written in.

    Raises:
        GraphError: the model does not use that set.
    """
    for entry in model.opset_import:
        if is_default(entry):
            return entry.version
    domains = ", ".join(entry.domain for entry in model.opset_import) or "none"
    raise GraphError(f"The model uses no operators of ONNX itself (its operator sets: {domains}).")


def fed(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Return the graph's inputs without those that an initializer fills."""
    filled = {tensor.name for tensor in graph.initializer}
    filled |= {tensor.values.name for tensor in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in filled]


def dims(value: onnx.ValueInfoProto) -> tuple[Dim | None, ...] | None:
    """Return the dims of a value: sizes, symbols, or None where unknown.

    None for the whole means that the rank is unknown.
    """
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None)
        for dim in kind.shape.dim
    )


def set_dim(value: onnx.ValueInfoProto, axis: int, dim: Dim | None) -> None:
    """Set one dim of a value in place: to a size, to a symbol, or to nothing."""
    proto = value.type.tensor_type.shape.dim[axis]
    proto.Clear()
    if isinstance(dim, int):
        proto.dim_value = dim
    elif dim:
        proto.dim_param = dim


def dtype(elem_type: int) -> str:
    """Return numpy's name of an ONNX element type ("str" for text).

    Raises:
        GraphError: there is no such type.
    """
    if elem_type == onnx.TensorProto.STRING:
        return "str"
    if elem_type not in onnx.TensorProto.DataType.values() or not elem_type:
        raise GraphError(f"A tensor has the type {elem_type}, which ONNX does not have.")
    return onnx.helper.tensor_dtype_to_np_dtype(elem_type).name


def _spec(value: onnx.ValueInfoProto, kind: str) -> TensorSpec:
    if isinstance(value.name, bytes):  # as protobuf returns it
        raise GraphError(f"An {kind} has a name that is not UTF-8 ({value.name[:40]!r}).")
    what = value.type.WhichOneof("value")
    if what != "tensor_type":
        seen = (what or "nothing").removesuffix("_type")
        raise GraphError(f"The {kind} {value.name!r} must be a tensor, but its type is {seen}.")
    shape = dims(value)
    if shape is None:
        raise GraphError(
            f"The rank of the {kind} {value.name!r} is not known. Infer the shapes of the model "
            "first."
        )
    stem = re.sub(r"\W+", "_", value.name).strip("_") or kind
    named = tuple(f"{stem}_dim{axis}" if dim is None else dim for axis, dim in enumerate(shape))
    return TensorSpec(value.name, dtype(value.type.tensor_type.elem_type), named)
