"""ONNX → GraphDef: each node's handler adds its ops to a plain graph, and the names are kept.

A table maps each op to its handler (`tfgraph.handlers`). The ops that a handler makes are in a name
scope of its ONNX node, so TensorFlow's names show where each op comes from.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from graphcore.errors import ConversionError, first_line
from onnxgraph.model.domains import domain, is_default, opsets
from onnxgraph.model.functions import inline_functions
from onnxgraph.model.nodes import op_name
from onnxgraph.model.sparse import dense_values
from tfgraph import framework
from tfgraph.graphs.frozen import LARGE, FrozenGraph
from tfgraph.names.naming import Names, legal
from tfgraph.names.onnx_names import names_after_onnx, rename, renamed
from tfgraph.obstacles import Obstacle, Unconvertible

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

    from tfgraph.handlers import Tensors


@dataclass(frozen=True)
class Built:
    """A GraphDef in NCHW, and its tensors and nodes by ONNX name.

    `inputs` and `outputs` map ONNX names to TensorFlow tensors ("name:0") in ONNX order. `tensors`
    does the same for every tensor that a node makes. `provenance` maps TensorFlow nodes and name
    scopes to the ONNX nodes that they come from. `obstacles` lists the nodes that could not be
    converted.
    """

    graph: FrozenGraph
    inputs: dict[str, str]
    outputs: dict[str, str]
    tensors: dict[str, str] = field(repr=False)
    provenance: dict[str, str] = field(repr=False)
    obstacles: tuple[Obstacle, ...] = ()

    @property
    def graph_def(self) -> "GraphDef":
        """The graph with its weights as constants."""
        return self.graph.graph_def


def is_known(model: onnx.ModelProto) -> Callable[[onnx.NodeProto], bool]:
    """Return a function that tells whether a node has a handler, at the model's opset."""
    from tfgraph import handlers

    versions = opsets(model)
    return lambda node: handlers.find(*_op(node, versions)) is not None


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model in the form that `build` takes: functions without a handler are inlined.

    Raises:
        GraphError: a function calls itself, or is missing.
    """
    return inline_functions(model, keep=is_known(model))


def build(model: onnx.ModelProto) -> Built:
    """Turn a prepared ONNX model into a graph.

    Raises:
        Unconvertible: ops have no handler, or handlers refused. The error names every such node.
    """
    built = attempt(model)
    if built.obstacles:
        raise Unconvertible(built.obstacles)
    return built


def attempt(model: onnx.ModelProto) -> Built:
    """Build as much of a model as possible. The result lists the nodes that failed as obstacles."""
    tf = framework.tensorflow()
    from tfgraph import handlers

    builder = _Builder(model)
    graph = tf.Graph()
    weights: dict[str, np.ndarray] = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(framework.no_garbage_collection())
        stack.enter_context(graph.as_default())
        stack.enter_context(framework.old_control_flow())
        stack.enter_context(framework.weights_apart(weights, least=LARGE))
        tensors = handlers.Tensors(_weights(model.graph), builder.named, subgraph=builder.subgraph)
        inputs = {}
        for value in model.graph.input:
            if not _is_tensor(value):
                builder.obstacles.append(builder.no_tensor("input", value))
                tensors.lost.add(value.name)
            elif value.name not in tensors.weights:
                tensors[value.name] = inputs[value.name] = _placeholder(tf, value)
        builder.run(model.graph, tensors)
        outputs = {}
        for value in model.graph.output:
            if value.name in tensors.lost:
                continue
            if not isinstance(tensors[value.name], tf.Tensor):
                builder.obstacles.append(builder.no_tensor("output", value))
                continue
            # An Identity of its own keeps the output's ONNX name, even if the optimiser folds the
            # rest.
            outputs[value.name] = tf.identity(tensors[value.name], name=legal(value.name))
    ends = [(tensor.op.name, name) for each in (inputs, outputs) for name, tensor in each.items()]
    graph_def = graph.as_graph_def()
    new_names = names_after_onnx([node.name for node in graph_def.node], ends, builder.named)
    rename(graph_def, new_names)
    made = {name: renamed(tensor, new_names) for name, tensor in builder.made.items()}
    taken, given = (
        {name: renamed(tensor.name, new_names) for name, tensor in each.items()}
        for each in (inputs, outputs)
    )
    return Built(
        FrozenGraph(graph_def, {new_names.get(n, n): weights[n] for n in weights}),
        taken,
        given,
        {**made, **taken, **given},
        builder.scopes
        | {tensor.partition(":")[0]: builder.makers[name] for name, tensor in made.items()},
        tuple(builder.obstacles),
    )


class _Builder:
    """Runs the handlers, and collects what they make and what they refuse."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.opsets = opsets(model)
        self.scope_names = Names()
        self.named: dict[str, str] = {}
        self.made: dict[str, str] = {}
        self.makers: dict[str, str] = {}
        self.scopes: dict[str, str] = {}
        self.obstacles: list[Obstacle] = []

    def run(self, graph: onnx.GraphProto, tensors: "Tensors", *, outside: bool = True) -> None:
        """Run every node's handler. In the main graph (`outside`) record the tensors by name.
        A refused node makes no tensors, so the nodes that need them are skipped without an
        obstacle.
        """
        tf = framework.tensorflow()
        from tfgraph.handlers import Lost

        for node in graph.node:
            called = label(node)
            scope = self.scope_names.legal(called)
            try:
                # With a trailing slash TensorFlow takes the scope as it is, instead of adding a
                # number.
                with tf.name_scope(scope + "/"):
                    results = self._results(node, tensors)
            except (Unconvertible, Lost) as error:
                self.obstacles += getattr(error, "obstacles", ())
                tensors.lost.update(node.output)
                continue
            for name, tensor in zip(node.output, results, strict=False):
                if name and tensor is not None:
                    tensors[name] = tensor
                    if outside and isinstance(tensor, tf.Tensor):
                        self.made[name] = tensor.name
                        self.named.setdefault(tensor.op.name, name)
                        self.makers[name] = called
            if outside:
                self.scopes[scope] = called

    def subgraph(
        self, graph: onnx.GraphProto, outer: "Tensors", inputs: Sequence[Any]
    ) -> list[Any]:
        """Add the nodes of a subgraph to the current graph and return its outputs."""
        tensors = outer.inner(_weights(graph))
        tensors.update(zip([value.name for value in graph.input], inputs, strict=False))
        before = len(self.obstacles)
        self.run(graph, tensors, outside=False)
        if inner := self.obstacles[before:]:
            del self.obstacles[before:]
            raise Unconvertible(inner)
        return [tensors[value.name] for value in graph.output]

    def no_tensor(self, role: str, value: onnx.ValueInfoProto) -> Obstacle:
        """Return the obstacle for an input or output that is not a tensor."""
        why = "is not a tensor but a sequence or an optional value, which no graph here can take"
        return Obstacle(
            value.name, role, self.opsets.get("", 1), why, "pass its elements as tensors"
        )

    def _results(self, node: onnx.NodeProto, tensors: "Tensors") -> list:
        """Return the node's outputs.

        Raises:
            Unconvertible: no handler knows the op, or its handler refused or failed.
            Lost: an input was not made.
        """
        from tfgraph import handlers

        name, op, version = _op(node, self.opsets)
        handler = handlers.find(name, op, version)
        if handler is None:
            raise Unconvertible([self._unknown(node)])
        try:
            return handler.handle(node, version, tensors)
        except (Unconvertible, handlers.Lost):
            raise
        except Exception as error:  # any error of a handler is reported at its node
            raise Unconvertible([_failed(node, version, tensors, error)]) from error

    def _unknown(self, node: onnx.NodeProto) -> Obstacle:
        why = "has no TensorFlow counterpart here"
        help_ = "replace it by other ops of ONNX with onnxgraph.replace, or cut the model around it"
        if not is_default(node):
            help_ = "add its definition to the model as a function, or export without it"
        opset = self.opsets.get(domain(node), 1)
        return Obstacle(label(node), op_name(node), opset, why, help_)


