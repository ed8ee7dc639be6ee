"""Match ONNX tensors with TensorFlow tensors: find them by name, and prove them by value.

A twin counts only if both runtimes compute the same numbers for it, either with the same axes or
with the channels moved last. In a graph that somebody else made, tensors are found by their values
alone.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

import onnxgraph
from graphcore import parity
from graphcore.errors import GraphError
from graphcore.progress import stage
from graphcore.reading import read_json, reading
from onnxgraph.comparing.layouts import layouts, to_onnx
from onnxgraph.comparing.scopes import module_path
from onnxgraph.model.entry_check import checked
from onnxgraph.model.precision import tensor_precisions
from tfgraph.graphs.graphdef import GraphView
from tfgraph.graphs.run import run_view
from tfgraph.names.naming import legal_names

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef


@dataclass(frozen=True)
class Twin:
    """One ONNX tensor and the TensorFlow tensor that holds the same numbers.

    `torch` is the module that made it, or empty if the exporter did not record it. `layout` is the
    permutation from ONNX's axes to the TensorFlow tensor's ("as is", or "0,2,3,1" for channels
    last). `tolerance` is the limit for `relative`, which is larger after half floats.
    """

    torch: str
    onnx: str
    op: str
    tensor: str
    layout: str
    largest_difference: float
    relative: float
    tolerance: float

    def onnx_layout(self, value: np.ndarray) -> np.ndarray:
        """Return the TensorFlow tensor's value with its axes in ONNX's order."""
        return to_onnx(value, self.layout)


@checked
@stage("looking for twins")
def twins(
    model: onnx.ModelProto,
    graph_def: "GraphDef",
    feeds: Mapping[str, np.ndarray],
    *,
    tolerance: float = parity.TOLERANCE,
    group: int = 64,
) -> tuple[Twin, ...]:
    """Return the twins of a model and a graph made from it, in ONNX order.

    Args:
        model: the ONNX model.
        graph_def: the TensorFlow graph. Its placeholders are matched with the inputs by name or,
            where that fails, by order.
        feeds: ONNX input name to array. Random numbers distinguish tensors best.
        tolerance: largest difference allowed, relative to the largest value.
        group: how many TensorFlow tensors are fetched per run. Fewer need less memory.
    """
    view = GraphView(graph_def)
    fed = {
        _placeholder(name, index, view): value for index, (name, value) in enumerate(feeds.items())
    }
    makers = {output: node for node in model.graph.node for output in node.output if output}
    names = [*feeds, *makers]
    expected = dict(feeds) | onnxgraph.run_onnx(model, feeds, fetch=makers)
    legal, halves = legal_names(names), tensor_precisions(model)
    candidates = [t.name for t in view.tensors.values() if t.op not in ("Const", "NoOp")]
    found: dict[str, Twin] = {}
    for start in range(0, len(candidates), group):
        values = run_view(view, fed, fetch=candidates[start : start + group], optimised=False)
        by_size: dict[int, list[str]] = {}
        for tensor, value in values.items():
            by_size.setdefault(np.size(value), []).append(tensor)
        for name in names:
            own = f"{legal[name]}:0"
            if name in found and found[name].tensor == own:
                continue
            likely = by_size.get(expected[name].size, [])
            for tensor in sorted(likely, key=lambda t: t != own):
                if name in found and tensor != own:
                    continue
                pair = expected[name], values[tensor]
                twin = _match(name, makers.get(name), *pair, tensor, tolerance, halves)
                if twin:
                    found[name] = twin
                    break
    return tuple(found[name] for name in names if name in found)


def names_json(found: Iterable[Twin]) -> str:
    """Return the map torch ↔ ONNX ↔ TensorFlow as JSON text, in ONNX order."""
    rows = [
        {"torch": t.torch, "onnx": t.onnx, "op": t.op, "tensorflow": t.tensor, "layout": t.layout}
        for t in found
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def read_names(path: Path) -> dict[str, str]:
    """Return ONNX name → TensorFlow tensor from a file that `names_json` wrote.

    Raises:
        GraphError: the file is damaged, or has two tensors for one name.
    """
    wrong, again = "is not a map of names", "Run the notebook 04_tensor_names again"
    form = [dict.fromkeys(("onnx", "tensorflow", "torch?", "op?", "layout?"), str)]
    rows = read_json(path, wrong, error=GraphError, advice=again, form=form)
    with reading(path, wrong, error=GraphError, advice=again):
        found = {row["onnx"]: row["tensorflow"] for row in rows}
        if len(found) < len(rows):
            raise ValueError("an ONNX name is there twice")
        for name, tensor in found.items():
            if not re.fullmatch(r"[^:]+:\d{1,6}", tensor, re.ASCII):
                raise ValueError(f"{name!r} has the twin {tensor!r}, not a tensor like 'name:0'")
        return found


def _match(
    name: str,
    node: onnx.NodeProto | None,
    expected: np.ndarray,
    value: np.ndarray,
    tensor: str,
    tolerance: float,
    halves: Mapping[str, str],
) -> Twin | None:
    """Return the twin if the TensorFlow tensor's `value` is `expected` in one of the layouts."""
    for layout in layouts(expected.shape, np.shape(value)):
        seen = to_onnx(np.asarray(value), layout)
        if seen.dtype != expected.dtype:
            continue
        report = parity.compare(
            {name: expected}, {name: seen}, tolerance=tolerance, precisions=halves
        )
        row = report.rows[0]
        if row.status == "ok":
            module = module_path(node) if node is not None else ""
            op = node.op_type if node is not None else "input"
            found = row.largest_difference, row.relative, row.tolerance
            return Twin(module, name, op, tensor, layout, *found)
    return None


def _placeholder(name: str, index: int, view: GraphView) -> str:
    placeholders = [t.name for t in view.inputs()]
    own = f"{legal_names([name])[name]}:0"
    if own in placeholders or index >= len(placeholders):
        return view.tensor(own).name
    return placeholders[index]
