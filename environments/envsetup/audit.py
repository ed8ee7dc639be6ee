"""Known advisories about the pins, found by pip-audit in the environment `tools`."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import pinfiles
from .catalogue import ENVIRONMENTS
from .commands import clean_environ
from .report import SetupError


@dataclass(frozen=True)
class Advisory:
    """An advisory about one pin, and the versions that are free of it."""

    package: str
    version: str
    name: str
    fixed: str

    def __str__(self) -> str:
        """Return the advisory as one line."""
        cure = f"fixed in {self.fixed}" if self.fixed else "no version without it"
        return f"{self.package} {self.version}: {self.name}, {cure}"


def advisories(name: str) -> list[Advisory]:
    """Return the advisories about the pins of `environments/<name>.txt`.

    Raises `SetupError` if no index of advisories can be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer.json")
        command = [str(ENVIRONMENTS["tools"].executable), "-m", "pip_audit", "--disable-pip"]
        command += ["--no-deps", "--progress-spinner", "off", "--format", "json"]
        command += ["--output", str(answer), "--requirement", str(pinfiles.pin_file(name))]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environ(),
            check=False,
        )
        if not answer.exists() or not answer.stat().st_size:
            said = done.stdout.decode(errors="replace").strip().splitlines()
            raise SetupError(_unreachable(name, said[-1] if said else "nothing"))
        return read(json.loads(answer.read_text(encoding="utf-8")), name)


def read(answer: dict, name: str) -> list[Advisory]:
    """Return the advisories about the pins of `name` from pip-audit's answer.

    Raises `SetupError` if pip-audit could look up none of the packages.
    """
    asked = answer["dependencies"]
    skipped = [each["skip_reason"] for each in asked if "skip_reason" in each]
    if len(skipped) == len(asked):
        raise SetupError(_unreachable(name, skipped[0] if skipped else "nothing"))
    return [
        Advisory(each["name"], each["version"], one["id"], ", ".join(one["fix_versions"]))
        for each in asked
        for one in each.get("vulns", ())
    ]


def _unreachable(name: str, said: str) -> str:
    return (
        f"No index of advisories can be reached from here, so the pins of {name} were compared "
        f"with none (pip-audit said: {said}); run `make audit` where PyPI itself can be reached."
    )
