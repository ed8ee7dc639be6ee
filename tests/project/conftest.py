"""A checkout for destructive tests: a copy of the set-up, and fake Pythons."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "environments"))

# Answers the questions of the set-up, records every other call, and installs nothing.
PRETENDER = """#!{python}
import json, os, pathlib, shutil, sys, time

RELEASE, CALLS, MOOD = "{release}", pathlib.Path("{calls}"), pathlib.Path("{mood}")
asked = sys.argv[1:]
if asked[:1] == ["-c"]:
    print(RELEASE if "ensurepip" in asked[1] else RELEASE + ".9 pretended")
    sys.exit()
with CALLS.open("a") as calls:
    calls.write(" ".join(asked) + "\\n")
if asked[:2] == ["-m", "venv"]:
    target = pathlib.Path(asked[-1], "bin", "python")
    target.parent.mkdir(parents=True)
    shutil.copy2(__file__, target)
if asked[:2] == ["-m", "ipykernel"]:
    name, prefix = asked[asked.index("--name") + 1], asked[asked.index("--prefix") + 1]
    folder = pathlib.Path(prefix, "share", "jupyter", "kernels", name)
    folder.mkdir(parents=True, exist_ok=True)
    title, env = asked[asked.index("--display-name") + 1], asked[asked.index("--env") + 1:][:2]
    spec = dict(argv=[__file__, "-m", "ipykernel_launcher"], display_name=title)
    spec.update(env=dict([env]))
    folder.joinpath("kernel.json").write_text(json.dumps(spec))
mood = MOOD.read_text() if MOOD.exists() else ""
if "pip" in asked and mood == "fail":
    print("WARNING: Location '/nowhere/' is ignored: it is neither a file nor a directory.")
    print("ERROR: No matching distribution found for torch==0.0.0")
    sys.exit(1)
if "pip" in asked and mood.startswith("sleep"):
    MOOD.with_name("asleep").touch()
    time.sleep(float(mood.split()[1]))
"""


@dataclass
class Checkout:
    """A copy of the set-up's files in a folder of its own, with fake Pythons."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def calls(self) -> list[str]:
        """The calls that the fake Pythons received, in order."""
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def mood(self, mood: str) -> None:
        """Set the behaviour of pip from now on: "", "fail" or "sleep SECONDS"."""
        (self.root / "mood").write_text(mood)

    def pretend(self, release: str) -> Path:
        """Put a fake Python of that release on PATH."""
        path = self.root / "bin" / f"python{release}"
        path.parent.mkdir(exist_ok=True)
        names = {"python": sys.executable, "release": release}
        text = PRETENDER.format(calls=self.root / "calls", mood=self.root / "mood", **names)
        path.write_text(text)
        path.chmod(0o755)
        self.variables[f"PYTHON{release.replace('.', '')}"] = str(path)
        return path

    def start(self, *verbs: str) -> subprocess.Popen:
        """Start `setup.py` with these verbs."""
        # A shell makes its background processes ignore an interrupt, and children inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return subprocess.Popen(
            [sys.executable, "environments/setup.py", *verbs],
            cwd=self.root,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def setup(self, *verbs: str) -> subprocess.CompletedProcess:
        """Run `setup.py` with these verbs to its end."""
        process = self.start(*verbs)
        said, problems = process.communicate(timeout=120)
        return subprocess.CompletedProcess(verbs, process.returncode, said, problems)


@pytest.fixture
def checkout(tmp_path):
    """A bare machine: PATH and home are empty, except for what a test adds."""
    root = tmp_path / "a checkout"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "environments", root / "environments", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "engine").mkdir()
    shutil.copy(ROOT / "engine" / "pyproject.toml", root / "engine")
    (tmp_path / "home").mkdir()
    variables = {"PATH": "", "HOME": str(tmp_path / "home"), "PYTHONUTF8": "1"}
    if "SYSTEMROOT" in os.environ:
        variables["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
    return Checkout(root, variables)
