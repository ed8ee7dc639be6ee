"""The cells of the tables in the report, and the notes below them."""

import textwrap

import results
from catalogue import MODELS

SAME = 1e-3
"""A larger difference from onnxruntime, relative to the largest output, is not rounding."""

MOST = 200
"""The most characters of a reason that are shown. It is cut between two words."""


def in_order(part):
    """Return the results of a part by network, in the catalogue's order."""
    rows = results.load(part)
    return {name: rows[name] for name in MODELS if name in rows}


def baseline():
    """Return the memory in MB that importing takes."""
    return results.load("conversion").get("", {}).get("megabytes", 0)


def line(*cells):
    """Return a row of a table."""
    return "| " + " | ".join(cells) + " |"


def head(*titles):
    """Return the two rows that begin a table."""
    return [line("", *titles), line(*["---"] * (len(titles) + 1))]


def number(value, form):
    """Return a number, or a dash if there is none."""
    return "–" if value is None else form.format(value)


def seconds(run):
    """Return the time of a conversion."""
    return f"{run['seconds']:.2f}" if "seconds" in run else "failed"


def milliseconds(each, share=None):
    """Return a latency and, in brackets, our latency relative to it."""
    if "ms" not in each:
        return "failed" if each else "–"
    text = f"{each['ms']:.1f}" + (f" ({share:.2f})" if share else "")
    return f"{text}, wrong" if wrong(each) else text


def verdict(met):
    """Return in words whether a limit is met."""
    return "met" if met else "**not met**"


def ran(seen, title):
    """Whether a graph ran, and gave the outputs of the model."""
    each = seen.get(title, {})
    return "ms" in each and not wrong(each)


def wrong(each):
    """Whether a graph gives other outputs."""
    difference = each.get("difference", 0)
    return isinstance(difference, str) or not difference <= SAME


def notes(rows):
    """Return a line for each graph that failed, was wrong, or needed another file.

    `rows` has (name, title → measurement).
    """
    found = {}
    for name, row in rows:
        for title, each in row.items():
            if said := _note(each):
                found.setdefault(f"{title} {said}", []).append(name)
    return ["", *(f"- {', '.join(names)}: {said}" for said, names in found.items())]


def _note(each):
    if each.get("failed"):
        return f"failed: {textwrap.shorten(each['failed'], MOST, placeholder=' …')}"
    if wrong(each):
        seen = each["difference"]
        return f"is wrong: {seen if isinstance(seen, str) else f'{seen:.1g} of the largest output'}"
    if "opset11" in each.get("file", ""):
        return "takes only the file of opset 11"
    return ""
