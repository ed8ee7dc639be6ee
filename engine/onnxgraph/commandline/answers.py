"""Results of verbs as answers: what is printed, and what `--json` gives."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

import onnxgraph
from graphcore.commandline import Answer
from graphcore.parity import Report
from onnxgraph.comparing.one_tensor import Layer
from onnxgraph.editing.result import Edited

if TYPE_CHECKING:
    import pandas


def saved(result: Edited, path: Path, **more: Any) -> Answer:
    """Write an edited model, and say what was changed and how that was proven."""
    onnxgraph.save(result.model, path)
    data = {
        "written": path,
        "changes": result.changes,
        "nodes": {"before": _nodes(result.before), "after": _nodes(result.model)},
        "renamed": dict(result.renamed),
        "proven": bool(result.reports) and all(report.ok for report in result.reports),
        "proof": reports_data(result.reports),
        **more,
    }
    unproven = "" if result.reports else "\n  not compared with the model before"
    return Answer(f"{result!r}{unproven}\n  written to {path}", data)


def compared(reports: Iterable[Report]) -> Answer:
    """Return the answer of a comparison: no, if a report is not ok."""
    reports = tuple(reports)
    text = "\n".join(map(repr, reports))
    return Answer(text, {"reports": reports_data(reports)}, all(report.ok for report in reports))


def table(found: "pandas.DataFrame", key: str) -> Answer:
    """Return the rows of a table."""
    text = found.to_string(index=False) if len(found) else f"no {key}"
    return Answer(text, {key: found.to_dict("records")})


def arrays(values: Mapping[str, np.ndarray], path: Path) -> Answer:
    """Return the answer of what was run: name, dtype and shape of each array that was written."""
    rows = {name: np.asarray(value) for name, value in values.items()}
    lines = [f"{name}: {value.dtype} {value.shape}" for name, value in rows.items()]
    found = [{"name": n, "dtype": v.dtype.name, "shape": v.shape} for n, v in rows.items()]
    return Answer("\n".join([*lines, f"written to {path}"]), {"written": path, "arrays": found})


def reports_data(reports: Iterable[Report]) -> list[dict[str, Any]]:
    """Return reports as JSON data."""
    return [report.to_json() for report in reports]


def layer_data(layer: Layer) -> dict[str, Any]:
    """Return one compared tensor as JSON data."""
    return {
        "name": layer.name,
        "op": layer.op,
        "node": layer.node,
        "status": layer.status,
        "largest_difference": layer.row.largest_difference,
        "relative": layer.row.relative,
        "note": layer.row.note,
    }


def _nodes(model: onnx.ModelProto) -> int:
    return sum(onnxgraph.op_histogram(model).values())
