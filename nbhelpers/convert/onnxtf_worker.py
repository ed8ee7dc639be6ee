"""onnx-tf's own entry points, run by `onnxtf` in a process of its own.

Call: `python onnxtf_worker.py MODEL FOLDER TROUBLE`. onnx-tf turns the file MODEL into a SavedModel
in FOLDER. If it raises an exception, the JSON file TROUBLE says what, and at which node.
"""

import json
import sys
import types
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper


def main(model: str, folder: str, trouble: str) -> None:
    """Convert, or write what onnx-tf says."""
    at = {"node": "", "op": ""}
    try:
        export(backend(at), model, folder)
    except Exception as error:  # noqa: BLE001 (onnx-tf raises whatever it likes)
        Path(trouble).write_text(json.dumps({**at, "failed": sentence(error)}), encoding="utf-8")


def backend(at: dict[str, str]) -> Any:
    """Import onnx-tf and return its backend, which notes in `at` the node that it converts."""
    provide_stand_ins()
    from onnx_tf.backend import TensorflowBackend

    convert = TensorflowBackend._onnx_node_to_tensorflow_op.__func__

    class Noting(TensorflowBackend):
        @classmethod
        def _onnx_node_to_tensorflow_op(cls, node: Any, *given: Any, **options: Any) -> Any:
            at.update(node=node.name or node.outputs[0], op=node.op_type)
            return convert(cls, node, *given, **options)

    return Noting


def export(backend: Any, model: str, folder: str) -> None:
    """Turn an ONNX file into a SavedModel."""
    backend.prepare(onnx.load(model), logging_level="ERROR").export_graph(folder)


def provide_stand_ins() -> None:
    """Provide what onnx-tf 1.10 imports and newer packages do not have.

    `onnx.mapping` was in onnx until 1.15. `tensorflow_addons` and `tensorflow_probability` are
    end-of-life: onnx-tf needs one function of the first, and the second for Bernoulli only.
    """
    import tensorflow as tf

    def hardmax(logits: Any) -> Any:
        return tf.one_hot(tf.argmax(logits, -1), tf.shape(logits)[-1], dtype=logits.dtype)

    mapping = onnx_mapping()
    vars(onnx)["mapping"] = vars(helper)["mapping"] = mapping
    sys.modules["onnx.mapping"] = mapping
    members: dict[str, dict[str, Any]] = {
        "tensorflow_addons": {"seq2seq": types.SimpleNamespace(hardmax=hardmax)},
        "tensorflow_probability": {"distributions": None},
    }
    for name, provided in members.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(provided)


def onnx_mapping() -> types.ModuleType:
    """Return what `onnx.mapping` was, made with `onnx.helper`."""
    codes = [code for code in TensorProto.DataType.values() if code != TensorProto.UNDEFINED]
    storage = {code: helper.tensor_dtype_to_storage_tensor_dtype(code) for code in codes}
    dtypes = {code: helper.tensor_dtype_to_np_dtype(code) for code in codes}
    mapping = types.ModuleType("onnx.mapping")
    vars(mapping).update(
        TENSOR_TYPE_TO_NP_TYPE=dtypes,
        NP_TYPE_TO_TENSOR_TYPE={dtype: code for code, dtype in reversed(dtypes.items())},
        TENSOR_TYPE_TO_STORAGE_TENSOR_TYPE=storage,
        STORAGE_TENSOR_TYPE_TO_FIELD={code: helper.tensor_dtype_to_field(code) for code in codes},
    )
    return mapping


def sentence(error: Exception) -> str:
    """Return the exception's type and the line that says why, which AutoGraph puts last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    said = lines[-1 if lines[0].startswith("in user code") else 0]
    name = type(error).__name__
    return said if said.startswith(name) else f"{name}: {said}"


if __name__ == "__main__":
    main(*sys.argv[1:])
