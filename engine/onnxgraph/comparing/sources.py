"""Sources of tensors: a source gives the value of a tensor by its ONNX name.

onnxruntime is one source (`OnnxSource`), PyTorch's recorded tensors are another (`Recorded`). The
TensorFlows are in `tfgraph.comparing.tracing`. Any two sources can be compared (`layers`,
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
from onnxgraph.model import external, interface
from onnxgraph.model.dataflow import Dataflow, dataflow, piece, tensor_bytes
from onnxgraph.model.entry_check import checked
from onnxgraph.model.files import load
from onnxgraph.model.weightless import skeleton
from onnxgraph.running.run import check_feeds

HEAVY = 1024
"""Weights of more bytes than this are stored in a file that onnxruntime maps into memory."""

Feeds = Mapping[str, np.ndarray]


class Source(Protocol):
    """Something that gives the tensors of one ONNX model by name."""

    @property
    def title(self) -> str:
        """The name of what computes the tensors."""

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
            names: the tensors to compute.
            feeds: the model's inputs by ONNX name. If the source `restarts`, also inner tensors,
                whose values then replace the computed ones.
        """

    def called(self, name: str) -> str:
        """Return the source's own name of a tensor."""


class OnnxSource:
    """The tensors of an ONNX model, computed by onnxruntime.

    Each call computes only the requested tensors, in a session of its own. Large weights are moved
    to a temporary file, so any number of sessions needs the memory of one.
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
        self.model = _with_weights_in(whole, Path(self._folder.name) / "weights")
        self.dataflow: Dataflow = dataflow(self.model)
        self.names = self.dataflow.order

    def tensors(self, names: Iterable[str], feeds: Feeds) -> dict[str, np.ndarray]:
        """Return tensors by name (see `Source`).

        Raises:
            UnknownName: there is no such tensor.
            GraphError: onnxruntime refuses the model, or an input is missing.
        """
        names = list(names)
        for name in (*names, *feeds):
            if name not in self.dataflow.sources:
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
        """Return the size of each tensor for these inputs, where it is known in advance."""
        return tensor_bytes(self.model, feeds)

    def piece(self, outputs: Iterable[str], feeds: Feeds) -> onnx.ModelProto:
        """Return the smallest model that computes `outputs` from `feeds`, weights included."""
        cut = self._cut(outputs, feeds)
        external_data_helper.load_external_data_for_model(cut, self._folder.name)
        return cut

    def _cut(self, outputs: Iterable[str], feeds: Feeds) -> onnx.ModelProto:
        """Return the smallest model, loaded from a file by onnxruntime, without its weights."""
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
    """Tensors recorded for one set of inputs. Nothing is computed, and nothing can be fed."""

    free_layout = False
    restarts = False

    def __init__(self, title: str, feeds: Feeds, tensors: Feeds) -> None:
        """Hold the inputs, and the tensors that were recorded for them, by ONNX name."""
        self.title = title
        self.feeds = dict(feeds)
        self._tensors = tensors
        self.names = tuple(dict.fromkeys([*feeds, *tensors]))

    def tensors(self, names: Iterable[str], feeds: Feeds) -> dict[str, np.ndarray]:
        """Return recorded tensors (see `Source`).

        Raises:
            UnknownName: a tensor was not recorded.
            GraphError: it was recorded for other inputs.
        """
        other = [n for n, v in feeds.items() if not np.array_equal(v, self.feeds.get(n, ()))]
        if other:
            raise GraphError(
                f"The tensors of {self.title} were recorded for other values of "
                f"{', '.join(map(repr, other))}. Feed the inputs that they were recorded for (its "
                "`feeds`)."
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


def _with_weights_in(whole: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Return a copy of the model whose large weights are in the file at `path`."""
    copy = skeleton(whole)
    large = [weight for weight in whole.graph.initializer if len(weight.raw_data) > HEAVY]
    copy.graph.initializer.extend(
        weight for weight in whole.graph.initializer if len(weight.raw_data) <= HEAVY
    )
    copy.graph.initializer.extend(external.write_weights(large, path, name=path.name))
    return copy
