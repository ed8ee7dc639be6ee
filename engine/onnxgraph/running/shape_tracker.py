"""The shape of every tensor, and every small value, for given sizes of the inputs.

They are found node by node in the order of computation, by ONNX's own inference for each operator.
onnxruntime computes everything that depends on known values only. So chains of Shape, Gather and
Concat become numbers, where inference with symbols gives up. A node can be changed before the next
one is looked at.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper

from graphcore.errors import GraphError
from onnxgraph.model import interface
from onnxgraph.model.domains import domain, opsets
from onnxgraph.model.graphs import subgraphs
from onnxgraph.model.inference import InferenceFailed, infer_node
from onnxgraph.model.random_ops import RANDOM_OPS
from onnxgraph.model.weightless import LARGE, size
from onnxgraph.running.run import run_onnx

_IR_VERSION = 8
"""An opset that is new enough for every operator, and old enough for every onnxruntime."""

Shape = tuple[int | None, ...]


class Sizes:
    """Shapes and small values by tensor name. `follow` adds one node at a time."""

    def __init__(self, model: onnx.ModelProto, given: Mapping[str, Sequence[int]]) -> None:
        """Start from the weights and from the inputs, whose shapes are `given` by name."""
        self._types: dict[str, onnx.TypeProto] = {}
        self.values: dict[str, np.ndarray] = {}
        self._opsets = list(model.opset_import)
        self._versions = opsets(model)
        for value in interface.fed(model.graph):
            elem_type = value.type.tensor_type.elem_type
            self._types[value.name] = helper.make_tensor_type_proto(elem_type, given[value.name])
        for tensor in model.graph.initializer:
            self.add_weight(tensor)

    def add_weight(self, tensor: onnx.TensorProto) -> None:
        """Add a weight to the known tensors."""
        self._types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
        if size(tensor) <= LARGE and tensor.data_type != onnx.TensorProto.STRING:
            self.values[tensor.name] = numpy_helper.to_array(tensor)

    def shape(self, name: str) -> Shape | None:
        """Return the dims of a tensor, each None if unknown, or None if even the rank is
        unknown."""
        if name not in self._types:
            return None
        dims = interface.dims(onnx.ValueInfoProto(name=name, type=self._types[name]))
        if dims is None:
            return None
        return tuple(dim if isinstance(dim, int) else None for dim in dims)

    def assume(self, name: str, elem_type: int, shape: Sequence[int | None]) -> None:
        """Use this shape for a tensor about which inference knows nothing."""
        self._types[name] = helper.make_tensor_type_proto(elem_type, shape)
        self.values.pop(name, None)

    def forget(self, name: str) -> None:
        """Treat everything about a tensor as unknown."""
        self._types.pop(name, None)
        self.values.pop(name, None)

    def elem_type(self, name: str) -> int:
        """Return ONNX's number of a tensor's dtype, or 0 if it is unknown."""
        return self._types[name].tensor_type.elem_type if name in self._types else 0

    def follow(self, node: onnx.NodeProto) -> str:
        """Infer a node's outputs. Return a contradiction in words, or ""."""
        try:
            self._types.update(self._inferred(node))
        except InferenceFailed as error:
            return error.reason
        except (KeyError, defs.SchemaError):  # an input or the operator is unknown
            return ""
        for name, value in zip(node.output, self._computed(node), strict=False):
            if name and value.size <= LARGE and value.dtype != object:  # object means text
                self.values[name] = value
                elem_type = helper.np_dtype_to_tensor_dtype(value.dtype)
                self._types[name] = helper.make_tensor_type_proto(elem_type, value.shape)
        return ""

    def _inferred(self, node: onnx.NodeProto) -> Mapping[str, onnx.TypeProto]:
        version = self._versions.get(domain(node), self._versions.get("", 1))
        schema = defs.get_schema(node.op_type, version, domain(node))
        inner = subgraphs(node)
        types = self._types if inner else {n: self._types[n] for n in node.input if n}
        data = {
            name: numpy_helper.from_array(self.values[name], name)
            for name in node.input
            if name in self.values
        }
        return infer_node(schema, node, types, data, self._opsets)

    def _computed(self, node: onnx.NodeProto) -> list[np.ndarray]:
        """Return the outputs of a node that can be computed without running the model."""
        if node.op_type in ("Shape", "Size"):
            return self._counted(node)
        known = all(name in self.values for name in node.input if name)
        inner = subgraphs(node)
        if not known or inner or node.op_type in RANDOM_OPS or self._is_large(node.output[0]):
            return []
        inputs = tuple(
            numpy_helper.from_array(self.values[name], f"i{n}").SerializeToString()
            if name
            else None
            for n, name in enumerate(node.input)
        )
        plain = onnx.NodeProto(op_type=node.op_type, domain=node.domain, attribute=node.attribute)
        plain.input.extend(f"i{n}" if name else "" for n, name in enumerate(node.input))
        plain.output.extend(f"o{n}" if name else "" for n, name in enumerate(node.output))
        opsets = tuple(sorted((each.domain, each.version) for each in self._opsets))
        return _evaluate(plain.SerializeToString(deterministic=True), inputs, opsets)

    def _counted(self, node: onnx.NodeProto) -> list[np.ndarray]:
        shape = self.shape(node.input[0])
        if shape is None or None in shape:
            return []
        if node.op_type == "Size":
            return [np.array(math.prod(dim or 0 for dim in shape), np.int64)]
        bounds = {each.name: each.i for each in node.attribute}
        return [np.array(shape[bounds.get("start") : bounds.get("end")], np.int64)]

    def _is_large(self, name: str) -> bool:
        shape = self.shape(name)
        return math.prod(dim or 1 for dim in shape or ()) > LARGE


@lru_cache(maxsize=4096)
def _evaluate(node: bytes, inputs: tuple, opsets: tuple) -> list[np.ndarray]:
    """Return onnxruntime's result for known values, or nothing if it has none."""
    proto = onnx.NodeProto.FromString(node)
    given = [onnx.TensorProto.FromString(each) for each in inputs if each is not None]
    made = [onnx.ValueInfoProto(name=name) for name in proto.output if name]
    model = helper.make_model(
        helper.make_graph([proto], "g", [], made, given),
        opset_imports=[helper.make_opsetid(*each) for each in opsets],
        ir_version=_IR_VERSION,
    )
    try:
        found = run_onnx(model, {})
    except GraphError:
        return []
    return [found.get(name, np.empty(LARGE + 1)) for name in proto.output]
