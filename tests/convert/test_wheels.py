"""The wheels of the engine and of the workbook, installed where the checkout cannot be seen."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.command_lines import write_files

DATA = """
import json
from importlib import metadata, resources
import graphcore, nbhelpers, onnxgraph, tfgraph, torchgraph
tables = resources.files("tfgraph.optables")
receiver = resources.files("nbhelpers.convert.receiver")
names = [f"{target}{part}.json" for target in ("tf1.4", "tf1.13", "tf1.15")
         for part in ("", ".kernels", ".forms")]
print(json.dumps({
    "places": [each.__file__ for each in (graphcore, nbhelpers, onnxgraph, tfgraph, torchgraph)],
    "typed": [resources.files(each).joinpath("py.typed").is_file()
              for each in (graphcore, nbhelpers, onnxgraph, tfgraph, torchgraph)],
    "tables": [len(json.loads(tables.joinpath(name).read_text("utf-8"))) for name in names],
    "receiver": [len(receiver.joinpath(name).read_text("utf-8"))
                 for name in ("verify.py", "predict.py")],
    "scripts": sorted(each.name for each in metadata.entry_points(group="console_scripts")
                      if each.value.endswith(".commandline:main")),
    "readme": metadata.metadata("nbhelpers-engine")["Description-Content-Type"],
}))
"""


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A Python with both wheels, and beside them the other packages of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in ("engine", "nbhelpers"):
        shutil.copytree(ROOT / name, folder / "checkout" / name, ignore=ignore)
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, folder / "checkout")
    sources = [str(folder / "checkout"), str(folder / "checkout" / "engine")]
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    pip("wheel", *offline, "--wheel-dir", str(folder / "wheels"), *sources)
    venv.create(folder / "python", symlinks=True, with_pip=False)
    python = folder / "python" / "bin" / "python"
    wheels = map(str, sorted((folder / "wheels").glob("*.whl")))
    pip("--python", str(python), "install", "--no-deps", "--no-index", *wheels)
    (site,) = (folder / "python" / "lib").glob("*/site-packages")
    # A folder that a .pth file names is searched, but .pth files in it are not read: the checkout,
    # which is installed there in editable mode, is not seen.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    shutil.rmtree(folder / "checkout")
    return python


def run(*command, cwd):
    kept = ("PATH", "HOME", "NBHELPERS_ENVS", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    variables = {name: os.environ[name] for name in kept if name in os.environ}
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, encoding="utf-8")


def test_what_is_no_module_is_in_the_wheels_too(installed, tmp_path):
    done = run(installed, "-c", DATA, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert all(Path(place).is_relative_to(installed.parents[1]) for place in found["places"])
    assert found["typed"] == [True] * 5
    assert min(found["tables"]) > 0
    assert min(found["receiver"]) > 1000
    assert found["scripts"] == ["onnxgraph", "tfgraph", "torchgraph"]
    assert found["readme"] == "text/markdown"


def test_a_model_is_converted_from_an_empty_folder(installed, tmp_path):
    models, empty = tmp_path / "models", tmp_path / "empty"
    models.mkdir()
    empty.mkdir()
    write_files(models)
    program = installed.with_name("tfgraph")
    line = ("convert", str(models / "model.onnx"), "--target", "tf1.15", "--json")
    done = run(program, *line, cwd=empty)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)["result"]
    assert found["written"] == "model.tf1.15.pb"
    assert found["status"] in ("proven", "schema-checked")
    assert [path.name for path in empty.iterdir()] == ["model.tf1.15.pb"]
    assert done.stderr == ""


def test_without_torch_the_program_says_which_extra_installs_it(installed, tmp_path):
    done = run(installed.with_name("torchgraph"), "look", "imported", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    advice = f'run: {installed} -m pip install "./engine[torch]"\n'
    assert done.stderr.startswith("Error: This needs torch, ") and done.stderr.endswith(advice)
