"""The sets of weights in a file: mappings of names to tensors, alone or inside another mapping.

A training script saves weights under a key of its own choice ("model", "state_dict_ema"), and often
under a prefix as well ("model.", "module."). Each place is named by its keys and prefixes,
separated by dots.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import Tensor

WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Attributes in which DataParallel, torch.compile, FSDP and checkpointing keep the module."""


@dataclass(frozen=True)
class Weights:
    """Values by name, their place in the file ("" is the file itself), and the changes made."""

    place: str
    state: Mapping[str, Any] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The number of values."""
        return sum(value.numel() for value in self.state.values() if isinstance(value, Tensor))


def find_weights(content: object) -> Iterator[Weights]:
    """Yield the mappings of text to tensors inside `content`, the outermost first, each once."""
    waiting, seen = [("", content)], set[int]()
    while waiting:
        place, mapping = waiting.pop()
        if not isinstance(mapping, Mapping) or id(mapping) in seen:  # a mapping may contain itself
            continue
        seen.add(id(mapping))
        texts = all(isinstance(key, str) for key in mapping)
        if texts and any(isinstance(value, Tensor) for value in mapping.values()):
            yield Weights(place, mapping)
        inner = [(_joined(place, key), mapping[key]) for key in mapping if isinstance(key, str)]
        waiting += reversed(inner)


def below_prefixes(weights: Weights) -> Iterator[Weights]:
    """Yield, for each first part of the names, the values below it."""
    for prefix in dict.fromkeys(name.partition(".")[0] for name in weights.state if "." in name):
        start = f"{prefix}."
        state = _renamed(weights.state, partial(_below, start=start))
        others = [name for name in weights.state if not name.startswith(start)]
        if others:
            note = f"{len(others)} other keys were left out ({', '.join(others[:3])})"
            yield Weights(_joined(weights.place, prefix), state, (*weights.notes, note))
        else:
            yield replace(weights, state=state, notes=(*weights.notes, _taken_off(prefix)))


def without_wrappers(weights: Weights, own: Collection[str]) -> Weights | None:
    """Return the weights under the module's names, with wrappers' prefixes removed at any depth.

    Args:
        weights: a set of weights.
        own: the names in the module. A wrapper's name that is also the module's own stays.

    Returns:
        None if there is nothing to remove, or two names would become the same.
    """
    proper = {_bare(name): name for name in own}
    names = {name: proper.get(_bare(name), _bare(name)) for name in weights.state}
    changed = [name for name, new in names.items() if name != new]
    if not changed or len(proper) < len(own) or len(set(names.values())) < len(names):
        return None
    state = _renamed(weights.state, lambda name: names.get(name, _bare(name)))
    parts = {part for name in changed for part in name.split(".")}
    notes = [_taken_off(part) for part in WRAPPERS if part in parts]
    return replace(weights, state=state, notes=(*weights.notes, *notes))


def _taken_off(prefix: str) -> str:
    return f"the prefix '{prefix}.' was removed"


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _below(name: str, *, start: str) -> str | None:
    return name.removeprefix(start) if name.startswith(start) else None


def _renamed(state: Mapping[str, Any], rename: Callable[[str], str | None]) -> Mapping[str, Any]:
    """Return the state with new names (None removes one), and with its module versions."""
    found = OrderedDict((new, state[name]) for name in state if (new := rename(name)) is not None)
    versions = getattr(state, "_metadata", None)
    if versions is not None:
        modules = ((rename(f"{name}." if name else ""), v) for name, v in versions.items())
        kept = {name.removesuffix("."): v for name, v in modules if name is not None}
        found._metadata = kept  # type: ignore[attr-defined]
    return found


def _joined(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
