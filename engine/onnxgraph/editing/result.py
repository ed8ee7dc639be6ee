"""The result of an editing verb: the new model, and its changes in words and counts."""

import html
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import onnx

from graphcore import parity
from graphcore.copies import copy_of
from onnxgraph.editing.finishing import note_shapes
from onnxgraph.editing.proof import same
from onnxgraph.editing.rewire import sort_nodes
from onnxgraph.editing.value_info import renew_notes
from onnxgraph.model.anatomy import op_histogram
from onnxgraph.model.files import check
from onnxgraph.model.graph_picture import side_by_side
from onnxgraph.model.sparse import dense_model


@dataclass(frozen=True)
class Edited:
    """A new model, and how it differs from the original.

    `changes` describes each change in a sentence. `nodes` are the names of nodes that were added or
    changed. `reports` hold the proof, if the verb ran both models. `renamed` maps renamed tensors
    to their new names.
    """

    model: onnx.ModelProto = field(repr=False)
    before: onnx.ModelProto = field(repr=False)
    changes: tuple[str, ...]
    nodes: tuple[str, ...] = ()
    reports: tuple[parity.Report, ...] = field(default=(), repr=False)
    renamed: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def proven(self, **options: Any) -> "Edited":
        """Return the same result with a proof: each output is the same as before.

        Takes the options of `same`. A tensor that the edit exposes or cuts out is compared with the
        tensor of that name in the original.

        Raises:
            ParityError: the edit changed the results, as an inserted Mul does.
            GraphError: one of the models cannot be run.
        """
        outputs = [value.name for value in self.model.graph.output]
        settings = {"outputs": outputs, "renamed": dict(self.renamed), **options}
        return replace(self, reports=same(self.before, self.model, **settings))

    def __repr__(self) -> str:
        """Return the node counts before and after, and the changes, one per line."""
        was, now = (Counter(op_histogram(model)) for model in (self.before, self.model))
        ops = [f"{op} {was[op]} → {now[op]}" for op in sorted(was | now) if was[op] != now[op]]
        counts = f"{was.total()} → {now.total()} nodes"
        lines = [f"Edited: {counts}" + (f" ({', '.join(ops)})" if ops else "")]
        lines += [f"  {change}" for change in self.changes or ("nothing to change",)]
        if self.reports:
            proof = ", ".join(f"{report.title} {report.worst:.1e}" for report in self.reports)
            lines.append(f"  largest relative difference: {proof}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        picture = side_by_side(self.before, self.model, self.nodes)
        return f"<pre>{html.escape(repr(self))}</pre>{picture}"


def edited(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    changes: list[str],
    nodes: list[str] | None = None,
    *,
    renamed: dict[str, str] | None = None,
) -> Edited:
    """Return the result of a verb: `after` checked and with its shapes inferred.

    Up to IR version 3 an initializer must also be listed as an input. New ones are added there.

    Args:
        before: the original model.
        after: its edited copy, whose value infos are changed in place, or `before` itself.
        changes: a sentence for each change.
        nodes: the names of the nodes that were added or changed.
        renamed: old name to new name of renamed tensors.

    Raises:
        GraphError: the edit made the model invalid, or its shapes contradict each other.
    """
    pairs = tuple((renamed or {}).items())
    if after is before:
        after = copied(before)
    _list_weights(after)
    note_shapes(check(after, subject="The edited model"))
    return Edited(after, before, tuple(changes), tuple(nodes or ()), renamed=pairs)


def rewired(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    changes: list[str],
    nodes: list[str],
    *,
    changed: tuple[str, ...] = (),
    renew: bool = True,
) -> Edited:
    """Return the result of a verb that rewired its private copy: sorted, with new value infos.

    Args:
        before: the original model.
        after: its edited copy. It is changed in place.
        changes: a sentence for each change.
        nodes: the names of the nodes that were added or changed.
        changed: tensors that changed although no node shows it.
        renew: False if the value infos of `after` are already right.

    Raises:
        GraphError: the edit made the model invalid, or its shapes contradict each other.
    """
    sort_nodes(after)
    if renew:
        renew_notes(before, after, changed)
    return edited(before, after, changes, nodes)


def _list_weights(copy: onnx.ModelProto) -> None:
    """List every weight as an input too, if the IR version requires it."""
    if copy.ir_version < 4:
        listed = {value.name for value in copy.graph.input}
        copy.graph.input.extend(
            onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
            for weight in copy.graph.initializer
            if weight.name not in listed
        )


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a private copy that a verb may change. Its weights are dense."""
    return copy_of(dense_model(model))
