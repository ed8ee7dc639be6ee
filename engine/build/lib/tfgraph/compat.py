"""Bring up onnx-tf 1.10 on today's onnx and TensorFlow.

onnx-tf imports three things that are gone or end-of-life: `onnx.mapping`, `tensorflow_addons` (one
function of it) and `tensorflow_probability` (for Bernoulli only); and two that take long for what
they do there, ONNX's test runner (for one exception) and Keras (for one function). Stand-ins are
there while it is imported; `tensorflow_addons` and `tensorflow_probability` are never imported,
installed or not.
"""

import contextlib
import functools
import gc
import logging
import os
import sys
import types
import unittest
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from graphcore import packages
from graphcore.progress import stage


@functools.cache
def tensorflow() -> types.ModuleType:
    """Import and return TensorFlow, without its start-up messages, which would bury a cell, and
    without Keras, which comes when it is asked for.

    Raises:
        graphcore.errors.WrongKernel: TensorFlow is not installed here.
    """
    packages.require("tensorflow", kernel="convert")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read while it is imported
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    # The first lines come before any setting is read.
    with stage("loading TensorFlow"), _without_standard_error(), _without_keras():
        import tensorflow as tf
    tf.get_logger().setLevel(logging.ERROR)
    return tf


@functools.cache
def load() -> types.ModuleType:
    """Import and return `onnx_tf` (with TensorFlow); the second call is free.

    Raises:
        graphcore.errors.WrongKernel: TensorFlow or onnx-tf is not installed here.
    """
    packages.require("tensorflow", "onnx_tf", kernel="convert")
    with _stand_ins(tensorflow()):
        import onnx_tf.backend
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
def no_garbage_collection() -> Iterator[None]:
    """Let Python not look for garbage, in a graph whose thousands of objects are all in use."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def weights_apart(weights: dict[str, np.ndarray], *, least: int) -> Iterator[None]:
    """Make placeholders of constants of `least` bytes or more, and keep the arrays in `weights`.

    So they are neither copied into the graph nor out of it again.
    """
    from tensorflow.python.framework import ops

    tf = tensorflow()
    create = ops._create_graph_constant

    def apart(value: Any, dtype: Any, shape: Any, name: str, *rest: Any) -> Any:
        small = not isinstance(value, np.ndarray) or value.nbytes < least or value.dtype.hasobject
        # What stands in a loop or a branch must run there, and only a constant does.
        if small or tf.compat.v1.get_default_graph()._get_control_flow_context():
            return create(value, dtype, shape, name, *rest)
        wanted = tf.as_dtype(value.dtype if dtype is None else dtype)
        array = np.asarray(value, wanted.as_numpy_dtype)
        array = array if shape is None else array.reshape(shape)
        made = tf.compat.v1.placeholder(wanted, array.shape, name=name)
        weights[made.op.name] = array
        made.op.graph.weights = weights
        return made

    ops._create_graph_constant = apart
    try:
        yield
    finally:
        ops._create_graph_constant = create


@contextlib.contextmanager
def old_control_flow() -> Iterator[None]:
    """Make conditions and loops of Switch, Merge, Enter and Exit, which TensorFlow 1.4 knows too.

    Newer ones call functions (If, While), and a frozen graph would have to carry those.
    """
    from tensorflow.python.ops import control_flow_util

    before = control_flow_util.ENABLE_CONTROL_FLOW_V2
    control_flow_util.ENABLE_CONTROL_FLOW_V2 = False
    try:
        yield
    finally:
        control_flow_util.ENABLE_CONTROL_FLOW_V2 = before


@contextlib.contextmanager
def _without_standard_error() -> Iterator[None]:
    """Silence what native code writes to standard error; exceptions still come."""
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
def _without_keras() -> Iterator[None]:
    """Keep TensorFlow from loading Keras, and with it pandas, matplotlib and IPython, while it is
    imported.

    That is a third of its time and a quarter of its memory. TensorFlow is ready to be without the
    module that it asks for, and loads Keras like any other package when somebody uses it.
    """
    name = "keras.src.optimizers"
    if name in sys.modules:
        yield
        return
    modules: dict[str, Any] = sys.modules
    modules[name] = None  # which is how Python is told that a module is not there
    try:
        yield
    finally:
        del sys.modules[name]


@contextlib.contextmanager
def _stand_ins(tf: Any) -> Iterator[None]:
    mapping = _onnx_mapping()
    provided = {
        "onnx.mapping": mapping,
        "tensorflow_addons": _tensorflow_addons(tf),
        "tensorflow_probability": _module("tensorflow_probability", distributions=None),
        "onnx.backend.test": _module("onnx.backend.test"),
        "onnx.backend.test.runner": _onnx_test_runner(),
    }
    before = {name: sys.modules.get(name) for name in provided}
    sys.modules.update(provided)
    for owner in (onnx, helper):
        vars(owner)["mapping"] = mapping
    keras, tf.keras = tf.keras, _Later(lambda: keras)
    try:
        yield
    finally:
        # The handlers keep their references; nobody else shall meet the stand-ins.
        tf.keras = keras
        for owner in (onnx, helper):
            del vars(owner)["mapping"]
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _onnx_mapping() -> types.ModuleType:
    """Return what `onnx.mapping` was until onnx 1.15, made with `onnx.helper`."""
    codes = [code for code in TensorProto.DataType.values() if code != TensorProto.UNDEFINED]
    dtypes = {code: helper.tensor_dtype_to_np_dtype(code) for code in codes}
    first_codes: dict[np.dtype, int] = {}
    for code, dtype in dtypes.items():
        first_codes.setdefault(dtype, code)
    return _module(
        "onnx.mapping",
        TENSOR_TYPE_TO_NP_TYPE=dtypes,
        NP_TYPE_TO_TENSOR_TYPE=first_codes,
        TENSOR_TYPE_TO_STORAGE_TENSOR_TYPE={
            code: helper.tensor_dtype_to_storage_tensor_dtype(code) for code in codes
        },
        STORAGE_TENSOR_TYPE_TO_FIELD={code: helper.tensor_dtype_to_field(code) for code in codes},
    )


def _onnx_test_runner() -> types.ModuleType:
    class BackendIsNotSupposedToImplementIt(unittest.SkipTest):
        """What onnx-tf raises for an op that it does not know."""

    return _module(
        "onnx.backend.test.runner",
        BackendIsNotSupposedToImplementIt=BackendIsNotSupposedToImplementIt,
    )


class _Later:
    """Something that is looked for when it is called, such as a function of Keras."""

    def __init__(self, find: Callable[[], Any]) -> None:
        self._find = find

    def __getattr__(self, name: str) -> "_Later":
        if name.startswith("_"):
            raise AttributeError(name)
        return _Later(lambda: getattr(self._find(), name))

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._find()(*arguments, **named)


def _tensorflow_addons(tf: types.ModuleType) -> types.ModuleType:
    def hardmax(logits: Any, name: str | None = None) -> Any:
        """One where the last axis has its (first) largest value, zero elsewhere."""
        return tf.one_hot(
            tf.argmax(logits, -1), tf.shape(logits)[-1], dtype=logits.dtype, name=name
        )

    return _module("tensorflow_addons", seq2seq=types.SimpleNamespace(hardmax=hardmax))


def _module(name: str, **members: object) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(members)
    return module
