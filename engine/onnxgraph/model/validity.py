"""The validity of an ONNX model: ONNX's own checker, and checks of what it lets through.

It accepts codes of unknown types, negative sizes, weights longer than their shape, text that is not
UTF-8, opsets of the future, and outputs that are listed twice.
"""

import functools
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from onnx import TensorProto

from graphcore.errors import GraphError
from onnxgraph.model.domains import domain, is_default, opsets
from onnxgraph.model.external import is_kept, kept_fault
from onnxgraph.model.function_calls import call_fault
from onnxgraph.model.graphs import graphs
from onnxgraph.model.inference import NATIVE, said
from onnxgraph.model.sparse import sparse_faults
from onnxgraph.model.weightless import without_weights

_DTYPES = set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}

_UNMADE = re.compile(
    "Nodes in a graph must be topologically sorted, however input '(.*)' of node: "
    r"\s*name: (.*) OpType: (\w*)\s*is not output of any previous nodes\.",
    re.DOTALL,
)
"""The words of ONNX's checker about cycles and missing tensors."""

_UNKNOWN = re.compile(r"No Op registered for (.*) with domain_version of (-?\d+)")

_MOST = 2**63 - 1
"""The most values of a tensor that any program can count."""

_COMPLEX = (TensorProto.COMPLEX64, TensorProto.COMPLEX128)

_PACKED: dict[int, int] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.FLOAT4E2M1: 4,
    TensorProto.INT2: 2,
    TensorProto.UINT2: 2,
}
"""Bits per value, for types of which a byte holds several values."""


def check(
    model: onnx.ModelProto, *, subject: str = "The model", shapes: bool = True
) -> onnx.ModelProto:
    """Return the model if it is valid.

    Args:
        model: the model.
        subject: the name of the model in the message.
        shapes: whether inputs and outputs must have shapes.

    Raises:
        GraphError: it is not valid. The message says what is wrong, and where.
    """
    try:
        fault = next(_faults(model, shapes), "")
    except RecursionError:
        fault = "its graphs are nested too deeply."
    if fault:
        raise GraphError(f"{subject} is not a valid ONNX model: {said(fault)}")
    return model


def _faults(model: onnx.ModelProto, shapes: bool) -> Iterator[str]:
    """Yield the faults of a model, those first that would confuse ONNX's checker."""
    yield from _opset_faults(model)
    sparse, kept = [], 0
    for message in messages(model):
        yield from _text_faults(message)
        if isinstance(message, TensorProto):
            kept += is_kept(message)
            yield from _tensor_faults(message)
        elif isinstance(message, onnx.ValueInfoProto):
            yield from _value_faults(message)
        elif isinstance(message, onnx.NodeProto):
            yield from _constant_faults(message)
        elif isinstance(message, onnx.SparseTensorProto):
            sparse.append(message)
    yield from _kept_faults(model, kept)
    for tensor in sparse:
        yield from sparse_faults(tensor)
    yield from filter(None, [call_fault(model)])
    yield from _interface_faults(model.graph, shapes)
    copy = without_weights(model)
    copy.ir_version = model.ir_version
    _pass_deprecated(copy)
    if not shapes:
        _pass_unknown_shapes(copy.graph)
    try:
        onnx.checker.check_model(copy)
    except NATIVE as error:
        yield _in_one_line(str(error))


def _pass_deprecated(model: onnx.ModelProto) -> None:
    """Hide deprecated operators from the checker.

    It refuses them although runtimes know them.
    """
    version = opsets(model).get("", 1)
    hidden = [
        node
        for graph in graphs(model.graph)
        for node in graph.node
        if is_default(node) and _is_deprecated(node.op_type, version)
    ]
    if hidden:
        model.opset_import.append(onnx.helper.make_opsetid("deprecated", 1))
    for node in hidden:
        node.domain = "deprecated"


def _pass_unknown_shapes(graph: onnx.GraphProto) -> None:
    """Hide from the checker that inputs and outputs have no shapes."""
    for value in (*graph.input, *graph.output):
        if not value.HasField("type"):
            value.type.tensor_type.elem_type = TensorProto.FLOAT
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()


@functools.cache
def _is_deprecated(op: str, version: int) -> bool:
    try:
        return onnx.defs.get_schema(op, version).deprecated
    except onnx.defs.SchemaError:
        return False


def _in_one_line(said: str) -> str:
    """Return the checker's message on one line, with the node that it names at its end."""
    said, _, place = said.partition("\n\n==> Context: Bad node spec for node. Name:")
    said = _UNKNOWN.sub(r"opset \2 has no operator \1.", said)
    said = _UNMADE.sub(r"the node '\2' (\3) reads '\1', which nothing before it makes.", said)
    name, _, op = place.rpartition(" OpType: ")
    where = f" That is at the node {name.strip()!r} ({op.strip()})." if op else ""
    return " ".join(f"{said.rstrip('. ')}.{where}".split())


