"""The form of a stage's entry in the record: its keys, and the type of each value.

A folder may come from somebody else, with a wrong record. Code that reads a checked fact need not
check its type again.
"""

from typing import Any

from graphcore.json_forms import NUMBER, Form, check
from graphcore.spec import TensorSpec

_NAMES = {str: str}
_MAYBE = (*NUMBER, None)
_TENSORS = [{"name": str, "dtype": str, "shape": [(int, str)], "bounds?": [(int, str)]}]
_INTERFACE = {"inputs": _NAMES, "outputs": _NAMES}
_LABELS = {"labels_agree?": (bool, None)}

_REPORT = {
    "title": str,
    "ok": bool,
    "rows": [
        {
            "name": str,
            "status": str,
            "largest_difference?": _MAYBE,
            "relative?": _MAYBE,
            "note?": str,
            **_LABELS,
        }
    ],
}
_ENTRY = {
    "done": str,
    "reads": {str: str},
    "files": {str: {"sha256": str, "bytes": int}},
    "versions": {str: str},
    "parity": [_REPORT],
    "facts": {str: object},
    "timings": {str: object},
}
_PICTURE = {"file": str, "resize": int, "crop": [int], "mean": [NUMBER], "std": [NUMBER]}
_REWRITE = {"op": str, "change": str, "reason": str, "nodes": int}
_PROOF = {
    "artefact": str,
    "runtime": str,
    "case": str,
    "ok": bool,
    "signature?": str,
    "largest_difference?": _MAYBE,
    "relative?": _MAYBE,
    "accuracy?": {str: NUMBER},
    "error?": str,
    **_LABELS,
}
_TRIAL = {
    "artefact": str,
    "client": str,
    "state": str,
    "signature?": str,
    "cases?": [str],
    "relative?": _MAYBE,
    "reason?": str,
    **_LABELS,
}

_FACTS: dict[str, Form] = {
    "export": {
        "inputs?": _TENSORS,
        "outputs?": _TENSORS,
        "opset?": int,
        "sizes?": {str: [int]},
        "model?": str,
        "weights?": str,
        "warnings?": [str],
        "picture?": (_PICTURE, None),
    },
    "surgery": {"inputs?": _TENSORS, "outputs?": _TENSORS, "changes?": [str], "renamed?": _NAMES},
    "conversion": {
        "targets?": {str: {**_INTERFACE, "precisions?": _NAMES, "rewrites": [_REWRITE]}}
    },
    "names": {"twins?": {str: {str: int}}},
    "signature": {
        "savedmodels?": {str: {"tags": [str], "signatures": {str: _INTERFACE}}},
        "signature?": str,
    },
    "handoff": {"proofs?": [_PROOF], "unproven?": [str], "clients?": [_TRIAL]},
}

_TIMINGS = {"latency_ms?": {str: NUMBER}, "client_latency_ms?": {str: NUMBER}}


def check_entry(stage: str, entry: Any) -> None:
    """Check that the entry of a stage has its keys, and that every value has its type.

    Raises:
        ValueError: it has not. The message says where.
    """
    place = f"stages.{stage}"
    check(entry, _ENTRY, place)
    check(entry["timings"], _TIMINGS, f"{place}.timings")
    facts = entry["facts"]
    check(facts, _FACTS[stage], f"{place}.facts")
    for each in (*facts.get("inputs", ()), *facts.get("outputs", ())):
        TensorSpec.from_json(each)
