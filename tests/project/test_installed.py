"""The environments under `.envs` are what their pin files say, without undeclared conflicts."""

import json
import re
import subprocess

import pytest
from envsetup import kernelspecs, pinfiles
from envsetup.catalogue import BENCH, ENVIRONMENTS, LEGACY
from envsetup.commands import without_noise

# Runs inside an environment: what is installed, and what each package asks for on three systems.
LISTING = """
import importlib.metadata as metadata, json
from packaging.requirements import Requirement
SYSTEMS = [
    {"sys_platform": s, "platform_system": p, "os_name": o, "extra": ""}
    for s, p, o in [("linux", "Linux", "posix"), ("darwin", "Darwin", "posix"),
                    ("win32", "Windows", "nt")]
]
found = {}
for package in metadata.distributions():
    asked = [Requirement(line) for line in package.requires or []]
    asked = [r for r in asked if not r.marker or any(r.marker.evaluate(s) for s in SYSTEMS)]
    found[package.metadata["Name"]] = [package.version, [r.name for r in asked]]
print(json.dumps(found))
"""


# `make bench` and `make audit` alone make the others.
REQUIRED = [name for name in ENVIRONMENTS if name not in (*BENCH, "tools")]


def ask(name, *arguments):
    """Run an environment's own Python; a missing environment fails with the way to get it."""
    python = ENVIRONMENTS[name].executable
    assert python.exists(), f"{python} is missing: run `make setup dev legacy clients`"
    return subprocess.run([python, *arguments], capture_output=True, text=True, check=False)


def freeze(name):
    lines = ask(name, "-m", "pip", "freeze", "--all").stdout.splitlines()
    pairs = [line.split("==") for line in lines if re.match(r"[\w.-]+==", line)]
    return {pinfiles.normal(package): version.split("+")[0] for package, version in pairs}


@pytest.mark.parametrize("name", REQUIRED)
def test_pip_check_says_nothing_but_what_is_declared(name):
    said = ask(name, "-m", "pip", "--disable-pip-version-check", "check")
    lines = without_noise(said.stdout).splitlines()
    if pinfiles.declared_conflicts(name):
        assert lines == pinfiles.declared_conflicts(name)
    else:
        assert lines == ["No broken requirements found."]


@pytest.mark.parametrize("name", REQUIRED)
def test_what_is_installed_is_what_is_pinned(name):
    files = [name, f"dev-{name}"] if name in ("th", "tf") else [name]
    pins = {p.key: p.version for file in files for p in pinfiles.read(file) if not p.marker}
    installed = freeze(name)
    assert {key: installed.get(key) for key in pins} == pins
    bundled = {"pip", "setuptools", "wheel", "nbhelpers"}
    cuda = {key for key in installed if re.match(r"nvidia-|cuda-|triton", key)}
    assert not set(installed) - set(pins) - bundled - cuda


@pytest.mark.parametrize("name", ["th", "tf"])
def test_a_pin_file_lists_what_its_packages_need_on_every_system(name):
    pinned = {pin.key for pin in pinfiles.read(name)} | {
        pin.key for pin in pinfiles.read(f"dev-{name}")
    }
    declared = " ".join(pinfiles.declared_conflicts(name))
    missing = {
        f"{package} needs {needed}"
        for package, (_, asked) in json.loads(ask(name, "-c", LISTING).stdout).items()
        for needed in asked
        if pinfiles.normal(needed) not in pinned
        and f"{package} " not in declared
        and needed != "nbhelpers-engine"  # of this checkout, as nbhelpers is
        and not re.match(r"nvidia-|cuda-|triton", needed)
    }
    assert not missing


@pytest.mark.parametrize(("kernel", "name"), [("train", "th"), ("convert", "tf")])
def test_the_kernel_runs_its_environment(kernel, name):
    said = ask("th", "-m", "jupyter", "kernelspec", "list", "--json").stdout
    spec = json.loads(said)["kernelspecs"][kernel]["spec"]
    assert spec["argv"][0] == str(ENVIRONMENTS[name].executable)
    assert spec["display_name"].startswith(kernel)
    assert spec.get("env") == kernelspecs.VARIABLES


@pytest.mark.parametrize("name", ["th", "tf"])
def test_nbhelpers_is_this_checkouts_from_anywhere(name, tmp_path):
    code = "import os, nbhelpers; os.chdir('/'); print(nbhelpers.__file__)"
    python = ENVIRONMENTS[name].executable
    said = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert said.stdout.strip().startswith(str(ENVIRONMENTS[name].folder.parent.parent))


@pytest.mark.legacy
@pytest.mark.parametrize("name", LEGACY)
def test_a_legacy_runtime_runs_its_tensorflow(name):
    code = "import tensorflow as tf; print(tf.__version__, tf.Session().run(tf.constant(3)))"
    said = ask(name, "-W", "ignore", "-c", code)
    pinned = {pin.key: pin.version for pin in pinfiles.read(name)}["tensorflow"]
    assert said.stdout.split() == [pinned, "3"], said.stderr
