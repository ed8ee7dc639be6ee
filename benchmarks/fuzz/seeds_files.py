"""Whole files of a handoff: golden.npz, the folder with its record, a folder with its sums."""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from graphcore.golden import Case, save_golden
from nbhelpers.handoff import Handoff

Files = dict[str, bytes]

_CASES = [
    Case(
        f"batch{batch}",
        {"x": np.ones((batch, 4), np.float32)},
        {"y": np.ones((batch, 2)), "t": np.array(["a", "b"])},
        {"y": np.arange(batch)},
    )
    for batch in (1, 3)
]


def golden() -> dict[str, Files]:
    """Return files of golden cases, and of plain arrays, by name."""
    with TemporaryDirectory() as folder:
        cases = save_golden(Path(folder, "golden.npz"), _CASES).read_bytes()
        np.savez(f"{folder}/plain.npz", x=np.ones((2, 4), np.float32), s=np.array(["a"]))
        plain = Path(folder, "plain.npz").read_bytes()
    return {"golden": {"golden.npz": cases}, "plain": {"golden.npz": plain}}


def handoffs() -> dict[str, Files]:
    """Return a handoff folder with the stage "export" done, and one with all stages done."""
    with TemporaryDirectory() as folder:
        handoff = Handoff(Path(folder, "model"))
        with handoff.stage("export") as stage:
            stage.write("exported.onnx").write_bytes(b"onnx")
            save_golden(stage.write("golden.npz"), _CASES)
            stage.facts.update(_INTERFACE)
        found = {"export": _files(handoff)}
        for name, (file, facts) in _STAGES.items():
            with handoff.stage(name) as stage:
                stage.write(file).write_bytes(b"made")
                stage.facts.update(facts)
        return {**found, "whole": _files(handoff)}


_SPEC = {"name": "x", "dtype": "float32", "shape": ["batch", 4]}
_INTERFACE = {"inputs": [_SPEC], "outputs": [{**_SPEC, "name": "y", "shape": ["batch", 2]}]}
_TENSORS = {"inputs": {"x": "x:0"}, "outputs": {"y": "y:0"}}
_SEEN = {"artefact": "graph/tf2/frozen.pb", "relative": 1e-7, "labels_agree": True}
_STAGES: dict[str, tuple[str, dict]] = {
    "surgery": ("prepared.onnx", {**_INTERFACE, "changes": ["none"], "renamed": {"y": "z"}}),
    "conversion": (
        "graph/tf2/frozen.pb",
        {
            "targets": {
                "tf2": {
                    **_TENSORS,
                    "precisions": {"y": "float16"},
                    "rewrites": [{"op": "Gelu", "change": "is spelt", "reason": "old", "nodes": 2}],
                }
            }
        },
    ),
    "names": ("graph/tf2/names.json", {"twins": {"tf2": {"same": 3}}}),
    "signature": (
        "savedmodel/tf2/1/saved_model.pb",
        {
            "savedmodels": {
                "tf2": {"tags": ["serve"], "signatures": {"serving_default": _TENSORS}}
            },
            "signature": "serve",
        },
    ),
    "handoff": (
        "verify.py",
        {
            "proofs": [{**_SEEN, "runtime": "tf2", "case": "batch1", "ok": True}],
            "clients": [{**_SEEN, "client": "opencv", "state": "agrees", "cases": ["batch1"]}],
            "unproven": ["tf1.4 is not installed"],
        },
    ),
}
"""Stage → a file that it writes, and the facts that it records."""


def _files(handoff: Handoff) -> Files:
    entries = handoff.record()["stages"].values()
    names = ["handoff.json", *(name for entry in entries for name in entry["files"])]
    return {f"model/{name}": (handoff.folder / name).read_bytes() for name in names}


def sealed() -> dict[str, Files]:
    """Return a folder of files with their SHA256SUMS."""
    files = {"golden.npz": golden()["golden"]["golden.npz"], "graph/tf2/frozen.pb": b"graph"}
    files["verify.py"] = b"pass"
    lines = [f"{hashlib.sha256(each).hexdigest()}  {name}\n" for name, each in files.items()]
    files = {"SHA256SUMS": "".join(lines).encode()} | files
    return {"sealed": {f"model/{name}": content for name, content in files.items()}}
