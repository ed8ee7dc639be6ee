"""The environments of this checkout: their names, their Pythons, and their folders.

All of them are folders under `.envs` in the checkout, which git ignores.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PINS = Path(__file__).resolve().parent.parent
ROOT = PINS.parent
ENVS = ROOT / ".envs"


@dataclass(frozen=True)
class Environment:
    """One folder under `.envs`: its name, its Python release, and how its pins are installed."""

    name: str
    python: str
    minutes: str
    no_deps: bool = False
    legacy: bool = False
    bench: bool = False
    clients: bool = False
    tools: bool = False

    @property
    def imports_checkout(self) -> bool:
        """Whether `nbhelpers` is made importable in this environment."""
        return not (self.legacy or self.bench or self.clients or self.tools)

    @property
    def folder(self) -> Path:
        """The folder of the environment."""
        return ENVS / self.name

    @property
    def executable(self) -> Path:
        """The environment's interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def log(self) -> Path:
        """The file with the output of the set-up."""
        return ENVS / f"{self.name}.log"

    @property
    def dev(self) -> str:
        """The name of the pin file that development adds to the environment."""
        return f"dev-{self.name}"


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("th", "3.11", "2-6 minutes"),
        # onnx-tf requires an end-of-life package that nothing imports. The pin file is complete.
        Environment("tf", "3.11", "2-4 minutes", no_deps=True),
        Environment("tf1.4", "3.6", "about a minute", legacy=True),
        Environment("tf1.13", "3.6", "about a minute", legacy=True),
        Environment("tf1.15", "3.7", "about a minute", legacy=True),
        # pnnx requires PyTorch, which only its Python part imports. The pin file is complete.
        Environment("clients", "3.11", "1-3 minutes", no_deps=True, clients=True),
        # torchvision requires another build of torch. The pin file is complete.
        Environment("architectures", "3.11", "2-5 minutes", no_deps=True, bench=True),
        Environment("peers", "3.11", "2-5 minutes", bench=True),
        Environment("tools", "3.11", "less than a minute", tools=True),
    )
}
LEGACY = [name for name, environment in ENVIRONMENTS.items() if environment.legacy]
BENCH = [name for name, environment in ENVIRONMENTS.items() if environment.bench]
