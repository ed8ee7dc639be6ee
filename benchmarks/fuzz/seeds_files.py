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
    """Return files of golden cases, and of plain arrays by name."""
    with TemporaryDirectory() as folder:
        cases = save_golden(Path(folder, "golden.npz"), _CASES).read_bytes()
        np.savez(f"{folder}/plain.npz", x=np.ones((2, 4), np.float32), s=np.array(["a"]))
        plain = Path(folder, "plain.npz").read_bytes()
    return {"golden": {"golden.npz": cases}, "plain": {"golden.npz": plain}}


def handoffs() -> dict[str, Files]:
    """Return a handoff folder in which "export" is done."""
    with TemporaryDirectory() as folder:
        handoff = Handoff(Path(folder, "model"))
        spec = {"name": "x", "dtype": "float32", "shape": ["batch", 4]}
        with handoff.stage("export") as stage:
            stage.write("exported.onnx").write_bytes(b"onnx")
            save_golden(stage.write("golden.npz"), _CASES)
            stage.facts.update(
                inputs=[spec], outputs=[{**spec, "name": "y", "shape": ["batch", 2]}]
            )
        names = ("handoff.json", "exported.onnx", "golden.npz")
        return {"export": {f"model/{n}": (handoff.folder / n).read_bytes() for n in names}}


def sealed() -> dict[str, Files]:
    """Return a folder of files with their SHA256SUMS."""
    files = {"golden.npz": golden()["golden"]["golden.npz"], "graph/tf2/frozen.pb": b"graph"}
    files["verify.py"] = b"pass"
    lines = [f"{hashlib.sha256(each).hexdigest()}  {name}\n" for name, each in files.items()]
    files = {"SHA256SUMS": "".join(lines).encode()} | files
    return {"sealed": {f"model/{name}": content for name, content in files.items()}}
