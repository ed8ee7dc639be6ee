"""ONNX → GraphDef: onnx-tf's handlers, called node by node inside a plain graph, names kept.

Its own entry points let AutoGraph rewrite every handler, which takes nearly all of the time of a
conversion; a name scope for each ONNX node gives the same graph without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import onnx
from onnx import numpy_helper

from nbhelpers.convert import compat
from nbhelpers.convert.naming import Names
from nbhelpers.errors import ConversionError

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

    from nbhelpers.convert.handlers import Tensors

HandlerTable: TypeAlias = dict[str, dict[str, Any]]
"""Domain → op → onnx-tf's handler class."""


@dataclass(frozen=True)
class Built:
    """A GraphDef in NCHW and how ONNX tensors are called in it.

    `inputs` and `outputs` map ONNX names to TensorFlow tensors ("name:0") in ONNX order, `tensors`
    does so for every tensor that a node makes. `origins` maps TensorFlow nodes and name scopes to
    the ONNX nodes that they come from.
    """

    graph_def: "GraphDef"
    inputs: dict[str, str]
    outputs: dict[str, str]
    tensors: dict[str, str] = field(repr=False)
    origins: dict[str, str] = field(repr=False)


def is_known(model: onnx.ModelProto) -> Callable[[onnx.NodeProto], bool]:
    """Return a function that says whether a node has a handler, at the model's opset."""
    compat.load()
    builder = _Builder(model)
    return lambda node: builder.handler(node) is not None


def build(model: onnx.ModelProto) -> Built:
    """Turn a prepared ONNX model into a GraphDef.

    Raises:
        ConversionError: ops have no handler, or handlers refused; every such node is named.
    """
    compat.load()
    tf = compat.tensorflow()
    from nbhelpers.convert import handlers

    builder = _Builder(model)
    names = builder.names
    graph = tf.Graph()
    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    with graph.as_default(), compat.nchw_convolutions(), compat.old_control_flow():
        tensors = handlers.Tensors(weights, names, subgraph=builder.subgraph)
        inputs = {}
        for value in model.graph.input:
            if value.name not in tensors.weights:
                tensors[value.name] = inputs[value.name] = _placeholder(tf, value, names)
        builder.run(model.graph, tensors)
        builder.refuse()
        outputs = {}
        for value in model.graph.output:
            if not isinstance(tensors[value.name], tf.Tensor):
                raise ConversionError(_not_a_tensor("output", value))
            # An Identity of its own gives the output ONNX's name, whatever the optimiser folds.
            outputs[value.name] = tf.identity(tensors[value.name], name=names.legal(value.name))
    graph_def, renamed = _named_after_onnx(graph.as_graph_def(), builder.made, names)
    for node in graph_def.node:
        node.device = ""
    return Built(
        graph_def,
        {name: tensor.name for name, tensor in inputs.items()},
        {name: tensor.name for name, tensor in outputs.items()},
        {**renamed, **{name: tensor.name for name, tensor in (inputs | outputs).items()}},
        builder.scopes
        | {tensor.partition(":")[0]: builder.makers[name] for name, tensor in renamed.items()},
    )


