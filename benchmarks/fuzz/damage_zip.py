"""Damage to zip archives: a field of a record, and members that overlap.

Source of the layout: PKWARE's APPNOTE.TXT, 4.3.7 (header of a member), 4.3.12 (directory), 4.3.16.
"""

import io
import random
import re
import struct
import zipfile

_FIELDS = {
    b"PK\3\4": {"flags": 6, "method": 8, "crc": 14, "packed": 18, "size": 22, "name": 26},
    b"PK\1\2": {
        "made by": 4,
        "needed": 6,
        "flags": 8,
        "method": 10,
        "crc": 16,
        "packed": 20,
        "size": 24,
        "name": 28,
        "extra": 30,
        "comment": 32,
        "disk": 34,
        "offset": 42,
    },
    b"PK\5\6": {"disk": 4, "here": 8, "members": 10, "length": 12, "offset": 16, "comment": 20},
}
"""Record → field → the position where it begins in the record."""

_WIDE = ("crc", "packed", "size", "offset", "length")
_VALUES = (0, 1, 0x7FFF, 0xFFFF)
_ENTRY = b"PK\1\2"


def damaged_zip(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """Return a description of the damage to the records of an archive, and the archive."""
    if rng.random() < 0.25:
        return "overlapping", _overlapping(rng, content)
    record = rng.choice(sorted(_FIELDS))
    field, begin = rng.choice(list(_FIELDS[record].items()))
    place = rng.choice(_places(content, record)) + begin
    size = 4 if field in _WIDE else 2
    value = rng.choice((*_VALUES, 0x7FFFFFFF, 0xFFFFFFFF) if size == 4 else _VALUES)
    made = content[:place] + value.to_bytes(size, "little") + content[place + size :]
    return f"{field} {value:#x}", made


def _overlapping(rng: random.Random, content: bytes) -> bytes:
    """Let an entry of the directory point to the member of another, or into its middle."""
    one, other = rng.sample(_places(content, _ENTRY), 2)
    fields = _FIELDS[_ENTRY]
    result = bytearray(content)
    for field in ("offset",) if rng.random() < 0.5 else ("offset", "crc", "packed", "size"):
        begin = fields[field]
        result[one + begin : one + begin + 4] = content[other + begin : other + begin + 4]
    if rng.random() < 0.3:
        (offset,) = struct.unpack_from("<I", result, one + fields["offset"])
        struct.pack_into("<I", result, one + fields["offset"], offset + rng.choice((1, 30, 64)))
    return bytes(result)


def _places(content: bytes, record: bytes) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(record), content)]


def members(content: bytes) -> dict[str, bytes]:
    """Return the members of an archive, by name."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(contents: dict[str, bytes], *, stored: bool = False) -> bytes:
    """Return an archive of members."""
    kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", kind) as file:
        for name, content in contents.items():
            file.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()
