"""Zip archives that may be damaged: checks of their directory and of their checksums.

A small archive can claim far more content than its size explains, and its members can overlap. The
directory shows both before anything is unpacked.
"""

import zipfile

ALWAYS = 256 << 20
"""Bytes that any archive may take when it is unpacked."""

RATIO = 100
"""How many times its own size an archive may take in addition."""

_LOCAL_HEADER = 30
_ENCRYPTED = 0x1
_PIECE = 1 << 20


def is_plausible(unpacked: int, size: int) -> bool:
    """Whether an archive of `size` bytes may plausibly hold `unpacked` bytes."""
    return unpacked <= max(ALWAYS, RATIO * size)


def check_directory(archive: zipfile.ZipFile, size: int) -> None:
    """Check the claims in the directory of an archive of `size` bytes.

    Raises:
        ValueError: it would take too much memory, or a member is encrypted, uses a rare
            compression, has the name of another member, or overlaps another member.
    """
    members = sorted(archive.infolist(), key=lambda info: info.header_offset)
    unpacked = sum(info.file_size for info in members)
    if not is_plausible(unpacked, size):
        raise ValueError(f"it has {size >> 10} kB and would take {unpacked >> 20} MB of memory")
    end, names = 0, set[str]()
    for info in members:
        if info.filename in names:
            raise ValueError(f"it contains {info.filename!r} twice")
        if info.header_offset < end:
            raise ValueError(f"its member {info.filename!r} overlaps another")
        if info.flag_bits & _ENCRYPTED:
            raise ValueError(f"its member {info.filename!r} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"its member {info.filename!r} is compressed in a rare way")
        end = info.header_offset + _LOCAL_HEADER + info.compress_size
        names.add(info.filename)


def check_sums(archive: zipfile.ZipFile) -> None:
    """Compare every member with its CRC-32. An archive written without checksums has zeros there.

    Raises:
        zipfile.BadZipFile: a member has another checksum.
    """
    if any(info.CRC for info in archive.infolist()):
        for info in archive.infolist():
            with archive.open(info) as file:
                while file.read(_PIECE):
                    pass