class _Builder:
    """Runs the handlers; collects what they make and what they refuse."""

    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx_tf.common.handler_helper import get_all_backend_handlers

        from nbhelpers.convert import handlers  # noqa: F401 (registers ours)

        opsets = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}
        self.table: HandlerTable = get_all_backend_handlers(opsets)
        self.opset = opsets.get("", 1)
        self.names = Names()
        self.made: dict[str, str] = {}
        self.makers: dict[str, str] = {}
        self.scopes: dict[str, str] = {}
        self.refusals: list[str] = []

    def run(self, graph: onnx.GraphProto, tensors: "Tensors", *, outside: bool = True) -> None:
        """Run every node's handler; the tensors of the graph itself (`outside`) are noted by name.

        A node that is refused makes nothing, and so nothing is said of those that need it.
        """
        tf = compat.tensorflow()
        lost: set[str] = set()
        for node in graph.node:
            label = node.name or f"{node.op_type}_{node.output[0]}"
            scope = self.names.legal(label)
            handler = self.handler(node)
            if handler is None:
                self.refusals.append(self._unknown(node))
            if handler is None or lost.intersection(node.input):
                lost.update(node.output)
                continue
            try:
                # A trailing slash takes the scope as it is: TensorFlow would add a number.
                with tf.name_scope(scope + "/"):
                    results = _results(handler, node, tensors)
            except ConversionError as error:
                self.refusals.append(str(error))
                lost.update(node.output)
                continue
            for name, tensor in zip(node.output, results, strict=False):
                if name and tensor is not None:
                    tensors[name] = tensor
                    if outside and isinstance(tensor, tf.Tensor):
                        self.made[name] = tensor.name
                        self.makers[name] = label
            if outside:
                self.scopes[scope] = label

    def subgraph(
        self, graph: onnx.GraphProto, outer: "Tensors", inputs: Sequence[Any]
    ) -> list[Any]:
        """Add the nodes of a subgraph to the current graph and return its outputs."""
        tensors = outer.inner({w.name: numpy_helper.to_array(w) for w in graph.initializer})
        tensors.update(zip([value.name for value in graph.input], inputs, strict=False))
        before = len(self.refusals)
        self.run(graph, tensors, outside=False)
        if len(self.refusals) > before:
            raise ConversionError(self.refusals.pop())
        return [tensors[value.name] for value in graph.output]

    def refuse(self) -> None:
        """Raise one error for all that was refused."""
        if not self.refusals:
            return
        if len(self.refusals) == 1:
            raise ConversionError(self.refusals[0])
        more = f"; and {len(self.refusals) - 10} more" if len(self.refusals) > 10 else ""
        raise ConversionError(
            f"{len(self.refusals)} ONNX nodes cannot be converted: "
            f"{'; '.join(self.refusals[:10])}{more}"
        )

    def handler(self, node: onnx.NodeProto) -> Any:
        """Return the handler of a node, or None."""
        from nbhelpers.convert.handlers import knows

        found = self.table.get(_domain(node), {}).get(node.op_type)
        return found if found is not None and knows(found) else None

    def _unknown(self, node: onnx.NodeProto) -> str:
        op = ".".join(filter(None, [_domain(node), node.op_type]))
        what = "no TensorFlow counterpart here"
        if node.op_type in self.table.get(_domain(node), {}):
            what += f" as opset {self.opset} defines it"
        return f"ONNX node {node.name or node.output[0]!r} ({op}) has {what}"


def _domain(node: onnx.NodeProto) -> str:
    return "" if node.domain == "ai.onnx" else node.domain


def _results(handler: Any, node: onnx.NodeProto, tensors: "Tensors") -> list:
    """Return the node's outputs.

    Raises:
        ConversionError: the handler refused, or failed in some way of its own.
    """
    from onnx_tf.pb_wrapper import OnnxNode

    try:
        return handler.handle(OnnxNode(node), tensor_dict=tensors, strict=True)
    except ConversionError:
        raise
    except Exception as error:  # whatever a foreign handler raises, the node is to blame
        said = str(error).splitlines()[0] if str(error) else "no message"
        raise ConversionError(
            f"ONNX node {node.name!r} ({node.op_type}) cannot be converted: "
            f"{type(error).__name__}: {said}"
        ) from error


def _placeholder(tf: ModuleType, value: onnx.ValueInfoProto, names: Names) -> Any:
    if value.type.WhichOneof("value") != "tensor_type":
        raise ConversionError(_not_a_tensor("input", value))
    kind = value.type.tensor_type
    dims = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    shape = dims if kind.HasField("shape") else None
    return tf.compat.v1.placeholder(dtype, shape, name=names.legal(value.name))


def _not_a_tensor(role: str, value: onnx.ValueInfoProto) -> str:
    return (
        f"The model's {role} {value.name!r} is not a tensor but a sequence or an optional value; "
        "TensorFlow has none in a graph. Pass its elements as tensors of their own."
    )


def _named_after_onnx(
    graph_def: "GraphDef", made: dict[str, str], names: Names
) -> tuple["GraphDef", dict[str, str]]:
    """Rename each TensorFlow node after the ONNX tensor that it makes, where it makes just one.

    So `/layer1/relu/Relu_output_0` is found under that name (made legal) in every later graph.
    """
    existing = {node.name for node in graph_def.node}
    owners: dict[str, str] = {}
    for onnx_name, tensor in made.items():
        owners.setdefault(tensor.partition(":")[0], onnx_name)
    kept = {name for name in names.taken if name in existing}  # placeholders, weights, outputs
    new_names = {
        node: names.legal(onnx_name)
        for node, onnx_name in owners.items()
        if node in existing and node not in kept
    }
    for node in graph_def.node:
        node.name = new_names.get(node.name, node.name)
        for index, text in enumerate(node.input):
            control, source, port = text[:1] == "^", *_split(text.lstrip("^"))
            if source in new_names:
                node.input[index] = ("^" if control else "") + new_names[source] + port
        if "_class" in node.attr:  # colocation: it names nodes too, and is not needed
            del node.attr["_class"]
    renamed = {}
    for onnx_name, tensor in made.items():
        node, _, port = tensor.partition(":")
        renamed[onnx_name] = f"{new_names.get(node, node)}:{port}"
    return graph_def, renamed


def _split(reference: str) -> tuple[str, str]:
    node, colon, port = reference.partition(":")
    return node, colon + port
