"""The environments that there are: their names, their Pythons, and where they stand.

All of them are folders under `.envs` of the checkout, which git ignores.
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
    """One folder under `.envs`: its name, its Python release, how its pins are installed."""

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
        """Whether `nbhelpers` is made importable there."""
        return not (self.legacy or self.bench or self.clients or self.tools)

    @property
    def folder(self) -> Path:
        """Where it is."""
        return ENVS / self.name

    @property
    def executable(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def log(self) -> Path:
        """What was said while it was set up."""
        return ENVS / f"{self.name}.log"

    @property
    def dev(self) -> str:
        """The name of the pin file that development adds to it."""
        return f"dev-{self.name}"


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("th", "3.11", "2-6 minutes"),
        # onnx-tf asks for an end-of-life package that nothing imports: the pin file is complete.
        Environment("tf", "3.11", "2-4 minutes", no_deps=True),
        Environment("tf1.4", "3.6", "about a minute", legacy=True),
        Environment("tf1.13", "3.6", "about a minute", legacy=True),
        Environment("tf1.15", "3.7", "about a minute", legacy=True),
        # pnnx asks for PyTorch, which only its Python part imports: the pin file is complete.
        Environment("clients", "3.11", "1-3 minutes", no_deps=True, clients=True),
        # torchvision asks for another build of torch: the pin file is complete.
        Environment("architectures", "3.11", "2-5 minutes", no_deps=True, bench=True),
        Environment("peers", "3.11", "2-5 minutes", bench=True),
        Environment("tools", "3.11", "less than a minute", tools=True),
    )
}
LEGACY = [name for name, environment in ENVIRONMENTS.items() if environment.legacy]
BENCH = [name for name, environment in ENVIRONMENTS.items() if environment.bench]
