"""Replace function calls, a model's own and those that ONNX defines itself, by their bodies."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import onnx
from onnx import defs, inliner, shape_inference

from nbhelpers.errors import GraphError, first_line

ROUNDS = 10
"""How deep ONNX's own functions may stand in each other."""

LARGEST = 1_000_000
"""Nodes of a model when its functions are written out; calls of calls of calls add up quickly."""

Schema: TypeAlias = Any
"""An `onnx.defs.OpSchema`, whose functions its stubs leave out."""

_DOMAIN = "nbhelpers.functions"
"""Where a body stands, as a function of the model, until it is inlined."""


def inline_functions(
    model: onnx.ModelProto, *, keep: Callable[[onnx.NodeProto], bool]
) -> onnx.ModelProto:
    """Return the model without function calls, but for the nodes that `keep` says yes to.

    ONNX defines many ops as functions of simpler ones (LayerNormalization, Gelu, Attention): a
    converter that does not know one of them can convert its body. A body may depend on the types
    of the node's inputs, so these are inferred before.

    Raises:
        GraphError: a model's function calls itself, what is called is not there, or the bodies
            would make too large a model.
    """
    try:
        if model.functions:
            _check_size(model)
            model = inliner.inline_local_functions(model)
        for _ in range(ROUNDS):
            versions = {_domain(o): o.version for o in model.opset_import}
            if not any(_schema(n, versions) and not keep(n) for n in _nodes(model.graph)):
                break
            model = _inlined_once(model, versions, keep)
    except (RuntimeError, ValueError) as error:
        raise GraphError(
            f"The model's functions cannot be inlined: {first_line(error)}."
        ) from error
    return model


def _check_size(model: onnx.ModelProto) -> None:
    bodies = {(f.domain, f.name): f for f in model.functions}

    @functools.cache
    def size(domain: str, name: str) -> int:
        if (domain, name) not in bodies:
            return 1
        return sum(size(node.domain, node.op_type) for node in _nodes(bodies[domain, name]))

    nodes = sum(size(node.domain, node.op_type) for node in _nodes(model.graph))
    if nodes > LARGEST:
        raise ValueError(f"the model would have {nodes} nodes, and {LARGEST} are the most")


def _inlined_once(
    model: onnx.ModelProto, versions: dict[str, int], keep: Callable[[onnx.NodeProto], bool]
) -> onnx.ModelProto:
    """Replace each call by its body, in which other calls may stand."""
    # Types are all that is asked for: a node whose shapes are inconsistent does not matter here.
    result = shape_inference.infer_shapes(model)
    types = {value.name: value.type for value in _values(result.graph)}
    for number, node in enumerate(_nodes(result.graph)):
        schema = _schema(node, versions)
        if schema is None or keep(node):
            continue
        body = _body(schema, node, types, versions[_domain(node)])
        body.domain, body.name = _DOMAIN, f"{node.op_type}_{number}"
        _pass_attributes(node, body, schema)
        del body.attribute_proto[:]
        result.functions.append(body)
        node.domain, node.op_type = body.domain, body.name
    result.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
    result = inliner.inline_local_functions(result, convert_version=True)
    kept = [opset for opset in result.opset_import if opset.domain != _DOMAIN]
    del result.opset_import[:]
    result.opset_import.extend(kept)
    return result


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
    """Let the body take every attribute of the op, and write the defaults out for the call."""
    given = {attribute.name for attribute in node.attribute}
    for name, attribute in schema.attributes.items():
        if name not in body.attribute:
            body.attribute.append(name)
        if name not in given and attribute.default_value.type:
            node.attribute.append(attribute.default_value)


def _schema(node: onnx.NodeProto, versions: dict[str, int]) -> Schema | None:
    """Return the definition of a node that is a function."""
    domain = _domain(node)
    try:
        schema: Schema = defs.get_schema(node.op_type, versions.get(domain, 1), domain)
    except defs.SchemaError:
        return None
    is_function = schema.has_function or schema.has_context_dependent_function
    return schema if is_function else None


def _domain(of: "onnx.NodeProto | onnx.OperatorSetIdProto") -> str:
    return "" if of.domain == "ai.onnx" else of.domain


def _nodes(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.NodeProto]:
    for inner in _graphs(graph):
        yield from inner.node


def _values(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    for inner in _graphs(graph):
        yield from (*inner.value_info, *inner.input, *inner.output)
        for weight in inner.initializer:
            yield onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)


def _graphs(
    graph: onnx.GraphProto | onnx.FunctionProto,
) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _graphs(attribute.g)
