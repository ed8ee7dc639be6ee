"""Golden cases: inputs and the outputs that torch gave for them, recorded once.

Stored as one `.npz` whose keys are `case/kind/name` (kind: input, output or label), so that a
receiver can read it with numpy alone. At least two cases differ in batch size.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from graphcore.archives import is_plausible
from graphcore.arrays import ArrayFile
from graphcore.errors import HandoffError
from graphcore.texts import as_unicode, is_text

Arrays = Mapping[str, np.ndarray]

_KINDS = ("input", "output", "label")
_WRONG, _ADVICE = "cannot be read as golden cases", "run the notebook 01_export"


@dataclass(frozen=True)
class Case:
    """Named inputs, torch's outputs for them and, where they are known, the true labels."""

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
    """Write the cases; the same cases give the same bytes.

    Raises:
        HandoffError: two cases have the same name, a name holds a slash, or there are bytes that
            are no text.
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
    with open(path, "wb") as file:  # numpy would add .npz to a temporary name
        np.savez_compressed(file, allow_pickle=False, **stored)
    unpacked = sum(value.nbytes for value in stored.values())
    if not is_plausible(unpacked + (1 << 20), Path(path).stat().st_size):  # zeros, mostly
        with open(path, "wb") as file:
            np.savez(file, allow_pickle=False, **stored)
    return Path(path)


def _stored(name: str, value: np.ndarray) -> np.ndarray:
    if not is_text(value):
        return np.asarray(value, order="C")
    try:
        return as_unicode(value)
    except (TypeError, ValueError) as error:
        raise HandoffError(
            f"Golden cases hold numbers and texts, but {name!r} holds neither: {error}. Record the "
            "tensor that is made of it instead."
        ) from error


def load_golden(path: str | Path) -> tuple[Case, ...]:
    """Read the cases back, in the order in which they were recorded.

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
        raise _no_golden(path, "the same inputs and outputs were expected in every case")
    return tuple(Case(name, *kinds.values()) for name, kinds in cases.items())


def _no_golden(path: str | Path, why: str) -> HandoffError:
    return HandoffError(f"{path} {_WRONG} ({why}); {_ADVICE}.")
