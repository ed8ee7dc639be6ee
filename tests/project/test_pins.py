"""The pin files: whole, reasoned, the same in both kernels, and the same for conda."""

import re
import tomllib
from pathlib import Path

import pytest
from envsetup import hashes, pinfiles
from envsetup.catalogue import ENVIRONMENTS
from envsetup.report import SetupError

from graphcore.targets import LEGACY

ROOT = Path(__file__).resolve().parents[2]
FILES = [*ENVIRONMENTS, "dev-th", "dev-tf"]
MODERN = ["th", "tf", "dev-th", "dev-tf", "clients", "architectures"]
# What the user named and what only one kernel has.
IN_TH = {"torch", "onnx", "onnxruntime", "jupyterlab", "papermill", "ipywidgets", "matplotlib"}
IN_TF = {"tensorflow", "onnx-tf", "onnx", "onnxruntime", "ipywidgets", "ipykernel", "matplotlib"}


def versions(name):
    return {pin.key: pin.version for pin in pinfiles.read(name)}


@pytest.mark.parametrize("name", FILES)
def test_every_pin_is_exact_and_there_once(name):
    keys = [pin.key for pin in pinfiles.read(name)]
    assert keys
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("name", FILES)
def test_every_chosen_pin_says_why(name):
    chosen = [pin for pin in pinfiles.read(name) if pin.chosen]
    assert chosen
    silent = [pin.line for pin in chosen if len(pin.reason.split()) < 3]
    assert not silent


@pytest.mark.parametrize("name", FILES)
def test_the_generated_part_is_sorted_and_has_no_local_builds(name):
    needed = [pin for pin in pinfiles.read(name) if not pin.chosen]
    assert [pin.key for pin in needed] == sorted(pin.key for pin in needed)
    assert not [pin.line for pin in needed if "+" in pin.version]


@pytest.mark.parametrize("name", FILES)
def test_every_pin_has_its_hashes_but_torch(name):
    found, pins = hashes.entries(name), {pin.key: pin for pin in pinfiles.read(name)}
    assert set(found) == set(pins) - {"torch"}, f"python environments/setup.py hashes {name}"
    for key, block in found.items():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", block)
        assert ("sys_platform" in block) == bool(pins[key].marker)


def test_shared_packages_have_one_version():
    seen = {}
    for name in MODERN:
        for package, version in versions(name).items():
            if package == "torchvision":  # `th` has it for pip alone, `architectures` for its code
                continue
            seen.setdefault(package, {})[name] = version
    assert not {p: at for p, at in seen.items() if len(set(at.values())) > 1}


@pytest.mark.parametrize("name", ["th", "tf"])
def test_an_addition_repeats_nothing_of_its_environment(name):
    assert not set(versions(name)) & set(versions(f"dev-{name}"))


def test_the_named_packages_are_chosen_and_the_frameworks_apart():
    th, tf = ({pin.key for pin in pinfiles.read(n) if pin.chosen} for n in ("th", "tf"))
    assert th >= IN_TH | {"netron"}
    assert tf >= IN_TF | {"netron"}
    assert not {"tensorflow", "onnx-tf", "keras"} & set(versions("th"))
    assert not {"torch", "jupyterlab", "tensorflow-addons"} & set(versions("tf"))


@pytest.mark.parametrize("name", ["th", "tf"])
def test_the_conda_file_holds_the_pins_of_the_pin_file(name):
    text = (ROOT / f"environment-{name}.yml").read_text()
    assert text == pinfiles.conda_text(name), "run `python environments/setup.py conda-files`"
    pip = text.partition("  - pip:\n")[2]
    inlined = [line.strip(" -'") for line in pip.splitlines()]
    assert inlined == [pin.line for pin in pinfiles.read(name)]
    assert f"\nname: {name}\n" in text
    assert "  - python=3.11\n  - pip\n" in text
    assert "-r " not in pip


def test_a_conflict_is_declared_where_dependencies_are_left_out():
    declared = [name for name in FILES if pinfiles.declared_conflicts(name)]
    assert declared == ["tf", "clients", "architectures"]
    assert declared == [name for name, each in ENVIRONMENTS.items() if each.no_deps]
    assert all(len(pinfiles.declared_conflicts(name)) == 1 for name in declared)


def test_no_file_names_an_index():
    files = [*ROOT.glob("environments/**/*"), *ROOT.glob("environment-*.yml"), ROOT / "Makefile"]
    for path in files:
        if path.is_file() and path.suffix != ".pyc":
            assert not re.search(r"index-url|https?://|/root/", path.read_text()), path


def test_the_package_has_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    source = (ROOT / "nbhelpers" / "__init__.py").read_text()
    assert f'__version__ = "{project["version"]}"' in source


@pytest.mark.parametrize("line", ["torch", "torch>=2", "-r other.txt", "torch==", "a b==1"])
def test_a_line_that_is_no_exact_pin_is_named(line):
    with pytest.raises(SetupError, match=rf"x\.txt, line 2: must be `name==version`, not `{line}`"):
        pinfiles.parse(f"# == chosen\n{line}\n", "x.txt")


def test_the_lock_replaces_the_generated_part_only():
    text = "# == chosen ==\n# why\na==1\n\n# == needed by those: x ==\n\nold==1\n"
    pins = [pinfiles.Pin("zed", "2"), pinfiles.Pin("B", "1", 'sys_platform == "win32"')]
    assert pinfiles.with_needed(text, pins) == (
        "# == chosen ==\n# why\na==1\n\n# == needed by those: x ==\n\n"
        'B==1 ; sys_platform == "win32"\nzed==2\n'
    )


def test_the_legacy_environments_have_the_python_and_tensorflow_of_their_targets():
    found = {
        name: (environment.python, versions(name)["tensorflow"])
        for name, environment in ENVIRONMENTS.items()
        if environment.legacy
    }
    assert found == {target.name: (target.python, target.version) for target in LEGACY}
