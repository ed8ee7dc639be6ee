"""Make the virtual environments under `.envs`, each once from its pin file."""

from __future__ import annotations

import shutil

from . import hashes, interpreters, pinfiles
from .catalogue import ROOT, Environment
from .commands import editable, pip_install, run
from .report import SetupError, say
from .stamps import PACKAGE, forget, is_ready, owner, stamp


def ensure(environment: Environment) -> None:
    """Make one environment, or only report that it is ready.

    Raises `SetupError` if its Python is missing or an installation fails.
    """
    name = environment.name
    if not is_ready(environment, name):
        _build(environment)
    if environment.imports_checkout and not is_ready(environment, PACKAGE):
        _link_checkout(environment)
    say(f"{name}: ready")


def ensure_dev(environment: Environment) -> None:
    """Add the packages for development (`environments/dev-<name>.txt`) to a ready environment.

    Raises the same errors as `ensure`.
    """
    ensure(environment)
    addition = environment.dev
    if not is_ready(environment, addition):
        say(f"{addition}: installing {_count(addition)} packages (less than a minute) …")
        _install(environment, addition)
        stamp(environment, addition)
    say(f"{addition}: ready")


def _build(environment: Environment) -> None:
    name = environment.name
    _check_own(environment)
    hashes.entries(name)  # a pin without hashes is reported before anything is removed
    python = interpreters.find(environment.python)
    why = "not made from these pins, or not to the end: " if environment.folder.exists() else ""
    say(f"{name}: {why}installing {_count(name)} packages ({environment.minutes}) …")
    forget(environment)
    shutil.rmtree(environment.folder, ignore_errors=True)
    environment.log.unlink(missing_ok=True)
    _make(environment, str(python))
    _install(environment, name)
    stamp(environment, name)


def _check_own(environment: Environment) -> None:
    """An environment that another checkout uses (`.envs` may be a link) is never removed."""
    other = owner(environment)
    if other is not None and other != ROOT:
        theirs = other / environment.folder.relative_to(ROOT)
        if theirs.exists() and theirs.samefile(environment.folder):
            raise SetupError(
                f"{environment.name}: expected {environment.folder} to be this checkout's own, but "
                f"it is a link to the environment of {other}; remove the link and run the same "
                "command again."
            )


def _make(environment: Environment, python: str) -> None:
    command = [python, "-m", "venv", "--clear", str(environment.folder)]
    failed = (
        f"{environment.name}: {python} could not make the environment {environment.folder}; "
        "what it said is above."
    )
    run(command, log=environment.log, failed=failed)


def _install(environment: Environment, name: str) -> None:
    """Install the files whose hashes are known, then the other pins with their dependencies."""
    hashed = hashes.entries(name)
    if "pip" in hashed:
        # In a step of its own, because the bundled pip of an old Python cannot read today's wheels.
        _install_hashed(environment, name, hashed.pop("pip"))
    _install_hashed(environment, name, "".join(hashed.values()))
    apart = hashes.apart(name)
    if apart:
        pins = pinfiles.pin_file(name)
        options = ["--no-deps"] if environment.no_deps else ["-c", str(pins)]
        _pip(environment, *options, *apart, what=f"{', '.join(apart)} of {pins.name}")


def _install_hashed(environment: Environment, name: str, requirements: str) -> None:
    """Install requirements with hashes.

    The pins are complete, so nothing is resolved.
    """
    listed = environment.folder / "requirements.txt"
    listed.write_text(requirements, encoding="utf-8")
    options = ("--no-deps", "--require-hashes", "-r", str(listed))
    _pip(environment, *options, what=f"environments/hashes/{name}.txt")


def _pip(environment: Environment, *arguments: str, what: str) -> None:
    failed = (
        f"{environment.name}: pip could not install {what}; what it said is above. Nothing of it "
        "is taken as ready: mend the cause and run the same command again."
    )
    run(pip_install(environment.executable, *arguments), log=environment.log, failed=failed)


def _link_checkout(environment: Environment) -> None:
    failed = f"{environment.name}: nbhelpers could not be made importable; what pip said is above."
    run(editable(environment.executable), log=environment.log, failed=failed)
    stamp(environment, PACKAGE)


def _count(name: str) -> int:
    return sum(not pin.marker for pin in pinfiles.read(name))
