"""Pictures of a graph: how many ops of each kind, and what flows into what.

The histogram is a matplotlib figure. The flow is Mermaid, which JupyterLab draws without a network.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_ROW = 0.28
"""Inches for each bar."""


class Picture(Figure):
    """A matplotlib figure that displays itself in a notebook without pyplot, unlike a plain one."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", bbox_inches="tight")
        return buffer.getvalue()


def histogram_picture(counts: Mapping[str, Mapping[str, int]], title: str = "") -> Figure:
    """Return a figure of op counts, one bar for each op and graph.

    Args:
        counts: the graph's name ("before", "after") to its ops and how often each occurs.
        title: the title of the figure.
    """
    total = {
        op: sum(ops.get(op, 0) for ops in counts.values()) for ops in counts.values() for op in ops
    }
    names = sorted(total, key=lambda op: (-total[op], op))
    height = 1.2 + _ROW * max(1, len(names)) * max(1, len(counts))
    figure = Picture(figsize=(8, height), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    thick = 0.8 / max(1, len(counts))
    for place, (graph, ops) in enumerate(counts.items()):
        rows = [row + (place - (len(counts) - 1) / 2) * thick for row in range(len(names))]
        values = [ops.get(op, 0) for op in names]
        bars = axes.barh(rows, values, height=thick, label=f"{graph} ({sum(ops.values())})")
        axes.bar_label(bars, labels=[str(value) if value else "" for value in values], padding=3)
    axes.set_yticks(range(len(names)), [name.replace("$", r"\$") for name in names])
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("nodes")
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        axes.set_title(title.replace("$", r"\$"))
    if counts:
        axes.legend(loc="lower right")
    return figure


@dataclass(frozen=True)
class FlowPicture:
    """Arrows between named boxes, as Mermaid, or as lines of text where Mermaid is not drawn."""

    arrows: tuple[tuple[str, str, str], ...]
    direction: str = "LR"
    marked: tuple[str, ...] = ()

    @property
    def mermaid(self) -> str:
        """The Mermaid source of the picture."""
        boxes = dict.fromkeys(box for start, end, _ in self.arrows for box in (start, end))
        ids = {box: f"n{number}" for number, box in enumerate(boxes)}
        lines = [f"flowchart {self.direction}"]
        lines += [f'    {ids[box]}["{_escaped(box)}"]' for box in boxes]
        for start, end, label in self.arrows:
            text = f'|"{_escaped(label)}"|' if label else ""
            lines.append(f"    {ids[start]} -->{text} {ids[end]}")
        # A thick border is visible in every theme. A colour would fit only one of them.
        lines += [f"    style {ids[box]} stroke-width:4px" for box in self.marked if box in ids]
        # JupyterLab keeps the line colour when its theme changes, so one colour must fit both.
        lines += ["    linkStyle default stroke:#888888"] if self.arrows else []
        return "\n".join(lines)

    def __repr__(self) -> str:
        lines = []
        for start, end, label in self.arrows:
            lines.append(f"{start} --{f' {label} --' if label else ''}> {end}")
        return "\n".join(lines) or "(nothing flows)"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        plain = {"text/plain": repr(self)}
        return {"text/vnd.mermaid": self.mermaid, **plain} if self.arrows else plain


def flow_picture(
    arrows: Iterable[tuple[str, ...]], *, direction: str = "LR", marked: Iterable[str] = ()
) -> FlowPicture:
    """Return a picture of boxes and arrows.

    Args:
        arrows: (from, to) or (from, to, label). Boxes of the same name are the same box.
        direction: "LR" (left to right) or "TB" (top to bottom).
        marked: boxes to draw with a thick border.

    Raises:
        ValueError: an arrow has neither two nor three parts, or the direction is neither.
    """
    if direction not in ("LR", "TB"):
        raise ValueError(f"A flow runs 'LR' or 'TB', not {direction!r}.")
    found = []
    for arrow in arrows:
        if len(arrow) not in (2, 3):
            raise ValueError(f"An arrow is (from, to) or (from, to, label), not {arrow!r}.")
        start, end, label = (*map(str, arrow), "")[:3]
        found.append((start, end, label))
    return FlowPicture(tuple(found), direction, tuple(marked))


def _escaped(text: str) -> str:
    """Return a text escaped for Mermaid's quotes."""
    codes = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "\n": " "}
    return "".join(codes.get(sign, sign) for sign in text)
