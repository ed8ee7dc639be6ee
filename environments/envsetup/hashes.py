"""`environments/hashes/*.txt`: the sha256 of every file that the registry has for a pin.

pip accepts only files with these hashes, whatever an index offers. PyTorch is an exception, because
its CPU build comes from a separate index, and its CUDA build needs packages that it pins itself.
"""

from __future__ import annotations

import re
from pathlib import Path

from . import pinfiles
from .catalogue import ENVIRONMENTS, ENVS, PINS
from .commands import run
from .report import SetupError

FOLDER = PINS / "hashes"
APART = ("torch",)
LOG = ENVS / "hashes.log"

_HEAD = """\
# Written by `python environments/setup.py hashes {name}` from environments/{name}.txt: change that
# file. The set-up installs from here; what is apart ({apart}) comes after it.
"""


def hash_file(name: str) -> Path:
    """Return the file with the hashes of `environments/<name>.txt`."""
    return FOLDER / f"{name}.txt"


def write(name: str) -> Path:
    """Ask the registry for the hashes of all pins of a file, on every platform.

    Return the file that is written.

    Raises `SetupError` if the registry cannot be reached, or does not have one of the pins.
    """
    path, tools = hash_file(name), ENVIRONMENTS["tools"]
    command = [str(tools.executable.with_name("uv")), "pip", "compile", "--quiet", "--universal"]
    command += ["--no-deps", "--generate-hashes", "--no-header", "--no-annotate", "--no-config"]
    # The newest patch release, because some pins require one. Hashes do not depend on it.
    release = ENVIRONMENTS[name.replace("dev-", "")].python
    command += ["--python-version", f"{release}.99", "--output-file", str(path)]
    for package in APART:
        command += ["--no-emit-package", package]
    path.parent.mkdir(exist_ok=True)
    failed = f"{name}: the hashes of its pins could not be had; what uv said is above."
    run([*command, str(pinfiles.pin_file(name))], log=LOG, failed=failed)
    written = path.read_text(encoding="utf-8")
    path.write_text(_HEAD.format(name=name, apart=", ".join(APART)) + written, encoding="utf-8")
    return path


def entries(name: str) -> dict[str, str]:
    """Return package → its requirement with all hashes, for the pins of `environments/<name>.txt`.

    Raises `SetupError` if the hashes of a pin are missing.
    """
    text = pinfiles.text_of(hash_file(name))
    blocks = re.findall(r"^[\w.-]+==(?:.*\\\n)+.*\n", text, re.MULTILINE)
    found = {pinfiles.normal(block.partition("==")[0]): block for block in blocks}
    for pin in pinfiles.read(name):
        known = re.match(r"[^=]+==([^\s;]+)", found.get(pin.key, ""))
        if pin.key not in APART and (known is None or known[1] != pin.version):
            raise SetupError(
                f"Expected the hashes of {pin.name}=={pin.version} in {hash_file(name)}, but they "
                f"are not there; write them: `python environments/setup.py hashes {name}`."
            )
    return found


def apart(name: str) -> list[str]:
    """Return the pins of a file that have no hashes."""
    return [pin.line for pin in pinfiles.read(name) if pin.key in APART]
