"""The picture of the rooms in CONTRIBUTING is the house, and agrees with the import contracts."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
LAYERS = {
    contract["containers"][0]: [set(re.findall(r"\w+", layer)) for layer in contract["layers"]]
    for contract in CONTRACTS
    if contract["type"] == "layers" and "containers" in contract
}


def picture():
    """Package -> its lines in the picture, each a set of rooms, from the top down."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    lines = text.partition("## Rooms")[2].split("```")[1].splitlines()
    rooms = {}
    for line in filter(None, lines):
        names = re.split(r"\s{2,}", line.strip())[0]
        if names.endswith("/"):
            package = names.rstrip("/")
            rooms[package] = []
        else:
            rooms[package].append(set(names.split(", ")))
    return rooms


@pytest.mark.parametrize("package", LAYERS)
def test_the_picture_has_every_room_once(package):
    folder = ROOT / package if package == "nbhelpers" else ROOT / "engine" / package
    there = {path.stem for path in folder.iterdir() if not path.name.startswith("_")} - {"py"}
    drawn = [room for line in picture()[package] for room in line]
    assert sorted(drawn) == sorted(there)


@pytest.mark.parametrize("package", LAYERS)
def test_a_line_of_the_picture_is_above_what_it_imports(package):
    depth = {room: at for at, layer in enumerate(LAYERS[package]) for room in layer}
    depths = [depth[room] for line in picture()[package] for room in sorted(line)]
    assert depths == sorted(depths)


def test_a_place_that_is_named_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text.partition("### Where does it go?")[2].partition("\n## ")[0]
    places = re.findall(r"`((?:nbhelpers|engine|environments)/[\w./-]*)`", table)
    assert len(places) > 20
    assert [place for place in places if not (ROOT / place).exists()] == []
