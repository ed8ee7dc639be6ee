"""Value infos after an edit: those that may have changed are inferred again.

ONNX's inference trusts value infos, so one that an edit made wrong would stay, or contradict the
new graph. So value infos downstream of a change are removed first. Inference may then know less
than the file did (for example a batch after a Reshape to -1, or an operator of another domain). If
removing them from the original graph leads to the same shapes, the old value infos are still right.
"""

from collections.abc import Iterable, Mapping

import onnx

from graphcore.errors import GraphError
from graphcore.spec import Dim
from onnxgraph.editing.finishing import inferred
from onnxgraph.editing.observed_shapes import complete_outputs
from onnxgraph.editing.rewire import keep_notes
from onnxgraph.model import interface
from onnxgraph.model.dataflow import reads
from onnxgraph.model.graphs import subgraphs
from onnxgraph.model.value_info import forget
from onnxgraph.model.weightless import without_weights

Notes = Mapping[str, onnx.ValueInfoProto]


def renew_notes(
    before: onnx.ModelProto, after: onnx.ModelProto, changed: Iterable[str] = ()
) -> None:
    """Bring the value infos and the output shapes of `after`, a private copy, up to date.

    Args:
        before: the original model.
        after: its edited copy.
        changed: tensors that changed although no node shows it: an input's type, a weight's value.

    Raises:
        GraphError: the shapes of the edited graph do not fit together.
    """
    novel, outdated = _downstream(before, after, set(changed))
    if not outdated:
        return
    said = _notes(before.graph)
    now = _inferred_without(after, outdated)
    try:
        was = _inferred_without(before, outdated)
    except GraphError:  # the edit repairs what did not fit, so no old size is trusted
        was = None
    moved = was is None or any(
        interface.dims(was[name]) != interface.dims(now[name])
        for name in outdated & set(was) & set(now)
    )
    moved |= any(not _is_known(now.get(name)) for name in novel & set(said))
    _forget(after.graph, outdated)
    for value in after.graph.output:
        if value.name in outdated:
            value.CopyFrom(_note(value.name, now, said, moved=moved))
    shown = [value.name for value in after.graph.output]
    renewed = [name for name in shown if name in outdated]
    complete_outputs(after, renewed, {name: interface.dims(said[name]) for name in said})
    # In the order of the graph, so that the same edit gives the same bytes.
    order = (name for node in after.graph.node for name in node.output)
    inner = outdated.difference(shown)
    rest = [_note(name, now, said, moved=moved) for name in order if name in inner]
    after.graph.value_info.extend(note for note in rest if note.HasField("type"))


def _downstream(
    before: onnx.ModelProto, after: onnx.ModelProto, changed: set[str]
) -> tuple[set[str], set[str]]:
    """Return the tensors of nodes with a new computation, and all tensors computed from a change.

    A node that only reads other tensors has no new computation.
    """
    known = {node.SerializeToString(deterministic=True) for node in before.graph.node}
    kinds = {_kind_of_node(node) for node in before.graph.node}
    novel: set[str] = set()
    outdated = set(changed)
    for node in after.graph.node:
        source = set(reads(node))
        new = node.SerializeToString(deterministic=True) not in known
        if source & changed or (new and _kind_of_node(node) not in kinds):
            novel.update(filter(None, node.output))
        if new or source & outdated:
            outdated.update(filter(None, node.output))
    made = {name for node in after.graph.node for name in node.output}
    return novel, outdated & made


def _kind_of_node(node: onnx.NodeProto) -> bytes:
    """Return what a node computes, apart from its name and its inputs."""
    kind = onnx.NodeProto(op_type=node.op_type, domain=node.domain, attribute=node.attribute)
    return kind.SerializeToString(deterministic=True) + "\n".join(node.output).encode()


def _inferred_without(model: onnx.ModelProto, outdated: set[str]) -> Notes:
    """Return the result of inference without the value infos of `outdated` tensors."""
    copy = without_weights(model)
    _forget(copy.graph, outdated)
    return _notes(inferred(copy).graph)


def _forget(graph: onnx.GraphProto, outdated: set[str]) -> None:
    """Remove value infos of tensors. Outputs of branches and bodies keep their dtypes."""
    keep_notes(graph, [value.name for value in graph.value_info if value.name not in outdated])
    for value in graph.output:
        if value.name in outdated:
            value.ClearField("type")
    for node in graph.node:
        if outdated.isdisjoint(node.output):
            continue
        forget(subgraphs(node))


def _note(name: str, now: Notes, said: Notes, *, moved: bool) -> onnx.ValueInfoProto:
    """Return what is known of a tensor: from inference, completed by the file where allowed."""
    new, old = now.get(name), None if moved else said.get(name)
    if new is None or old is None or not new.type.HasField("tensor_type"):
        return new or old or _typed(name, said)
    seen, hints = interface.dims(new), interface.dims(old)
    if seen is None or hints is None or len(seen) != len(hints):
        return old if seen is None else new
    shape: list[Dim | None] = [
        hint if dim is None else dim for dim, hint in zip(seen, hints, strict=True)
    ]
    elem_type = new.type.tensor_type.elem_type
    return onnx.helper.make_tensor_value_info(name, elem_type, shape)


def _typed(name: str, said: Notes) -> onnx.ValueInfoProto:
    """Return a value info without a shape, because ONNX requires a dtype for every output."""
    elem_type = said[name].type.tensor_type.elem_type if name in said else 0
    if not elem_type:
        return onnx.ValueInfoProto(name=name)
    return onnx.helper.make_tensor_value_info(name, elem_type, None)


def _notes(graph: onnx.GraphProto) -> Notes:
    values = (*graph.value_info, *graph.output)
    return {value.name: value for value in values if value.type.WhichOneof("value")}


def _is_known(value: onnx.ValueInfoProto | None) -> bool:
    shape = None if value is None else interface.dims(value)
    return shape is not None and None not in shape
