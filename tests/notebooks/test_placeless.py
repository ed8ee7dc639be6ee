"""Executed notebooks without the places of the machine that ran them."""

import json
import tempfile
from pathlib import Path

import pytest

from nbhelpers.workbook import local_paths
from nbhelpers.workbook.local_paths import ROOT
from nbhelpers.workbook.plan import Settings

HANDOFFS = Path("/data/Ann B\u00e4r/handoffs")
SETTINGS = Settings(handoffs=HANDOFFS, name="net", checkpoint="/models/secret/net.pt:state")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (f"Handoff {HANDOFFS}/net", "Handoff ../../net"),
        (f'HANDOFFS = "{HANDOFFS}"', 'HANDOFFS = "../.."'),
        ("/models/secret/net.pt:state", "…/net.pt:state"),
        (f"File {ROOT}/nbhelpers/stage.py:3", "File ./nbhelpers/stage.py:3"),
        (f"{Path.home()}/models/own.py", "~/models/own.py"),
        (f"{tempfile.gettempdir()}/ipykernel_17/4.py", "…/4.py"),
        ("/opt/x/lib/python3.11/site-packages/torch/a.py", "…/site-packages/torch/a.py"),
        ("/usr/lib/python3.11/json/decoder.py", "…/python3.11/json/decoder.py"),
    ],
)
def test_places_are_replaced(text, seen):
    whole = json.dumps({"outputs": [text]}, ensure_ascii=False)
    assert json.loads(local_paths.placeless(whole, SETTINGS)) == {"outputs": [seen]}


@pytest.mark.parametrize(
    "text",
    [
        "/layer1/conv/Conv_output_0",
        "text/html",
        "https://example.org/a/b",
        f"x{HANDOFFS}",
        f"{HANDOFFS}-2",
        "1/2 · graph/tf2/frozen.pb",
    ],
)
def test_names_of_tensors_and_addresses_stay(text):
    assert local_paths.placeless(text, SETTINGS) == text
