"""Arrays in an `.npz` that somebody else may have damaged.

What its directory and the head of each array claim is checked before anything is unpacked, so that
a small file cannot ask for more memory than its size explains.
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
    """The arrays of a file by name, each read when it is asked for; close it, or use `with`."""

    def __init__(self, path: str | Path, wrong: str, *, error: type[Refusal], advice: str) -> None:
        """Open a file; see `reading.reading` for the words.

        Raises:
            Refusal: `error`, if the file is no `.npz`, or claims what cannot be.
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
    """Return the members by the name of their array.

    Raises:
        ValueError: the directory claims what cannot be, or a member is no array of numbers or
            texts.
    """
    check_directory(archive, size)
    found = {info.filename.removesuffix(_ENDING): info for info in archive.infolist()}
    if len(found) < len(archive.infolist()):
        raise ValueError("two arrays have the same name")
    for name, info in found.items():
        if not info.filename.endswith(_ENDING):
            raise ValueError(f"its member {info.filename!r} is no array")
        with archive.open(info) as file:
            _check_head(name, file, info.file_size)
    return found


def _check_head(name: str, file: IO[bytes], size: int) -> None:
    """Check the head of an array: a known type, and as many values as there are bytes for."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"the array {name!r} is in version {version} of NumPy's format")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.kind not in _KINDS or dtype.fields or not dtype.itemsize:
        raise ValueError(f"the array {name!r} holds {dtype}, and neither numbers nor texts")
    wanted, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if wanted != there or not all(0 <= each < 2**63 for each in shape):
        raise ValueError(f"the array {name!r} has the shape {shape}, and {there} bytes")
