"""Triton's `config.pbtxt` for SavedModels and frozen graphs, by the rules of its TensorFlow
backend.

Triton checks the file when it loads the model (`ValidateModelConfig` of its core, and the backend's
own `ValidateTRITONTFModel`). Every tensor needs a dtype that the backend knows and at least one
dim. Outputs may be left out, inputs may not. A graph is found by one tag and one signature.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from graphcore.errors import GraphError
from graphcore.spec import UNKNOWN_RANK, TensorSpec
from tfgraph.savedmodels.reading import SERVING_DEFAULT, SavedModel, Signature

SAVED_MODEL, GRAPH = "tensorflow_savedmodel", "tensorflow_graphdef"

_TYPES = {
    "bool": "TYPE_BOOL",
    **{f"int{bits}": f"TYPE_INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"TYPE_UINT{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"TYPE_FP{bits}" for bits in (16, 32, 64)},
    **dict.fromkeys(("string", "object", "str", "bytes"), "TYPE_STRING"),
}


def triton_config(
    name: str,
    platform: str,
    inputs: Mapping[str, TensorSpec],
    outputs: Mapping[str, TensorSpec],
    *,
    signature: str = SERVING_DEFAULT,
    tags: Sequence[str] = ("serve",),
) -> str:
    """Return Triton's `config.pbtxt`. Outputs that Triton cannot give are left out and named.

    Args:
        name: the model's name in the repository, which is that of its folder.
        platform: "tensorflow_savedmodel" or "tensorflow_graphdef".
        inputs: the client's name → spec. Unknown sizes become -1.
        outputs: the same for outputs.
        signature: the signature of a SavedModel to serve.
        tags: the tags of its graph.

    Raises:
        GraphError: Triton cannot feed an input, or can give none of the outputs.
    """
    for key, spec in inputs.items():
        if reason := _refusal(key, spec, platform):
            raise GraphError(
                f"Triton cannot serve {name!r}: its input {key!r} {reason}, or serve it with "
                "TensorFlow Serving."
            )
    left_out = {key: _refusal(key, spec, platform) for key, spec in outputs.items()}
    served = {key: spec for key, spec in outputs.items() if not left_out[key]}
    # The backend looks up the dtype of every output in a signature, requested or not.
    untyped = [k for k, spec in outputs.items() if spec.dtype not in _TYPES]
    if not served or (untyped and platform == SAVED_MODEL):
        bad = untyped or list(outputs)
        reasons = "; ".join(f"its output {key!r} {left_out[key]}" for key in bad)
        raise GraphError(
            f"Triton cannot serve {name!r}: {reasons}, or serve it with TensorFlow Serving."
        )
    lines = [f"name: {_quoted(name)}", f'platform: "{platform}"', "max_batch_size: 0"]
    lines += [*_tensors("input", inputs), *_tensors("output", served)]
    lines += [f"# Left out: {_quoted(key)} {why}." for key, why in left_out.items() if why]
    if platform == SAVED_MODEL:
        lines += _parameters(signature, tags)
    return "\n".join(lines) + "\n"


def graph_config(
    name: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    specs: Mapping[str, TensorSpec],
) -> str:
    """Return Triton's config for a frozen graph, whose clients use the nodes' own names.

    `inputs` and `outputs` map the client's names to tensors, `specs` maps tensors to specs.

    Raises:
        GraphError: as `triton_config`.
    """
    sides = [
        {tensor.removesuffix(":0"): specs[tensor] for tensor in side.values()}
        for side in (inputs, outputs)
    ]
    return triton_config(name, GRAPH, *sides)


def triton_files(
    name: str,
    models: Mapping[str, SavedModel],
    *,
    signature: str = SERVING_DEFAULT,
    seen: Mapping[str, np.ndarray] | None = None,
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the `config.pbtxt` of every artefact of a handoff, and why one has none.

    Args:
        name: the model's name in the server.
        models: target → its SavedModel.
        signature: the signature that is served.
        seen: tensor → an array of it, for the rank of tensors whose graph does not state it.

    Returns:
        File in the handoff → its text, and file → why Triton cannot serve that artefact.
    """
    texts: dict[str, str] = {}
    refused: dict[str, str] = {}
    for target, model in models.items():
        entry, specs = model.signatures[signature], _ranked(model.specs, seen or {})
        ins, outs = ({k: specs[t] for k, t in s.items()} for s in (entry.inputs, entry.outputs))
        with _refusal_kept(refused, file := f"savedmodel/{target}/config.pbtxt"):
            texts[file] = triton_config(
                name, SAVED_MODEL, ins, outs, signature=signature, tags=model.tags
            )
        with _refusal_kept(refused, file := f"graph/{target}/config.pbtxt"):
            _check_placeholders(name, model, entry)
            texts[file] = graph_config(name, entry.inputs, entry.outputs, specs)
    return texts, refused


