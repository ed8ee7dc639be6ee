"""Weights: their sizes, how they are stored, and how to give one another value.

A weight is an initializer or the value of a Constant node, in the main graph or inside a branch.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from graphcore.enumeration import listed
from graphcore.errors import GraphError, unknown_name
from onnxgraph.editing.finishing import add_constant
from onnxgraph.editing.result import Edited, copied, rewired
from onnxgraph.editing.rewire import replace_input
from onnxgraph.model import interface
from onnxgraph.model.domains import is_default
from onnxgraph.model.entry_check import checked
from onnxgraph.model.graphs import graphs
from onnxgraph.model.nodes import node_name, nodes, titled

if TYPE_CHECKING:
    import pandas

_COLUMNS = ("name", "dtype", "shape", "values", "bytes", "share", "stored", "readers")

_LISTS = {
    "value_float": (np.float32, False),
    "value_floats": (np.float32, True),
    "value_int": (np.int64, False),
    "value_ints": (np.int64, True),
}
"""Attributes in which a Constant node may hold plain numbers: dtype, and whether it is a list."""


@dataclass(frozen=True)
class Weight:
    """One weight: the tensor itself, or the attribute of a Constant node."""

    name: str
    held: onnx.TensorProto | onnx.AttributeProto
    stored: str

    @property
    def dtype(self) -> int:
        """ONNX's number of the dtype."""
        if isinstance(self.held, onnx.TensorProto):
            return self.held.data_type
        return helper.np_dtype_to_tensor_dtype(np.dtype(_LISTS[self.held.name][0]))

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes."""
        if isinstance(self.held, onnx.TensorProto):
            return tuple(self.held.dims)
        value = helper.get_attribute_value(self.held)
        return (len(value),) if _LISTS[self.held.name][1] else ()

    @property
    def bytes(self) -> int:
        """The size of the values in bytes. Types below a byte are packed."""
        count = math.prod(self.shape)
        if self.dtype == TensorProto.STRING:
            assert isinstance(self.held, onnx.TensorProto)
            return sum(map(len, self.held.string_data))
        bits = _BITS.get(self.dtype) or 8 * helper.tensor_dtype_to_np_dtype(self.dtype).itemsize
        return math.ceil(count * bits / 8)


_BITS = {
    getattr(TensorProto, name): bits
    for name, bits in (("INT4", 4), ("UINT4", 4), ("FLOAT4E2M1", 4), ("INT2", 2), ("UINT2", 2))
    if hasattr(TensorProto, name)
}


def weights(model: onnx.ModelProto) -> Iterator[Weight]:
    """Yield every weight of the model, each once."""
    for graph in graphs(model.graph):
        for tensor in graph.initializer:
            yield Weight(tensor.name, tensor, _stored(tensor))
        for node in graph.node:
            if node.op_type == "Constant" and is_default(node) and node.attribute and node.output:
                value = node.attribute[0]
                if value.name == "value":
                    yield Weight(node.output[0], value.t, f"Constant, {_stored(value.t)}")
                elif value.name in _LISTS:
                    yield Weight(node.output[0], value, "Constant, attribute")


def weight_sizes(model: onnx.ModelProto) -> "pandas.DataFrame":
    """Return a table of the weights, the largest first.

    Columns: name, dtype, shape, values, bytes, share (of all bytes), stored (raw, as numbers, in a
    Constant node, or the file and place that hold it), readers.
    """
    import pandas

    readers: dict[str, list[str]] = {}
    for node in nodes(model):
        for name in filter(None, node.input):
            readers.setdefault(name, []).append(node_name(node))
    rows = [
        {
            "name": each.name,
            "dtype": interface.dtype(each.dtype),
            "shape": " × ".join(map(str, each.shape)) or "scalar",
            "values": math.prod(each.shape),
            "bytes": each.bytes,
            "share": 0.0,
            "stored": each.stored,
            "readers": ", ".join(readers.get(each.name, ())),
        }
        for each in weights(model)
    ]
    table = pandas.DataFrame(rows, columns=list(_COLUMNS))
    if rows:
        table["share"] = table["bytes"] / max(1, table["bytes"].sum())
        table = table.sort_values("bytes", ascending=False, kind="stable", ignore_index=True)
    return table


@checked
def set_weight(
    model: onnx.ModelProto, name: str, value: np.ndarray, *, only_for: str = ""
) -> Edited:
    """Return the model with another value of one weight.

    It is stored as before: as raw bytes or as numbers, in an initializer or a Constant node. A
        weight in
    an external file is moved into the model, and the file is not changed. Sparse weights become
    dense.

    Args:
        model: the model. It is not changed.
        name: an initializer, or the output of a Constant node.
        value: an array of exactly the weight's dtype and shape.
        only_for: a node that alone reads the new value, while others read the old one.

    Raises:
        UnknownName: there is no such weight, or `only_for` is not a node that reads it.
        GraphError: the dtype or the shape differs, or the graph does not fit it.
    """
    copy = copied(model)
    found = {each.name: each for each in weights(copy)}
    if name not in found:
        raise unknown_name("weight", name, found)
    weight, value = found[name], np.asarray(value)
    _check(weight, value)
    readers = [node for node in nodes(copy) if name in node.input]
    if only_for:
        chosen = [node for node in readers if only_for in (node.name, *node.output)]
        if not chosen:
            raise unknown_name(f"reader of {name!r}", only_for, map(node_name, readers))
        label = add_constant(copy.graph, value, stem=f"{name}_for_{node_name(chosen[0])}")
        for node in chosen:
            replace_input(node, name, label)
        change = f"{label!r}: a value of its own for {', '.join(map(titled, chosen))}"
        return rewired(model, copy, [change], list(map(node_name, chosen)), changed=(label,))
    _store(weight, value)
    words = listed(map(titled, readers), most=4) or "no node"
    change = f"weight {name!r} ({interface.dtype(weight.dtype)} {weight.shape}): {_drift(weight)}"
    change += f"read by {words}"
    names = [node_name(node) for node in readers]
    names += [node_name(node) for node in nodes(copy) if name in node.output]
    return rewired(model, copy, [change], names, changed=(name,))


def _drift(weight: Weight) -> str:
    return "taken out of its file, " if "file" in weight.stored else ""


def _check(weight: Weight, value: np.ndarray) -> None:
    wanted = helper.tensor_dtype_to_np_dtype(weight.dtype)
    if weight.dtype == TensorProto.STRING:
        raise GraphError(f"The weight {weight.name!r} holds text, which cannot be set here.")
    if value.dtype != wanted:
        raise GraphError(
            f"The weight {weight.name!r} must be {wanted.name}, but the value is "
            f"{value.dtype.name}. Convert it with .astype({wanted.name!r})."
        )
    if value.shape != weight.shape:
        raise GraphError(
            f"The weight {weight.name!r} must have the shape {weight.shape}, but the value has "
            f"{value.shape}. Transpose or reshape it."
        )


def _store(weight: Weight, value: np.ndarray) -> None:
    held = weight.held
    if isinstance(held, onnx.AttributeProto):
        plain = value.tolist()
        held.CopyFrom(helper.make_attribute(held.name, plain, attr_type=held.type))
        return
    raw = numpy_helper.from_array(value, held.name)
    if "numbers" not in weight.stored:
        if held.doc_string:
            raw.doc_string = held.doc_string
        held.CopyFrom(raw)
        return
    field = helper.tensor_dtype_to_field(held.data_type)
    numbers = helper.make_tensor("", held.data_type, held.dims, value.ravel())
    kept = getattr(numbers, field)
    held.ClearField(field)
    getattr(held, field).extend(kept)


def _stored(tensor: onnx.TensorProto) -> str:
    if tensor.data_location == TensorProto.EXTERNAL:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        return f"file {entries.get('location', '?')} at {entries.get('offset', '0')}"
    return "raw" if tensor.HasField("raw_data") else "numbers"
