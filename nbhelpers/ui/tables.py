"""Tables that are legible as HTML in a light or a dark theme, and as text where there is no HTML.

Names come from files that anybody may have made, so everything is escaped.
"""

import html
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nbhelpers.handoff import NOTEBOOKS, Handoff


@dataclass(frozen=True)
class Table:
    """Rows of texts under column names. `right` tells which columns hold numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[bool, ...]
    caption: str = ""

    def __repr__(self) -> str:
        if not self.rows:
            return f"{self.caption}\n(no rows)".strip()
        cells = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        cells.insert(1, tuple("-" * width for width in widths))
        lines = ["  ".join(self._padded(row, widths)).rstrip() for row in cells]
        return "\n".join(([self.caption] if self.caption else []) + lines)

    def _padded(self, row: Iterable[str], widths: Iterable[int]) -> Iterable[str]:
        for text, width, right in zip(row, widths, self.right, strict=True):
            yield text.rjust(width) if right else text.ljust(width)

    def _repr_html_(self) -> str:
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        if not self.rows:
            return f"<table>{caption}<tbody><tr><td>(no rows)</td></tr></tbody></table>"
        head = "".join(self._cells("th", self.columns))
        body = "".join(f"<tr>{''.join(self._cells('td', row))}</tr>" for row in self.rows)
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _cells(self, tag: str, row: Iterable[str]) -> Iterable[str]:
        # Only the side is set, because the theme chooses colours.
        for text, right in zip(row, self.right, strict=True):
            side = "right" if right else "left"
            yield f"<{tag} style='text-align:{side}'>{html.escape(text)}</{tag}>"


def table(rows: Iterable[Mapping[str, object]], caption: str = "") -> Table:
    """Return a table of `rows`, each a mapping from column name to value.

    Columns come in the order in which they first appear. A missing value or None is shown as –.

    Args:
        rows: the rows to show. Numbers are aligned to the right.
        caption: the title of the table.
    """
    rows = [dict(row) for row in rows]
    columns = tuple(dict.fromkeys(str(name) for row in rows for name in row))
    texts = tuple(tuple(_text(row.get(name)) for name in columns) for row in rows)
    right = tuple(
        all(_is_number(row.get(name)) for row in rows if row.get(name) is not None)
        for name in columns
    )
    return Table(columns, texts, right, caption)


def handoff_status(handoff: Handoff) -> Table:
    """Return the state of each stage of a handoff, and the notebook that makes it."""
    rows = [
        {
            "stage": status.stage,
            "notebook": NOTEBOOKS[status.stage],
            "state": status.state,
            "why": status.detail,
        }
        for status in handoff.status()
    ]
    return table(rows, f"Handoff {handoff.name}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    """Return a value as the text of a table cell: short numbers, yes or no, dims separated by ×."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ")
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return " × ".join(map(str, value)) if value else "scalar"
    return " ".join(str(value).split())
