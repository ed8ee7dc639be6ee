"""Run an ONNX model with onnxruntime, the referee of every step.

`run_onnx` is one call. `Runner` keeps the session for several. Any number of inner tensors can be
fetched: each becomes one more output of a copy. If onnxruntime has no kernel (as for many ops in
double precision and bfloat16), ONNX's reference evaluator runs the model.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx

from graphcore.copies import copy_of
from graphcore.errors import GraphError, unknown_name
from graphcore.spec import TensorSpec
from onnxgraph.model import external, interface
from onnxgraph.model.entry_check import checked
from onnxgraph.model.files import load
from onnxgraph.running.referees import open_session
from onnxgraph.running.sessions import NoKernel, ReferenceSession


@checked
def run_onnx(
    model: onnx.ModelProto | str | Path,
    feeds: Mapping[str, np.ndarray],
    *,
    fetch: Iterable[str] | None = None,
) -> dict[str, np.ndarray]:
    """Run the model once and return its outputs by name, in ONNX order.

    Args:
        model: a model, or its path.
        feeds: input name to array, of the dtype and shape that the model states.
        fetch: names of the tensors to return instead of the outputs, including inner ones.

    Raises:
        UnknownName: an input or a tensor to fetch does not exist. The message gives the closest
            names.
        GraphError: an array does not fit its input, or onnxruntime refuses the model.
    """
    return Runner(model, fetch=fetch).run(feeds)


class Runner:
    """An onnxruntime session on the CPU, opened once and run any number of times.

    `referee` is the name of what runs the model.
    """

    @checked
    def __init__(
        self,
        model: onnx.ModelProto | str | Path,
        *,
        fetch: Iterable[str] | None = None,
        few_runs: bool = False,
    ) -> None:
        """Open the session (see `run_onnx` for the other arguments and the errors).

        With `few_runs` it needs half the memory, and frees all of it, but each run is slower.
        """
        model = model if isinstance(model, onnx.ModelProto) else load(model)
        self.inputs = interface.inputs(model)
        own = [value.name for value in model.graph.output]
        self.fetch = tuple(own if fetch is None else dict.fromkeys(fetch))
        # Their values are known without a run, and onnxruntime cannot return them as outputs.
        self._weights = {
            tensor.name: external.values(tensor)
            for tensor in model.graph.initializer
            if tensor.name in self.fetch and tensor.name not in own
        }
        given = {spec.name for spec in self.inputs} | set(self._weights)
        self._run = [name for name in self.fetch if name in own or name not in given]
        extra = [name for name in self._run if name not in own]
        self._model = expose(model, extra) if extra else model
        self._session = open_session(self._model, few_runs=few_runs)

    @property
    def referee(self) -> str:
        """The name of what runs the model: onnxruntime, or ONNX's reference evaluator."""
        return self._session.title

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the fetched tensors by name for one set of inputs."""
        arrays = {name: np.asarray(value) for name, value in feeds.items()}
        check_feeds(self.inputs, arrays)
        found = dict(self._weights)
        found.update((name, arrays[name]) for name in self.fetch if name in arrays)
        if self._run:
            found.update(zip(self._run, self._ran(arrays), strict=True))
        return {name: found[name] for name in self.fetch}

    def _ran(self, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        try:
            return self._session.run(self._run, arrays)
        except NoKernel:  # such as an input of bfloat16
            self._session = ReferenceSession(self._model)
            return self._session.run(self._run, arrays)


def expose(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """Return a copy of the model in which the named inner tensors are outputs, after its own.

    Raises:
        UnknownName: the main graph computes no tensor of that name.
    """
    copy = copy_of(model)
    made = tensor_names(model)
    for name in names:
        if name not in made:
            raise unknown_name("tensor in the ONNX graph", name, made)
        # No type is given, because onnxruntime infers it even where ONNX's inference cannot.
        copy.graph.output.append(onnx.ValueInfoProto(name=name))
    return copy


def tensor_names(model: onnx.ModelProto) -> list[str]:
    """Return the names of all tensors of the main graph: inputs, weights, then in the order of
    computation.
    """
    graph = model.graph
    names = [value.name for value in graph.input] + [tensor.name for tensor in graph.initializer]
    names += [tensor.values.name for tensor in graph.sparse_initializer]
    names += [name for node in graph.node for name in node.output if name]
    return list(dict.fromkeys(names))


def check_feeds(specs: Iterable[TensorSpec], feeds: Mapping[str, np.ndarray]) -> None:
    """Check that the arrays fit the inputs.

    Raises:
        UnknownName: there is no input of that name.
        GraphError: an input is not fed, or its array has another dtype or shape.
    """
    wanted = {spec.name: spec for spec in specs}
    for name in feeds:
        if name not in wanted:
            raise unknown_name("input", name, wanted)
    for name, spec in wanted.items():
        if name not in feeds:
            raise GraphError(f"The input {name!r} ({spec}) was not fed.")
        array = feeds[name]
        if spec.dtype != "str" and array.dtype.name != spec.dtype:
            raise GraphError(
                f"The input {name!r} must be {spec.dtype}, but the array is {array.dtype}. "
                f"Convert it with .astype({spec.dtype!r})."
            )
        fits = len(array.shape) == len(spec.shape) and all(
            isinstance(want, str) or want == seen
            for want, seen in zip(spec.shape, array.shape, strict=True)
        )
        if not fits:
            shape = ", ".join(map(str, spec.shape))
            raise GraphError(
                f"The input {name!r} must have the shape ({shape}), but the array has "
                f"{array.shape}."
            )
