"""The parts of an ONNX file as tables: what a ModelProto consists of.

`anatomy(model)` holds one pandas table for each part. Its `messages` are the six kinds of parts and
how they refer to each other. `op_histogram(model)` counts the operators.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import onnx
from google.protobuf.message import EncodeError

from onnxgraph.model import interface
from onnxgraph.model.external import nbytes
from onnxgraph.model.formatting import attribute_text, dtype_text, shape_text
from onnxgraph.model.graphs import graphs
from onnxgraph.model.nodes import node_name, op_name

if TYPE_CHECKING:
    import pandas

_MESSAGES = (
    ("ModelProto", "the file", "opsets, by domain and version"),
    ("GraphProto", "ModelProto; AttributeProto (branches and bodies)", "–"),
    ("NodeProto", "GraphProto", "tensors that it reads and writes, by name"),
    ("AttributeProto", "NodeProto", "–"),
    ("TensorProto", "GraphProto (initializers); AttributeProto", "a file beside it, if external"),
    ("ValueInfoProto", "GraphProto (inputs, outputs, inner tensors)", "the tensor that it types"),
)


def op_histogram(model: onnx.ModelProto) -> dict[str, int]:
    """Return operator name to count, the most frequent first (subgraphs included)."""
    counts = Counter(op_name(node) for graph in graphs(model.graph) for node in graph.node)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def arrows(model: onnx.ModelProto) -> list[tuple[str, str, str]]:
    """Return the connections of nodes in the main graph, as (from, to, tensor), without weights.

    Inputs and outputs appear by name, nodes by operator and name, as a small picture needs them.
    """
    graph = model.graph
    maker = {value.name: value.name for value in interface.fed(graph)}
    found = []
    for number, node in enumerate(graph.node):
        box = f"{node.op_type} {node.name or number}"
        found += [(maker[name], box, name) for name in node.input if name in maker]
        maker.update((name, box) for name in node.output if name)
    found += [
        (maker[v.name], v.name, "") for v in graph.output if maker.get(v.name, v.name) != v.name
    ]
    return found


def anatomy(model: onnx.ModelProto) -> "Anatomy":
    """Return the parts of the model, each as a table. The model is not changed."""
    return Anatomy(model)


@dataclass(frozen=True)
class Anatomy:
    """The parts of one model. Each property is a pandas DataFrame with a row for each thing."""

    proto: onnx.ModelProto = field(repr=False)

    @property
    def messages(self) -> "pandas.DataFrame":
        """The six messages of ONNX: the number of each, what contains them, what they refer to."""
        counts = Counter(type(each).__name__ for each in _messages(self.proto))
        rows = [
            {"message": name, "count": counts[name], "held by": held, "refers to": refers}
            for name, held, refers in _MESSAGES
        ]
        return _table(rows, "message")

    @property
    def model(self) -> "pandas.DataFrame":
        """The ModelProto's own fields: who wrote it, in which IR version and operator sets."""
        proto = self.proto
        rows = {
            "ir_version": proto.ir_version,
            "opset_import": _opsets(proto),
            "producer": f"{proto.producer_name} {proto.producer_version}".strip(),
            "domain": proto.domain,
            "doc_string": proto.doc_string,
            "metadata": ", ".join(f"{entry.key}={entry.value}" for entry in proto.metadata_props),
            "functions": len(proto.functions),
            "bytes": _bytes(proto),
        }
        return _table([{"field": key, "value": value} for key, value in rows.items()], "field")

    @property
    def graph(self) -> "pandas.DataFrame":
        """The GraphProto: the number of its parts of each kind."""
        graph = self.proto.graph
        parts = ("node", "input", "output", "initializer", "value_info")
        rows: list[dict] = [{"field": "name", "value": graph.name}]
        rows += [{"field": part, "value": len(getattr(graph, part))} for part in parts]
        return _table(rows, "field")

    @property
    def nodes(self) -> "pandas.DataFrame":
        """The nodes in order: operator, name, tensors read and written, attributes."""
        return _table(
            [
                {
                    "op": node.op_type,
                    "name": node.name,
                    "inputs": ", ".join(node.input),
                    "outputs": ", ".join(node.output),
                    "attributes": _attributes(node),
                }
                for node in self.proto.graph.node
            ]
        )

    @property
    def attributes(self) -> "pandas.DataFrame":
        """The attributes of the nodes, one per row: node, operator, name, type, value."""
        kinds = onnx.AttributeProto.AttributeType
        rows = [
            {
                "node": node_name(node),
                "op": node.op_type,
                "name": each.name,
                "type": kinds.Name(each.type) if each.type in kinds.values() else str(each.type),
                "value": attribute_text(each),
            }
            for node in self.proto.graph.node
            for each in node.attribute
        ]
        return _table(rows, columns=("node", "op", "name", "type", "value"))

    @property
    def inputs(self) -> "pandas.DataFrame":
        """The inputs that a caller feeds."""
        return _values(interface.fed(self.proto.graph))

    @property
    def outputs(self) -> "pandas.DataFrame":
        """The outputs."""
        return _values(self.proto.graph.output)

    @property
    def value_infos(self) -> "pandas.DataFrame":
        """The inner tensors whose dtype and shape are stated."""
        return _values(self.proto.graph.value_info)

    @property
    def initializers(self) -> "pandas.DataFrame":
        """The weights: dtype, shape, number of values, bytes."""
        rows = []
        for tensor in self.proto.graph.initializer:
            row = {"name": tensor.name, "dtype": interface.dtype(tensor.data_type)}
            row |= {
                "shape": shape_text(tuple(tensor.dims)),
                "values": math.prod(tensor.dims),
                "bytes": nbytes(tensor),
            }
            rows.append(row)
        return _table(rows, columns=("name", "dtype", "shape", "values", "bytes"))

    def __repr__(self) -> str:
        """Return the outline of the file: opsets, interface, counts, most frequent operators."""
        graph = self.proto.graph
        lines = [f"ModelProto · IR {self.proto.ir_version} · {_opsets(self.proto)}"]
        lines.append(f"└ GraphProto {graph.name!r}")
        for kind, values in (("input", interface.fed(graph)), ("output", graph.output)):
            for value in values:
                shape = shape_text(interface.dims(value))
                lines.append(f"   {kind:<7} {value.name}: {dtype_text(value)} {shape}")
        ops = ", ".join(f"{op} {count}" for op, count in list(op_histogram(self.proto).items())[:6])
        size = sum(map(nbytes, graph.initializer))
        lines.append(f"   nodes   {len(graph.node)} ({ops})")
        lines.append(f"   weights {len(graph.initializer)} initializers, {size:,} bytes")
        lines.append(f"   values  {len(graph.value_info)} inner tensors with a known shape")
        return "\n".join(lines)


