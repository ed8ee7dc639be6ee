"""The surroundings of a node whose opset is lowered: types, constants, names that are free.

A subgraph (of If, Loop or Scan) has a scope of its own, which also sees its outer scopes.
"""

import math
import re
from collections import ChainMap

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnxgraph.editing.finishing import constants
from onnxgraph.model import interface
from onnxgraph.model.domains import is_default
from onnxgraph.model.graphs import subgraphs
from onnxgraph.model.names import Names
from onnxgraph.model.random_ops import RANDOM_OPS
from onnxgraph.model.weightless import LARGE


class Scope:
    """One graph of a model, with the known properties of its tensors."""

    def __init__(
        self, graph: onnx.GraphProto, version: int, names: Names, outer: "Scope | None" = None
    ) -> None:
        """Read the graph's types, constants and nodes.

        Args:
            graph: the graph, with inferred types.
            version: the opset that the graph is written in.
            names: the names of the whole model.
            outer: the scope of the surrounding graph.
        """
        self.graph, self.version, self.names = graph, version, names
        self._types: ChainMap[str, onnx.TypeProto] = ChainMap()
        self._constants: ChainMap[str, np.ndarray | None] = ChainMap()
        self._makers: ChainMap[str, onnx.NodeProto] = ChainMap()
        if outer is not None:
            self._types = outer._types.new_child()
            self._constants = outer._constants.new_child()
            self._makers = outer._makers.new_child()
        for value in (*graph.value_info, *graph.input, *graph.output):
            self._types[value.name] = value.type
        for tensor in graph.initializer:
            self._types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
        self._constants.update(constants(graph))
        for node in graph.node:
            self._makers.update((name, node) for name in node.output if name)

    def inner(self, graph: onnx.GraphProto) -> "Scope":
        """Return the scope of a subgraph."""
        return Scope(graph, self.version, self.names, self)

    def type(self, name: str) -> onnx.TypeProto | None:
        """Return the type of a tensor, sequence or optional, or None where it is not known."""
        found = self._types.get(name)
        return found if found is not None and found.WhichOneof("value") else None

    def dtype(self, name: str) -> int:
        """Return the element type of a tensor, or 0 where it is not known."""
        return self._types[name].tensor_type.elem_type if name in self._types else 0

    def dims(self, name: str) -> tuple[int | str | None, ...] | None:
        """Return the dims (sizes or symbols), or None where even the rank is not known."""
        return interface.dims(onnx.ValueInfoProto(name=name, type=self.type(name)))

    def shape(self, name: str) -> list[int | None] | None:
        """Return the dims (None where symbolic), or None where even the rank is not known."""
        dims = self.dims(name)
        return None if dims is None else [d if isinstance(d, int) else None for d in dims]

    def value(self, name: str) -> np.ndarray | None:
        """Return the constant value of a tensor, or None where it depends on the inputs."""
        if name not in self._constants:
            self._constants[name] = None
            self._constants[name] = self._fold(name)
        return self._constants[name]

    def fresh_name(self, stem: str) -> str:
        """Return a new name that does not repeat the last part of the stem."""
        return self.names.free(re.sub(r"(/\w+)\1+$", r"\1", stem))

    def add_constant(self, value: np.ndarray, *, stem: str) -> str:
        """Add an initializer and return its name."""
        name = self.fresh_name(stem)
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        self._constants[name] = np.asarray(value)
        return name

    def _fold(self, name: str) -> np.ndarray | None:
        maker = self._makers.get(name)
        if maker is None:
            return None
        if maker.op_type in ("Shape", "Size"):
            dims = self.shape(maker.input[0])
            if dims is None or None in dims or maker.attribute:
                return None
            sizes = np.array(dims, np.int64)
            return sizes if maker.op_type == "Shape" else np.array(np.prod(sizes))
        if not self._is_folded(maker, name):
            return None
        from onnx.reference import ReferenceEvaluator  # the import takes 6 MB and is seldom needed

        weights = []
        for each in filter(None, maker.input):
            value = self.value(each)
            if value is None:
                return None
            weights.append(numpy_helper.from_array(value, each))
        output = onnx.ValueInfoProto(name=name, type=self.type(name))
        graph = helper.make_graph([maker], "folded", [], [output], weights)
        opsets = [helper.make_opsetid("", self.version)]
        evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=opsets))
        (result,) = evaluator.run([name], {})
        return np.asarray(result)

    def _is_folded(self, maker: onnx.NodeProto, name: str) -> bool:
        """Whether a node gives a constant of moderate size for constant inputs."""
        shape = self.shape(name)
        if shape is None or not is_default(maker):
            return False
        sizes = [size for size in shape if size is not None]
        is_small = len(sizes) == len(shape) and math.prod(sizes) <= LARGE
        draws = maker.op_type in RANDOM_OPS or maker.op_type == "Dropout"
        return is_small and not subgraphs(maker) and not draws
