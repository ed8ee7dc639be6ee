"""Search the tensors of a graph by typed texts, and show them as rows."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from graphcore.errors import GraphError
from nbhelpers.ui.tables import Table, table

if TYPE_CHECKING:
    from tfgraph.comparing.tensor_map import Twin
    from tfgraph.graphs.graphdef import GraphView, TensorInfo

WIDTHS = {"tensor": 44, "op": 16, "dtype": 8, "shape": 18, "ONNX twin": 24}
"""Letters in each column of the table. A longer text loses its middle."""

ORDERS = {
    "graph order": None,
    "name": lambda tensor: tensor.name,
    "op": lambda tensor: (tensor.op, tensor.name),
    "shape": lambda tensor: (tensor.shape is None, [s or 0 for s in tensor.shape or ()]),
    "read by": lambda tensor: len(tensor.consumers),
}


def found_tensors(
    view: "GraphView", name: str = "", op: str = "", shape: str = "", order: str = "graph order"
) -> tuple["TensorInfo", ...]:
    """Return the result of `view.find` for these texts, in one of the `ORDERS`.

    Raises:
        GraphError: the name is not a regular expression, or the shape is not a list of sizes.
    """
    try:
        found = view.find(name, op=op, shape=_sizes(shape))
    except re.error as error:
        raise GraphError(
            f"The name is read as a regular expression, but {name!r} is not one: {error}. "
            r"Put \ before a special character that is meant literally."
        ) from error
    key: Any = ORDERS[order]
    return found if key is None else tuple(sorted(found, key=key))


def tensor_table(
    tensors: Iterable["TensorInfo"], twins: Mapping[str, "Twin"], caption: str = ""
) -> Table:
    """Return tensors as a table: name, op, dtype, shape, readers and ONNX twin."""
    rows = [
        {
            "tensor": tensor.name,
            "op": tensor.op,
            "dtype": tensor.dtype,
            "shape": shape_text(tensor),
            "read by": len(tensor.consumers),
            "ONNX twin": twins[tensor.name].onnx if tensor.name in twins else None,
        }
        for tensor in tensors
    ]
    return table(rows, caption)


def _sizes(text: str) -> list[int | None] | None:
    """Return "?,7,7" as sizes, where None is any size. An empty text gives None, "scalar" gives
    []."""
    if not text.strip():
        return None
    if text.strip() == "scalar":
        return []
    parts = [part.strip() for part in re.split(r"[,×]", text.strip().strip("()[],"))]
    if not all(part == "?" or part.isdigit() for part in parts):
        raise GraphError(
            f"A shape is written as sizes separated by commas, ? for any, but this is {text!r}. "
            "Write for example ?,7,7,64, or scalar."
        )
    return [None if part == "?" else int(part) for part in parts]


def shape_text(tensor: "TensorInfo") -> str:
    """Return the shape of a tensor as it is typed in a search. Unknown sizes are ?."""
    if tensor.shape is None:
        return "unknown"
    return ",".join("?" if size is None else str(size) for size in tensor.shape) or "scalar"


def row_text(cells: Iterable[str]) -> str:
    """Return one text with a column for each of the `WIDTHS`, padded with blanks that HTML
    keeps."""
    padded = [
        _short(cell, width).ljust(width) for cell, width in zip(cells, WIDTHS.values(), strict=True)
    ]
    return " ".join(padded).replace(" ", "\u00a0")


def _short(text: str, width: int) -> str:
    """Return a text without its middle if it is longer than `width`."""
    if len(text) <= width:
        return text
    half = (width - 1) // 2
    return f"{text[:half]}…{text[-(width - 1 - half) :]}"
