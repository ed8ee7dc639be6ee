"""The cases of onnx's backend suite, as arrays by name, and the reasons why some are left out."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test import loader

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"

PLAIN = {
    TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16,
    TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT16,
    TensorProto.DOUBLE, TensorProto.UINT32, TensorProto.UINT64, TensorProto.COMPLEX64,
    TensorProto.COMPLEX128, TensorProto.BFLOAT16,
}  # fmt: skip
RANDOM = {
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
}  # fmt: skip
TRAINING = {"test_gradient", "test_adagrad", "test_adam", "test_momentum", "test_nesterov"}


@dataclass
class Case:
    """One model of the suite with its inputs and the expected outputs."""

    name: str
    suite: str
    op: str
    model: onnx.ModelProto
    data: list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]
    rtol: float
    atol: float
    excluded: str = ""


def load_cases():
    """Return every case of the suite."""
    cases = [_node_case(case) for case in _node_cases()]
    for suite in ("simple", "pytorch-converted", "pytorch-operator"):
        cases += [
            _folder_case(suite, DATA / suite / name) for name in sorted(os.listdir(DATA / suite))
        ]
    cases += [_light_case(path) for path in sorted((DATA / "light").glob("*.onnx"))]
    return cases


def _node_cases():
    return [case for case in loader.load_model_tests(kind="node") if "_expanded" not in case.name]


def _node_case(case):
    ops = [node.op_type for node in case.model.graph.node]
    op = next((op for op in ops if op.lower() in case.name.replace("_", "")), ops[-1])
    reason = excluded(case.name, case.model)
    data = []
    if not reason:
        for inputs, outputs in case.data_sets:
            data.append(
                (
                    _named(case.model.graph.input, inputs),
                    _named(case.model.graph.output, outputs),
                )
            )
    return Case(case.name, "node", op, case.model, data, case.rtol, case.atol, reason)


def _array(value):
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def _named(values, arrays):
    return {value.name: _array(array) for value, array in zip(values, arrays) if value.name}


def _folder_case(suite, folder):
    model = onnx.load(folder / "model.onnx")
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    reason = excluded(folder.name, model)
    data = []
    if not reason:
        for one in sorted(folder.glob("test_data_set_*")):
            fed = [_read(one / f"input_{i}.pb") for i in range(len(inputs))]
            want = [_read(one / f"output_{i}.pb") for i in range(len(model.graph.output))]
            data.append((_named(inputs, fed), _named(model.graph.output, want)))
    op = model.graph.node[-1].op_type
    return Case(folder.name, suite, op, model, data, 1e-3, 1e-5, reason)


def _light_case(path):
    """Return the case of a light model, with the input of onnx's runner.

    The weights of a light model are constants.
    """
    model = onnx.load(path)
    weights = {weight.name for weight in model.graph.initializer}
    (value,) = [value for value in model.graph.input if value.name not in weights]
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    size = np.prod(shape)
    fed = (np.arange(size).reshape(shape) / size).astype(np.float32)
    want = _read(path.with_name(path.stem + "_output_0.pb"))
    data = [({value.name: fed}, {model.graph.output[0].name: want})]
    return Case(path.stem, "light", "", model, data, 1e-3, 1e-5, excluded(path.stem, model))


def _read(path):
    return numpy_helper.to_array(onnx.load_tensor(str(path)))


def excluded(name, model):
    """Return why a case is left out, or ""."""
    ops = {node.op_type for node in model.graph.node}
    domains = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if any(name.startswith(part) for part in TRAINING) or "ai.onnx.preview.training" in domains:
        return "training or gradient op"
    if domains:
        return "other domain"
    if name == "light_squeezenet":
        return "logits of 9.5e9, where rounding alone moves the softmax from 0.001 to 0.125"
    if ops & {"ImageDecoder"}:
        return "image decoding"
    if ops & RANDOM or ("Dropout" in ops and "training" in name and "zero" not in name):
        return "random generator without a fixed result"
    values = [*model.graph.input, *model.graph.output]
    for value in values:
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            return f"{kind.removesuffix('_type')}-typed input or output"
        code = value.type.tensor_type.elem_type
        if code == TensorProto.STRING:
            return "strings"
        if code not in PLAIN:
            return f"{TensorProto.DataType.Name(code).lower()}"
    return ""
