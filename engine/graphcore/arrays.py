"""Arrays in an `.npz` file that may be damaged.

The directory of the archive and the header of each array are checked before anything is unpacked.
So a small file cannot claim an unreasonable amount of memory.
"""

import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from graphcore.archives import check_directory
from graphcore.errors import Refusal
from graphcore.reading import check_regular, reading

_ENDING = ".npy"
_KINDS = "biufcSUV"


class ArrayFile(Mapping[str, np.ndarray]):
    """The arrays of a file by name. Each is read on demand. Close the file, or use `with`."""

    def __init__(self, path: str | Path, wrong: str, *, error: type[Refusal], advice: str) -> None:
        """Open a file. The arguments are those of `reading.reading`.

        Raises:
            Refusal: of the kind `error`, if the file is not an `.npz` or makes impossible claims.
        """
        self._path, self._words = Path(path), (wrong, error, advice)
        with self._reading():
            check_regular(self._path)
            self._zip = zipfile.ZipFile(self._path)
            try:
                self._members = _members(self._zip, self._path.stat().st_size)
            except BaseException:
                self._zip.close()
                raise

    def __getitem__(self, name: str) -> np.ndarray:
        member = self._members[name]
        with self._reading(), self._zip.open(member) as file:
            return npy.read_array(file, allow_pickle=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __enter__(self) -> "ArrayFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def _reading(self) -> AbstractContextManager[None]:
        wrong, error, advice = self._words
        return reading(self._path, wrong, error=error, advice=advice)


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members of an archive by the names of their arrays.

    Raises:
        ValueError: the directory makes impossible claims, or a member is not an array of numbers or
            texts.
    """
    check_directory(archive, size)
    found = {info.filename.removesuffix(_ENDING): info for info in archive.infolist()}
    if len(found) < len(archive.infolist()):
        raise ValueError("two arrays have the same name")
    for name, info in found.items():
        if not info.filename.endswith(_ENDING):
            raise ValueError(f"its member {info.filename!r} is not an array")
        with archive.open(info) as file:
            _check_head(name, file, info.file_size)
    return found


def _check_head(name: str, file: IO[bytes], size: int) -> None:
    """Check the header of an array: a known dtype, and as many bytes as its shape needs."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"the array {name!r} is in version {version} of NumPy's format")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.kind not in _KINDS or dtype.fields or not dtype.itemsize:
        raise ValueError(f"the array {name!r} holds {dtype}, which is neither numbers nor texts")
    wanted, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if wanted != there or not all(0 <= each < 2**63 for each in shape):
        raise ValueError(f"the array {name!r} has the shape {shape}, but {there} bytes")
