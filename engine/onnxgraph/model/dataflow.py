"""Which tensors of the main graph each tensor is computed from, and how to cut out a part.

Weights do not count as tensors here: only inputs, and outputs of nodes.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from graphcore.copies import copy_of
from onnxgraph.model import interface
from onnxgraph.model.graphs import subgraphs
from onnxgraph.model.nodes import node_name
from onnxgraph.model.tensor_sizes import sized_tensors


@dataclass(frozen=True)
class Dataflow:
    """The tensors of a main graph in the order of computation, and what each is computed from.

    `sources` maps each tensor to those that its node reads, including those captured by subgraphs.
    `readers` is the reverse. `makers` maps a tensor to its node (inputs have none).
    """

    order: tuple[str, ...]
    outputs: tuple[str, ...]
    sources: Mapping[str, tuple[str, ...]] = field(repr=False)
    readers: Mapping[str, tuple[str, ...]] = field(repr=False)
    makers: Mapping[str, onnx.NodeProto] = field(repr=False)

    def op(self, name: str) -> str:
        """Return the op that makes a tensor, or "input"."""
        return self.makers[name].op_type if name in self.makers else "input"

    def node(self, name: str) -> str:
        """Return the node that makes a tensor: its name, or that of its first output."""
        if name not in self.makers:
            return ""
        return node_name(self.makers[name])

    def before(self, name: str, stop: Collection[str] = ()) -> tuple[set[str], set[str]]:
        """Return (all tensors between, the `stop`s reached) on the way back from a tensor."""
        return _walk(self.sources, name, stop)

    def after(self, name: str, stop: Collection[str] = ()) -> tuple[set[str], set[str]]:
        """Return (all tensors between, the `stop`s reached) on the way forward from a tensor."""
        return _walk(self.readers, name, stop)

    def sorted(self, names: Iterable[str]) -> list[str]:
        """Return tensors in the order of computation."""
        wanted = set(names)
        return [name for name in self.order if name in wanted]


def dataflow(model: onnx.ModelProto) -> Dataflow:
    """Return the dataflow of a model's main graph."""
    inputs = [value.name for value in interface.fed(model.graph)]
    sources: dict[str, tuple[str, ...]] = dict.fromkeys(inputs, ())
    makers: dict[str, onnx.NodeProto] = {}
    readers: dict[str, list[str]] = {}
    for node in model.graph.node:
        read = tuple(name for name in reads(node) if name in sources)
        for name in filter(None, node.output):
            sources[name], makers[name] = read, node
            for each in read:
                readers.setdefault(each, []).append(name)
    return Dataflow(
        tuple(sources),
        tuple(value.name for value in model.graph.output),
        sources,
        {name: tuple(found) for name, found in readers.items()},
        makers,
    )


def reads(node: onnx.NodeProto) -> list[str]:
    """Return every tensor that a node reads, each once.

    This includes outer tensors that its subgraphs read.
    """
    found = dict.fromkeys(filter(None, node.input))
    for graph in subgraphs(node):
        found |= dict.fromkeys(name for one in graph.node for name in one.input if name)
        found |= dict.fromkeys(value.name for value in graph.output)
    return list(found)


def needed_for(
    graph: onnx.GraphProto,
    ends: Iterable[str],
    *,
    given: Collection[str] = (),
    keep: Collection[str] = (),
) -> tuple[list[int], set[str]]:
    """Return the positions of the nodes that compute tensors, and all tensors involved.

    Args:
        graph: a graph whose nodes are in an order of computation.
        ends: the tensors to compute. They are among the tensors involved.
        given: tensors before which nothing is needed.
        keep: names of nodes that are needed in any case.
    """
    places, needed, given = [], set(ends), set(given)
    for place in reversed(range(len(graph.node))):
        node = graph.node[place]
        if needed.intersection(node.output) - given or node_name(node) in keep:
            places.append(place)
            needed.update(reads(node))
    return places[::-1], needed


def piece(
    model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], outputs: Iterable[str]
) -> onnx.ModelProto:
    """Return the smallest model that computes `outputs` when `feeds` are fed.

    Args:
        model: the whole model. It is not changed.
        feeds: tensors that are given, also inner ones. Those that are not needed are left out.
        outputs: tensors to compute. One that is fed is passed through.

        The result has no shapes except those of the inputs that it keeps. A tensor that is neither
        fed nor computed remains an input.
    """
    outputs = list(outputs)
    places, needed = needed_for(model.graph, outputs, given=feeds)
    result = onnx.ModelProto(ir_version=max(model.ir_version, 4))
    result.opset_import.MergeFrom(model.opset_import)
    result.functions.MergeFrom(model.functions)
    graph = result.graph
    graph.name = model.graph.name or "piece"
    given = [name for name in feeds if name in needed]
    graph.input.extend(_typed(name, feeds[name]) for name in given)
    fed = {value.name for value in interface.fed(model.graph)}.difference(feeds)
    graph.input.extend(v for v in model.graph.input if v.name in needed and v.name in fed)
    kept: Callable[[str], bool] = lambda name: name in needed and name not in feeds  # noqa: E731
    graph.initializer.extend(w for w in model.graph.initializer if kept(w.name))
    graph.sparse_initializer.extend(
        w for w in model.graph.sparse_initializer if kept(w.values.name)
    )
    graph.node.extend(model.graph.node[place] for place in places)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return result


def tensor_bytes(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Return the size in bytes of each tensor for these inputs, where ONNX's inference knows it.

    Args:
        model: a model, whose large weights may be left out.
        feeds: the arrays to feed. Their shapes replace symbolic dims.
    """
    copy = copy_of(model)
    del copy.graph.value_info[:]
    sizes = sized_tensors(copy, {name: np.shape(value) for name, value in feeds.items()})
    return {value.name: size for value, size in sizes}


def _typed(name: str, value: np.ndarray) -> onnx.ValueInfoProto:
    value = np.asarray(value)
    kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    return onnx.helper.make_tensor_value_info(name, kind, value.shape)


def _walk(
    arrows: Mapping[str, tuple[str, ...]], start: str, stop: Collection[str]
) -> tuple[set[str], set[str]]:
    inner: set[str] = set()
    border: set[str] = set()
    waiting = list(arrows.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name in stop:
            border.add(name)
        elif name not in inner:
            inner.add(name)
            waiting += arrows.get(name, ())
    return inner, border
