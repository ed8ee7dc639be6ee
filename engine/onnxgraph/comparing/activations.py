"""Tensors that PyTorch recorded, in a file: inputs and values by ONNX name, and for which model.

The kernel train writes it (`nbhelpers.train.record_activations`), and both kernels read it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from graphcore.arrays import ArrayFile
from graphcore.atomic_files import replacing
from graphcore.errors import GraphError
from graphcore.json_forms import check
from graphcore.reading import parse_json, reading
from graphcore.writing import writing
from onnxgraph.comparing.sources import Recorded

_ABOUT = "about"
_WRONG = "does not hold activations recorded by PyTorch"
_ADVICE = "Record them again with nbhelpers.train.record_activations in the kernel train"


def save_activations(recorded: Recorded, path: str | Path, *, made_for: str = "") -> Path:
    """Write recorded tensors as one `.npz`, by renaming. The same tensors give the same bytes.

    Args:
        recorded: the tensors.
        path: the file. Its folders are created.
        made_for: sha256 of the ONNX file that has these names.

    Raises:
        GraphError: the file cannot be written.
    """
    path = Path(path)
    about = json.dumps({"title": recorded.title, "made_for": made_for}).encode()
    arrays = {_ABOUT: np.frombuffer(about, np.uint8)}
    arrays |= {f"input/{name}": value for name, value in recorded.feeds.items()}
    inner = [name for name in recorded.names if name not in recorded.feeds]
    for name, value in recorded.tensors(inner, {}).items():
        arrays[f"tensor/{name}"] = np.asarray(value, order="C")
    with writing(path, error=GraphError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    return path


def load_activations(path: str | Path, *, made_for: str = "") -> Recorded:
    """Open a file of `save_activations`. Each tensor is read on demand.

    Args:
        path: the file.
        made_for: sha256 of the ONNX file that it must have been recorded for, or "" for any.

    Raises:
        GraphError: the file is missing, cut short or of another kind, or was made for another
            ONNX file.
    """
    with _opened(path) as arrays:
        if _ABOUT not in arrays:
            raise GraphError(f"{path} {_WRONG} (it lacks {_ABOUT!r}). {_ADVICE}.")
        with reading(Path(path), _WRONG, error=GraphError, advice=_ADVICE):
            about = parse_json(arrays[_ABOUT].tobytes())
            check(about, {"title": str, "made_for": str})
        keys = [key.partition("/") for key in arrays]
        feeds = {name: arrays[f"input/{name}"] for kind, _, name in keys if kind == "input"}
    title, seen = about["title"], about["made_for"]
    if made_for and seen != made_for:
        raise GraphError(
            f"{path} was recorded for another ONNX file (sha256 {seen[:12]}…, not "
            f"{made_for[:12]}…). Record the activations again in the kernel train."
        )
    return Recorded(title, feeds, _Stored(path, [n for kind, _, n in keys if kind == "tensor"]))


def _opened(path: str | Path) -> ArrayFile:
    return ArrayFile(path, _WRONG, error=GraphError, advice=_ADVICE)


class _Stored(Mapping[str, np.ndarray]):
    """The tensors in a file, read one by one."""

    def __init__(self, path: str | Path, names: list[str]) -> None:
        self._path, self._names = path, dict.fromkeys(names)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        with _opened(self._path) as arrays:
            if f"tensor/{name}" not in arrays:
                raise GraphError(f"{self._path} was changed meanwhile, and lacks {name!r} now.")
            return arrays[f"tensor/{name}"]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
