"""Bring up onnx-tf 1.10 on today's onnx and TensorFlow.

onnx-tf imports three things that are gone or end-of-life: `onnx.mapping`, `tensorflow_addons` (one
function of it) and `tensorflow_probability` (for Bernoulli only). They are provided while it is being
imported. `tensorflow_addons` and `tensorflow_probability` are never imported, installed or not.
"""

import contextlib
import functools
import logging
import os
import sys
import types
from collections.abc import Iterator

import onnx
from onnx import TensorProto, helper

from nbhelpers import kernel


@functools.cache
def tensorflow() -> types.ModuleType:
    """Import and return TensorFlow without its start-up messages, which would bury a notebook cell."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read while it is imported
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    with _without_standard_error():  # the first lines come before any setting is read
        import tensorflow as tf
    tf.get_logger().setLevel(logging.ERROR)
    return tf


@functools.cache
def load() -> types.ModuleType:
    """Import and return `onnx_tf` (with TensorFlow); the second call is free.

    Raises:
        nbhelpers.errors.WrongKernel: this is not the convert kernel.
    """
    kernel.require("convert")
    with _stand_ins(tensorflow()):
        import onnx_tf.backend  # noqa: F401
    import onnx_tf

    return onnx_tf


@contextlib.contextmanager
def nchw_convolutions() -> Iterator[None]:
    """Make onnx-tf's handlers emit NCHW ops without a transpose on either side.

    They do so for the device "CUDA"; the layout optimiser moves the graph to NHWC afterwards.
    """
    from onnx_tf.common import sys_config

    before = sys_config.device
    sys_config.device = "CUDA"
    try:
        yield
    finally:
        sys_config.device = before


@contextlib.contextmanager
def _without_standard_error() -> Iterator[None]:
    """Send what native code writes to the process's standard error nowhere; exceptions still come."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


@contextlib.contextmanager
def _stand_ins(tf: types.ModuleType) -> Iterator[None]:
    mapping = _onnx_mapping()
    provided = {
        "onnx.mapping": mapping,
        "tensorflow_addons": _tensorflow_addons(tf),
        "tensorflow_probability": types.ModuleType("tensorflow_probability"),
    }
    provided["tensorflow_probability"].distributions = None
    before = {name: sys.modules.get(name) for name in provided}
    sys.modules.update(provided)
    onnx.mapping = helper.mapping = mapping
    try:
        yield
    finally:
        # The handlers keep their references; nobody else shall meet the stand-ins.
        del onnx.mapping, helper.mapping
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _onnx_mapping() -> types.ModuleType:
    """Return what `onnx.mapping` was until onnx 1.15, built from its replacement in `onnx.helper`."""
    codes = [code for code in TensorProto.DataType.values() if code != TensorProto.UNDEFINED]
    mapping = types.ModuleType("onnx.mapping")
    mapping.TENSOR_TYPE_TO_NP_TYPE = {c: helper.tensor_dtype_to_np_dtype(c) for c in codes}
    mapping.NP_TYPE_TO_TENSOR_TYPE = {}
    for code, dtype in mapping.TENSOR_TYPE_TO_NP_TYPE.items():
        mapping.NP_TYPE_TO_TENSOR_TYPE.setdefault(dtype, code)
    mapping.TENSOR_TYPE_TO_STORAGE_TENSOR_TYPE = {
        code: helper.tensor_dtype_to_storage_tensor_dtype(code) for code in codes
    }
    mapping.STORAGE_TENSOR_TYPE_TO_FIELD = {
        code: helper.tensor_dtype_to_field(code) for code in codes
    }
    return mapping


def _tensorflow_addons(tf: types.ModuleType) -> types.ModuleType:
    def hardmax(logits: object, name: str | None = None) -> object:
        """One where the last axis has its (first) largest value, zero elsewhere."""
        return tf.one_hot(
            tf.argmax(logits, -1), tf.shape(logits)[-1], dtype=logits.dtype, name=name
        )

    module = types.ModuleType("tensorflow_addons")
    module.seq2seq = types.SimpleNamespace(hardmax=hardmax)
    return module
