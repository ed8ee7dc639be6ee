"""What a verb of this room gives back: the new model, and what was changed, in words and counts."""

import html
from collections import Counter
from dataclasses import dataclass, field

import onnx

from nbhelpers import parity
from nbhelpers.onnxgraph.anatomy import op_histogram
from nbhelpers.onnxgraph.edit import finished


@dataclass(frozen=True)
class Edited:
    """A new model, and how it differs from the one that came in.

    `changes` says so a sentence each; `nodes` are the names of nodes that were added or changed;
    `reports` hold the proof, where the verb ran both models.
    """

    model: onnx.ModelProto = field(repr=False)
    before: onnx.ModelProto = field(repr=False)
    changes: tuple[str, ...]
    nodes: tuple[str, ...] = ()
    reports: tuple[parity.Report, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        """Return the node counts before and after, and the changes, one a line."""
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
        return f"<pre>{html.escape(repr(self))}</pre>"


def edited(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    changes: list[str],
    nodes: list[str] | None = None,
) -> Edited:
    """Return the result of a verb: `after` checked and with its shapes inferred.

    Raises:
        GraphError: the edit made the model invalid, or its shapes contradict each other.
    """
    return Edited(finished(after), before, tuple(changes), tuple(nodes or ()))
