"""Legal TensorFlow names for ONNX names, and back.

TensorFlow's node names match `[A-Za-z0-9.][A-Za-z0-9_./-]*`, but ONNX allows anything. A leading
slash (which PyTorch's exporter writes) is removed, other characters become `_`, and clashes get a
number.
"""

import re
from collections.abc import Iterable

LONGEST = 200
"""Inner names are cut to this many characters, because TensorBoard and people prefer short
names."""


class Names:
    """Gives out legal, unique names. `taken` maps each of them to its ONNX name."""

    def __init__(self) -> None:
        """Start with no name taken."""
        self.taken: dict[str, str] = {}
        self._folded: set[str] = set()
        self._counts: dict[str, int] = {}

    def legal(self, onnx_name: str, *, longest: int | None = LONGEST) -> str:
        """Return a new legal name for `onnx_name`.

        Names that differ only in case also count as a clash, because TensorFlow makes them unique
        by itself where it creates them, as it does for variables, and would change one of them.
        """
        name = legal(onnx_name, longest=longest)
        candidate, count = name, self._counts.get(name.lower(), 0)
        while candidate.lower() in self._folded:
            count += 1
            candidate = f"{name}_{count}"
        self._counts[name.lower()] = count
        return self._take(candidate, onnx_name)

    def exact(self, onnx_name: str) -> str | None:
        """Return the name unchanged if it is legal and free, also from names in another case, or
        None."""
        free = legal(onnx_name, longest=None) == onnx_name and onnx_name not in self.taken
        return self._take(onnx_name, onnx_name) if free else None

    def _take(self, name: str, onnx_name: str) -> str:
        self._folded.add(name.lower())
        self.taken[name] = onnx_name
        return name


def legal(name: str, *, longest: int | None = LONGEST) -> str:
    """Return `name` in the form that TensorFlow allows (not necessarily unique)."""
    name = re.sub(r"[^A-Za-z0-9_./-]", "_", name.lstrip("/"))
    # "a//b" and "a/" can be written, but not imported under a prefix.
    name = re.sub(r"/+", "/", name)
    if not re.match(r"[A-Za-z0-9.]", name):
        name = "t" + name
    return name[:longest].rstrip("/")


def legal_names(onnx_names: Iterable[str]) -> dict[str, str]:
    """Return ONNX name to unique TensorFlow name. Legal names do not change."""
    names, onnx_names = Names(), list(onnx_names)
    kept = {name: names.exact(name) for name in onnx_names}
    return {name: kept[name] or names.legal(name) for name in onnx_names}
