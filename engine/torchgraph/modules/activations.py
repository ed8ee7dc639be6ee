"""Record what each part of a module computes, under the names of the exported ONNX tensors.

The exporters note for each ONNX node the module in which it arose. The values that leave a module's
nodes are what the module returned, if their number and sizes agree. Others are left out.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from graphcore.atomic_files import describe
from graphcore.errors import ModelError
from graphcore.progress import stage
from onnxgraph.comparing.activations import save_activations
from onnxgraph.comparing.scopes import has_scopes, module_path
from onnxgraph.comparing.sources import OnnxSource, Recorded
from onnxgraph.model.dataflow import Dataflow
from torchgraph.modules.forward import as_array, tensors


@dataclass
class _Call:
    """One call of one part: its path, the identities of its inputs, and copies of its results."""

    path: str
    given: set[int]
    returned: list[int]
    values: list[np.ndarray]
    index: int = 0


@stage("recording inner tensors")
def record_activations(
    module: nn.Module,
    onnx_path: str | Path,
    feeds: Mapping[str, np.ndarray],
    *,
    path: str | Path | None = None,
) -> Recorded:
    """Run the module once and return what its parts computed, by ONNX tensor name.

    Args:
        module: the exported module. It runs in eval mode.
        onnx_path: the file that one of PyTorch's exporters made of it.
        feeds: its inputs by ONNX name, in the order of its arguments.
        path: where to write the values, such as `handoffs/<name>/debug/activations.npz`.

    Raises:
        ModelError: the module does not run, returns something that numpy cannot hold, or no tensor
            of the file could be matched.
        GraphError: the file is not an ONNX model.
    """
    source = OnnxSource(onnx_path)
    flow, sizes = source.dataflow, source.tensor_bytes(feeds)
    calls, outputs = _calls(module, feeds)
    pairs = _pairs(calls, flow, folding=not has_scopes(source.model))
    found = {name: value for name, value in pairs if sizes.get(name, value.nbytes) == value.nbytes}
    found |= zip(flow.outputs, outputs, strict=False)
    if not found:
        raise ModelError(
            f"No tensor of {onnx_path} could be matched with a part of {type(module).__name__}. "
            "Give the file that torch.onnx.export made of this very module."
        )
    ordered = {name: found[name] for name in flow.order if name in found}
    recorded = Recorded(f"PyTorch {torch.__version__.partition('+')[0]} (recorded)", feeds, ordered)
    if path is not None:
        save_activations(recorded, path, made_for=describe(Path(onnx_path))["sha256"])
    return recorded


def _calls(
    module: nn.Module, feeds: Mapping[str, np.ndarray]
) -> tuple[list[_Call], list[np.ndarray]]:
    """Run the module. Return the calls of its parts in order, and its own outputs."""
    calls: list[_Call] = []
    alive: list[Any] = []  # Python reuses the identity of a deleted object
    names = {
        part: name
        for name, part in module.named_modules()
        if name and not isinstance(part, torch.jit.ScriptModule)  # these accept no hooks
    }

    def note(part: nn.Module, given: tuple, returned: Any) -> None:
        alive.append((given, returned))
        results = list(_tensors(returned))
        values = [_array(value) for value in results]
        ids = {id(value) for value in _tensors(given)}
        calls.append(_Call(names[part], ids, list(map(id, results)), values, len(calls)))

    hooks = [part.register_forward_hook(note) for part in names]
    try:
        given = {name: torch.from_numpy(np.array(value)) for name, value in feeds.items()}
        outputs = tensors(module, given)
    finally:
        for hook in hooks:
            hook.remove()
    return calls, [
        as_array(value, f"An output of {type(module).__name__}") for value in outputs.values()
    ]


def _array(value: Tensor) -> np.ndarray:
    """Return a copy, taken before a later part changes the tensor in place.

    numpy has no bfloat16. Its float32 has another size than ONNX's tensor, so it is left out.
    """
    plain = value.float() if value.dtype == torch.bfloat16 else value
    return plain.detach().numpy().copy()


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        yield from itertools.chain.from_iterable(map(_tensors, value))
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))


def _pairs(
    calls: list[_Call], flow: Dataflow, *, folding: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield ONNX name and value for every call whose ONNX tensors are certain.

    The tracing exporter folds a batch norm into the convolution before it, and the node keeps the
    convolution's name (`folding`). The dynamo exporter gives the node the name of the batch norm.
    """
    paths = {call.path for call in calls}
    scopes = {name: _known(module_path(node), paths) for name, node in flow.makers.items()}
    empty = paths - {part for each in set(scopes.values()) for part in _ancestors(each)}
    for path in sorted(paths - empty):
        made = [n for n in flow.order if n in scopes and path in _ancestors(scopes[n])]
        inside = set(made)
        leaving = [
            name
            for name in made
            if name in flow.outputs or not inside.issuperset(flow.readers.get(name, ()))
        ]
        values = [
            value
            for call in calls
            if call.path == path
            for value in (_folded(call, calls, empty) if folding else call).values
        ]
        if len(leaving) == len(values):  # both are in order
            yield from zip(leaving, values, strict=True)


def _folded(call: _Call, calls: list[_Call], empty: set[str]) -> _Call:
    """Return the last of the calls that follow this one and have no node of their own."""
    for later in calls[call.index + 1 :]:
        if later.path in empty and later.given.intersection(call.returned):
            call = later
    return call


def _known(path: str, paths: set[str]) -> str:
    """Return the module's path. A second call has a number after it (`relu_1`)."""
    plain = re.sub(r"_\d+$", "", path)
    return plain if path not in paths and plain in paths else path


def _ancestors(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
