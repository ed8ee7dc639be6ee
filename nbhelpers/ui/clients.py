"""The section of the receiver's page about third-party runtimes."""

import html
from collections.abc import Mapping, Sequence

from nbhelpers.ui.html import MINUS, html_table, labels, number


def clients_warning(clients: Sequence[Mapping]) -> str:
    """Return the sentence that names clients with another result, or "" if there are none."""
    wrong = [f"{each['artefact']} on {each['client']}" for each in clients if _wrong(each)]
    if not wrong:
        return ""
    text = f"Another result, so do not use it there: {'; '.join(wrong)}."
    return f'\n<p class="verdict bad">{html.escape(text)}</p>'


def _wrong(trial: Mapping) -> bool:
    return trial["state"] == "DIFFERS"


def clients_section(clients: Sequence[Mapping]) -> str:
    """Return the section about third-party runtimes, for which nothing is promised."""
    rows = [
        (
            each["artefact"] or MINUS,
            each["client"],
            each["state"],
            number(each.get("relative"), ".1e"),
            labels(each),
            number(each.get("latency_ms"), ".1f"),
            each.get("reason") or "",
        )
        for each in clients
    ]
    head = ("file", "client", "outcome", "of largest output", "labels", "latency, ms", "it said")
    text = (
        "<p>Third-party runtimes, tried with the same inputs. The artefacts are for TensorFlow, "
        "and nothing "
        "is promised for other runtimes. “failed” means that the client does not load or run the "
        "file, "
        "“DIFFERS” that it gives another result.</p>\n"
    )
    return text + html_table(head, rows, numbers=(3, 5)) if rows else ""
