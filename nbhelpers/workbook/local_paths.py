"""An executed notebook without the paths of this machine, because it travels with the handoff.

Paths show a person's name and how the machine is organised. A receiver needs neither.
"""

import json
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from graphcore import environments
from graphcore.spec import parse_checkpoint
from nbhelpers.workbook.plan import ROOT, Settings

_LIBRARY = re.compile(r"(?<![\w~])(?:/[^\s\"'<>():,;\\/]+)+(?=/(?:site-packages|python3\.\d+)/)")
"""The path prefix of installed packages and of Python's own modules."""

_TEMPORARY = r"(/[\w.-]+)?"
"""The name of a temporary folder, which is different in every run."""


def placeless(text: str, settings: Settings) -> str:
    """Return the JSON of an executed notebook with the paths of this machine replaced.

    The folder of the handoffs becomes "../..", as seen from the copy, and the checkout ".". Of any
    other path only the part below a known folder stays.
    """
    for place, short in sorted(_places(settings).items(), key=lambda each: -len(each[0])):
        written = re.escape(json.dumps(place, ensure_ascii=False)[1:-1])
        text = re.sub(rf"(?<![\w./]){written}(?![\w-])", short, text)
    temporary = {tempfile.gettempdir(), str(Path(tempfile.gettempdir()).resolve())}
    for place in temporary:
        text = re.sub(re.escape(place) + _TEMPORARY, "…", text)
    return _LIBRARY.sub("…", text)


def _places(settings: Settings) -> Mapping[str, str]:
    """Return folders of this machine, by name and with links resolved → the text that replaces
    them."""
    known = {
        settings.handoffs: "../..",
        ROOT: ".",
        environments.folder(): ".envs",
        Path(sys.prefix): "…",
        Path.cwd(): ".",
        Path.home(): "~",
    }
    if settings.checkpoint:
        known[parse_checkpoint(settings.checkpoint)[0].parent] = "…"
    found = {}
    for place, short in known.items():
        for path in (place.absolute(), place.resolve()):
            if len(path.parts) > 1:
                found[str(path)] = short
    return found
