"""A case: an entry point and a damaged file, both drawn from the seed and the case's own number."""

import importlib
import random
from dataclasses import dataclass
from pathlib import Path

from entries import ENTRIES, Entry

Files = dict[str, bytes]
"""Relative path to content.

The path "" is no name. The first path is given to the verb.
"""


@dataclass(frozen=True)
class Case:
    """The files for an entry point, at least one of them damaged."""

    model: str
    damage: str
    files: Files

    def write(self, folder: Path) -> Path:
        """Write the files below a folder and return the path for the verb."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder / next(iter(self.files)).partition("/")[0]


def drawn(seed: int, number: int, entries: tuple[Entry, ...] = ENTRIES) -> Entry:
    """Return the entry point of a case."""
    rng = random.Random(f"{seed}/{number}/entry")
    return rng.choices(entries, [each.weight for each in entries])[0]


def made(seed: int, number: int, entry: Entry) -> tuple[Case, random.Random]:
    """Return the files of a case, and the random generator for its further choices."""
    rng = random.Random(f"{seed}/{number}/{entry.name}")
    seeds, damaged = _FORMATS[entry.format]
    models = _module(seeds[0], seeds[1])
    model = rng.choice(sorted(models))
    damage_it = getattr(importlib.import_module(damaged[0]), damaged[1])
    try:
        damage, files = damage_it(rng, models[model])
    except Exception:  # the damage cannot be done to this file
        damage, files = "none", models[model]
    return Case(model, damage, files), rng


_FORMATS = {
    "onnx": (("seeds_onnx", "models"), ("damage_onnx", "damaged")),
    "pb": (("seeds_tf", "graphs"), ("damage_tf", "damaged_graph")),
    "pbtxt": (("seeds_tf", "texts"), ("damage_tf", "damaged_text")),
    "saved_model": (("seeds_tf", "saved_models"), ("damage_tf", "damaged_saved_model")),
    "checkpoint": (("seeds_tf", "checkpoints"), ("damage_tf", "damaged_checkpoint")),
    "names": (("seeds_tf", "named"), ("damage_files", "damaged_json")),
    "npz": (("seeds_files", "golden"), ("damage_npz", "damaged_npz")),
    "record": (("seeds_files", "handoffs"), ("damage_files", "damaged_handoff")),
    "sums": (("seeds_files", "sealed"), ("damage_files", "damaged_sums")),
    "torch": (("seeds_torch", "checkpoints"), ("damage_torch", "damaged_checkpoint")),
}
"""Format to the function that makes whole files (name to files), and the one that damages them."""

_made: dict[tuple[str, str], dict[str, Files]] = {}


def _module(module: str, function: str) -> dict[str, Files]:
    key = module, function
    if key not in _made:
        _made[key] = getattr(importlib.import_module(module), function)()
    return _made[key]
