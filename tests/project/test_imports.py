"""What the package imports is chosen in the pin file of the kernel that imports it.

A package that happens to be installed, because a neighbour needs it or a developer tried it, is
not there on the next machine.
"""

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from envsetup import pinfiles
from envsetup.catalogue import ENVIRONMENTS

ENGINE = ("graphcore", "onnxgraph", "tfgraph", "torchgraph")
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [ROOT / "nbhelpers", *(ROOT / "engine" / each for each in ENGINE)]
# The room -> the kernels that it must work in; a room that is not listed works in both.
KERNELS = {
    "nbhelpers/train": ["th"],
    "nbhelpers/convert": ["tf"],
    "nbhelpers/workbook": ["th"],
    "engine/torchgraph": ["th"],
    "engine/tfgraph": ["tf"],
    # Scripts for other makers' runtimes, and two that prepare files for them in the kernel convert.
    "nbhelpers/convert/clients/workers": ["clients"],
    "nbhelpers/convert/clients/workers/onnxruntime.py": ["tf"],
    "nbhelpers/convert/clients/workers/c_api.py": ["tf"],
    "nbhelpers/convert/clients/workers/to_tflite.py": ["tf"],
    "nbhelpers/convert/clients/workers/to_onnx.py": ["tf"],
    # The simplifier is a tool of notebook 02; the kernel convert gets what is simplified already.
    "engine/onnxgraph/simplifying/simplify_worker.py": ["th"],
}
# Part of what a chosen package is, imported under a name of its own.
COMES_WITH = {
    "IPython": "ipykernel",
    "jupyter_client": "ipykernel",
    "jupyter_core": "ipykernel",
    "packaging": "ipykernel",
    "traitlets": "ipykernel",
    "keras": "tensorflow",
    "nbclient": "papermill",
    "nbformat": "papermill",
    "ml_dtypes": "onnx",
}
LISTING = "import importlib.metadata as m, json; print(json.dumps(m.packages_distributions()))"
MODULES = sorted(str(path.relative_to(ROOT)) for each in PACKAGES for path in each.rglob("*.py"))


@cache
def distributions(name):
    """Import name -> the distributions that bring it, in one environment."""
    python = ENVIRONMENTS[name].executable
    said = subprocess.run([python, "-c", LISTING], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)


def imported(path):
    """The top-level names of other people's packages that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    beside = {each.stem for each in path.parent.glob("*.py")}  # a script imports its neighbour
    return names - set(sys.stdlib_module_names) - beside - {"nbhelpers", *ENGINE}


@pytest.mark.parametrize("module", MODULES)
def test_an_import_is_a_chosen_pin(module):
    rooms = [module, *map(str, Path(module).parents)]
    for environment in next((KERNELS[room] for room in rooms if room in KERNELS), ["th", "tf"]):
        chosen = {pin.key for pin in pinfiles.read(environment) if pin.chosen}
        for name in imported(ROOT / module):
            known = distributions(environment).get(name, [name])
            brought = {pinfiles.normal(known) for known in [*known, COMES_WITH.get(name, "")]}
            assert brought & chosen, f"{module} imports {name}: choose it in {environment}.txt"
