"""An imported module on disk: its weights, the file to rebuild it, and a program for PyTorch alone.

A folder is written beside its final place, read back and compared, and only then renamed.
"""

import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import onnxgraph
from graphcore import packages, parity
from graphcore.arrays import ArrayFile
from graphcore.atomic_files import describe, new_folder, problem, recover
from graphcore.errors import ConversionError, ModelError, first_line
from graphcore.reading import read_json
from graphcore.safe_paths import check_name
from graphcore.spec import Feeds
from graphcore.writing import writing
from onnxgraph.examples.reference import reference_runs
from onnxgraph.model import interface
from torchgraph.checkpoints.reading import read_checkpoint
from torchgraph.importing.graph import build
from torchgraph.importing.imported import Imported
from torchgraph.importing.plan import plan

_ADVICE = "Save the imported model again"

ABOUT = "imported.json"
MODEL = "prepared.onnx"
WEIGHTS = "weights.safetensors"
PROGRAM = "program.pt2"
EXAMPLES = "examples.npz"

PACKAGES = ("torch", "onnx", "onnxruntime", "numpy", "onnx2pytorch")
"""The packages whose versions are recorded."""

RELOADED = 1e-6
"""The largest difference of the results read back, as a share of the largest value."""


def save_imported(imported: Imported, folder: str | Path, *, program: bool = True) -> Path:
    """Write an imported module, trained further or not, and return the folder.

    `weights.safetensors` is its state dict. `load_imported` rebuilds it from `prepared.onnx`.
    `program.pt2` is the exported program, which needs only PyTorch and keeps every symbolic dim
    dynamic. Examples that were given to `import_onnx` are written beside them.

    Args:
        imported: the module. Its current weights are written.
        folder: where to write. An older folder of this kind is replaced at the very end.
        program: whether to write the exported program.

    Raises:
        ModelError: the folder is a file, holds other files or cannot be written, or the results
            read back differ.
        ConversionError: `torch.export` cannot export the module.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"{folder} is a file. Give the path of a folder.")
    if folder.exists() and not (folder / ABOUT).is_file() and any(folder.iterdir()):
        raise ModelError(
            f"{folder} holds other files than an imported model. Give it a folder of its own."
        )
    runs = _runs(imported)
    with writing(folder, error=ModelError), new_folder(folder) as draft:
        onnxgraph.save(imported.model, draft / MODEL)
        state = {name: value.contiguous() for name, value in imported.module.state_dict().items()}
        save_file(state, draft / WEIGHTS)
        names = [MODEL, WEIGHTS]
        if program:
            _write_program(_exported(imported, runs[-1][0]), draft / PROGRAM)
            _check_program(draft / PROGRAM, imported, runs)
            names.append(PROGRAM)
        if imported.examples:
            np.savez(draft / EXAMPLES, **_numbered(imported.examples))  # type: ignore[arg-type]
            names.append(EXAMPLES)
        about = {
            "inputs": [spec.to_json() for spec in imported.inputs],
            "outputs": [spec.to_json() for spec in imported.outputs],
            "weights": dict(imported.weights),
            "files": {name: describe(draft / name) for name in names},
            "versions": packages.versions(PACKAGES),
        }
        (draft / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        again = load_imported(draft)
        for feeds, expected in runs:
            _check_same(expected, again.run(feeds), f"The module read back from {folder}")
    return folder


def load_imported(folder: str | Path) -> Imported:
    """Rebuild the module that `save_imported` wrote, with its weights.

    Raises:
        ModelError: the folder is not one, or a file of it is missing or was changed.
    """
    folder = Path(folder)
    recover(folder)
    about = _about(folder / ABOUT)
    written_with = about["versions"].get("onnx2pytorch")
    wrong = {name: problem(folder / name, each) for name, each in about["files"].items()}
    for name, why in wrong.items():
        if why:
            raise ModelError(f"{folder / name} {why}. Save the imported model again.")
    model = onnxgraph.load(folder / MODEL)
    module, weights = build(model, plan(model).check())
    weights_in_file = read_checkpoint(folder / WEIGHTS)[1]
    try:
        module.load_state_dict(weights_in_file)
    except RuntimeError as error:
        raise ModelError(
            f"The weights in {folder / WEIGHTS} do not fit the module that {MODEL} makes here "
            f"({packages.version('onnx2pytorch')} of onnx2pytorch, written with "
            f"{written_with}). Import the ONNX file again."
        ) from error
    specs = interface.inputs(model), interface.outputs(model)
    examples = _read_examples(folder / EXAMPLES, [spec.name for spec in specs[0]])
    return Imported(
        module, model, *specs, weights, (), 0.0, (f"read from {folder.name}",), examples
    )


def _about(path: Path) -> dict:
    """Return the folder's description of itself.

    Raises:
        ModelError: there is none.
    """
    wrong = "cannot be read, so this is not the folder of an imported model"
    form = {"versions": {str: (str, None)}, "files": {str: {"sha256": str, "bytes": int}}}
    try:
        about = read_json(path, wrong, error=ModelError, advice=_ADVICE, form=form)
    except FileNotFoundError as error:
        raise ModelError(
            f"{path.parent} is not the folder of an imported model. Write one with save_imported."
        ) from error
    for name in about["files"]:
        check_name(name)
    return about


def _numbered(examples: Iterable[Feeds]) -> Feeds:
    return {f"{at}/{name}": v for at, feeds in enumerate(examples) for name, v in feeds.items()}


def _read_examples(path: Path, names: list[str]) -> tuple[Feeds, ...]:
    if not path.is_file():
        return ()
    with ArrayFile(path, "cannot be read as examples", error=ModelError, advice=_ADVICE) as arrays:
        count = len(arrays) // max(1, len(names))
        wanted = [{name: f"{at}/{name}" for name in names} for at in range(count)]
        if {key for each in wanted for key in each.values()} != set(arrays):
            raise ModelError(f"{path} does not hold examples of {', '.join(names)}. {_ADVICE}.")
        return tuple({name: arrays[key] for name, key in each.items()} for each in wanted)


def _runs(imported: Imported) -> list[tuple[Feeds, Feeds]]:
    """Return inputs and the module's current results, on the inputs of the comparison."""
    found = imported.examples or [feeds for _, feeds, _ in reference_runs(imported.model)]
    return [(feeds, imported.run(feeds)) for feeds in found]


