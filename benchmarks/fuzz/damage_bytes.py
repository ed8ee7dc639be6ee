"""Damage to bytes of any kind: they are cut, flipped, spliced, repeated, or of another file."""

import random

_ODD = (b"\0", b"\xff", b"\x80", b"\n", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\0" * 64)


def damaged_bytes(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """Return a description of the damage, and the damaged bytes."""
    how = rng.choice(_WAYS)
    return how.__name__.strip("_"), how(rng, content)


def _cut(rng: random.Random, content: bytes) -> bytes:
    return content[: _place(rng, content)]


def _flip(rng: random.Random, content: bytes) -> bytes:
    result = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8)) if content else 0):
        result[rng.randrange(len(result))] ^= 1 << rng.randrange(8)
    return bytes(result)


def _overwrite(rng: random.Random, content: bytes) -> bytes:
    odd, place = rng.choice(_ODD), _place(rng, content)
    return content[:place] + odd + content[place + len(odd) :]


def _insert(rng: random.Random, content: bytes) -> bytes:
    place = _place(rng, content)
    return content[:place] + rng.choice(_ODD) + content[place:]


def _repeat(rng: random.Random, content: bytes) -> bytes:
    begin, end = sorted((_place(rng, content), _place(rng, content)))
    return content[:end] + content[begin:end] * rng.choice((1, 2, 50)) + content[end:]


def _splice(rng: random.Random, content: bytes) -> bytes:
    begin, end = sorted((_place(rng, content), _place(rng, content)))
    return content[:begin] + content[end:]


def _replace(rng: random.Random, content: bytes) -> bytes:
    return rng.choice((b"", b"\0", b"<html>404</html>", b"version https://git-lfs\n", b"PK\3\4"))


def _place(rng: random.Random, content: bytes) -> int:
    return rng.randrange(len(content) + 1)


_WAYS = (_cut, _cut, _flip, _flip, _flip, _overwrite, _insert, _repeat, _splice, _replace)
