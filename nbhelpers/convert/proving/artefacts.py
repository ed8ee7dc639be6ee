"""The artefacts of a handoff: each file, its target, and the names of its tensors.

Notebook 03 records the conversions and 05 the signatures. Notebook 06 reads both here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphcore.errors import unknown_name
from graphcore.targets import NAMES, Target
from tfgraph.conversion import Conversion
from tfgraph.savedmodels.reading import SavedModel


@dataclass(frozen=True)
class Artefact:
    """One file or folder that a receiver loads.

    `inputs` and `outputs` map ONNX names to tensors (frozen graph) or to signature keys
    (SavedModel). `precisions` maps outputs to the coarsest half float that they went through.
    """

    path: str
    kind: str
    target: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    signature: str = ""
    tags: tuple[str, ...] = ()
    precisions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict:
        """Return the artefact's entry for the receiver's scripts."""
        return {
            "path": self.path,
            "kind": self.kind,
            "oldest": list(Target.named(self.target).oldest),
            "inputs": dict(self.inputs),
            "outputs": dict(self.outputs),
            "signature": self.signature,
            "tags": list(self.tags),
            "precisions": dict(self.precisions),
        }


def conversion_fact(conversion: Conversion) -> dict:
    """Return the recorded facts of a conversion, without anything that differs between runs."""
    return {
        "inputs": conversion.inputs,
        "outputs": conversion.outputs,
        "precisions": conversion.precisions,
        "rewrites": [vars(rewrite) for rewrite in conversion.rewrites],
        "steps": [
            {"name": step.name, "nodes": step.nodes, "transposes": step.transposes}
            for step in conversion.steps
        ],
        "proven": conversion.proven,
    }


def signature_fact(model: SavedModel) -> dict:
    """Return the recorded facts of a SavedModel."""
    return {
        "tags": list(model.tags),
        "signatures": {
            name: {"inputs": dict(entry.inputs), "outputs": dict(entry.outputs)}
            for name, entry in model.signatures.items()
        },
    }


def artefacts(
    conversions: Mapping[str, dict],
    saved_models: Mapping[str, dict],
    *,
    renamed: Mapping[str, str] | None = None,
) -> tuple[Artefact, ...]:
    """Return every artefact of a handoff, frozen graphs first.

    Args:
        conversions: target → `conversion_fact`.
        saved_models: target → `signature_fact`. A signature counts if it takes the model's inputs
            and gives some of its outputs. One on inner tensors has no golden outputs to compare
            with.

    Raises:
        UnknownName: a record names an unknown target. Paths are made from these names.
    """
    for target in (*conversions, *saved_models):
        if target not in NAMES or target not in conversions:
            known = conversions.keys() & {*NAMES}
            raise unknown_name("target of the conversion", target, known)
    golden = {new: old for old, new in (renamed or {}).items()}
    found = []
    halves = {
        target: _golden_names(fact.get("precisions", {}), golden)
        for target, fact in conversions.items()
    }
    for target, fact in conversions.items():
        inputs, outputs = (_golden_names(fact[side], golden) for side in ("inputs", "outputs"))
        path = f"graph/{target}/frozen.pb"
        found.append(Artefact(path, "frozen", target, inputs, outputs, precisions=halves[target]))
    for target, fact in saved_models.items():
        tensors = conversions[target]
        for name, entry in fact["signatures"].items():
            inputs = _keys(tensors["inputs"], entry["inputs"])
            outputs = _keys(tensors["outputs"], entry["outputs"])
            if len(inputs) == len(tensors["inputs"]) == len(entry["inputs"]) and outputs:
                found.append(
                    Artefact(
                        f"savedmodel/{target}/1",
                        "savedmodel",
                        target,
                        _golden_names(inputs, golden),
                        _golden_names(outputs, golden),
                        name,
                        tuple(fact["tags"]),
                        halves[target],
                    )
                )
    return tuple(found)


def _golden_names(tensors: Mapping[str, str], golden: Mapping[str, str]) -> dict[str, str]:
    return {golden.get(name, name): tensor for name, tensor in tensors.items()}


def _keys(tensors: Mapping[str, str], signature: Mapping[str, str]) -> dict[str, str]:
    """Return ONNX name → signature key, for the tensors that the signature has."""
    keys = {tensor: key for key, tensor in signature.items()}
    return {name: keys[tensor] for name, tensor in tensors.items() if tensor in keys}
