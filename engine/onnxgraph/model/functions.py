"""Replace function calls by their bodies, for a model's own functions and those of ONNX itself."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import onnx
from onnx import defs, inliner

from graphcore.errors import GraphError, first_line
from onnxgraph.model.domains import domain, opsets
from onnxgraph.model.function_calls import (
    assign_once,
    call_fault,
    with_bound_attributes,
)
from onnxgraph.model.graphs import graphs
from onnxgraph.model.inference import NATIVE, infer_shapes
from onnxgraph.model.nodes import nodes

ROUNDS = 10
"""The deepest nesting of ONNX's own functions."""

Schema: TypeAlias = Any
"""An `onnx.defs.OpSchema`, whose functions its stubs leave out."""

_DOMAIN = "nbhelpers.functions"
"""The domain under which a body is a function of the model, until it is inlined."""


def inline_functions(
    model: onnx.ModelProto, *, keep: Callable[[onnx.NodeProto], bool]
) -> onnx.ModelProto:
    """Return the model without function calls, except those of nodes for which `keep` is true.

    ONNX defines many ops as functions of simpler ones (LayerNormalization, Gelu, Attention). A
    converter that does not know one of them can convert its body. A body may depend on the types of
    the node's inputs, so these are inferred first.

    Raises:
        GraphError: a model's function calls itself, a called function does not exist, or the bodies
            would make too large a model.
    """
    if fault := call_fault(model):
        raise GraphError(f"The model's functions cannot be inlined: {fault}")
    try:
        if model.functions:
            model = _inlined(with_bound_attributes(model))
        for _ in range(ROUNDS):
            versions = opsets(model)
            if not any(_schema(n, versions) and not keep(n) for n in nodes(model)):
                break
            model = _inlined_once(model, versions, keep)
    except GraphError:
        raise
    except NATIVE as error:
        raise GraphError(
            f"The model's functions cannot be inlined: {first_line(error)}."
        ) from error
    return model


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace the calls of the model's own functions. A body may have another opset."""
    versions = opsets(model)
    imported = {(domain(o), o.version) for f in model.functions for o in f.opset_import}
    if any(versions.get(name, version) != version for name, version in imported):
        return _converted_and_inlined(infer_shapes(model))
    return inliner.inline_local_functions(model)


def _inlined_once(
    model: onnx.ModelProto, versions: dict[str, int], keep: Callable[[onnx.NodeProto], bool]
) -> onnx.ModelProto:
    """Replace each call by its body, which may contain other calls."""
    # Only types are needed here, so a node whose shapes are inconsistent does not matter.
    result = infer_shapes(model)
    types = {value.name: value.type for value in _values(result.graph)}
    for number, node in enumerate(nodes(result)):
        schema = _schema(node, versions)
        if schema is None or keep(node):
            continue
        body = _body(schema, node, types, versions[domain(node)])
        body.domain, body.name = _DOMAIN, f"{node.op_type}_{number}"
        _pass_attributes(node, body, schema)
        del body.attribute_proto[:]
        result.functions.append(body)
        node.domain, node.op_type = body.domain, body.name
    result.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
    result = _converted_and_inlined(result)
    kept = [opset for opset in result.opset_import if opset.domain != _DOMAIN]
    del result.opset_import[:]
    result.opset_import.extend(kept)
    return result


def _converted_and_inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace calls by their bodies, converted to the model's opset."""
    _state_types(model)
    result = inliner.inline_local_functions(model, convert_version=True)
    assign_once(result.graph, set())
    return result


def _state_types(model: onnx.ModelProto) -> None:
    """State the types of all tensors, because the inliner reads them only in the outer graph."""
    noted = {value.name for value in (*model.graph.value_info, *model.graph.input)}
    for value in [*_values(model.graph)]:
        if value.name not in noted:
            noted.add(value.name)
            model.graph.value_info.append(value)


def _body(
    schema: Schema,
    node: onnx.NodeProto,
    types: dict[str, onnx.TypeProto],
    version: int,
) -> onnx.FunctionProto:
    """Return the newest body of a function that is not newer than the model's opset."""
    if schema.has_function:
        known = [v for v in schema.function_opset_versions if v <= version]
        found = schema.get_function_with_opset_version(max(known))
    else:
        known = [v for v in schema.context_dependent_function_opset_versions if v <= version]
        given = [types.get(name, onnx.TypeProto()).SerializeToString() for name in node.input]
        found = schema.get_context_dependent_function_with_opset_version(
            max(known), node.SerializeToString(), given
        )
    if not found:
        raise ValueError(f"ONNX has no body for the node {node.name!r} ({node.op_type})")
    return onnx.FunctionProto.FromString(found)


def _pass_attributes(node: onnx.NodeProto, body: onnx.FunctionProto, schema: Schema) -> None:
    """Let the body take every attribute of the op, and write the defaults into the call."""
    given = {attribute.name for attribute in node.attribute}
    for name, attribute in schema.attributes.items():
        if name not in body.attribute:
            body.attribute.append(name)
        if name not in given and attribute.default_value.type:
            node.attribute.append(attribute.default_value)


def _schema(node: onnx.NodeProto, versions: dict[str, int]) -> Schema | None:
    """Return the schema of a node that is a function."""
    try:
        version = versions.get(domain(node), 1)
        schema: Schema = defs.get_schema(node.op_type, version, domain(node))
    except defs.SchemaError:
        return None
    is_function = schema.has_function or schema.has_context_dependent_function
    return schema if is_function else None


def _values(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    for inner in graphs(graph):
        yield from (*inner.value_info, *inner.input, *inner.output)
        for weight in inner.initializer:
            yield onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
        for sparse in inner.sparse_initializer:
            name, data_type = sparse.values.name, sparse.values.data_type
            yield onnx.helper.make_tensor_value_info(name, data_type, sparse.dims)
