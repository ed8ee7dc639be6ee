"""The page for the receiver of a handoff: what it is, what was proven, how to check and serve it.

It is one HTML file without scripts and without a network, made from plain data. The same data gives
the same bytes.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources

from graphcore.spec import TensorSpec
from nbhelpers.ui.clients import clients_section, clients_warning
from nbhelpers.ui.html import MINUS, html_table, labels, number
from nbhelpers.ui.limits import limits_section


@dataclass(frozen=True)
class ReportData:
    """The content of the page. Everything is escaped. A missing number is None.

    Args:
        title: the handoff's name.
        facts: short facts about the model, as label to text ("weights" to "11.2 million").
        flow: the steps of the model, in order ("PyTorch module", "exported.onnx", …).
        inputs: the model's inputs.
        outputs: the model's outputs.
        parity: stage to its reports, each in the form of `parity.Report.to_json`.
        proofs: one mapping for each artefact × runtime × golden case, with `artefact`, `runtime`,
            `case` and `ok`, and where they are known `largest_difference` (absolute), `relative`
            (of the largest value), `tolerance` (the relative difference allowed), `labels_agree`,
            `accuracy` (output to the share of right labels, 0 to 1), `latency_ms` and `note`.
        clients: one mapping for each artefact × third-party client, with `artefact`, `client` and
            `state` ("agrees", "DIFFERS", "failed", "not installed"), and where they are known
            `relative`, `labels_agree`, `latency_ms` and `reason`.
        rewrites: target to what was rewritten for it, one sentence each.
        files: path to its `bytes` and `sha256`, as in the record.
        verify: the command that checks the folder.
        serve: how to serve it: title to a snippet of code or shell.
        versions: package to version, for every package that handled the model.
        unproven: why a runtime did not take part, one sentence each.
    """

    title: str
    facts: Mapping[str, object] = field(default_factory=dict)
    flow: Sequence[str] = ()
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()
    parity: Mapping[str, Sequence[Mapping]] = field(default_factory=dict)
    proofs: Sequence[Mapping] = ()
    clients: Sequence[Mapping] = ()
    rewrites: Mapping[str, Sequence[str]] = field(default_factory=dict)
    files: Mapping[str, Mapping] = field(default_factory=dict)
    verify: str = "python verify.py"
    serve: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    unproven: Sequence[str] = ()


def report_html(data: ReportData) -> str:
    """Return the page as one HTML document."""
    sections = [
        ("Flow", _flow(data.flow)),
        ("Interface", _interface(data)),
        ("Proof", _proofs(data)),
        ("Other clients", clients_section(data.clients)),
        ("Parity at every step", _parity(data.parity)),
        ("Rewritten for a target", _rewrites(data.rewrites)),
        ("Check it yourself", _verify(data.verify)),
        ("Serve it", _serve(data.serve)),
        ("Known limits", limits_section() if data.proofs else ""),
        ("Files", _files(data.files)),
        ("Versions", _definitions(data.versions)),
    ]
    body = "\n".join(
        f"<section><h2>{html.escape(title)}</h2>\n{content}</section>"
        for title, content in sections
        if content
    )
    style = resources.files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    title = html.escape(data.title)
    # The policy makes the promise checkable, because a browser then loads nothing for this page.
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}: handoff</title>
<style>
{style}</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
{_verdict(data)}{clients_warning(data.clients)}
{_definitions(data.facts)}</header>
{body}
</main>
</body>
</html>
"""


def _verdict(data: ReportData) -> str:
    """Return the one sentence for a reader in a hurry."""
    proofs = data.proofs
    bad = [proof for proof in proofs if not proof["ok"]]
    if not proofs:
        state, text = "open", "No runtime has run the artefacts yet."
    elif bad:
        state = "bad"
        text = f"{len(bad)} of {len(proofs)} runs differ from the PyTorch model. Do not use it."
    else:
        runtimes = list(dict.fromkeys(str(proof["runtime"]) for proof in proofs))
        worst = max((proof.get("relative") or 0.0 for proof in proofs), default=0.0)
        state = "good"
        text = (
            f"All {len(proofs)} runs agree with the PyTorch model, on {', '.join(runtimes)}. "
            f"The largest difference is {worst:.1e} of the largest output."
        )
    return f'<p class="verdict {state}">{html.escape(text)}</p>'


def _flow(steps: Sequence[str]) -> str:
    items = "".join(f"<li>{html.escape(step)}</li>" for step in steps)
    return f'<ol class="flow">{items}</ol>\n' if items else ""


def _interface(data: ReportData) -> str:
    rows = [
        (kind, spec.name, spec.dtype, " × ".join(map(str, spec.shape)) or "scalar")
        for kind, specs in (("input", data.inputs), ("output", data.outputs))
        for spec in specs
    ]
    return html_table(("", "name", "dtype", "shape"), rows)


