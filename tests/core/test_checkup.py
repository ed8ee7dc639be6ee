"""What is installed on this machine, asked from either kernel, and the command for what is not."""

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from graphcore.errors import WrongKernel
from nbhelpers import checkup, kernel, kernelspecs

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A Python beside which there is no kernelspec; return the folder for kernelspecs beside it."""
    monkeypatch.setattr(kernelspecs, "_places", list)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "tf"))
    return tmp_path / "th" / "share" / "jupyter" / "kernels"


def register(kernels: Path, name: str, python: str) -> None:
    (kernels / name).mkdir(parents=True)
    (kernels / name / "kernel.json").write_text(json.dumps({"argv": [python, "-m", "x"]}))


def by_name():
    return {each.what: each for each in checkup.findings()}


def test_both_kernels_are_found_from_either_and_no_framework_is_loaded():
    code = (
        "import sys; from nbhelpers import checkup; found = checkup.findings(); print(found);"
        "assert not {'torch', 'tensorflow', 'onnx'} & set(sys.modules);"
        "assert checkup.ready(found), found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("packages as pinned") == 2


def test_the_pins_are_those_of_this_machine():
    names = {pin.name for pin in checkup.pins("tf")}
    assert {"tensorflow", "onnx-tf", "onnx"} <= names
    assert ("appnope" in names) == (sys.platform == "darwin")


def test_packages_that_are_missing_or_of_another_version_are_named():
    packages = {pin.name.lower(): str(pin.specifier)[2:] for pin in checkup.pins("th")}
    packages = {checkup.canonicalize_name(name): version for name, version in packages.items()}
    whole = checkup.Installed("3.11.0", packages)
    assert checkup.differences("th", whole) == []
    cpu = checkup.Installed("3.11.0", {**packages, "torch": packages["torch"] + "+cpu"})
    assert checkup.differences("th", cpu) == []
    other = {**packages, "torch": "2.0.0"}
    del other["onnx"]
    assert checkup.differences("th", checkup.Installed("3.11.0", other)) == [
        f"torch 2.0.0 instead of {packages['torch']}",
        "no onnx",
    ]


def test_kernels_that_are_not_registered_or_gone_come_with_the_command(nowhere, monkeypatch):
    register(nowhere, "train", str(nowhere / "gone"))
    found = by_name()
    train, convert = found["kernel train"], found["kernel convert"]
    assert (train.seen, train.mend) == ("its Python is gone or broken", "make setup")
    assert (convert.seen, convert.mend) == ("no kernelspec is registered", "make setup")
    assert not checkup.ready(tuple(found.values()))
    (nowhere.parents[3] / "tf" / "conda-meta").mkdir(parents=True)
    found = by_name()
    assert found["kernel convert"].mend == "python environments/setup.py kernels"
    assert found["kernel train"].mend == "conda env update -n th -f environment-th.yml"


def test_an_environment_that_differs_from_its_pins_says_how(nowhere, monkeypatch):
    register(nowhere, "convert", sys.executable)
    monkeypatch.setattr(
        checkup, "ask", lambda python: checkup.Installed("3.11.0", {"nbhelpers": "0.1.0"})
    )
    seen = by_name()["kernel convert"]
    assert not seen.ok and seen.seen.startswith("no tensorflow, no onnx-tf, no ")
    assert " more" in seen.seen
    assert seen.mend == f"{sys.executable} -m pip install --no-deps -r environments/tf.txt"


def test_a_kernel_of_another_project_is_told_from_ours(nowhere, monkeypatch, tmp_path):
    monkeypatch.setattr(checkup, "ask", lambda python: checkup.Installed("3.11.0", {"numpy": "2"}))
    monkeypatch.setattr(kernelspecs, "_places", lambda: [tmp_path / "theirs"])
    register(tmp_path / "theirs", "convert", "/opt/theirs/python")
    register(nowhere, "convert", sys.executable)
    register(nowhere, "train", "/opt/theirs/python")
    found, theirs = by_name(), tmp_path / "theirs" / "convert"
    first = found["kernel convert"]
    assert first.seen == (
        f"{theirs} belongs to another project: it starts /opt/theirs/python, which lacks nbhelpers"
    )
    assert first.mend == f"mv '{theirs}' '{theirs}-other' && make setup" and not first.ok
    over = found["kernel train"]
    assert over.seen == (
        f"{nowhere / 'train'} was overwritten by another project: it starts /opt/theirs/python"
    )
    assert over.mend == "make setup" and not over.ok


def test_a_notebook_on_the_kernel_of_another_project_says_so(nowhere, monkeypatch, tmp_path):
    register(tmp_path / "theirs", "convert", sys.executable)
    monkeypatch.setattr(kernelspecs, "_places", lambda: [tmp_path / "theirs"])
    monkeypatch.setattr(kernel, "has", lambda module: False)
    with pytest.raises(WrongKernel) as said:
        kernel.require("convert")
    place = tmp_path / "theirs" / "convert"
    assert str(said.value).startswith(
        f"This kernel is called 'convert', but it belongs to another project: {place} starts "
    )
    assert f"`mv '{place}' '{place}-other' && make setup`" in str(said.value)


def test_without_the_old_runtimes_one_can_begin(monkeypatch, tmp_path):
    monkeypatch.setenv("NBHELPERS_ENVS", str(tmp_path))
    found = checkup.findings()
    missing = [each for each in found if each.mend == "make legacy"]
    assert [each.what.rpartition(" ")[2] for each in missing] == ["1.4.1", "1.13.2", "1.15.5"]
    assert all("checked against its op tables" in each.seen for each in missing)
    assert checkup.ready(found) == all(each.ok for each in found if each not in missing)


@pytest.mark.skipif(os.name == "nt", reason="writes a shell script in the place of a Python")
def test_a_runtime_of_another_version_or_that_does_not_run_is_noticed(monkeypatch, tmp_path):
    monkeypatch.setenv("NBHELPERS_ENVS", str(tmp_path))
    answer = json.dumps({"python": "3.6.1", "packages": {"tensorflow": "1.5.0"}})
    for name, script in (("tf1.4", f"echo '{answer}'"), ("tf1.13", "exit 3")):
        python = tmp_path / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    found = by_name()
    assert found["runtime TensorFlow 1.4.1"].seen == "TensorFlow 1.5.0 instead"
    assert found["runtime TensorFlow 1.13.2"].seen == "its environment is broken"


def test_a_full_disk_is_noticed_where_the_handoffs_go(monkeypatch, tmp_path):
    asked = []

    def usage(folder):
        asked.append(folder)
        return Usage(10**12, 10**12, 10**8)

    monkeypatch.setattr(checkup.shutil, "disk_usage", usage)
    found = {each.what: each for each in checkup.findings(tmp_path / "not" / "yet")}["disk"]
    assert (found.seen, found.mend) == ("0.1 GB free, and a handoff takes up to 2", "make clean")
    assert not found.ok and asked == [tmp_path]


def test_a_notebook_for_either_kernel_takes_this_one_and_is_refused_elsewhere(monkeypatch):
    assert kernel.require_either() == kernel.require(kernel.current())
    monkeypatch.setattr(kernel, "has", lambda module: False)
    with pytest.raises(WrongKernel, match=r"one of the kernels .* neither .* `make setup`"):
        kernel.require_either()
