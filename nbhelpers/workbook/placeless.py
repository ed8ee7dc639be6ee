"""An executed notebook without the places of this machine: it travels with the handoff folder.

Paths name a person and tell how the machine is laid out; whoever receives the folder needs neither.
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
"""What leads to an installed package, or to Python's own modules."""

_TEMPORARY = r"(/[\w.-]+)?"
"""The folder in a temporary place has a name that no two runs share."""


def placeless(text: str, settings: Settings) -> str:
    """Return the JSON of an executed notebook with places of this machine replaced.

    The folder of the handoffs becomes "../..", as seen from the copy, the checkout ".", and of
    anything else only what is below a known place is left.
    """
    for place, short in sorted(_places(settings).items(), key=lambda each: -len(each[0])):
        written = re.escape(json.dumps(place, ensure_ascii=False)[1:-1])
        text = re.sub(rf"(?<![\w./]){written}(?![\w-])", short, text)
    temporary = {tempfile.gettempdir(), str(Path(tempfile.gettempdir()).resolve())}
    for place in temporary:
        text = re.sub(re.escape(place) + _TEMPORARY, "…", text)
    return _LIBRARY.sub("…", text)


def _places(settings: Settings) -> Mapping[str, str]:
    """Return places of this machine, as they are named and as links lead there → what is shown."""
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