def _check_placeholders(name: str, model: SavedModel, signature: Signature) -> None:
    """Check that the backend accepts a frozen graph's inputs as inputs."""
    found = {node.name for node in model.graph_def.node if node.op == "Placeholder"}
    for tensor in signature.inputs.values():
        if tensor.removesuffix(":0") not in found:
            raise GraphError(
                f"Triton cannot serve {name!r} as a frozen graph, because it feeds only "
                f"placeholders, and {tensor!r} is not one. Serve the SavedModel."
            )


@contextmanager
def _refusal_kept(refused: dict[str, str], file: str) -> Iterator[None]:
    try:
        yield
    except GraphError as error:
        refused[file] = str(error)


def _ranked(
    specs: Mapping[str, TensorSpec], seen: Mapping[str, np.ndarray]
) -> dict[str, TensorSpec]:
    """Return the specs. One without a rank gets the rank of its array."""
    return {
        tensor: replace(spec, shape=tuple(f"dim{axis}" for axis in range(np.ndim(seen[tensor]))))
        if spec.shape == UNKNOWN_RANK and tensor in seen
        else spec
        for tensor, spec in specs.items()
    }


def _refusal(key: str, spec: TensorSpec, platform: str) -> str:
    """Return why Triton cannot feed or give a tensor, in words that follow its name, or ""."""
    if spec.dtype not in _TYPES:
        return f"is {spec.dtype}, for which Triton has no type in TensorFlow; cast it in the model"
    if spec.shape == ():
        return "is a scalar, and Triton needs at least one dim; give it one in the model"
    if spec.shape == UNKNOWN_RANK:
        return "has a rank that the graph does not state; state its shape in the model"
    if 0 in spec.shape:
        return "is empty, and Triton needs sizes of at least 1"
    if platform == GRAPH and ":" in key:
        return "is not the first result of its node; put an identity behind it in the model"
    return ""


def _tensors(kind: str, tensors: Mapping[str, TensorSpec]) -> list[str]:
    entries = [
        f"  {{ name: {_quoted(key)} data_type: {_TYPES[spec.dtype]} dims: [ {_dims(spec)} ] }}"
        for key, spec in tensors.items()
    ]
    return [f"{kind} [", ",\n".join(entries), "]"] if entries else []


def _dims(spec: TensorSpec) -> str:
    return ", ".join(str(dim if isinstance(dim, int) else -1) for dim in spec.shape)


def _parameters(signature: str, tags: Sequence[str]) -> Iterable[str]:
    """Yield the settings that differ from the backend's defaults."""
    if tuple(tags) != ("serve",):
        if len(tags) > 1:
            yield (
                f"# Triton finds a graph by one tag, but this one has {len(tags)}. Sign it with "
                "one tag to serve it there."
            )
        yield _parameter("TF_GRAPH_TAG", tags[0])
    if signature != SERVING_DEFAULT:
        yield _parameter("TF_SIGNATURE_DEF", signature)


def _parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value: {{ string_value: {_quoted(value)} }} }}'


def _quoted(text: str) -> str:
    """Return a text as a literal of protobuf's text format."""
    from google.protobuf import text_encoding

    return f'"{text_encoding.CEscape(text, as_utf8=False)}"'
