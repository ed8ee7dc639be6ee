"""The Makefile: what it lists, what it passes on, what it never removes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.fixture
def project(tmp_path):
    """The Makefile alone, in a folder with things that `make clean` might find."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for path in (".envs/th/bin", ".envs/th/lib/__pycache__", "handoffs/mine/__pycache__"):
        (tmp_path / path).mkdir(parents=True)
    for path in ("nbhelpers/__pycache__", "notebooks/.ipynb_checkpoints", ".ruff_cache", "build"):
        (tmp_path / path).mkdir(parents=True)
    return tmp_path


def make(folder, *arguments, **variables):
    import os

    # What was written on the command line of the `make test` around this goes down otherwise.
    inherited = {"MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", "PYTEST_ARGS"}
    clean = {name: value for name, value in os.environ.items() if name not in inherited}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env=clean | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_alone_lists_every_target(project):
    said = make(project)
    assert said.returncode == 0
    listed = [line.split()[1] for line in said.stdout.splitlines()]
    assert listed == TARGETS
    assert set(TARGETS) >= {"setup", "legacy", "handoff", "lab", "test", "check", "clean"}
    phony = re.search(r"^\.PHONY: (.*)$", (project / "Makefile").read_text(), re.MULTILINE)
    assert set(phony[1].split()) == set(TARGETS)


def test_bench_and_architectures_make_what_they_need_first(project):
    bench = make(project, "-n", "bench", "SETUP=setup", "BENCH_ARGS=latency --only vit").stdout
    assert bench.splitlines() == [
        "setup th tf kernels legacy bench",
        ".envs/tf/bin/python benchmarks/speed latency --only vit",
    ]
    architectures = make(project, "-n", "architectures", "SETUP=setup").stdout.splitlines()
    assert architectures[0] == "setup th tf kernels legacy architectures"
    assert [line.split()[1] for line in architectures[1:]] == [
        "benchmarks/architectures/export.py",
        "benchmarks/architectures/measure.py",
    ]


def handoff(project, *arguments, **variables):
    """What the runner of `make handoff` is called with, one argument a line."""
    python = project / ".envs" / "th" / "bin" / "python"
    python.write_text('#!/bin/sh\nfor a in "$@"; do echo "$a"; done\n')
    python.chmod(0o755)
    said = make(project, "handoff", "SETUP=true", *arguments, **variables)
    assert said.returncode == 0, said.stderr
    return said.stdout.splitlines()


def test_handoff_passes_only_what_was_given(project):
    assert handoff(project) == ["-m", "nbhelpers.workbook"]
    assert handoff(project, "MODEL=") == ["-m", "nbhelpers.workbook"]


def test_handoff_ignores_variables_that_the_machine_happens_to_have(project):
    assert handoff(project, NAME="my-laptop", MODEL="x") == ["-m", "nbhelpers.workbook"]


def test_handoff_passes_values_with_spaces_and_quotes_whole(project):
    given = {
        "MODEL": "package.module:factory",
        "CHECKPOINT": "my weights; echo 'hm' \"x\".pth",
        "NAME": "my_model",
        "TARGETS": "tf1.4 tf2",
        "INPUTS": "images",
        "OUTPUTS": "digit parity",
        "SIZES": "time=48,96 height=64,128",
        "OPSET": "13",
    }
    said = handoff(project, *(f"{name}={value}" for name, value in given.items()))
    options = [part for name, value in given.items() for part in (f"--{name.lower()}", value)]
    assert said == ["-m", "nbhelpers.workbook", *options]


def test_a_failing_set_up_stops_the_handoff(project):
    handoff(project)
    failed = make(project, "handoff", "SETUP=false")
    assert failed.returncode != 0
    assert "nbhelpers.workbook" not in failed.stdout


def test_clean_keeps_results_and_environments(project):
    assert make(project, "clean").returncode == 0
    gone = ("nbhelpers/__pycache__", "notebooks/.ipynb_checkpoints", ".ruff_cache", "build")
    assert not [path for path in gone if (project / path).exists()]
    assert (project / "handoffs/mine/__pycache__").exists()
    assert (project / ".envs/th/lib/__pycache__").exists()


def test_distclean_removes_the_environments_and_keeps_results(project):
    assert make(project, "distclean").returncode == 0
    assert not (project / ".envs").exists()
    assert (project / "handoffs/mine").exists()


@pytest.mark.parametrize(("th", "tf", "good"), [(0, 0, True), (1, 0, False), (0, 1, False)])
def test_both_parts_of_the_tests_run_and_either_failure_counts(project, th, tf, good):
    for name, status in (("th", th), ("tf", tf)):
        python = project / ".envs" / name / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text(f"#!/bin/sh\necho {name} $@\nexit {status}\n")
        python.chmod(0o755)
    said = make(project, "test", "SETUP=true", "BROWSERS=sh", "PYTEST_ARGS=-k 'a or b'")
    assert (said.returncode == 0) is good
    assert re.search(r"^th -m pytest -n 2 .* tests/core .*-k a or b$", said.stdout, re.MULTILINE)
    folders = "tests/core tests/convert tests/ui"
    assert re.search(rf"^tf -m pytest -n 2 .* {folders} -k a or b$", said.stdout, re.MULTILINE)


def test_no_test_found_is_a_failure_unless_some_were_picked(project):
    for name in ("th", "tf"):
        python = project / ".envs" / name / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text("#!/bin/sh\nexit 5\n")
        python.chmod(0o755)
    assert make(project, "test", "SETUP=true", "BROWSERS=sh").returncode != 0
    assert make(project, "test", "SETUP=true", "BROWSERS=sh", "PYTEST_ARGS=-k x").returncode == 0


def test_no_python_at_all_is_one_sentence(project):
    said = make(project, "setup", "FIND_PYTHON=true")
    assert said.returncode != 0
    assert "No Python 3.8 or newer was found on PATH" in said.stderr
