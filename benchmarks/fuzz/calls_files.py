"""Calls of the functions that read the files of a handoff, on files that may be damaged."""

import random
from pathlib import Path

import onnx
from verdicts import Wrong

from graphcore.errors import Refusal
from graphcore.golden import load_golden
from nbhelpers import onnxgraph
from nbhelpers.convert.proving import prove
from nbhelpers.convert.proving.artefacts import artefacts
from nbhelpers.handoff import STAGES, Handoff
from nbhelpers.ui.report import report_html
from nbhelpers.ui.report_data import report_data


def call(name: str, path: Path, rng: random.Random) -> None:
    """Call the function that reads the file at a path.

    Raises:
        Wrong: the result is wrong.
    """
    _READERS[name](path)


def _golden(path: Path) -> None:
    repr(load_golden(path))


def _examples(path: Path) -> None:
    text = (
        '<ir_version: 7, opset_import: ["" : 13]> g (float[N, 4] x) => (float[N, 4] y) {y = Abs(x)}'
    )
    model = onnx.parser.parse_model(text)
    with onnxgraph.use_examples(path):
        onnxgraph.same(model, model)


def _handoff(path: Path) -> None:
    handoff = Handoff(path)
    repr(handoff)
    handoff._repr_html_() if hasattr(handoff, "_repr_html_") else None
    [repr(each) for each in handoff.status()]
    handoff.changed("export")
    (handoff.inputs(), handoff.outputs(), handoff.files("export"))
    handoff.read("exported.onnx").read_bytes()
    handoff.golden()


def _report(path: Path) -> None:
    """Make the receiver's scripts and page from a record, as notebook 06 does."""
    handoff = Handoff(path)
    facts = {stage: handoff.require(stage)["facts"] for stage in STAGES}
    found = artefacts(
        facts["conversion"]["targets"],
        facts["signature"]["savedmodels"],
        renamed=facts["surgery"]["renamed"],
    )
    prove.verify_script(handoff.name, found)
    last = facts["handoff"]
    shown = {key: last[key] for key in ("proofs", "clients", "unproven")}
    report_html(report_data(handoff, serve={}, **shown))


def _sums(path: Path) -> None:
    from nbhelpers.convert.receiver import verify

    verify.HERE = str(path)
    artefact = {"path": "graph/tf2/frozen.pb", "kind": "frozen"}
    verify.MANIFEST = {"artefacts": [artefact]}
    try:
        wrong, _ = verify.check_sums()
    except verify.Unsealed as error:
        raise Refusal(error.args[0]) from error
    lines = (path / "SHA256SUMS").read_bytes().splitlines()
    listed = [line for line in lines if line.endswith((b"  golden.npz", b"  graph/tf2/frozen.pb"))]
    if not wrong and len(listed) < 2:
        raise Wrong("sums that leave out a file are taken for whole")


_READERS = {
    "load_golden": _golden,
    "use_examples": _examples,
    "Handoff": _handoff,
    "report": _report,
    "verify.py (SHA256SUMS)": _sums,
}
