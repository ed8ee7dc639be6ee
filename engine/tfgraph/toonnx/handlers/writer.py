"""The `Writer`, with which a handler reads a TensorFlow node and writes ONNX nodes.

A handler gets a `Writer` for one TensorFlow node, adds ONNX nodes, and returns the names of the
tensors that are the node's outputs.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx

from tfgraph.toonnx.tables import Table

INT32, INT64 = onnx.TensorProto.INT32, onnx.TensorProto.INT64
FLOAT, FLOAT16, DOUBLE = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.DOUBLE,
)
ML, ML_OPSET = "ai.onnx.ml", 2
"""ONNX's domain for lookups, and its first opset that looks up both strings and numbers."""

BOOL, STRING = onnx.TensorProto.BOOL, onnx.TensorProto.STRING
FLOATS = {FLOAT, FLOAT16, DOUBLE}
SMALL = {getattr(onnx.TensorProto, name) for name in ("INT8", "UINT8", "INT16", "UINT16")}
"""Integers that int32 represents exactly."""

LARGE = {onnx.TensorProto.UINT32, onnx.TensorProto.UINT64}


class Writer:
    """Adds ONNX nodes for one TensorFlow node, and reads that node's inputs and attributes."""

    def __init__(
        self, graph: Any, node: Any, theirs: Mapping[str, Any], tables: Mapping[str, Table]
    ) -> None:
        """Take tf2onnx's graph, the node in it, tf2onnx's own handlers, and tables by node."""
        self._graph, self._node, self._theirs, self._tables = graph, node, theirs, tables
        self.op: str = node.type
        self.inputs: list[str] = list(node.input)
        self.opset: int = graph.opset

    def add(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node of one output, and return its name."""
        return self.add_many(op, *inputs, domain=domain, **attributes)[0]

    def add_many(
        self, op: str, *inputs: str, count: int = 1, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node of `count` outputs, and return their names."""
        made = self._graph.make_node(
            op, list(inputs), attr=attributes, output_count=count, domain=domain
        )
        return list(made.output)

    def constant(self, value: Any, dtype: int) -> str:
        """Add a constant of an ONNX dtype, and return its name."""
        from tf2onnx import utils

        kind = object if dtype == STRING else onnx.helper.tensor_dtype_to_np_dtype(dtype)
        return self._graph.make_const(utils.make_name("value"), np.array(value, kind)).output[0]

    def reduced(self, op: str, tensor: str, axis: int) -> str:
        """Return a tensor reduced along one axis by `op` ("ReduceSum"), without that axis."""
        inputs = self.opset >= (13 if op == "ReduceSum" else 18)
        if inputs:
            return self.add(op, tensor, self.constant([axis], INT64), keepdims=0)
        return self.add(op, tensor, axes=[axis], keepdims=0)

    def cast(self, tensor: str, dtype: int) -> str:
        """Return a tensor in another dtype."""
        return (
            tensor if self._graph.get_dtype(tensor) == dtype else self.add("Cast", tensor, to=dtype)
        )

    def dtype(self, place: int = 0) -> int:
        """Return the ONNX dtype of an input."""
        return int(self._graph.get_dtype(self.inputs[place]))

    def output_dtype(self, place: int = 0) -> int:
        """Return the ONNX dtype of an output."""
        return int(self._graph.get_dtype(self._node.output[place]))

    def shape(self, place: int = 0) -> list[int] | None:
        """Return the shape of an input with -1 for unknown sizes, or None."""
        return self._graph.get_shape(self.inputs[place])

    def rank(self, place: int = 0) -> int | None:
        """Return the rank of an input, or None if it is unknown."""
        shape = self.shape(place)
        return None if shape is None else len(shape)

    def value(self, place: int) -> np.ndarray | None:
        """Return the value of an input if it is a constant, else None."""
        node = self._node.inputs[place]
        return node.get_tensor_value(as_list=False) if node.is_const() else None

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute, with bytes decoded to str."""
        value = self._node.get_attr_value(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def table(self) -> Table:
        """Return the table of the first input. The last lookup that reads it removes its node."""
        node = self._node.inputs[0]
        while node.type == "Identity":
            node = node.inputs[0]
        if len(self._graph.find_output_consumers(node.output[0])) == 1:
            self._graph.remove_node(node.name)
        return self._tables[node.name]

    def replaced(self, place: int, tensor: str) -> None:
        """Replace an input of the node, before tf2onnx continues with it."""
        self._graph.replace_input(self._node, self._node.input[place], tensor, place)

    def theirs(self) -> None:
        """Leave the node to tf2onnx.

        Raises:
            ValueError: tf2onnx has no way to write the op at this opset.
        """
        self._convert(self._node)

    def theirs_for(self, op: str, inputs: list[str], dtype: int) -> str:
        """Add another TensorFlow op, and let tf2onnx write it."""
        node = self._graph.make_node(
            op, inputs, dtypes=[dtype], shapes=[None], infer_shape_dtype=False
        )
        held = self._graph.make_node("Identity", list(node.output), dtypes=[dtype], shapes=[None])
        self._convert(node)
        return held.output[0]

    def _convert(self, node: Any) -> None:
        if node.type not in self._theirs:
            raise ValueError(f"there is none at opset {self.opset}")
        function, options = self._theirs[node.type]
        options = dict(options)
        if "onnx_op" in options:
            options["tf_op"], node.type = node.type, options["onnx_op"]
        function(self._graph, node, **options)


Handler = Callable[[Writer], str | list[str] | None]

HANDLERS: dict[str, Handler] = {}
"""TensorFlow op → handler."""


def handler(*ops: str) -> Callable[[Handler], Handler]:
    """Register a handler for ops."""

    def register(function: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(ops, function))
        return function

    return register


def own(
    opset: int, tables: Mapping[str, Table]
) -> dict[str, tuple[Callable[..., None], list[Any]]]:
    """Return the handlers in the form that `process_tf_graph` takes."""
    from tf2onnx.handler import tf_op

    theirs = dict(tf_op.create_mapping(opset, None))

    def adapted(function: Handler) -> Callable[..., None]:
        def convert(graph: Any, node: Any, name: str, args: Any) -> None:
            outputs, shapes, dtypes = list(node.output), node.output_shapes, node.output_dtypes
            made = function(Writer(graph, node, theirs, tables))
            if made is None:
                return
            results = [made] if isinstance(made, str) else made
            graph.remove_node(name)
            for result, *one in zip(results, outputs, shapes, dtypes, strict=True):
                output, shape, dtype = ([each] for each in one)
                graph.make_node("Identity", [result], outputs=output, shapes=shape, dtypes=dtype)

        return convert

    return {op: (adapted(function), []) for op, function in HANDLERS.items()}
