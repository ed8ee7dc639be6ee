"""Damage to checkpoints of PyTorch: their archive, the opcodes of their pickle, safetensors."""

import contextlib
import io
import json
import pickle
import pickletools
import random

from damage_bytes import damaged_bytes
from damage_files import ODD, places
from damage_zip import damaged_zip, members, zipped

Files = dict[str, bytes]

_NUMBERS = (
    *(b"K\0", b"K\1", b"K\7", b"J\xff\xff\xff\xff", b"J\xff\xff\xff\x7f", b"J\0\0\0\x80"),
    *(b"\x8a\x08" + b"\xff" * 7 + b"\x3f", b"\x8a\xff", b"\x8b\xff\xff\xff\x7f", b"M\xff\xff"),
)
"""Opcodes that push whole numbers: small, negative, of 2**62, and cut short."""

_OPCODES = (
    *(b"(", b"0", b"1", b"2", b"N", b"\x88", b"]", b"}", b")", b"t", b"\x85", b"\x87", b"l", b"d"),
    *(b"a", b"e", b"s", b"u", b"R", b"b", b"Q", b"\x81", b"\x92", b"\x93", b"\x94", b".", b"\xff"),
    *(b"h\xff", b"j\xff\xff\xff\xff", b"q\0", b"r\xff\xff\xff\x7f", b"\x82\1", b"P0\n", b"\x80\5"),
    *(b"T\xff\xff\xff\x7f", b"X\xff\xff\xff\x7f", b"\x8e" + b"\xff" * 8, b"\x8d" + b"\xff" * 8),
    *(b"X\1\0\0\0\xff", b"G" + b"\xff" * 8, b"\x95" + b"\xff" * 8, b"cos\nsystem\n", b"c\n\n"),
    *(b"ctorch\nFloatStorage\n", b"ctorch\nSize\n", b"ctorch._utils\n_rebuild_tensor_v2\n"),
    *(b"ctorch._utils\n_rebuild_parameter\n", b"ccollections\nOrderedDict\n"),
)
_DTYPES = (
    *("F4", "F6_E2M3", "F6_E3M2", "F8_E4M3", "F8_E5M2", "F8_E8M0", "BOOL", "BF16", "F16", "F32"),
    *("F64", "C64", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F128", "", "f32"),
)
_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "BF16": 16}


def damaged_checkpoint(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return a description of the damage to a checkpoint of PyTorch, and the files."""
    name, content = next(iter(files.items()))
    draw = rng.random()
    if draw < 0.2:
        how, content = damaged_bytes(rng, content)
    elif name.endswith("safetensors"):
        how, content = (_dtype if draw < 0.6 else _header)(rng, content)
    elif content[:2] != b"PK":
        how, content = "opcodes", _opcodes(rng, content)
    elif draw < 0.4:
        how, content = damaged_zip(rng, content)
    else:
        how, content = _member(rng, content, draw)
    return how, {name: content}


def _member(rng: random.Random, content: bytes, draw: float) -> tuple[str, bytes]:
    """Damage a member of the archive, most often the pickle."""
    found = members(content)
    key = next(each for each in found if each.endswith("data.pkl"))
    member = rng.choice([*found, key])
    if draw < 0.45:
        del found[member]
        how = f"without {member}"
    elif draw < 0.6:
        how, found[member] = damaged_bytes(rng, found[member])
    elif draw < 0.65:
        how = "another pickle"
        odd = rng.choice(([], {}, 3, None, {"a": 1}, {1: 2}, [1, [2]], {"state_dict": None}, print))
        found[key] = pickle.dumps(odd, protocol=2)
    else:
        how, found[key] = "opcodes", _opcodes(rng, found[key])
    return how, zipped(found, stored=True)


def _opcodes(rng: random.Random, content: bytes) -> bytes:
    """Remove, repeat, insert, move or change opcodes of the pickles that a file begins with."""
    starts = _starts(content)
    pieces = [content[begin:end] for begin, end in zip(starts, [*starts[1:], len(content)])]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.randrange(len(pieces) - 1)
        way = rng.choice(("removed", "repeated", "inserted", "changed", "moved", "number"))
        numbers = [i for i, piece in enumerate(pieces[:-1]) if piece[:1] in b"KMJ\x8a" and piece]
        if way == "number" and numbers:
            pieces[rng.choice(numbers)] = rng.choice(_NUMBERS)
        elif way == "removed":
            pieces[place] = b""
        elif way == "repeated":
            pieces[place] *= rng.choice((2, 2, 1000))
        elif way == "moved":
            other = rng.randrange(len(pieces) - 1)
            pieces[place], pieces[other] = pieces[other], pieces[place]
        elif way == "changed" and len(pieces[place]) > 1:
            pieces[place] = rng.choice(_OPCODES)[:1] + pieces[place][1:]
        else:
            pieces[place] += rng.choice(_OPCODES)
    return b"".join(pieces)


def _starts(content: bytes) -> list[int]:
    """Return the positions of the opcodes of all pickles at the start of a file."""
    file, starts = io.BytesIO(content), list[int]()
    with contextlib.suppress(ValueError):  # the weights begin here
        while file.tell() < len(content):
            starts += [begin for _, _, begin in pickletools.genops(file)]
    return starts


def _header(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """Set a value of the header of safetensors, or the header's length."""
    table, data = _table(content)
    holder, key = rng.choice(list(places(table)))
    holder[key] = rng.choice(ODD)
    header = json.dumps(table).encode()
    length = rng.choice((len(header), len(header), len(header), 2**40, 2**63, 0))
    return f"header {key}", length.to_bytes(8, "little") + header + data


def _dtype(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """Give a tensor of safetensors another dtype, most often with a shape that fits its bytes."""
    table, data = _table(content)
    entry = table[rng.choice([each for each in table if each != "__metadata__"])]
    entry["dtype"] = dtype = rng.choice(_DTYPES)
    begin, end = entry["data_offsets"]
    digits = "".join(filter(str.isdigit, dtype[1:].partition("_")[0]))
    bits = _BITS.get(dtype, int(digits or 32))
    if rng.random() < 0.7:
        entry["shape"] = [(end - begin) * 8 // bits]
    header = json.dumps(table).encode()
    return f"dtype {dtype}", len(header).to_bytes(8, "little") + header + data


def _table(content: bytes) -> tuple[dict, bytes]:
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]