def _messages(model: onnx.ModelProto) -> Iterator[Any]:
    """Yield every part of the file that is one of the six messages."""
    yield model
    for graph in graphs(model.graph):
        yield graph
        yield from (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
        for node in graph.node:
            yield node
            for attribute in node.attribute:
                yield attribute
                yield from [attribute.t] if attribute.HasField("t") else attribute.tensors


def _bytes(model: onnx.ModelProto) -> int:
    """Return the size of the file, or the sum of its parts above 2 GB, the limit of a message."""
    try:
        return model.ByteSize()
    except EncodeError:
        graph = model.graph
        parts = (*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info)
        return sum(part.ByteSize() for part in (*parts, *model.functions))


def _opsets(model: onnx.ModelProto) -> str:
    return ", ".join(f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import)


def _table(
    rows: list[dict], index: str = "", *, columns: Iterable[str] | None = None
) -> "pandas.DataFrame":
    import pandas

    frame = pandas.DataFrame(rows, columns=None if columns is None or rows else list(columns))
    return frame.set_index(index) if index else frame


def _values(values: Iterable[onnx.ValueInfoProto]) -> "pandas.DataFrame":
    rows = [
        {"name": value.name, "dtype": dtype_text(value), "shape": shape_text(interface.dims(value))}
        for value in values
    ]
    return _table(rows, columns=("name", "dtype", "shape"))


def _attributes(node: onnx.NodeProto) -> str:
    return ", ".join(f"{each.name}={attribute_text(each)}" for each in node.attribute)
