"""A model that grows node by node, and the known properties of each of its tensors."""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Dim = int | str

SYMBOLS = ("batch", "time")
"""The symbolic dims that a shape may hold."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the model.

    `exact` means that every runtime computes the same bits. Later ops may then depend on ties,
    signs and the borders of a domain.
    """

    name: str
    dtype: str
    shape: tuple[Dim, ...]
    exact: bool = True

    @property
    def rank(self) -> int:
        """The number of dims."""
        return len(self.shape)


@dataclass
class Sketch:
    """A growing graph: its inputs, nodes, weights and tensors.

    `read` holds the tensors that nodes read.
    """

    opset: int
    inputs: list[Tensor] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    read: set[str] = field(default_factory=set)

    def add_input(self, tensor: Tensor) -> None:
        """Add an input of the model."""
        self.inputs.append(tensor)
        self.tensors.append(tensor)

    def node(
        self,
        op: str,
        inputs: list["Tensor | str"],
        *outputs: tuple[str, tuple[Dim, ...], bool],
        domain: str = "",
        **attributes: object,
    ) -> list[Tensor]:
        """Add a node. Each of `outputs` is (dtype, shape, whether it is exact)."""
        names = [each.name if isinstance(each, Tensor) else each for each in inputs]
        number = len(self.nodes)
        made = [
            Tensor(f"{op.lower()}_{number}_{place}", *output)
            for place, output in enumerate(outputs)
        ]
        self.nodes.append(
            helper.make_node(
                op,
                names,
                [tensor.name for tensor in made],
                name=f"node_{number}",
                domain=domain,
                **attributes,
            )
        )
        self.read.update(names)
        self.tensors += made
        return made

    def weight(self, values: np.ndarray) -> str:
        """Add an initializer and return its name."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def ints(self, *values: int) -> str:
        """Add an int64 initializer of rank 1 and return its name."""
        return self.weight(np.array(values, np.int64))

    def model(self, *, check: bool = True) -> onnx.ModelProto:
        """Return the model. Its outputs are the tensors that no node reads.

        Raises:
            onnx.checker.ValidationError, onnx.shape_inference.InferenceError: the model is not
                valid.
        """
        made = [t for t in self.tensors if t not in self.inputs and t.name not in self.read]
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [_value(tensor) for tensor in self.inputs],
            [_value(tensor) for tensor in made],
            self.weights,
        )
        imports = [helper.make_opsetid("", self.opset)]
        version = helper.find_min_ir_version_for(imports)
        model = helper.make_model(graph, opset_imports=imports, ir_version=max(4, version))
        if check:
            onnx.checker.check_model(model, full_check=True)
        return model


def _value(tensor: Tensor) -> onnx.ValueInfoProto:
    kind = {"str": TensorProto.STRING}.get(tensor.dtype)
    kind = kind or helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
    return helper.make_tensor_value_info(tensor.name, kind, tensor.shape)
