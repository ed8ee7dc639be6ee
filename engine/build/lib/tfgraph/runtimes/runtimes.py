"""The TensorFlow runtimes here that can prove an artefact: this kernel's, and the legacy ones."""

import functools
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from graphcore import environments, processes
from graphcore.errors import Refusal
from tfgraph.native import native

LEGACY = ("tf1.4", "tf1.13", "tf1.15")
"""The legacy environments, named after the target that they prove."""


@dataclass(frozen=True)
class Runtime:
    """A TensorFlow in an environment of its own; `onednn` switches that, or leaves it (None)."""

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
    for name in LEGACY:
        python = environments.python(name)
        if python.exists():
            found.append(Runtime(name, python, _version(python)))
    return (*found, Runtime("tf2", Path(sys.executable), _version(Path(sys.executable))))


def provers() -> tuple[Runtime, ...]:
    """Return the runtimes with TensorFlow 2 once without oneDNN and once with it: which of them a
    receiver has depends on the processor there.
    """
    *legacy, newest = runtimes()
    return (*legacy, *(replace(newest, onednn=switch) for switch in native.SWITCHES))


def missing() -> tuple[str, ...]:
    """Return the names of the legacy runtimes that are not installed."""
    return tuple(name for name in LEGACY if not environments.python(name).exists())


@functools.cache
def _version(python: Path) -> str:
    # Asking the installed package is a hundred times quicker than importing it.
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
    """Return the environment variables without those that would lead another Python astray."""
    drop = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "MPLBACKEND"}
    drop.add("TF2_BEHAVIOR")  # which TensorFlow 2 sets here, and 1.15 obeys
    return {name: value for name, value in os.environ.items() if name not in drop}
