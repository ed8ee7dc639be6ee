"""ONNX → GraphDef: onnx-tf's handlers, called node by node inside a plain graph, names kept.

Its own entry points let AutoGraph rewrite every handler, which takes nearly all of the time of a
conversion; a name scope for each ONNX node gives the same graph without it.
"""

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

NEWEST_OPSET = 15
"""The newest opset that onnx-tf 1.10 knows."""


@dataclass(frozen=True)
class Built:
    """A GraphDef in NCHW and how ONNX tensors are called in it.

    `inputs` and `outputs` map ONNX names to TensorFlow tensors ("name:0") in ONNX order, `tensors`
    does so for every tensor that a node makes; `scopes` maps ONNX nodes to their name scopes.
    """

    graph_def: "GraphDef"
    inputs: dict[str, str]
    outputs: dict[str, str]
    tensors: dict[str, str] = field(repr=False)
    scopes: dict[str, str] = field(repr=False)

    def origins(self) -> dict[str, str]:
        """Return TensorFlow node or name scope → the ONNX tensor or node that it came from."""
        nodes = {tensor.partition(":")[0]: name for name, tensor in self.tensors.items()}
        return nodes | {scope: name for name, scope in self.scopes.items()}


def build(model: onnx.ModelProto) -> Built:
    """Turn a prepared ONNX model into a GraphDef.

    Raises:
        ConversionError: an op has no handler, or a handler refused; the sentence names the node.
    """
    compat.load()
    tf = compat.tensorflow()
    from onnx_tf.common.handler_helper import get_all_backend_handlers

    from nbhelpers.convert import handlers  # registers ours

    opsets = {entry.domain: entry.version for entry in model.opset_import}
    table = get_all_backend_handlers(opsets)
    _refuse_unknown(model, opsets, table)
    names = Names()
    graph = tf.Graph()
    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    tensors = handlers.Tensors(weights, names)
    with graph.as_default(), compat.nchw_convolutions():
        inputs = {}
        for value in model.graph.input:
            if value.name not in tensors.weights:
                tensors[value.name] = inputs[value.name] = _placeholder(tf, value, names)
        made, scopes = _run_handlers(tf, model, table, tensors, names)
        outputs = {}
        for value in model.graph.output:
            # An Identity of its own gives the output ONNX's name, whatever the optimiser folds.
            outputs[value.name] = tf.identity(tensors[value.name], name=names.legal(value.name))
    graph_def, renamed = _named_after_onnx(graph.as_graph_def(), made, names)
    for node in graph_def.node:
        node.device = ""
    return Built(
        graph_def,
        {name: tensor.name for name, tensor in inputs.items()},
        {name: tensor.name for name, tensor in outputs.items()},
        {**renamed, **{name: tensor.name for name, tensor in (inputs | outputs).items()}},
        scopes,
    )


def _run_handlers(
    tf: ModuleType,
    model: onnx.ModelProto,
    table: HandlerTable,
    tensors: "Tensors",
    names: Names,
) -> tuple[dict[str, str], dict[str, str]]:
    """Run every node's handler; return ONNX tensor → TensorFlow tensor, and ONNX node → scope."""
    from onnx_tf.pb_wrapper import OnnxNode

    made, scopes = {}, {}
    for node in model.graph.node:
        onnx_node = OnnxNode(node)
        label = node.name or f"{node.op_type}_{node.output[0]}"
        scope = scopes[label] = names.legal(label)
        handler = table[node.domain][node.op_type]
        try:
            # A trailing slash takes the scope as it is: TensorFlow would add a number of its own.
            with tf.name_scope(scope + "/"):
                results = handler.handle(onnx_node, tensor_dict=tensors, strict=True)
        except ConversionError:
            raise
        except Exception as error:  # whatever a foreign handler raises, the node is to blame
            said = str(error).splitlines()[0] if str(error) else "no message"
            raise ConversionError(
                f"ONNX node {node.name!r} ({node.op_type}) cannot be converted: "
                f"{type(error).__name__}: {said}"
            ) from error
        for name, tensor in zip(node.output, results, strict=False):
            if name and tensor is not None:
                tensors[name] = tensor
                made[name] = tensor.name
    return made, scopes


def _placeholder(tf: ModuleType, value: onnx.ValueInfoProto, names: Names) -> Any:
    kind = value.type.tensor_type
    dims = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    shape = dims if kind.HasField("shape") else None
    return tf.compat.v1.placeholder(dtype, shape, name=names.legal(value.name))


def _refuse_unknown(model: onnx.ModelProto, opsets: dict[str, int], table: HandlerTable) -> None:
    """Refuse an opset or ops that no handler knows, naming every such node at once."""
    opset = opsets.get("", opsets.get("ai.onnx", 0))
    if opset > NEWEST_OPSET:
        raise ConversionError(
            f"The model uses opset {opset}; the converter knows up to {NEWEST_OPSET}. Export it "
            "again with opset 13 (nbhelpers.train.export_onnx(..., opset=13))."
        )
    unknown = []
    for node in model.graph.node:
        handler = table.get(node.domain, {}).get(node.op_type)
        if handler is None:
            op = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            unknown.append(f"{node.name or node.output[0]} ({op})")
    if unknown:
        more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
        raise ConversionError(
            f"{len(unknown)} ONNX nodes have no TensorFlow counterpart here: "
            f"{', '.join(unknown[:10])}{more}."
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
