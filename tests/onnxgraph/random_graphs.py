"""Random small valid models for property tests, with the variety of real files in a few nodes.

Every tensor of the main graph has the shape of the input, so that any op may read any tensor.
"""

from dataclasses import dataclass, field

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

OPSETS = (9, 11, 13, 17)
UNARY = ("Relu", "Neg", "Tanh", "Sigmoid", "Abs", "Identity", "LeakyRelu", "Elu", "Softmax")
BINARY = ("Add", "Sub", "Mul", "Max", "Min")
PAIRS = ("weight", "tensors")
LAYERS = ("norm", "matrix", "split", "if", "loop", "reshape", "lrn")


@dataclass
class Sketch:
    """A growing graph: its nodes, weights and tensors."""

    dtype: np.dtype
    shape: tuple[int | str, ...]
    opset: int
    ir_version: int
    random: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    shared: dict[tuple, str] = field(default_factory=dict)
    tensors: list[str] = field(default_factory=lambda: ["x"])
    named: bool = True

    def node(self, op: str, inputs: list[str], outputs: int = 1, **attributes) -> list[str]:
        """Add a node and return the names of its outputs."""
        number = len(self.nodes)
        made = [f"t{number}" if outputs == 1 else f"t{number}_{each}" for each in range(outputs)]
        name = f"n{number}" if self.named or number % 2 else ""
        self.nodes.append(helper.make_node(op, inputs, made, name=name, **attributes))
        return made

    def weight(self, draw, shape: tuple[int, ...], *, positive: bool = False) -> str:
        """Return a weight: a new initializer, an existing one, or a Constant node."""
        how = draw(st.sampled_from(("raw", "numbers", "shared", "Constant")))
        if how == "shared" and (shape, positive) in self.shared:
            return self.shared[shape, positive]
        values = self.random.uniform(-1, 1, shape) / max(1, np.prod(shape[1:]) ** 0.5)
        values = (np.abs(values) + 0.5 if positive else values).astype(self.dtype)
        return self.constant(values, how, (shape, positive))

    def constant(self, values: np.ndarray, how: str = "raw", key: tuple = ()) -> str:
        """Add a weight and return its name."""
        if how == "Constant":
            return self.node("Constant", [], value=numpy_helper.from_array(values))[0]
        name = f"w{len(self.weights)}"
        tensor = numpy_helper.from_array(values, name)
        if how == "numbers":
            kind = helper.np_dtype_to_tensor_dtype(values.dtype)
            tensor = helper.make_tensor(name, kind, values.shape, values.ravel())
        self.weights.append(tensor)
        self.shared[key] = name
        return name


@st.composite
def models(draw) -> onnx.ModelProto:
    """Draw a model of three to nine steps, with an input `x` and one to three outputs."""
    dtype = np.dtype(draw(st.sampled_from(("float32", "float32", "float16"))))
    batch = draw(st.sampled_from(("batch", "batch", 2)))
    channels = draw(st.integers(1, 3)) * 2
    spatial = draw(st.sampled_from(((), (3, 5), (1, 3), ("height", "width"))))
    sketch = Sketch(
        dtype,
        (batch, channels, *spatial),
        draw(st.sampled_from(OPSETS)),
        draw(st.sampled_from((3, 4, 7))),
        np.random.default_rng(draw(st.integers(0, 999))),
        named=draw(st.booleans()),
    )
    for _ in range(draw(st.integers(3, 9))):
        _step(draw, sketch)
    return _model(draw, sketch)


