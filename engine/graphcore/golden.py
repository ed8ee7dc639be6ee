"""Golden cases: recorded inputs and the outputs that PyTorch gave for them.

They are stored in one `.npz` file with the keys `case/kind/name` (kind: input, output or label), so
a receiver needs only numpy to read it. At least two cases differ in batch size.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from graphcore.archives import is_plausible
from graphcore.arrays import ArrayFile
from graphcore.atomic_files import replacing
from graphcore.errors import HandoffError
from graphcore.texts import as_unicode, is_text
from graphcore.writing import writing

Arrays = Mapping[str, np.ndarray]

_KINDS = ("input", "output", "label")
_WRONG, _ADVICE = "cannot be read as golden cases", "Run the notebook 01_export"


@dataclass(frozen=True)
class Case:
    """Named inputs, PyTorch's outputs for them, and the true labels where they are known."""

    name: str
    inputs: Arrays
    outputs: Arrays
    labels: Arrays = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """The size of the first axis of the first input (1 for a scalar)."""
        first = next(iter(self.inputs.values()))
        return first.shape[0] if first.ndim else 1


def save_golden(path: str | Path, cases: Iterable[Case]) -> Path:
    """Write the cases. The same cases always give the same bytes.

    Raises:
        HandoffError: two cases have the same name, a name contains a slash, some bytes are not
            valid text, or the file cannot be written.
    """
    stored: dict[str, np.ndarray] = {}
    names: set[str] = set()
    for case in cases:
        if "/" in case.name or case.name in names:
            raise HandoffError(
                f"A golden case needs a name of its own without '/', not {case.name!r}."
            )
        names.add(case.name)
        for kind, values in zip(_KINDS, (case.inputs, case.outputs, case.labels), strict=True):
            for name, value in values.items():
                stored[f"{case.name}/{kind}/{name}"] = _stored(name, value)
    path = Path(path)
    with writing(path, error=HandoffError), replacing(path) as temporary:
        with temporary.open("wb") as file:  # numpy would add .npz to a temporary name
            np.savez_compressed(file, allow_pickle=False, **stored)
        unpacked = sum(value.nbytes for value in stored.values())
        if not is_plausible(unpacked + (1 << 20), temporary.stat().st_size):  # it is mostly zeros
            with temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **stored)
    return path


def _stored(name: str, value: np.ndarray) -> np.ndarray:
    if not is_text(value):
        return np.asarray(value, order="C")
    try:
        return as_unicode(value)
    except (TypeError, ValueError) as error:
        raise HandoffError(
            f"Golden cases hold numbers and texts, but {name!r} holds neither: {error}. Record a "
            "tensor that is computed from it instead."
        ) from error


def load_golden(path: str | Path) -> tuple[Case, ...]:
    """Read the cases back in the order in which they were recorded.

    Raises:
        HandoffError: the file is not a golden file, or is damaged.
    """
    cases: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    with ArrayFile(path, _WRONG, error=HandoffError, advice=_ADVICE) as arrays:
        for key in arrays:
            case, kind, name = [*key.split("/", 2), "", ""][:3]
            if not case or kind not in _KINDS or not name:
                raise _no_golden(path, f"an array is named {key!r}, not case/input/name")
            cases.setdefault(case, {each: {} for each in _KINDS})[kind][name] = arrays[key]
    names = [[set(kinds["input"]), set(kinds["output"])] for kinds in cases.values()]
    if not names or not all(names[0]) or any(each != names[0] for each in names):
        raise _no_golden(path, "not every case has the same inputs and outputs")
    return tuple(Case(name, *kinds.values()) for name, kinds in cases.items())


def _no_golden(path: str | Path, why: str) -> HandoffError:
    return HandoffError(f"{path} {_WRONG} ({why}). {_ADVICE}.")
