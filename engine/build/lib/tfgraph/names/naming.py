"""Legal TensorFlow names for ONNX names, and back.

TensorFlow's node names match `[A-Za-z0-9.][A-Za-z0-9_./-]*`; ONNX allows anything. A leading slash
(as PyTorch's exporter writes) is dropped, other characters become `_`, and clashes get a number.
"""

import re
from collections.abc import Iterable

LONGEST = 200
"""Inner names are cut to this many characters: TensorBoard and people like them short."""


class Names:
    """Hands out legal, unique names; `taken` maps each one to the ONNX name it stands for."""

    def __init__(self) -> None:
        """Start with no name taken."""
        self.taken: dict[str, str] = {}
        self._folded: set[str] = set()
        self._counts: dict[str, int] = {}

    def legal(self, onnx_name: str, *, longest: int | None = LONGEST) -> str:
        """Return a new legal name for `onnx_name`.

        Names that differ in case only are kept apart too: TensorFlow makes them unique by itself
        where it creates them, as it does with variables, and would change one of them.
        """
        name = legal(onnx_name, longest=longest)
        candidate, count = name, self._counts.get(name.lower(), 0)
        while candidate.lower() in self._folded:
            count += 1
            candidate = f"{name}_{count}"
        self._counts[name.lower()] = count
        return self._take(candidate, onnx_name)

    def exact(self, onnx_name: str) -> str | None:
        """Return the name as it is, if it is legal and free; another case is another name here."""
        free = legal(onnx_name, longest=None) == onnx_name and onnx_name not in self.taken
        return self._take(onnx_name, onnx_name) if free else None

    def _take(self, name: str, onnx_name: str) -> str:
        self._folded.add(name.lower())
        self.taken[name] = onnx_name
        return name


def legal(name: str, *, longest: int | None = LONGEST) -> str:
    """Return `name` as TensorFlow allows it (not necessarily unique)."""
    name = re.sub(r"[^A-Za-z0-9_./-]", "_", name.lstrip("/"))
    # "a//b" and "a/" are legal to write but not to import under a prefix.
    name = re.sub(r"/+", "/", name)
    if not re.match(r"[A-Za-z0-9.]", name):
        name = "t" + name
    return name[:longest].rstrip("/")


def legal_names(onnx_names: Iterable[str]) -> dict[str, str]:
    """Return ONNX name to TensorFlow name, unique; names that are legal stay as they are."""
    names, onnx_names = Names(), list(onnx_names)
    kept = {name: names.exact(name) for name in onnx_names}
    return {name: kept[name] or names.legal(name) for name in onnx_names}
