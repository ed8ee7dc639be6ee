"""Damage to arrays in .npz files: wrong headers, objects, zip bombs, names."""

import io
import math
import random

import numpy as np
from damage_bytes import damaged_bytes
from damage_zip import damaged_zip, members, zipped

Files = dict[str, bytes]

_DTYPES = (
    *("'<f2'", "'>f4'", "'<f4'", "'<f8'", "'<f16'", "'<c8'", "'<c16'", "'|b1'", "'|i1'", "'>i2'"),
    *("'<u8'", "'<i8'", "'|S3'", "'|S0'", "'<U2'", "'<U0'", "'>U1'", "'<U999999999'", "'|O'"),
    *("'<M8[ns]'", "'<m8[D]'", "'M8[s]'", "'|V4'", "'|V0'", "'f'", "'?'", "'z'", "''", "None"),
    *("[('a', '<f4')]", "[('a', '<f4', (2,))]", "('<f4', (2,))", "[]", "'<f4,<f4'", "3", "{}"),
)
_SHAPES = (
    *("()", "(0,)", "(1,)", "(8,)", "(2, 4)", "(4, 0)", "(1, 1, 1, 1, 1, 1)", "(-1, 4)", "(-1,)"),
    *("(1099511627776,)", "(4611686018427387904, 4)", "(4294967296, 4294967296)", "(2**40,)"),
    *("(0, 9223372036854775807)", "(9223372036854775808, 0)", "(1e9,)", "(True,)", "(2, 4.0)"),
    *("[2, 4]", "8", "x", "None", "('2',)", f"({'1, ' * 33})", f"({'1, ' * 65})"),
)
_ORDERS = ("False", "False", "False", "True", "1", "None", "'C'")
_VERSIONS = (b"\1\0", b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\0\0", b"\xff\xff")


def damaged_npz(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return a description of the damage to the arrays, and the files."""
    name, content = next(iter(files.items()))
    draw = rng.random()
    if draw < 0.5:
        how, content = (damaged_bytes if draw < 0.25 else damaged_zip)(rng, content)
        return how, {name: content}
    arrays = members(content)
    changed = rng.choice(list(arrays))
    way = rng.choice((_head, _head, _head, _head, _bytes, _objects, _renamed, _bomb, _missing))
    how = way(rng, arrays, changed)
    return how, {name: zipped(arrays)}


def _head(rng: random.Random, arrays: Files, name: str) -> str:
    """Give an array another header.

    In three of four cases the content gets the size that this header needs.
    """
    dtype, shape, order = rng.choice(_DTYPES), rng.choice(_SHAPES), rng.choice(_ORDERS)
    more = rng.choice(("", "", "", "", "'x': 1, "))
    head = f"{{'descr': {dtype}, 'fortran_order': {order}, {more}'shape': {shape}}}"
    content = arrays[name][128:]
    if rng.random() < 0.75 and (size := _size(dtype, shape)) is not None:
        content = (content * (size // len(content) + 1) if content else bytes(size))[:size]
    arrays[name] = _headed(head, rng.choice(_VERSIONS)) + content
    return f"{dtype} {shape}"


def _size(dtype: str, shape: str) -> int | None:
    """Return the bytes of such an array, or None if it is impossible or too large."""
    try:
        size = math.prod(eval(shape)) * np.dtype(eval(dtype)).itemsize
    except (TypeError, ValueError, NameError, SyntaxError):
        return None
    return size if isinstance(size, int) and 0 <= size < 10**6 else None


def _bytes(rng: random.Random, arrays: Files, name: str) -> str:
    how, arrays[name] = damaged_bytes(rng, arrays[name])
    return how


def _objects(rng: random.Random, arrays: Files, name: str) -> str:
    made = io.BytesIO()
    np.save(made, np.array([rng.choice((1, "a", None))], object), allow_pickle=True)
    arrays[name] = made.getvalue()
    return "objects"


def _renamed(rng: random.Random, arrays: Files, name: str) -> str:
    new = rng.choice(("", "x", "a/b.npy", "batch1/input", "a/b/c/d.npy", "../x.npy", "‮.npy"))
    arrays[new] = arrays.pop(name)
    return "renamed"


def _bomb(rng: random.Random, arrays: Files, name: str) -> str:
    arrays[name] = _headed(
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1500000000,)}"
    ) + bytes(1000)
    return "bomb"


def _missing(rng: random.Random, arrays: Files, name: str) -> str:
    del arrays[name]
    return "missing"


def _headed(text: str, version: bytes = b"\1\0") -> bytes:
    wide = 4 if version == b"\2\0" else 2
    content = text.encode().ljust(127 - 8 - wide) + b"\n"
    return b"\x93NUMPY" + version + len(content).to_bytes(wide, "little") + content
