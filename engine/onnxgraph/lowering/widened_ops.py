"""The rule for ops whose new version only added types, an attribute or an optional input.

Most new versions of an op are of this kind. A node that uses none of the additions is valid one
opset lower as it is. This module compares the two definitions in ONNX's own schemas. A version that
changed the meaning has a rule of its own.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import onnx
from onnx import defs, helper

from graphcore.copies import copy_of
from onnxgraph.lowering.node_rewriter import NodeRewriter, NotLowered

Schema: TypeAlias = Any


def definition(op_type: str, version: int) -> Schema | None:
    """Return ONNX's own definition of an op in an opset, or None if that opset has no such op."""
    try:
        schema = defs.get_schema(op_type, version, "")
    except defs.SchemaError:
        return None
    return None if schema.deprecated else schema


def keep(rewriter: NodeRewriter, **changed: Any) -> None:
    """Emit the node without the attributes that state what the older op always does.

    Args:
        rewriter: the node.
        changed: attributes to set, or to remove if None.

    Raises:
        NotLowered: the node uses something that its op has only from this opset on.
    """
    new = definition(rewriter.proto.op_type, rewriter.scope.version)
    older = _older(rewriter)
    node = copy_of(rewriter.proto)
    del node.attribute[:]
    node.attribute.extend(a for a in rewriter.proto.attribute if a.name not in changed)
    node.attribute.extend(
        helper.make_attribute(name, value) for name, value in changed.items() if value is not None
    )
    kept = [a for a in node.attribute if a.name in older.attributes or not _neutral(a, new)]
    del node.attribute[:]
    node.attribute.extend(kept)
    check(node, older, rewriter)
    rewriter.made.append(node)


def check(node: onnx.NodeProto, schema: Schema, rewriter: NodeRewriter) -> None:
    """Check that a node fits a definition: attributes, number of inputs and outputs, types.

    Raises:
        NotLowered: the node does not fit.
    """
    since = f"only from opset {rewriter.scope.version} on"
    for attribute in node.attribute:
        if attribute.name not in schema.attributes:
            shown = helper.get_attribute_value(attribute)
            shown = shown.decode() if isinstance(shown, bytes) else shown
            raise NotLowered(f"it has {attribute.name}={shown}, which the op takes {since}")
    for kind, names, least, most in (
        ("inputs", node.input, schema.min_input, schema.max_input),
        ("outputs", node.output, schema.min_output, schema.max_output),
    ):
        used = max((n for n, name in enumerate(names, 1) if name), default=0)
        if not least <= used <= most:
            raise NotLowered(f"it has {used} {kind}, which the op takes {since}")
    bound: dict[str, str] = {}
    for name, formal in _pairs(node, schema):
        kind = type_name(rewriter.scope.type(name))
        if kind and kind not in _allowed(formal, schema):
            raise NotLowered(f"{name!r} is {kind}, which the op takes {since}; {_help(kind)}")
        if kind and formal.is_homogeneous and bound.setdefault(formal.type_str, kind) != kind:
            other = bound[formal.type_str]
            raise NotLowered(f"it mixes {kind} and {other}, which the op takes {since}")


def type_name(kind: onnx.TypeProto | None) -> str:
    """Return a type as the schemas write it, such as `tensor(float)`, or "" if it is not known."""
    if kind is None:
        return ""
    which = kind.WhichOneof("value")
    if which in ("tensor_type", "sparse_tensor_type"):
        elem = getattr(kind, which).elem_type
        name = onnx.TensorProto.DataType.Name(elem).lower()
        return f"{which.removesuffix('_type')}({name})" if elem else ""
    if which in ("sequence_type", "optional_type"):
        inner = type_name(getattr(kind, which).elem_type)
        return f"{'seq' if which == 'sequence_type' else 'optional'}({inner})" if inner else ""
    return ""


def _older(rewriter: NodeRewriter) -> Schema:
    older = definition(rewriter.proto.op_type, rewriter.scope.version - 1)
    if older is None:
        raise NotLowered(
            f"there is no such op before opset {rewriter.scope.version}, and no exact form in "
            "older ones is known here; replace it in the model"
        )
    return older


def _neutral(attribute: onnx.AttributeProto, schema: Schema) -> bool:
    """Whether an attribute has its default value, or dilations that are all 1."""
    value = helper.get_attribute_value(attribute)
    if attribute.name == "dilations":
        return set(value) == {1}
    default = schema.attributes[attribute.name].default_value
    return bool(default.name) and helper.get_attribute_value(default) == value


def _pairs(node: onnx.NodeProto, schema: Schema) -> Iterator[tuple[str, Any]]:
    for names, formals in ((node.input, schema.inputs), (node.output, schema.outputs)):
        for position, name in enumerate(names):
            if name:
                yield name, formals[min(position, len(formals) - 1)]


def _allowed(formal: Any, schema: Schema) -> set[str]:
    for constraint in schema.type_constraints:
        if constraint.type_param_str == formal.type_str:
            return set(constraint.allowed_type_strs)
    return {formal.type_str}


def _help(kind: str) -> str:
    elem = kind.removesuffix(")").rpartition("(")[2]
    if kind != f"tensor({elem})":
        return f"keep {elem} in plain tensors"
    if elem in ("bfloat16", "float16", "double"):
        return "export it in float32, as after module.float()"
    if elem.startswith("float") or elem in ("int4", "uint4", "int2", "uint2"):
        return "start from the model before it was quantised"
    return "cast it to a type that the older op takes"