def _proofs(data: ReportData) -> str:
    rows = []
    for proof in data.proofs:
        accuracy = proof.get("accuracy") or {}
        rows.append(
            (
                _called(proof),
                proof["runtime"],
                proof["case"],
                "agrees" if proof["ok"] else "DIFFERS",
                number(proof.get("largest_difference"), ".2e"),
                number(proof.get("relative"), ".1e"),
                number(proof.get("tolerance"), ".1e"),
                labels(proof),
                ", ".join(f"{name} {share:.2%}" for name, share in accuracy.items()) or MINUS,
                number(proof.get("latency_ms"), ".1f"),
                proof.get("note") or "",
            )
        )
    compared = ("outputs", "largest difference", "of largest output", "allowed", "labels")
    head = ("artefact", "runtime", "case", *compared, "accuracy", "latency, ms", "")
    notes = "".join(f"<li>{html.escape(text)}</li>" for text in data.unproven)
    listed = f"<p>Not proven:</p><ul>{notes}</ul>\n" if notes else ""
    if not rows:
        return listed
    every = html_table(head, rows, numbers=(4, 5, 6, 9))
    closed = f"<details><summary>Every run ({len(rows)})</summary>\n{every}</details>\n"
    return _grid(data.proofs) + listed + closed


def _grid(proofs: Sequence[Mapping]) -> str:
    """Return artefact by runtime: the largest difference over all cases, or the word DIFFERS."""
    runtimes = list(dict.fromkeys(str(proof["runtime"]) for proof in proofs))
    worst: dict[str, dict[str, str | float]] = {}
    for proof in proofs:
        row = worst.setdefault(_called(proof), {})
        runtime, relative = str(proof["runtime"]), proof.get("relative") or 0.0
        before = row.get(runtime, 0.0)
        if not proof["ok"] or isinstance(before, str):
            row[runtime] = "DIFFERS"
        else:
            row[runtime] = max(before, relative)
    rows = [
        (artefact, *(_grid_cell(row.get(runtime)) for runtime in runtimes))
        for artefact, row in worst.items()
    ]
    caption = "<p>Largest difference over all cases, as a share of the largest output:</p>\n"
    if any("oneDNN" in runtime for runtime in runtimes):
        caption = (
            "<p>TensorFlow 2 computes with oneDNN on newer processors and without it on others. "
            f"Both were run.</p>\n{caption}"
        )
    return caption + html_table(("artefact", *runtimes), rows, numbers=range(1, len(runtimes) + 1))


def _grid_cell(value: str | float | None) -> str:
    if value is None or isinstance(value, str):
        return value or MINUS
    return f"{value:.1e}"


def _called(proof: Mapping) -> str:
    """Return the artefact and, for a SavedModel, the signature that was called."""
    signature = proof.get("signature")
    return f"{proof['artefact']} · {signature}" if signature else str(proof["artefact"])


def _parity(stages: Mapping[str, Sequence[Mapping]]) -> str:
    rows = [
        (
            stage,
            report.get("title", ""),
            row["name"],
            row["status"],
            number(row.get("largest_difference"), ".2e"),
            number(row.get("relative"), ".1e"),
            number(row.get("tolerance"), ".1e"),
            labels(row),
        )
        for stage, reports in stages.items()
        for report in reports
        for row in report["rows"]
    ]
    compared = ("status", "largest difference", "of largest value", "allowed", "labels")
    return html_table(("stage", "compared", "tensor", *compared), rows, numbers=(4, 5, 6))


def _rewrites(targets: Mapping[str, Sequence[str]]) -> str:
    parts = []
    for target, lines in targets.items():
        items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
        parts.append(f"<h3>{html.escape(target)}</h3>\n<ul>{items or '<li>nothing</li>'}</ul>\n")
    return "".join(parts)


def _verify(command: str) -> str:
    return (
        f"<p>In a copy of this folder, with any TensorFlow that the artefacts are for:</p>\n"
        f"<pre>{html.escape(command)}</pre>\n"
    )


def _serve(snippets: Mapping[str, str]) -> str:
    return "".join(
        f"<h3>{html.escape(title)}</h3>\n<pre>{html.escape(code.strip())}</pre>\n"
        for title, code in snippets.items()
    )


def _files(files: Mapping[str, Mapping]) -> str:
    rows = [
        (path, f"{seen['bytes']:,}".replace(",", " "), seen["sha256"])
        for path, seen in sorted(files.items())
    ]
    return html_table(("path", "bytes", "sha256"), rows, numbers=(1,), code=(0, 2))


def _definitions(facts: Mapping[str, object]) -> str:
    items = "".join(
        f"<dt>{html.escape(str(label))}</dt><dd>{html.escape(str(text))}</dd>"
        for label, text in facts.items()
    )
    return f"<dl>{items}</dl>\n" if items else ""
