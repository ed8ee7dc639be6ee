"""`environments/setup.py`: done once, redone when cut off, and clear about what is missing."""

import json
import re
import shutil
import signal
import sys
import time
import types

import pytest
from envsetup import interpreters, kernelspecs, venvs

from nbhelpers.kernel import VARIABLES


def wait_for(path, seconds=30):
    """Wait until a file is there."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.02)


def test_the_second_run_only_says_ready(checkout):
    checkout.pretend("3.11")
    first = checkout.setup("th", "tf", "kernels", "dev")
    assert first.returncode == 0, first.stderr
    assert re.match(r"th: installing \d+ packages \(2-6 minutes\) …\nth: ready\n", first.stdout)
    calls = checkout.calls
    second = checkout.setup("th", "tf", "kernels", "dev")
    assert second.returncode == 0, second.stderr
    assert all(": ready" in line for line in second.stdout.splitlines())
    assert checkout.calls == calls, "the second run must start no pip and no ipykernel"


def test_only_files_whose_hashes_are_known_are_installed_and_torch_after_them(checkout):
    checkout.pretend("3.11")
    checkout.pretend("3.6")
    said = checkout.setup("th", "tf", "tf1.4", "dev-tf", "architectures")
    assert said.returncode == 0, said.stderr
    installs = [line for line in checkout.calls if " install " in line and "--editable" not in line]
    hashed = [line for line in installs if "--no-deps --require-hashes -r" in line]
    assert len(hashed) == 6, "of tf1.4, pip is first"
    th, architectures = [line for line in installs if line not in hashed]
    assert th.endswith(f"-c {checkout.root / 'environments' / 'th.txt'} torch==2.13.0")
    assert architectures.endswith("install --no-deps torch==2.13.0")
    asked = (checkout.root / ".envs" / "tf1.4" / "requirements.txt").read_text()
    assert "tensorflow==1.4.1 \\\n    --hash=sha256:" in asked and "pip==" not in asked
    assert not [line for line in checkout.calls if "index" in line]


def test_a_pin_whose_hashes_are_not_written_is_refused_before_anything_is_removed(checkout):
    checkout.pretend("3.11")
    checkout.setup("tf")
    pins = checkout.root / "environments" / "tf.txt"
    pins.write_text(pins.read_text().replace("PyYAML==6.0.3", "PyYAML==6.0.2"))
    refused = checkout.setup("tf")
    assert refused.returncode == 1 and (checkout.root / ".envs" / "tf" / "ready.json").exists()
    assert "Expected the hashes of PyYAML==6.0.2 in " in refused.stderr
    assert "`python environments/setup.py hashes tf`" in refused.stderr


def test_a_changed_pin_installs_anew_and_a_changed_reason_does_not(checkout):
    checkout.pretend("3.11")
    checkout.setup("tf")
    pins = checkout.root / "environments" / "tf.txt"
    pins.write_text(pins.read_text().replace("# onnx-tf imports it.", "# onnx-tf reads with it."))
    calls = checkout.calls
    assert checkout.setup("tf").stdout == "tf: ready\n"
    assert checkout.calls == calls
    for path in (pins, checkout.root / "environments" / "hashes" / "tf.txt"):
        text = path.read_text()
        path.write_text(re.sub("pyyaml==6.0.3", "PyYAML==6.0.2", text, flags=re.IGNORECASE))
    assert checkout.setup("tf").stdout.startswith("tf: not made from these pins")
    assert len(checkout.calls) > len(calls)


def test_a_moved_checkout_is_set_up_anew(checkout):
    checkout.pretend("3.11")
    checkout.setup("tf")
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    checkout.pretend("3.11")
    assert "installing" in checkout.setup("tf").stdout


def test_an_environment_loses_its_stamp_before_anything_else(monkeypatch, tmp_path):
    """A removal that is cut off leaves a broken environment, and it must not be called ready."""
    there = types.SimpleNamespace(
        name="th", python="3.11", folder=tmp_path, minutes="", log=tmp_path / "th.log"
    )
    (tmp_path / "ready.json").write_text("{}")
    monkeypatch.setattr(venvs.interpreters, "find", lambda version: "python")

    def cut_off(folder, **_):
        assert not (folder / "ready.json").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(venvs.shutil, "rmtree", cut_off)
    with pytest.raises(KeyboardInterrupt):
        venvs._build(there)


def test_an_environment_of_another_checkout_is_left_alone(checkout, tmp_path):
    checkout.pretend("3.11")
    checkout.setup("tf")
    mine, other = checkout.root, tmp_path / "other"
    shutil.copytree(mine, other, ignore=shutil.ignore_patterns(".envs"))
    (other / ".envs").symlink_to(mine / ".envs")
    checkout.root = other
    refused = checkout.setup("tf")
    assert refused.returncode == 1
    assert f"it is a link to the environment of {mine}; remove the link" in refused.stderr
    checkout.root = mine
    assert checkout.setup("tf").stdout == "tf: ready\n"


def test_a_failed_installation_is_shown_whole_and_not_taken_as_ready(checkout):
    checkout.pretend("3.11")
    checkout.mood("fail")
    failed = checkout.setup("th")
    assert failed.returncode == 1
    error, sentence = failed.stderr.splitlines()
    assert error == "ERROR: No matching distribution found for torch==0.0.0"
    assert sentence.startswith("setup: th: pip could not install environments/hashes/th.txt; ")
    assert "run the same command again" in sentence
    checkout.mood("")
    again = checkout.setup("th")
    assert again.returncode == 0
    assert again.stdout.startswith("th: not made from these pins, or not to the end: installing")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_set_up_is_done_again(checkout, how):
    checkout.pretend("3.11")
    checkout.mood("sleep 3")
    process = checkout.start("tf")
    wait_for(checkout.root / "asleep")
    process.send_signal(how)
    process.communicate()
    assert process.returncode != 0
    checkout.mood("")
    again = checkout.setup("tf")
    assert again.returncode == 0
    *waited, installing, ready = again.stdout.splitlines()
    if how is not signal.SIGINT:
        # The pip that outlived its set-up is waited for: nobody else writes where it still writes.
        assert waited[0].startswith("waiting: another set-up of this checkout (process ")
    assert installing.startswith("tf: not made from these pins, or not to the end: installing")
    assert ready == "tf: ready"
    assert checkout.setup("tf").stdout == "tf: ready\n"


def test_two_set_ups_at_once_install_once(checkout):
    checkout.pretend("3.11")
    checkout.mood("sleep 0.5")
    first = checkout.start("tf")
    wait_for(checkout.root / "asleep")
    second = checkout.setup("tf")
    first.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert second.stdout.splitlines()[1:] == ["tf: ready"]
    assert f"(process {first.pid})" in second.stdout
    assert len([line for line in checkout.calls if "-m venv" in line]) == 1


def test_a_missing_python_is_one_clear_sentence(checkout):
    missing = checkout.setup("tf1.15")
    assert missing.returncode == 1
    assert missing.stdout == ""
    home = checkout.variables["HOME"]
    assert missing.stderr == (
        "setup: No Python 3.7 that can make virtual environments was found (looked at: $PYTHON37, "
        f"the running Python, python3.7 on PATH, {home}/.pyenv/versions, conda); install one, for "
        "example with `pyenv install 3.7`, or set PYTHON37 to the path of one.\n"
    )
    assert not (checkout.root / ".envs" / "tf1.15").exists()


def test_optional_leaves_out_what_cannot_be_had(checkout):
    checkout.pretend("3.7")
    said = checkout.setup("legacy", "--optional")
    assert said.returncode == 0
    lines = said.stdout.splitlines()
    assert [line.split(": ")[0:2] for line in lines[:2]] == [
        ["tf1.4", "left out, its target is checked by op tables only. No Python 3.6 that can make "
         "virtual environments was found (looked at"],
        ["tf1.13", "left out, its target is checked by op tables only. No Python 3.6 that can make "
         "virtual environments was found (looked at"],
    ]  # fmt: skip
    assert lines[-1] == "tf1.15: ready"


def test_optional_is_for_legacy_runtimes_only(checkout):
    checkout.pretend("3.11")
    checkout.mood("fail")
    assert checkout.setup("th", "--optional").returncode == 1


def test_a_variable_that_names_another_python_is_refused(checkout):
    checkout.variables["PYTHON36"] = sys.executable
    refused = checkout.setup("tf1.4")
    assert refused.returncode == 1
    assert refused.stderr.startswith(
        f"setup: PYTHON36 must name a Python 3.6 with the venv module, not '{sys.executable}'; "
    )


def test_a_python_on_path_or_of_pyenv_is_found(checkout):
    on_path = checkout.pretend("3.6")
    del checkout.variables["PYTHON36"]
    assert checkout.setup("tf1.4").returncode == 1
    assert checkout.setup("tf1.4").stdout == ""
    checkout.variables["PATH"] = str(on_path.parent)
    assert checkout.setup("tf1.4").returncode == 0
    pyenv = checkout.root / "pyenv" / "versions" / "3.6.15" / "bin"
    pyenv.mkdir(parents=True)
    on_path.rename(pyenv / "python")
    checkout.variables |= {"PATH": "", "PYENV_ROOT": str(checkout.root / "pyenv")}
    assert checkout.setup("tf1.13").returncode == 0


def test_a_shim_that_only_prints_an_error_is_passed_over(checkout, tmp_path):
    shim = tmp_path / "python3.6"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert interpreters.release_of(shim) == ""
    checkout.variables["PATH"] = str(tmp_path)
    assert "No Python 3.6" in checkout.setup("tf1.4").stderr


def test_conda_makes_a_python_that_is_missing(checkout):
    pretender = checkout.pretend("3.6")
    del checkout.variables["PYTHON36"]
    conda = checkout.root / "conda" / "mamba"
    conda.parent.mkdir()
    conda.write_text(
        f"#!{sys.executable}\nimport pathlib, shutil, sys\n"
        "assert sys.argv[1] == 'create' and sys.argv[-1] == 'python=3.6'\n"
        "target = pathlib.Path(sys.argv[sys.argv.index('-p') + 1], 'bin', 'python')\n"
        f"target.parent.mkdir(parents=True)\nshutil.copy2({str(pretender)!r}, target)\n"
    )
    conda.chmod(0o755)
    checkout.variables["PATH"] = str(conda.parent)
    said = checkout.setup("tf1.4")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("Python 3.6: making one with mamba …\ntf1.4: installing")
    assert (checkout.root / ".envs" / ".python3.6" / "bin" / "python").exists()


def test_kernels_need_both_environments(checkout):
    checkout.pretend("3.11")
    checkout.setup("th")
    missing = checkout.setup("kernels")
    assert missing.returncode == 1
    assert "Expected the environment " in missing.stderr
    assert "/.envs/tf to be ready, but it is not; run `make setup`" in missing.stderr


@pytest.fixture
def conda_envs(checkout, tmp_path, monkeypatch):
    """Two conda environments, th running this and tf beside it, both pretended."""
    envs = tmp_path / "conda" / "envs"
    for name in ("th", "tf"):
        (envs / name / "bin").mkdir(parents=True)
        (envs / name / "conda-meta").mkdir()
        checkout.pretend("3.11").rename(envs / name / "bin" / "python")
    monkeypatch.setattr(sys, "prefix", str(envs / "th"))
    monkeypatch.setattr(sys, "executable", str(envs / "th" / "bin" / "python"))
    monkeypatch.setattr(kernelspecs, "LOG", tmp_path / "kernels.log")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CONDA_EXE", raising=False)
    return envs


def test_with_conda_the_kernels_go_into_the_environment_that_runs_this(conda_envs, checkout):
    assert kernelspecs.in_conda_environment()
    kernelspecs.register_conda(None)
    for kernel, name in (("train", "th"), ("convert", "tf")):
        spec = conda_envs / "th" / "share" / "jupyter" / "kernels" / kernel / "kernel.json"
        assert f'"{conda_envs / name / "bin" / "python"}"' in spec.read_text()
    linked = [line for line in checkout.calls if "--no-build-isolation --editable" in line]
    assert len(linked) == 2


def test_idle_threads_of_a_kernel_sleep_and_a_kernelspec_without_that_is_written_again(
    conda_envs, checkout
):
    assert kernelspecs.VARIABLES == VARIABLES
    path = conda_envs / "th" / "share" / "jupyter" / "kernels" / "train" / "kernel.json"
    kernelspecs.register_conda(None)
    written = path.read_text()
    assert json.loads(written)["env"] == {"OMP_WAIT_POLICY": "PASSIVE"}
    older = json.loads(written)
    del older["env"]
    path.write_text(json.dumps(older))
    kernelspecs.register_conda(None)
    assert path.read_text() == written


def test_a_kernel_of_another_project_that_comes_first_stops_the_set_up(
    conda_envs, checkout, tmp_path, monkeypatch
):
    theirs = tmp_path / "theirs" / "kernels" / "convert"
    theirs.mkdir(parents=True)
    spec = {"argv": ["/opt/theirs/python"], "display_name": "theirs"}
    (theirs / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "theirs"))
    sentence = rf"another project has .*\(/opt/theirs/python\); unset .* the folder {theirs}"
    with pytest.raises(kernelspecs.SetupError, match=sentence):
        kernelspecs.register_conda(None)
    theirs.rename(theirs.with_name("other"))
    kernelspecs.register_conda(None)


def test_with_conda_a_tf_elsewhere_is_found_in_its_list(conda_envs, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere" / "tf"
    elsewhere.parent.mkdir()
    (conda_envs / "tf").rename(elsewhere)
    with pytest.raises(kernelspecs.SetupError, match="Expected a conda environment called tf"):
        kernelspecs.register_conda(None)
    conda = tmp_path / "conda-program"
    conda.write_text(f'#!/bin/sh\necho \'{{"envs": ["{elsewhere}"]}}\'\n')
    conda.chmod(0o755)
    monkeypatch.setenv("CONDA_EXE", str(conda))
    kernelspecs.register_conda(None)


def test_condas_own_environment_is_not_taken_for_th(conda_envs):
    (conda_envs / "th" / "condabin").mkdir()
    assert not kernelspecs.in_conda_environment()


def test_an_unknown_verb_is_named_before_anything_is_done(checkout):
    checkout.pretend("3.11")
    refused = checkout.setup("th", "tf2")
    assert refused.returncode == 1
    assert refused.stderr.startswith("setup: Expected one of th, tf, ")
    assert "not 'tf2'" in refused.stderr
    assert not checkout.calls
