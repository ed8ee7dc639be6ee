"""Damage to JSON, to the record of a handoff and its files, and to sums."""

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from damage_bytes import damaged_bytes
from damage_npz import damaged_npz

from nbhelpers.record import Record

Files = dict[str, bytes]

ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 0.5, 10**400, float("nan"), "", "x", "a\0b", "../x", "\ud800", "‮x"),
    *([], {}, [[]], [None], {"": None}, "x" * 3000, [1] * 300, "handoff.json", 2**63, 1e308),
    *("<script>", "2026", "tf2", "float32", {"x": 1}, [{}], "/etc/passwd", "\n", False),
)
"""Values of every kind. Some of them are plausible."""

KEYS = ("", "x", "tf2", "tf9", "../x", "/x", "a\0", "‮", "X" * 300, "exported.onnx", "EXPORTED.ONNX")
RECORD = "model/handoff.json"


def damaged_json(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return a description of the damage to the first file, and the files."""
    name = next(each for each in files if each.endswith(".json"))
    draw = rng.random()
    if draw < 0.3:
        how, content = damaged_bytes(rng, files[name])
        return how, files | {name: content}
    if draw < 0.35:
        depth = rng.choice((50, 5000, 200_000))
        return "nested", files | {name: b"[" * depth + b"]" * depth}
    content = json.loads(files[name])
    return changed_json(rng, content), files | {name: json.dumps(content).encode()}


def changed_json(rng: random.Random, content: Any) -> str:
    """Set values anywhere in parsed JSON to odd ones, in place, and return which."""
    known = list(places(content))
    done = []
    for _ in range(rng.choice((1, 1, 2))):
        holder, key = rng.choice(known)
        done.append(f"another {key}")
        if isinstance(holder, dict) and rng.random() < 0.3:
            holder.pop(key, None)
        elif isinstance(holder, dict) and rng.random() < 0.2 and key in holder:
            holder[rng.choice(KEYS)] = holder.pop(key)
        elif isinstance(holder, dict) or key < len(holder):
            holder[key] = rng.choice(ODD)
    return ", ".join(done)


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every object or list inside parsed JSON with each of its keys or indices."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in list(pairs):
        yield content, key
        if isinstance(value, dict | list):
            yield from places(value)


def damaged_handoff(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return a description of the damage to the record or to a recorded file, and the files.

    Most often the record is sealed again, so that readers see the damage, not a wrong checksum.
    """
    draw = rng.random()
    if draw < 0.2:
        return damaged_json(rng, files)
    if draw < 0.25:
        name = rng.choice(list(files))
        return f"without {name}", {each: files[each] for each in files if each != name}
    record = json.loads(files[RECORD])
    if draw < 0.8:
        facts = [entry["facts"] for entry in record["stages"].values()]
        how = changed_json(rng, rng.choice((record, rng.choice(facts))))
    else:
        name = rng.choice([each for each in files if each != RECORD])
        damage = damaged_npz if name.endswith(".npz") else _damaged
        how, damaged = damage(rng, {name: files[name]})
        files = files | damaged
        _record(record, name.partition("/")[2], damaged[name])
    return how, files | {RECORD: _sealed(record)}


def _damaged(rng: random.Random, files: Files) -> tuple[str, Files]:
    ((name, content),) = files.items()
    how, content = damaged_bytes(rng, content)
    return f"{how} {name}", {name: content}


def _record(record: dict, name: str, content: bytes) -> None:
    """Record a file in its present state."""
    for entry in record["stages"].values():
        seen = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        entry["files"] |= {name: seen} if name in entry["files"] else {}


def _sealed(record: dict) -> bytes:
    record.pop("seal", None)
    return Record(Path(), record).text().encode(errors="surrogatepass")


def damaged_sums(rng: random.Random, files: Files) -> tuple[str, Files]:
    """Return a description of the damage to the sums, and the files."""
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
