"""What reads the files of a handoff, called on some that may be damaged."""

import random
from pathlib import Path

import numpy as np
import onnx
from verdicts import Wrong

from nbhelpers import onnxgraph
from nbhelpers.golden import load_golden
from nbhelpers.handoff import Handoff


def call(name: str, path: Path, rng: random.Random) -> None:
    """Call what reads the file at a path.

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


def _sums(path: Path) -> None:
    from nbhelpers.convert.receiver import verify

    verify.HERE = str(path)
    found = verify.check_sums()
    lines = (path / "SHA256SUMS").read_bytes().split(b"\n")
    listed = [line for line in lines if line.endswith((b"golden.npz", b"frozen.pb"))]
    if found is not None and not found and len(listed) < 2:
        raise Wrong("sums that leave out a file are taken for whole")
    np.asarray(found)


_READERS = {
    "load_golden": _golden,
    "use_examples": _examples,
    "Handoff": _handoff,
    "verify.py (SHA256SUMS)": _sums,
}
