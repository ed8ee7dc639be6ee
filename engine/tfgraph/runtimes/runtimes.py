"""The TensorFlow runtimes here that can test an artefact: this kernel's, and the legacy ones."""

import functools
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from graphcore import environments, processes
from graphcore.errors import Refusal
from graphcore.targets import LEGACY, NEWEST
from tfgraph.native import native


@dataclass(frozen=True)
class Runtime:
    """A TensorFlow in its own environment. `onednn` switches oneDNN, or None leaves it as it is."""

    name: str
    python: Path
    version: str
    onednn: bool | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of its process."""
        switch = {} if self.onednn is None else {"TF_ENABLE_ONEDNN_OPTS": str(int(self.onednn))}
        return clean_environment() | switch

    def __str__(self) -> str:
        """Return "TensorFlow 1.4.1", or "TensorFlow 2.21.0 without oneDNN"."""
        how = {None: "", False: " without oneDNN", True: " with oneDNN"}[self.onednn]
        return f"TensorFlow {self.version}{how}"


def runtimes() -> tuple[Runtime, ...]:
    """Return the legacy runtimes that are installed, oldest first, and this kernel's TensorFlow."""
    found = []
    for target in LEGACY:
        python = environments.python(target.name)
        if python.exists():
            found.append(Runtime(target.name, python, _version(python)))
    return (*found, Runtime(NEWEST.name, Path(sys.executable), _version(Path(sys.executable))))


def provers() -> tuple[Runtime, ...]:
    """Return the runtimes, with TensorFlow 2 once without oneDNN and once with it.

    The receiver's processor decides which of the two TensorFlow uses there.
    """
    *legacy, newest = runtimes()
    return (*legacy, *(replace(newest, onednn=switch) for switch in native.SWITCHES))


def missing() -> tuple[str, ...]:
    """Return the names of the legacy runtimes that are not installed."""
    names = [target.name for target in LEGACY]
    return tuple(name for name in names if not environments.python(name).exists())


@functools.cache
def _version(python: Path) -> str:
    # Reading the installed package's version is a hundred times quicker than importing it.
    code = (
        "import json\n"
        "try:\n    from importlib.metadata import version\n"
        "except ImportError:\n"
        "    import pkg_resources\n"
        "    version = lambda name: pkg_resources.get_distribution(name).version\n"
        "print(json.dumps(version('tensorflow')))"
    )
    done = processes.run([python, "-c", code], limit=120, env=clean_environment())
    if done.ending:
        raise Refusal(
            f"The runtime {python} was expected to hold TensorFlow, but it {done.ending[-300:]}. "
            "Run `make legacy` to make it again."
        )
    return json.loads(done.last_line)


def clean_environment() -> dict[str, str]:
    """Return the environment variables without those that would affect another Python."""
    drop = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "MPLBACKEND"}
    drop.add("TF2_BEHAVIOR")  # TensorFlow 2 sets it here, and 1.15 would obey it
    return {name: value for name, value in os.environ.items() if name not in drop}
