"""Check what the workbook needs on this machine, and give the command that installs what is
missing.

It runs in either kernel. The other kernel's Python is found by its kernelspec and run as a process.
"""

import functools
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from graphcore import environments, processes
from graphcore.enumeration import listed
from graphcore.targets import LEGACY, Target
from nbhelpers import kernelspecs
from nbhelpers.kernel import ENVIRONMENTS
from nbhelpers.places import CHECKOUT

DISK_GB = 2
"""Gigabytes of disk that a handoff of the size of the CT sample uses while it is proven."""

MEMORY_GB = 4
"""Gigabytes of memory: the larger sample took 2.9 to convert, and 0.8 in a second process."""

_GB = 1e9
_LONGEST_ANSWER = 120

_ASK = """
import json, platform
try:
    from importlib import metadata
    found = [(each.metadata["Name"], each.version) for each in metadata.distributions()]
except ImportError:  # Python 3.6 and 3.7
    import pkg_resources
    found = [(each.project_name, each.version) for each in pkg_resources.working_set]
print(json.dumps({"python": platform.python_version(), "packages": dict(found)}))
"""


@dataclass(frozen=True)
class Finding:
    """One checked item: what was seen, and the command that repairs it ("" if there is none)."""

    what: str
    seen: str
    ok: bool
    needed: bool = True
    mend: str = ""


@dataclass(frozen=True)
class Installed:
    """A Python and its packages, by their canonical names."""

    python: str
    packages: Mapping[str, str]


def findings(folder: str | Path = CHECKOUT) -> tuple[Finding, ...]:
    """Return a finding for everything that the workbook needs or can use.

    Args:
        folder: the folder for handoffs, whose disk must have enough space.
    """
    kernels = [_kernel(name) for name in ENVIRONMENTS]
    legacy = [_legacy(target) for target in LEGACY]
    return (*kernels, *legacy, _disk(Path(folder)), _memory())


def ready(found: tuple[Finding, ...]) -> bool:
    """Whether everything that is required is present."""
    return all(each.ok for each in found if each.needed)


def pins(environment: str) -> tuple[Requirement, ...]:
    """Return the pins in `environments/<environment>.txt` that apply to this kind of machine."""
    text = (CHECKOUT / "environments" / f"{environment}.txt").read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    return tuple(each for each in found if each.marker is None or each.marker.evaluate())


def differences(environment: str, installed: Installed) -> list[str]:
    """Return the differences between an environment's packages and its pins, a few words each."""
    found = []
    for pin in pins(environment):
        seen = installed.packages.get(canonicalize_name(pin.name))
        if seen is None:
            found.append(f"no {pin.name}")
        elif not pin.specifier.contains(seen, prereleases=True):
            found.append(f"{pin.name} {seen} instead of {str(pin.specifier).removeprefix('==')}")
    return found


@functools.cache
def ask(python: Path) -> Installed | None:
    """Return what a Python has installed, or None if it does not run. It imports no package."""
    try:
        done = processes.run([python, "-I", "-c", _ASK], limit=_LONGEST_ANSWER)
        answer = json.loads(done.last_line)
    except (OSError, ValueError):
        return None
    found = answer["packages"].items()
    packages = {str(canonicalize_name(name)): version for name, version in found}
    return Installed(answer["python"], packages)


def _kernel(kernel: str) -> Finding:
    environment = ENVIRONMENTS[kernel]
    what = f"kernel {kernel}"
    spec = kernelspecs.find(kernel)
    if spec is None:
        return Finding(what, "no kernelspec is registered", False, mend=_mend_kernels())
    python = spec.python
    installed = ask(python)
    if not spec.is_ours and (installed is None or "nbhelpers" not in installed.packages):
        seen = (
            f"{spec.folder} belongs to another project: it starts {python}, which lacks nbhelpers"
        )
        return Finding(what, seen, False, mend=spec.cure)
    if installed is not None and "nbhelpers" not in installed.packages:
        seen = f"{spec.folder} was overwritten by another project: it starts {python}"
        return Finding(what, seen, False, mend=_mend_kernels())
    if installed is None:
        return Finding(what, "its Python is gone or broken", False, mend=_mend(environment))
    wrong = differences(environment, installed)
    if wrong:
        seen = listed(wrong, most=3)
        return Finding(what, seen, False, mend=_mend_packages(environment, python))
    count = len(pins(environment))
    return Finding(what, f"Python {installed.python}, all {count} packages as pinned", True)


def _legacy(target: Target) -> Finding:
    what = f"runtime TensorFlow {target.version}"
    python = environments.python(target.name)
    if not python.exists():
        seen = "not installed: artefacts for it are checked against its op tables, not run"
        return Finding(what, seen, False, needed=False, mend="make legacy")
    installed = ask(python)
    found = installed.packages.get("tensorflow") if installed else None
    if installed is None or found != target.version:
        seen = f"TensorFlow {found} instead" if found else "its environment is broken"
        return Finding(what, seen, False, needed=False, mend="make legacy")
    return Finding(what, f"Python {installed.python}", True, needed=False)


def _disk(folder: Path) -> Finding:
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(there).free / _GB
    ok = free >= DISK_GB
    seen = f"{free:.1f} GB free, and a handoff takes up to {DISK_GB}"
    return Finding("disk", seen, ok, mend="" if ok else "make clean")


def _memory() -> Finding:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GB
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return Finding("memory", "not known on this system", True, needed=False)
    ok = total >= MEMORY_GB
    seen = f"{total:.1f} GB, and the samples need {MEMORY_GB}"
    return Finding("memory", seen, ok, needed=False, mend="" if ok else "close other programs")


def _in_conda() -> bool:
    return (Path(sys.prefix) / "conda-meta").is_dir()


def _mend_kernels() -> str:
    return "python environments/setup.py kernels" if _in_conda() else "make setup"


def _mend_packages(environment: str, python: Path) -> str:
    if _in_conda():
        return _mend(environment)
    return f"{python} -m pip install --no-deps -r environments/{environment}.txt"


def _mend(environment: str) -> str:
    if not _in_conda():
        return "make setup"
    no_deps = "PIP_NO_DEPS=1 " if environment == "tf" else ""
    return f"{no_deps}conda env update -n {environment} -f environment-{environment}.yml"
