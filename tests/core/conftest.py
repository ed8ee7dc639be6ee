"""Fixtures for the tests of the core.

They run in both environments, so they need no torch and no tensorflow.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphcore.golden import Case, save_golden
from nbhelpers.handoff import Handoff
from tests.checkout import PYTHONPATH

ROOT = Path(__file__).parents[2]


@pytest.fixture
def handoff(tmp_path: Path) -> Handoff:
    """A handoff with no stage done yet."""
    return Handoff(tmp_path / "model")


@pytest.fixture
def export():
    """Do the stage "export" of a handoff, with bytes of the test's own."""
    return write_export


def write_export(handoff: Handoff, content: bytes = b"onnx") -> None:
    spec = {"name": "images", "dtype": "float32", "shape": ["batch", 2]}
    cases = [
        Case(f"batch{batch}", {"images": np.ones((batch, 2), np.float32)}, {"y": np.ones(batch)})
        for batch in (1, 3)
    ]
    with handoff.stage("export") as stage:
        stage.write("exported.onnx").write_bytes(content)
        save_golden(stage.write("golden.npz"), cases)
        stage.facts.update(inputs=[spec], outputs=[{**spec, "name": "y", "shape": ["batch"]}])


@pytest.fixture
def surgery():
    """Do the stage "surgery" of a handoff, from the files that "export" wrote."""
    return write_surgery


def write_surgery(handoff: Handoff) -> None:
    content = handoff.read("exported.onnx").read_bytes()
    with handoff.stage("surgery") as stage:
        stage.write("prepared.onnx").write_bytes(content + b" prepared")
        spec = {"name": "pictures", "dtype": "float32", "shape": ["batch", 2]}
        stage.facts["inputs"] = [spec]


@pytest.fixture
def python():
    """Start a Python process that has this package.

    It is killed at the end of the test.
    """
    started: list[subprocess.Popen] = []

    def start(code: str, *arguments: object, **options) -> subprocess.Popen:
        # A shell makes its background processes ignore an interrupt, and children inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": PYTHONPATH, "PYTHONDONTWRITEBYTECODE": "1"},
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file below `folder` except the locks, with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


@pytest.fixture(name="snapshot")
def _snapshot():
    """Every file below a folder except the locks, with its bytes."""
    return snapshot