def messages(message: Any) -> Iterator[Any]:
    """Yield a protobuf message of ONNX and all messages inside it, with tensors as a whole."""
    yield message
    if isinstance(message, TensorProto):
        return  # its fields are long
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in value if field.is_repeated else (value,):
                yield from messages(inner)


def _opset_faults(model: onnx.ModelProto) -> Iterator[str]:
    newest = onnx.defs.onnx_opset_version()
    seen: dict[str, int] = {}
    for entry in model.opset_import:
        known = seen.setdefault(domain(entry), entry.version)
        if known != entry.version:
            yield f"it asks for the opsets {known} and {entry.version} at once."
        if is_default(entry) and not 1 <= entry.version <= newest:
            yield (
                f"its opset is {entry.version}, but onnx {onnx.__version__} knows 1 to {newest}. "
                "Export it with one of those."
            )


def _text_faults(message: Any) -> Iterator[str]:
    """Yield names that are not UTF-8, which protobuf returns as bytes."""
    if isinstance(message, TensorProto):
        texts = [message.name]
    else:
        texts = []
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_STRING and field.name != "doc_string":
                texts += value if field.is_repeated else [value]
    for text in texts:
        if isinstance(text, bytes):
            yield f"it holds a name that is not UTF-8 ({text[:40]!r})."


def _constant_faults(node: onnx.NodeProto) -> Iterator[str]:
    is_whole = len(node.attribute) == len(node.output) == 1
    if node.op_type == "Constant" and is_default(node) and not is_whole:
        names = ", ".join(map(repr, node.output)) or "no tensor"
        yield f"a Constant gives {names} and has {len(node.attribute)} values, but must have one."


def _value_faults(value: onnx.ValueInfoProto) -> Iterator[str]:
    for kind in messages(value.type):
        if not isinstance(kind, onnx.TypeProto.Tensor | onnx.TypeProto.SparseTensor):
            continue
        if kind.elem_type not in _DTYPES:
            yield f"{value.name!r} has the type {kind.elem_type}, which ONNX does not have."
        sizes = [dim.dim_value for dim in kind.shape.dim]
        if min(sizes, default=0) < 0:
            yield (
                f"{value.name!r} has the sizes {sizes}. Give unknown sizes a name, such as "
                '"batch", instead of a negative size.'
            )
        if math.prod(size or 1 for size in sizes) > _MOST:
            yield f"{value.name!r} has the sizes {sizes}, which are too many values."


def _interface_faults(graph: onnx.GraphProto, shapes: bool) -> Iterator[str]:
    for value in (*graph.input, *graph.output) if shapes else ():
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            yield f"{value.name!r} has no shape. Give it one, with names for unknown sizes."
    for name, count in Counter(value.name for value in graph.output).items():
        if count > 1:
            yield f"it lists the output {name!r} {count} times."
    if not graph.output:
        yield "it has no outputs."


def _tensor_faults(tensor: TensorProto) -> Iterator[str]:
    called = f"the tensor {tensor.name!r}"
    if is_kept(tensor):
        return
    if tensor.data_location == TensorProto.EXTERNAL:
        yield f"{called} is in another file. Read the model with nbhelpers.onnxgraph.load."
    elif tensor.data_type not in _DTYPES:
        yield f"{called} has the type {tensor.data_type}, which ONNX does not have."
    elif tensor.HasField("segment"):
        yield f"{called} is one part of several, which onnx does not put together."
    elif min(tensor.dims, default=0) < 0:
        yield f"{called} has the sizes {list(tensor.dims)}, but none may be negative."
    else:
        unit, expected, seen = _lengths(tensor)
        if expected != seen:
            sizes = "×".join(map(str, tensor.dims)) or "scalar"
            yield f"{called} ({sizes}) takes {expected} {unit}, but has {seen}."
        for text in tensor.string_data:
            if not _is_utf8(text):
                yield f"{called} holds text that is not UTF-8 ({text[:40]!r})."


def _kept_faults(model: onnx.ModelProto, seen: int) -> Iterator[str]:
    """Yield faults of kept weights: only the main graph may keep any. `seen` counts all of them."""
    kept = [tensor for tensor in model.graph.initializer if is_kept(tensor)]
    load = "Read the model with nbhelpers.onnxgraph.load."
    for tensor in kept:
        if fault := kept_fault(tensor):
            yield f"the tensor {tensor.name!r} {fault}. {load}"
    if len(kept) < seen:
        yield f"a tensor is in another file. {load}"


def _lengths(tensor: TensorProto) -> tuple[str, int, int]:
    """Return a tensor's unit of storage, how many its shape takes, and how many it has."""
    code, count = tensor.data_type, math.prod(tensor.dims)
    packed = math.ceil(count * _PACKED.get(code, 0) / 8)
    if tensor.HasField("raw_data"):
        size = packed or count * onnx.helper.tensor_dtype_to_np_dtype(code).itemsize
        return "bytes", size, len(tensor.raw_data)
    numbers = packed or count * (2 if code in _COMPLEX else 1)
    return "values", numbers, len(getattr(tensor, onnx.helper.tensor_dtype_to_field(code)))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
