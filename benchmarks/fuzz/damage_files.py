"""Damage to JSON, sums, arrays in .npz files, and checkpoints of PyTorch."""

import io
import json
import pickle
import random
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from damage_bytes import damaged_bytes

Files = dict[str, bytes]

_ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 0.5, 10**400, float("nan"), "", "x", "a\0b", "../x", "\ud800", "‮x"),
    *([], {}, [[]], [None], {"": None}, "x" * 3000, [1] * 300, "handoff.json"),
)


def damaged_json(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return what was done to the first file, and the files."""
    name = next(each for each in files if each.endswith(".json"))
    draw = rng.random()
    if draw < 0.3:
        how, content = damaged_bytes(rng, files[name])
        return how, files | {name: content}
    if draw < 0.35:
        depth = rng.choice((50, 5000, 200_000))
        return "nested", files | {name: b"[" * depth + b"]" * depth}
    content = json.loads(files[name])
    places = list(_places(content))
    done = []
    for _ in range(rng.choice((1, 1, 2))):
        holder, key = rng.choice(places)
        done.append(f"another {key}")
        if isinstance(holder, dict) and rng.random() < 0.3:
            holder.pop(key, None)
        elif isinstance(holder, dict) or key < len(holder):
            holder[key] = rng.choice(_ODD)
    return ", ".join(done), files | {name: json.dumps(content).encode()}


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in list(pairs):
        yield content, key
        if isinstance(value, dict | list):
            yield from _places(value)


def damaged_handoff(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return what was done to the record or to a recorded file, and the files."""
    if rng.random() < 0.7:
        return damaged_json(rng, files)
    name = rng.choice(list(files))
    if rng.random() < 0.3:
        return f"without {name}", {each: files[each] for each in files if each != name}
    how, content = damaged_bytes(rng, files[name])
    return f"{how} {name}", files | {name: content}


def damaged_sums(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return what was done to the sums, and the files."""
    name = "model/SHA256SUMS"
    if rng.random() < 0.4:
        how, content = damaged_bytes(rng, files[name])
        return how, files | {name: content}
    lines = files[name].splitlines(keepends=True)
    place = rng.randrange(len(lines))
    odd = (
        b"",
        b"\n",
        b"  ",
        b"../../etc/passwd",
        b"0" * 64 + b"  ..",
        b"\xff\0  \0\n",
        b"x" * 9**5,
    )
    other = rng.choice((*odd, lines[place].upper(), lines[place].replace(b"  ", b" *")))
    lines[place : place + rng.choice((0, 1))] = [other]
    return "line", files | {name: b"".join(lines)}


def damaged_npz(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return what was done to the arrays, and the files."""
    content = files["golden.npz"]
    if rng.random() < 0.4:
        how, content = damaged_bytes(rng, content)
        return how, {"golden.npz": content}
    members = _members(content)
    name = rng.choice(list(members))
    how = rng.choice(
        ("header", "header", "header", "bytes", "objects", "renamed", "bomb", "missing")
    )
    whole = members[name]
    if how == "header":
        shape = rng.choice(
            ("(2**40,)", "(1099511627776,)", "(-1, 4)", "(4, 0)", "()", "(1e9,)", "x")
        )
        kind = rng.choice(("<f4", "<f8", "|O", "<U9", "|V8", "<U999999999", "M8[s]", "<i8", "z"))
        members[name] = _header(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}")
        members[name] += whole[128:]
    elif how == "bytes":
        members[name] = damaged_bytes(rng, whole)[1]
    elif how == "objects":
        members[name] = _array(np.array([rng.choice((1, "a", None))], object))
    elif how == "renamed":
        new = rng.choice(("", "x", "a/b.npy", "batch1/input", "a/b/c/d.npy", "../x.npy", "‮.npy"))
        members = {new if each == name else each: value for each, value in members.items()}
    elif how == "bomb":
        members[name] = _header(
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1500000000,)}"
        ) + bytes(1000)
    else:
        del members[name]
    return how, {"golden.npz": _zip(members)}


def damaged_checkpoint(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return what was done to a checkpoint of PyTorch, and the files."""
    name, content = next(iter(files.items()))
    draw = rng.random()
    if content[:2] != b"PK" or draw < 0.3:
        if name.endswith("safetensors") and draw < 0.6:
            return "header", {name: _safetensors(rng, content)}
        how, content = damaged_bytes(rng, content)
        return how, {name: content}
    members = _members(content)
    member = rng.choice([*members, *(each for each in members if each.endswith("data.pkl"))])
    if draw < 0.4:
        del members[member]
        how = "without"
    elif draw < 0.85:
        how, members[member] = damaged_bytes(rng, members[member])
    else:
        how = "pickle"
        key = next(each for each in members if each.endswith("data.pkl"))
        odd = rng.choice(([], {}, 3, None, {"a": 1}, {1: 2}, [1, [2]], {"state_dict": None}, print))
        members[key] = pickle.dumps(odd, protocol=2)
    return f"{how} {member}", {name: _zip(members, stored=True)}


def _safetensors(rng: random.Random, content: bytes) -> bytes:
    size = int.from_bytes(content[:8], "little")
    how, header = "bytes", content[8 : 8 + size]
    table = json.loads(header)
    holder, key = rng.choice(list(_places(table)))
    holder[key] = rng.choice(_ODD[:6] + _ODD[7:11] + _ODD[12:])
    header = json.dumps(table).encode() if how else header
    length = rng.choice((len(header), len(header), len(header), 2**40, 2**63, 0))
    return length.to_bytes(8, "little") + header + content[8 + size :]


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def _zip(members: dict[str, bytes], *, stored: bool = False) -> bytes:
    kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", kind) as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


def _array(value: np.ndarray) -> bytes:
    made = io.BytesIO()
    np.save(made, value, allow_pickle=True)
    return made.getvalue()


def _header(text: str) -> bytes:
    content = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(content).to_bytes(2, "little") + content
