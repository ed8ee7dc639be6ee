"""The ranges in both pyproject files: the pins lie in them, and what is imported is declared."""

import tomllib
from pathlib import Path

import pytest
from envsetup import pinfiles
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
ENGINE = tomllib.loads((ROOT / "engine" / "pyproject.toml").read_text())["project"]
WORKBOOK = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# The extra -> the environment whose pins were tested with it.
PINNED = {
    (ENGINE["name"], "tf"): "tf",
    (ENGINE["name"], "torch"): "th",
    (ENGINE["name"], "simplify"): "th",
    (ENGINE["name"], "tables"): "th",
    (WORKBOOK["name"], "train"): "th",
    (WORKBOOK["name"], "convert"): "tf",
}
EXTRAS = {
    (project["name"], extra): lines
    for project in (ENGINE, WORKBOOK)
    for extra, lines in project["optional-dependencies"].items()
}


def outside(lines, name):
    """Return the requirements that the pins of an environment do not meet."""
    pins = {pin.key: pin.version for pin in pinfiles.read(name)}
    wanted = [each for each in map(Requirement, lines) if each.name != ENGINE["name"]]
    return [
        str(each)
        for each in wanted
        if not each.specifier.contains(pins.get(pinfiles.normal(each.name), "0"))
    ]


@pytest.mark.parametrize("extra", EXTRAS, ids="-".join)
def test_the_pins_lie_in_the_ranges_of_an_extra(extra):
    assert outside(EXTRAS[extra], PINNED[extra]) == []


@pytest.mark.parametrize("name", ["th", "tf"])
def test_the_pins_of_both_kernels_lie_in_the_ranges_that_everybody_needs(name):
    assert outside(ENGINE["dependencies"], name) == []


def test_the_workbook_needs_the_engine_of_its_own_version():
    assert WORKBOOK["dependencies"] == [f"{ENGINE['name']}=={ENGINE['version']}"]
    assert WORKBOOK["version"] == ENGINE["version"]


def test_the_extras_of_the_workbook_name_extras_of_the_engine():
    for extra in ("train", "convert"):
        (engine,) = (r for r in map(Requirement, EXTRAS[WORKBOOK["name"], extra]) if r.extras)
        assert engine.name == ENGINE["name"]
        assert engine.extras <= set(ENGINE["optional-dependencies"])