def _op(node: onnx.NodeProto, versions: dict[str, int]) -> tuple[str, str, int]:
    """Return the domain, the op and the op's version that apply to a node."""
    from tfgraph.handlers import version_of

    name = domain(node)
    return name, node.op_type, version_of(name, node.op_type, versions.get(name, 1))


def label(node: onnx.NodeProto) -> str:
    """Return a node's name or, if it has none, its op and first output."""
    return node.name or "_".join([node.op_type, *node.output[:1]])


def _weights(graph: onnx.GraphProto) -> dict[str, np.ndarray | onnx.TensorProto]:
    sparse = {tensor.values.name: dense_values(tensor) for tensor in graph.sparse_initializer}
    return {tensor.name: tensor for tensor in graph.initializer} | sparse


def _failed(node: onnx.NodeProto, version: int, tensors: "Tensors", error: Exception) -> Obstacle:
    """Return the obstacle for a node whose handler raised an error that is not a refusal."""
    said = first_line(error).partition(" for '{{node")[0]  # TensorFlow's own node follows
    why = f"cannot be converted: {type(error).__name__}: {said}"
    help_ = "run the model with onnxgraph.run_onnx to see whether the node fits its inputs"
    if strange := [name for name in node.input if _has_no_rank(tensors, name)]:
        why = f"takes {strange[0]!r}, whose number of axes is known only while the model runs"
        help_ = (
            "it comes out of a Squeeze without axes, or of an If whose branches differ in it "
            "(torch writes both for squeeze()): give the Squeeze its axes, or fix the sizes of "
            "the inputs with onnxgraph.fix_dims"
        )
    return Obstacle(label(node), node.op_type, version, why, help_)


def _has_no_rank(tensors: "Tensors", name: str) -> bool:
    shape = getattr(tensors.get(name), "shape", None)
    return getattr(shape, "rank", 0) is None


def _placeholder(tf: ModuleType, value: onnx.ValueInfoProto) -> Any:
    kind = value.type.tensor_type
    dims = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    shape = dims if kind.HasField("shape") else None
    try:
        return tf.compat.v1.placeholder(tf.as_dtype(dtype), shape, name=legal(value.name))
    except TypeError as error:
        raise ConversionError(
            f"The input {value.name!r} is {dtype.name}, a type that TensorFlow does not have; cut "
            "the model behind what casts it, with onnxgraph.cut."
        ) from error


def _is_tensor(value: onnx.ValueInfoProto) -> bool:
    return value.type.WhichOneof("value") == "tensor_type"
