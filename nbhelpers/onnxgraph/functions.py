"""Replace function calls, a model's own and those that ONNX defines itself, by their bodies."""

from collections.abc import Callable, Iterator

import onnx
from onnx import defs, inliner

from nbhelpers.errors import GraphError

ROUNDS = 10
"""How deep ONNX's own functions may stand in each other."""


def inline_functions(
    model: onnx.ModelProto, *, keep: Callable[[onnx.NodeProto], bool]
) -> onnx.ModelProto:
    """Return the model without function calls, but for the nodes that `keep` says yes to.

    ONNX defines many ops as functions of simpler ones (LayerNormalization, Gelu, Attention): a
    converter that does not know one of them can convert its body.

    Raises:
        GraphError: a model's function calls itself, or what is called is not there.
    """
    try:
        if model.functions:
            model = inliner.inline_local_functions(model)
        for _ in range(ROUNDS):
            wanted = {
                ("" if node.domain == "ai.onnx" else node.domain, node.op_type)
                for node in _nodes(model.graph)
                if not keep(node) and _is_function(node, model)
            }
            if not wanted:
                break
            model = inliner.inline_selected_functions(
                model, sorted(wanted), inline_schema_functions=True
            )
    except (RuntimeError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise GraphError(f"The model's functions cannot be inlined: {said}.") from error
    return model


def _is_function(node: onnx.NodeProto, model: onnx.ModelProto) -> bool:
    domain = "" if node.domain == "ai.onnx" else node.domain
    versions = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}
    try:
        schema = defs.get_schema(node.op_type, versions.get(domain, 1), domain)
    except defs.SchemaError:
        return False
    return any(getattr(schema, each) for each in ("has_function", "has_context_dependent_function"))


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)
