"""Which notebooks need not run again, because nothing that decides their result has changed.

The executed copy of a notebook carries the fingerprint of its inputs. A model from outside this
package is always exported again, because nobody knows which files its code reads.
"""

import hashlib
import json
from pathlib import Path

from graphcore.atomic_files import describe, edited_name
from graphcore.spec import parse_checkpoint
from nbhelpers.handoff import Handoff
from nbhelpers.workbook.plan import ROOT, Notebook, Settings, interpreter

KEY = "nbhelpers"


def fingerprint(notebook: Notebook, settings: Settings) -> str:
    """Return the sha256 of everything that decides the result of `notebook`."""
    cells = json.loads(notebook.path.read_text(encoding="utf-8"))["cells"]
    parts: list[object] = [
        [cell["source"] for cell in cells],
        sorted(notebook.parameters(settings).items()),
        describe(parse_checkpoint(settings.checkpoint)[0])["sha256"] if settings.checkpoint else "",
        _sources(ROOT / "nbhelpers"),
        _packages(interpreter(notebook.kernel).parent.parent, "*"),
        [_packages(runtime, "tensorflow-*") for runtime in sorted(ROOT.glob(".envs/tf*"))],
        _packages(ROOT / ".envs" / "clients", "*"),
    ]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def is_fresh(notebook: Notebook, settings: Settings, executed: Path) -> bool:
    """Whether `executed` is a run of `notebook` that would give the same result again."""
    if notebook.stage == "export" and not settings.model.startswith("nbhelpers."):
        return False
    try:
        if not executed.is_file():
            return False
        metadata = json.loads(executed.read_text(encoding="utf-8"))["metadata"]
        Handoff(settings.folder).require(notebook.stage)
        mark = metadata[KEY]["fingerprint"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
    return mark == fingerprint(notebook, settings)


def changed_by_hand(notebook: Notebook, settings: Settings) -> list[str]:
    """Return a sentence for each file that `notebook` makes again because it was edited by hand.

    Raises:
        HandoffError: `handoff.json` itself was edited.
    """
    said = []
    for file, wrong in Handoff(settings.folder).changed(notebook.stage).items():
        path = settings.folder / file
        kept = f". The edited file is kept as {edited_name(path).name}" if path.is_file() else ""
        said.append(f"{file} {wrong}: {notebook.title} makes it again{kept}")
    return said


def _sources(package: Path) -> list[tuple[str, str]]:
    files = (path for path in sorted(package.rglob("*")) if path.is_file())
    return [
        (path.relative_to(package).as_posix(), describe(path)["sha256"])
        for path in files
        if "__pycache__" not in path.parts and path.parent.name != "workbook"
    ]


def _packages(environment: Path, name: str) -> list[str]:
    """Return the names and versions of the packages in an environment that match `name`."""
    found = environment.glob(f"lib/python*/site-packages/{name}.dist-info")
    return sorted(path.name for path in found)
