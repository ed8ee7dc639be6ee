"""Cells and tables of the receiver's page as HTML: numbers, coloured verdicts, everything
escaped."""

import html
from collections.abc import Iterable, Mapping, Sequence

MINUS = "–"
"""The text of an empty cell."""


def labels(row: Mapping) -> str:
    """Return whether the largest class is the same in every row, in a word."""
    agree = row.get("labels_agree")
    return MINUS if agree is None else "identical" if agree else "DIFFER"


def number(value: float | None, form: str) -> str:
    """Return a number in a format such as ".1e"."""
    return MINUS if value is None else format(value, form)


def html_table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Sequence[int] = (),
    code: Sequence[int] = (),
) -> str:
    """Return a table that scrolls sideways in a narrow window, or "" if there are no rows."""
    classes = {**dict.fromkeys(numbers, "number"), **dict.fromkeys(code, "code")}

    def cell(tag: str, place: int, text: object) -> str:
        words = str(text)
        names = [classes[place]] if place in classes else []
        if words in ("agrees", "ok", "identical"):
            names.append("good")
        elif words.startswith("DIFFER") or words in (
            "mismatch",
            "missing",
            "nan",
            "shape",
            "dtype",
        ):
            names.append("bad")
        given = f' class="{" ".join(names)}"' if names and tag == "td" else ""
        return f"<{tag}{given}>{html.escape(words)}</{tag}>"

    body = "\n".join(
        f"<tr>{''.join(cell('td', place, text) for place, text in enumerate(row))}</tr>"
        for row in rows
    )
    if not body:
        return ""
    top = "".join(cell("th", place, text) for place, text in enumerate(head))
    return (
        f'<div class="wide"><table>\n<thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>\n"
    )
