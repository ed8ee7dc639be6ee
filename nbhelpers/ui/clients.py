"""The part of the receiver's page about runtimes of other makers."""

import html
from collections.abc import Mapping, Sequence

from nbhelpers.ui.cells import MINUS, html_table, labels, number


def clients_warning(clients: Sequence[Mapping]) -> str:
    """Return the sentence that names the clients which compute something else, if there are any."""
    wrong = [f"{each['artefact']} on {each['client']}" for each in clients if _wrong(each)]
    if not wrong:
        return ""
    text = f"Another result, so do not use it there: {'; '.join(wrong)}."
    return f'\n<p class="verdict bad">{html.escape(text)}</p>'


def _wrong(trial: Mapping) -> bool:
    return trial["state"] == "DIFFERS"


def clients_section(clients: Sequence[Mapping]) -> str:
    """Return who else loads the files: to them nothing is promised."""
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
        "<p>Runtimes of other makers, tried with the same inputs. The artefacts are for "
        "TensorFlow, and nothing is promised here: “failed” means that the client does not load "
        "or run the file, “DIFFERS” that it gives another result.</p>\n"
    )
    return text + html_table(head, rows, numbers=(3, 5)) if rows else ""
