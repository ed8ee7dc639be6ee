"""Load trained weights into a module: either all of them come from the file, or the file is
refused.

Everything that `load_state_dict(strict=True)` accepts is accepted, anywhere in the file. If several
sets of weights fit, the caller chooses.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from graphcore.errors import ModelError, unknown_name
from torchgraph.checkpoints import fitting
from torchgraph.checkpoints.finding import Weights, below_prefixes, find_weights, without_wrappers
from torchgraph.checkpoints.reading import read_checkpoint
from torchgraph.modules.snapshot import Snapshot

_PREFIXES = 12
"""The most parts removed from the front of a name. Wrappers are only a few deep."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint: the file, its format, the number of tensors, and their place in the
    file."""

    path: Path
    format: str
    tensors: int
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return one line."""
        notes = "".join(f"; {note}" for note in self.notes)
        return (
            f"Checkpoint {self.path.name} ({self.format}): {self.tensors} tensors, all fit{notes}"
        )


def load_checkpoint(module: nn.Module, path: str | Path, *, key: str = "") -> Checkpoint:
    """Load the weights in `path` into the module, in place. If they are refused, nothing changes.

    Args:
        module: the module. Its own loading hooks run.
        path: a safetensors file, or one that torch wrote.
        key: where in the file the weights are ("model_ema", "state_dict.model"), if several sets
            fit. By default they are searched.

    Raises:
        ModelError: the file does not exist, is cut short, would run code, has no weights that fit,
            or has several that fit and differ.
        UnknownName: there are no weights at `key`.
    """
    path = Path(path)
    kind, content = read_checkpoint(path)
    found = list(find_weights(content))
    if not found:
        raise _no_weights(content, path)
    with _all_or_nothing(module) as before:
        trials = _Trials(module, before)
        weights = _chosen(trials.at(key, found) if key else trials.fitting(found), trials, path)
        notes = (*weights.notes, *_cast_note(module, weights.state))
        if problems := fitting.load(module, weights.state):  # it did fit a moment before
            raise _misfit(weights, problems, module, path)
    place = (f"taken from {weights.place!r}",) if weights.place else ()
    return Checkpoint(path, kind, len(weights.state), (*place, *notes))


@contextlib.contextmanager
def _all_or_nothing(module: nn.Module) -> Iterator[Snapshot]:
    """Yield a snapshot of the module, and restore it if an error is raised inside."""
    before = Snapshot(module.modules())
    try:
        yield before
    except BaseException:
        before.restore()
        raise


class _Trials:
    """Sets of weights that were tried on the module, which is restored after each."""

    def __init__(self, module: nn.Module, before: Snapshot) -> None:
        self.module, self.before = module, before
        self.own = module.state_dict()
        self.problems: list[tuple[Weights, list[str]]] = []

    def fitting(self, found: list[Weights]) -> list[Weights]:
        """Return the sets that fit. Prefixes are removed only if the whole does not fit."""
        large = [each for each in found if self._large(each)] or [max(found, key=_size)]
        return [fit for each in large for fit in self._inside(each, _PREFIXES)]

    def at(self, key: str, found: list[Weights]) -> list[Weights]:
        """Return the set at `key`, if it fits.

        Raises:
            UnknownName: there is none.
        """
        places = {each.place: each for each in self._everywhere(found, _PREFIXES)}
        if key not in places:
            raise unknown_name("set of weights", key, filter(None, places))
        fit = self._fit(places[key])
        return [fit] if fit else []

    @property
    def closest(self) -> tuple[Weights, list[str]]:
        """The set that shares most names with the module, and what does not fit."""
        return max(self.problems, key=lambda trial: len(self.own.keys() & trial[0].state.keys()))

    def _inside(self, weights: Weights, prefixes: int) -> list[Weights]:
        """Return what fits: the weights, or those below up to `prefixes` prefixes."""
        fit = self._fit(weights)
        if fit or not prefixes:
            return [fit] if fit else []
        parts = filter(self._large, below_prefixes(weights))
        return [fit for part in parts for fit in self._inside(part, prefixes - 1)]

    def _everywhere(self, found: list[Weights], prefixes: int) -> list[Weights]:
        parts = [part for each in found for part in below_prefixes(each) if self._large(part)]
        return found + (self._everywhere(parts, prefixes - 1) if parts and prefixes else [])

    def _fit(self, weights: Weights) -> Weights | None:
        """Return the weights in the form that fits: unchanged, or without wrappers."""
        for each in filter(None, (weights, without_wrappers(weights, self.own))):
            problems = fitting.load(self.module, each.state)
            self.before.restore()
            if not problems:
                return each
            self.problems.append((each, problems))
        return None

    def _large(self, weights: Weights) -> bool:
        """Whether there are enough values for the module. Its hooks may add some."""
        tensors = {id(t): t for t in self.module.parameters() if not is_lazy(t)}
        return 2 * weights.size >= sum(t.numel() for t in tensors.values())


def _chosen(fits: list[Weights], trials: _Trials, path: Path) -> Weights:
    """Return the one set that fits.

    Raises:
        ModelError: none fits, or several fit and differ.
    """
    if not fits:
        raise _misfit(*trials.closest, trials.module, path)
    first = fits[0]
    if all(_same(first.state, other.state) for other in fits[1:]):
        return first
    places = ", ".join(repr(each.place) for each in fits)
    last = fits[-1].place
    raise ModelError(
        f"{path} holds several sets of weights that fit {type(trials.module).__name__}, and they "
        f"differ: {places}. Choose one: CHECKPOINT='{path}:{last}', or load_checkpoint(…, "
        f"key={last!r})."
    )


def _misfit(weights: Weights, problems: list[str], module: nn.Module, path: Path) -> ModelError:
    place = f", at {weights.place!r}," if weights.place else ""
    return ModelError(
        f"{path}{place} does not fit {type(module).__name__}: {'; '.join(problems)}. Give the "
        "checkpoint of this architecture, or the MODEL that the checkpoint belongs to."
    )


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        fitting.equal(value, other[name]) and value.dtype == other[name].dtype
        if isinstance(value, Tensor)
        else value == other[name]
        for name, value in one.items()
    )


def _cast_note(module: nn.Module, state: Mapping[str, Any]) -> list[str]:
    """Return a note about a cast, with the first name it applies to."""
    for name, own in module.state_dict().items():
        value = state.get(name)
        if isinstance(own, Tensor) and isinstance(value, Tensor) and value.dtype != own.dtype:
            return [f"cast from {value.dtype} to {own.dtype}, as {name}"]
    return []


def _size(weights: Weights) -> int:
    return weights.size


def _no_weights(content: object, path: Path) -> ModelError:
    """Return the error for a file without tensors by name."""
    if not isinstance(content, Mapping) or not content:
        return ModelError(
            f"{path} was expected to hold the weights by name, but holds a "
            f"{type(content).__name__}. Save the state_dict() of the module."
        )
    key = next((key for key in content if not isinstance(key, str)), None)
    what = f"has the key {key!r}, of the type {type(key).__name__}"
    if key is None:
        key, value = next(iter(content.items()))
        what = f"{key!r} is a {type(value).__name__}"
    return ModelError(
        f"{path} was expected to hold tensors by name, but {what}. Save only the state_dict() of "
        "the module."
    )
