"""The table of handlers, how to register one, and its arguments: a node and the node's inputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
import tensorflow as tf
from tensorflow.python.client.pywrap_tf_session import (
    TF_TryEvaluateConstant_wrapper,
)

from onnxgraph.model import external
from onnxgraph.model.nodes import attributes
from tfgraph.names.naming import legal
from tfgraph.obstacles import Obstacle, Unconvertible, split_reason

Value: TypeAlias = tf.Tensor | np.ndarray
"""A tensor of the graph, or a weight that has not entered it."""


class Lost(Exception):
    """A tensor was asked for that does not exist because its node was refused."""


class Tensors(dict):
    """ONNX tensor name to TensorFlow tensor, where weights become constants when first asked for.

    Our handlers take weights as arrays and write them in the layout that TensorFlow needs. An array
    that no other handler asks for never enters the graph.
    """

    def __init__(
        self,
        weights: dict[str, np.ndarray | onnx.TensorProto],
        named: dict[str, str],
        *,
        outer: "Tensors | None" = None,
        subgraph: "Callable[[onnx.GraphProto, Tensors, Sequence[tf.Tensor]], list] | None" = None,
    ) -> None:
        """Start with the model's `weights`. `named` records the nodes of their constants.
        A subgraph (for example the branch of an If) sees the tensors of the graph around it,
        `outer`.
        """
        super().__init__()
        self.weights = weights
        self.lost: set[str] = set()
        self._named = named
        self._outer = outer
        self._subgraph = subgraph
        self._graph = tf.compat.v1.get_default_graph()
        self._context = self._graph._get_control_flow_context()

    def __contains__(self, name: object) -> bool:
        """Whether `name` is a made tensor or a weight, here or in the graph around this one."""
        return (
            super().__contains__(name)
            or name in self.weights
            or (self._outer is not None and name in self._outer)
        )

    def __missing__(self, name: str) -> tf.Tensor:
        """Make the constant for a weight, outside any name scope.

        It belongs to the graph of this store, even if a loop or a branch is the first to ask for
        it.
        """
        if name in self.lost:
            raise Lost(name)
        if name not in self.weights and self._outer is not None:
            return self._outer[name]
        value = self._weight(name)
        graph = self._graph
        with graph.as_default(), graph.control_dependencies(None), graph.name_scope(None):
            graph._set_control_flow_context(self._context)
            self[name] = made = tf.constant(value, name=legal(name))
        self._named[made.op.name] = name
        return made

    def get(self, name: str, default: object = None) -> object:
        """Return the tensor, as `dict.get` does, which would not see the weights."""
        return self[name] if name in self else default  # noqa: SIM401 (it would call itself)

    def array(self, name: str) -> Value:
        """Return a weight as an array outside the graph, or else the tensor."""
        if name in self.weights:
            return self._weight(name)
        if not super().__contains__(name) and self._outer is not None:
            return self._outer.array(name)
        return self[name]

    def run(self, graph: onnx.GraphProto, inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Add the nodes of a subgraph here and return its outputs."""
        assert self._subgraph is not None
        return self._subgraph(graph, self, inputs)

    def _weight(self, name: str) -> np.ndarray:
        value = self.weights[name]
        return value if isinstance(value, np.ndarray) else external.values(value)

    def inner(self, weights: dict[str, np.ndarray | onnx.TensorProto]) -> "Tensors":
        """Return an empty store for a subgraph, which sees this one."""
        return Tensors(weights, self._named, outer=self, subgraph=self._subgraph)


@dataclass(frozen=True)
class Node:
    """An ONNX node as a handler sees it.

    `attrs` maps attribute names to values (strings as str). `since` is the op's version, which is
    the newest that is not newer than the model's opset. `tensors` are those made so far.
    """

    proto: onnx.NodeProto
    attrs: Mapping[str, Any]
    since: int
    tensors: Tensors

    @property
    def name(self) -> str:
        """The node's name, or that of its first output."""
        return self.proto.name or self.proto.output[0]

    @property
    def op_type(self) -> str:
        """The ONNX op."""
        return self.proto.op_type

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs, with "" for one that is left out."""
        return list(self.proto.output)

    def wants(self, index: int) -> bool:
        """Whether the model uses an output."""
        return len(self.proto.output) > index and bool(self.proto.output[index])


@dataclass(frozen=True)
class Handler:
    """The function that turns the nodes of one op into TensorFlow ops.

    `convert` takes the node and its inputs. Those whose positions are in `as_arrays` are numpy
    arrays if they are weights.
    """

    convert: Callable
    as_arrays: tuple[int, ...]

    def handle(self, proto: onnx.NodeProto, since: int, tensors: Tensors) -> list:
        """Add the TensorFlow ops of a node to the current graph, and return its outputs."""
        inputs = [
            None if not name else tensors.array(name) if place in self.as_arrays else tensors[name]
            for place, name in enumerate(proto.input)
        ]
        result = self.convert(Node(proto, attributes(proto), since, tensors), *inputs)
        return list(result) if isinstance(result, list | tuple) else [result]


HANDLERS: dict[tuple[str, str, int], Handler] = {}
"""(domain, op, first version of the op) → its handler.

It also serves later versions, up to the next one in the table.
"""

SMALL = 64
"""Integers are evaluated while the graph is built if there are at most this many elements."""


def constant(value: Value | None) -> np.ndarray | None:
    """Return a value that is known while the graph is being built, else None."""
    if value is None or isinstance(value, np.ndarray):
        return value
    known = getattr(value.graph, "weights", {}).get(value.op.name)
    known = tf.get_static_value(value) if known is None else known
    small = value.dtype.is_integer or value.dtype.is_bool
    if known is not None or not small or (value.shape.num_elements() or SMALL + 1) > SMALL:
        return known
    with value.graph._c_graph.get() as graph:  # for example, computed from sizes
        return TF_TryEvaluateConstant_wrapper(graph, value._as_tf_output())


def refusal(node: Node, reason: str) -> Unconvertible:
    """Return the error to raise for a node.

    `reason` continues the sentence after the node's name. It says why the node is refused and,
    after a semicolon or a full stop, what would help.
    """
    return Unconvertible([Obstacle(node.name, node.op_type, node.since, *split_reason(reason))])


def register(
    *ops: str, since: int = 1, as_arrays: Sequence[int] = (), domain: str = ""
) -> Callable[[Callable], Callable]:
    """Make a function the handler of some ONNX ops.

    The function takes the node and its inputs (None for one that is left out). It returns a tensor,
    or one for each output. Inputs are tensors. Those whose positions are in `as_arrays` are numpy
    arrays if they are weights, so that the handler can write them in another layout.

    Args:
        ops: the ops, which are named in `node.op_type`.
        since: the first version of the ops that the function serves. It also serves all later ones,
            up to the first for which another function is registered.
        as_arrays: positions of inputs.
        domain: the domain of the ops, by default ONNX's own.
    """

    def decorate(convert: Callable) -> Callable:
        for op in ops:
            HANDLERS[domain, op, since] = Handler(convert, tuple(as_arrays))
        return convert

    return decorate


def find(domain: str, op: str, version: int) -> Handler | None:
    """Return the handler that serves a version of an op, or None."""
    versions = ((domain, op, since) for since in range(version, 0, -1))
    return next((HANDLERS[each] for each in versions if each in HANDLERS), None)


def version_of(domain: str, op: str, opset: int) -> int:
    """Return the newest version of an op that is not newer than the opset.

    It is 1 for an op that ONNX does not define.
    """
    try:
        return onnx.defs.get_schema(op, opset, domain).since_version
    except onnx.defs.SchemaError:
        return 1
