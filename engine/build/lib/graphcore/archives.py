"""Zip archives that somebody else may have damaged: what their directory claims, and their sums.

A small archive can claim to hold far more than its size explains, and its members can lie on top of
each other. Both is told by the directory, before anything is unpacked.
"""

import zipfile

ALWAYS = 256 << 20
"""Bytes that any archive may take when it is unpacked."""

RATIO = 100
"""How many times its own size an archive may take beyond that."""

_LOCAL_HEADER = 30
_ENCRYPTED = 0x1
_PIECE = 1 << 20


def is_plausible(unpacked: int, size: int) -> bool:
    """Whether an archive of a size may hold so many bytes."""
    return unpacked <= max(ALWAYS, RATIO * size)


def check_directory(archive: zipfile.ZipFile, size: int) -> None:
    """Check what the directory of an archive of `size` bytes claims.

    Raises:
        ValueError: it takes too much memory, or a member is encrypted, compressed in a rare way, of
            the same name as another, or in the place of another.
    """
    members = sorted(archive.infolist(), key=lambda info: info.header_offset)
    unpacked = sum(info.file_size for info in members)
    if not is_plausible(unpacked, size):
        raise ValueError(f"it has {size >> 10} kB and would take {unpacked >> 20} MB of memory")
    end, names = 0, set[str]()
    for info in members:
        if info.filename in names:
            raise ValueError(f"it holds {info.filename!r} twice")
        if info.header_offset < end:
            raise ValueError(f"its member {info.filename!r} overlaps another")
        if info.flag_bits & _ENCRYPTED:
            raise ValueError(f"its member {info.filename!r} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"its member {info.filename!r} is compressed in a rare way")
        end = info.header_offset + _LOCAL_HEADER + info.compress_size
        names.add(info.filename)


def check_sums(archive: zipfile.ZipFile) -> None:
    """Compare every member with its CRC-32; an archive that was written without any has zeros.

    Raises:
        zipfile.BadZipFile: a member has another sum.
    """
    if any(info.CRC for info in archive.infolist()):
        for info in archive.infolist():
            with archive.open(info) as file:
                while file.read(_PIECE):
                    pass