def _exported(imported: Imported, feeds: Feeds) -> torch.export.ExportedProgram:
    arguments = tuple(torch.from_numpy(np.array(feeds[spec.name])) for spec in imported.inputs)
    free = torch.export.Dim.DYNAMIC
    shapes = tuple(
        {axis: free for axis, dim in enumerate(spec.shape) if isinstance(dim, str)}
        for spec in imported.inputs
    )
    try:
        return torch.export.export(imported.module, arguments, dynamic_shapes=shapes)
    except (RuntimeError, ValueError, TypeError, torch._dynamo.exc.UserError) as error:
        raise ConversionError(
            "torch.export cannot export the module with dynamic symbolic dims: "
            f"{first_line(error)}. Save it with program=False, or fix the sizes with "
            "onnxgraph.fix_dims first."
        ) from error


def _write_program(program: torch.export.ExportedProgram, path: Path) -> None:
    """Write a program from memory: torch's own writer ends the process where the disk is full."""
    made = io.BytesIO()
    torch.export.save(program, made)
    path.write_bytes(made.getbuffer())


def _check_program(path: Path, imported: Imported, runs: list[tuple[Feeds, Feeds]]) -> None:
    program = torch.export.load(path).module()
    for feeds, expected in runs:
        with torch.no_grad():
            made = program(*(torch.from_numpy(np.array(feeds[s.name])) for s in imported.inputs))
        made = [made] if isinstance(made, torch.Tensor) else made
        seen = [each.detach().numpy() for each in made]
        named = dict(zip(imported.output_names, seen, strict=True))
        _check_same(expected, named, "The exported program")


def _check_same(expected: Feeds, seen: Feeds, title: str) -> None:
    parity.compare(expected, seen, tolerance=RELOADED, title=title).check()
