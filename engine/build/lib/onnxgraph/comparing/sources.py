"""Where the value of a tensor comes from: a source gives tensors by their ONNX names.

onnxruntime is one (`OnnxSource`), what PyTorch recorded another (`Recorded`); the TensorFlows are
in `tfgraph.comparing.tracing`. Any two can be held against each other (`layers`,
`bisection`).
"""

import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
from onnx import external_data_helper

from graphcore.errors import GraphError, unknown_name
from onnxgraph.model import interface
from onnxgraph.model.checked import checked
from onnxgraph.model.dataflow import Wiring, piece, tensor_bytes, wiring
from onnxgraph.model.files import load
from onnxgraph.running.run import check_feeds

HEAVY = 1024
"""Weights of more bytes than this are kept in a file; onnxruntime maps it into memory."""

Feeds = Mapping[str, np.ndarray]


class Source(Protocol):
    """Something that gives the tensors of one ONNX model by name."""

    @property
    def title(self) -> str:
        """Who computes."""

    @property
    def names(self) -> Collection[str]:
        """The ONNX tensors that it can give."""

    @property
    def free_layout(self) -> bool:
        """Whether its tensors may have their channels last where ONNX has them second."""

    @property
    def restarts(self) -> bool:
        """Whether inner tensors can be fed."""

    def tensors(self, names: Iterable[str], feeds: Feeds) -> dict[str, np.ndarray]:
        """Return tensors by ONNX name.

        Args:
            names: what to compute.
            feeds: the model's inputs by ONNX name; if the source `restarts`, inner tensors too,
                whose values are then taken instead of computed.
        """

    def called(self, name: str) -> str:
        """Return what the source itself calls a tensor."""


class OnnxSource:
    """The tensors of an ONNX model as onnxruntime computes them.

    Only what is asked for is computed, each time in a session of its own. The large weights are
    moved to a temporary file, so that any number of sessions costs the memory of one.
    """

    title = "onnxruntime"
    free_layout = False
    restarts = True

    @checked
    def __init__(self, model: onnx.ModelProto | str | Path) -> None:
        """Take a model, or read one.

        Raises:
            GraphError: the file is not an ONNX model.
        """
        whole = model if isinstance(model, onnx.ModelProto) else load(model)
        self._folder = tempfile.TemporaryDirectory(prefix="onnx-source-")
        self.model = _without_weights(whole, Path(self._folder.name) / "weights")
        self.wiring: Wiring = wiring(self.model)
        self.names = self.wiring.order

    def tensors(self, names: Iterable[str], feeds: Feeds) -> dict[str, np.ndarray]:
        """Return tensors by name; see `Source`.

        Raises:
            UnknownName: there is no such tensor.
            GraphError: onnxruntime refuses the model, or an input is missing.
        """
        names = list(names)
        for name in (*names, *feeds):
            if name not in self.wiring.sources:
                raise unknown_name("tensor in the ONNX graph", name, self.names)
        wanted = [name for name in names if name not in feeds]
        found = {name: np.asarray(feeds[name]) for name in names if name in feeds}
        if wanted:
            found |= self._run(wanted, feeds)
        return {name: found[name] for name in names}

    def called(self, name: str) -> str:
        """Return the ONNX name."""
        return name

    def checked(self, feeds: Feeds) -> dict[str, np.ndarray]:
        """Return the model's inputs as arrays.

        Raises:
            UnknownName: there is no input of that name.
            GraphError: an input is not fed, or has another dtype or shape.
        """
        arrays = {name: np.asarray(value) for name, value in feeds.items()}
        check_feeds(interface.inputs(self.model), arrays)
        return arrays

    def tensor_bytes(self, feeds: Feeds) -> dict[str, int]:
        """Return the size of each tensor for these inputs, where it is known beforehand."""
        return tensor_bytes(self.model, feeds)

    def piece(self, outputs: Iterable[str], feeds: Feeds) -> onnx.ModelProto:
        """Return the smallest model that computes `outputs` from `feeds`, weights included."""
        cut = self._cut(outputs, feeds)
        external_data_helper.load_external_data_for_model(cut, self._folder.name)
        return cut

    def _cut(self, outputs: Iterable[str], feeds: Feeds) -> onnx.ModelProto:
        """Return the smallest model, as onnxruntime takes it from a file; weights are elsewhere."""
        from onnxgraph.running.sessions import tell_nodes_apart

        cut = piece(self.model, feeds, outputs)
        tell_nodes_apart(cut)
        return cut

    def _run(self, wanted: list[str], feeds: Feeds) -> dict[str, np.ndarray]:
        from onnxgraph.running.sessions import Session

        cut = self._cut(wanted, feeds)
        arrays = {value.name: value for value in cut.graph.input}
        missing = [name for name in arrays if name not in feeds]
        if missing:
            raise GraphError(f"The inputs {', '.join(map(repr, missing))} were not fed.")
        path = Path(self._folder.name) / "piece.onnx"
        path.write_bytes(cut.SerializeToString())
        given = {name: np.asarray(feeds[name]) for name in arrays}
        values = Session(path).run(wanted, given)
        return dict(zip(wanted, values, strict=True))


class Recorded:
    """Tensors that were recorded for one set of inputs: nothing is computed, nothing can be fed."""

    free_layout = False
    restarts = False

    def __init__(self, title: str, feeds: Feeds, tensors: Feeds) -> None:
        """Hold the inputs and the tensors that were recorded for them, by ONNX name."""
        self.title = title
        self.feeds = dict(feeds)
        self._tensors = tensors
        self.names = tuple(dict.fromkeys([*feeds, *tensors]))

    def tensors(self, names: Iterable[str], feeds: Feeds) -> dict[str, np.ndarray]:
        """Return what was recorded; see `Source`.

        Raises:
            UnknownName: a tensor was not recorded.
            GraphError: it was recorded for other inputs.
        """
        other = [n for n, v in feeds.items() if not np.array_equal(v, self.feeds.get(n, ()))]
        if other:
            raise GraphError(
                f"What {self.title} computed was recorded for other values of "
                f"{', '.join(map(repr, other))}; feed the inputs that it was recorded for "
                "(its `feeds`)."
            )
        return {name: self._recorded(name) for name in names}

    def called(self, name: str) -> str:
        """Return the ONNX name."""
        return name

    def _recorded(self, name: str) -> np.ndarray:
        if name in self.feeds:
            return self.feeds[name]
        if name not in self._tensors:
            raise unknown_name(f"tensor recorded by {self.title}", name, self.names)
        return self._tensors[name]


def _without_weights(whole: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Return a copy of the model whose large weights are in the file at `path`."""
    slim = onnx.ModelProto()
    for field, value in whole.ListFields():
        if field.name != "graph":
            _copy(slim, field.name, value)
    for field, value in whole.graph.ListFields():
        if field.name != "initializer":
            _copy(slim.graph, field.name, value)
    with path.open("wb") as file:
        for weight in whole.graph.initializer:
            if len(weight.raw_data) <= HEAVY:
                slim.graph.initializer.append(weight)
                continue
            light = slim.graph.initializer.add(
                name=weight.name, dims=weight.dims, data_type=weight.data_type, raw_data=b"\0"
            )
            offset = file.tell()
            length = file.write(weight.raw_data)
            external_data_helper.set_external_data(light, path.name, offset, length)
            light.ClearField("raw_data")
    return slim


def _copy(message: object, name: str, value: object) -> None:
    """Set a field of any kind to `value`."""
    field = getattr(message, name)
    if hasattr(field, "MergeFrom"):
        field.MergeFrom(value)
    else:
        setattr(message, name, value)