def _step(draw, sketch: Sketch) -> None:
    """Add one op or layer that reads existing tensors."""
    kind = draw(st.sampled_from(UNARY + PAIRS * 2 + LAYERS))
    x = draw(st.sampled_from(sketch.tensors))
    channels, rank = sketch.shape[1], len(sketch.shape)
    flat = (1, channels, *[1] * (rank - 2))
    if kind == "weight":
        shape = draw(st.sampled_from((flat, flat[1:], (), (1,))))
        pair = [x, sketch.weight(draw, shape)]
        made = sketch.node(draw(st.sampled_from(BINARY)), pair[:: draw(st.sampled_from((1, -1)))])
    elif kind == "tensors":
        made = sketch.node(
            draw(st.sampled_from(BINARY)), [x, draw(st.sampled_from(sketch.tensors))]
        )
    elif kind == "norm":
        of_channel = [sketch.weight(draw, (channels,)) for _ in range(3)]
        spread = sketch.weight(draw, (channels,), positive=True)
        made = sketch.node("BatchNormalization", [x, *of_channel, spread], epsilon=1e-3)
    elif kind == "matrix" and rank == 4:
        kernel = sketch.weight(draw, (channels, channels, 3, 3))
        made = sketch.node("Conv", [x, kernel], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    elif kind == "matrix":
        made = sketch.node("MatMul", [x, sketch.weight(draw, (channels, channels))])
    elif kind == "split" and sketch.opset < 13:
        made = sketch.node("Concat", sketch.node("Split", [x], 2, axis=1)[::-1], axis=1)
    elif kind == "split":
        sizes = sketch.constant(np.full(2, channels // 2, np.int64))
        made = sketch.node("Concat", sketch.node("Split", [x, sizes], 2, axis=1)[::-1], axis=1)
    elif kind == "reshape":
        sizes = sketch.constant(np.array([0, channels, -1], np.int64), draw(st.sampled_from(HOW)))
        back = sketch.node("Shape", [x])
        made = sketch.node("Reshape", [*sketch.node("Reshape", [x, sizes]), *back])
    elif kind == "lrn" and rank == 4 and sketch.dtype == np.float32:
        made = sketch.node("LRN", [x], size=3)
    elif kind == "if":
        made = _if(draw, sketch, x)
    elif kind == "loop":
        made = _loop(draw, sketch, x)
    else:
        made = sketch.node(kind if kind in UNARY else "Tanh", [x], **_attributes(kind))
    sketch.tensors += made


HOW = ("raw", "Constant")


def _attributes(kind: str) -> dict:
    return {"LeakyRelu": {"alpha": 0.25}, "Elu": {"alpha": 0.5}, "Softmax": {"axis": 1}}.get(
        kind, {}
    )


def _if(draw, sketch: Sketch, x: str) -> list[str]:
    """Add an If with two branches that read outer tensors and weights."""
    condition = sketch.constant(np.array(draw(st.booleans())), draw(st.sampled_from(HOW)))
    outside = [x, sketch.weight(draw, (1,)), draw(st.sampled_from(sketch.tensors))]
    number, branches = len(sketch.nodes), {}
    for label in ("then", "else"):
        names = [f"{label}_{number}_{each}" for each in range(2)]
        op = draw(st.sampled_from(BINARY))
        nodes = [
            helper.make_node(op, outside[:2], names[:1], name=f"{names[0]}_node"),
            helper.make_node("Add", [names[0], outside[2]], names[1:]),
        ]
        branches[f"{label}_branch"] = helper.make_graph(
            nodes, label, [], [_unknown(names[1], sketch)]
        )
    return sketch.node("If", [condition], **branches)


def _loop(draw, sketch: Sketch, x: str) -> list[str]:
    """Add a Loop of two iterations with an outer weight and one of the body."""
    number = len(sketch.nodes)
    count, yes = sketch.constant(np.array(2)), sketch.constant(np.array(True))
    outer = sketch.weight(draw, (1,))
    names = {n: f"{n}_{number}" for n in ("i", "c", "c_out", "v", "s", "r", "own")}
    nodes = [
        helper.make_node("Identity", [names["c"]], [names["c_out"]]),
        helper.make_node("Mul", [names["v"], outer], [names["s"]]),
        helper.make_node("Add", [names["s"], names["own"]], [names["r"]]),
    ]
    own = numpy_helper.from_array(np.full(1, 0.5, sketch.dtype), names["own"])
    inner = sketch.ir_version > 3  # older versions need a body's weights as inputs
    if not inner:
        nodes.insert(0, helper.make_node("Constant", [], [own.name], value=own))
    body = helper.make_graph(
        nodes,
        "body",
        [
            helper.make_tensor_value_info(names["i"], TensorProto.INT64, []),
            helper.make_tensor_value_info(names["c"], TensorProto.BOOL, []),
            _unknown(names["v"], sketch),
        ],
        [
            helper.make_tensor_value_info(names["c_out"], TensorProto.BOOL, []),
            _unknown(names["r"], sketch),
        ],
        [own] if inner else [],
    )
    return sketch.node("Loop", [count, yes, x], body=body)


def _unknown(name: str, sketch: Sketch) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(sketch.dtype), [None] * len(sketch.shape)
    )


def _model(draw, sketch: Sketch) -> onnx.ModelProto:
    """Return the model.

    Its weights are listed as inputs if its IR version requires or allows it.
    """
    made = sketch.tensors[1:]
    chosen = draw(st.lists(st.sampled_from(made), min_size=0, max_size=2, unique=True))
    outputs = list(dict.fromkeys([*chosen, made[-1]]))
    kind = helper.np_dtype_to_tensor_dtype(sketch.dtype)
    inputs = [helper.make_tensor_value_info("x", kind, sketch.shape)]
    listed = len(sketch.weights) if sketch.ir_version == 3 else draw(st.integers(0, 1))
    for tensor in sketch.weights[:listed]:
        inputs.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    graph = helper.make_graph(
        sketch.nodes,
        "random",
        inputs,
        [helper.make_tensor_value_info(name, kind, sketch.shape) for name in outputs],
        sketch.weights,
    )
    opsets = [helper.make_opsetid("", sketch.opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=sketch.ir_version)
    onnx.checker.check_model(model, full_check=True)
    return model
