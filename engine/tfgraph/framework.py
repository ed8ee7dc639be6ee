"""TensorFlow, loaded without its messages, and the settings that graphs for old releases need."""

import contextlib
import functools
import gc
import logging
import os
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphcore import packages
from graphcore.progress import stage


@functools.cache
def tensorflow() -> types.ModuleType:
    """Import and return TensorFlow, without its start-up messages and without Keras.

    The messages would fill a notebook cell. Keras is loaded when it is first used.

    Raises:
        graphcore.errors.WrongKernel: TensorFlow is not installed here.
    """
    packages.require("tensorflow", kernel="convert")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it at import
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    # TensorFlow writes its first lines before it reads any setting.
    with stage("loading TensorFlow"), _without_standard_error(), _without_keras():
        import tensorflow as tf
    tf.get_logger().setLevel(logging.ERROR)
    return tf


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Switch garbage collection off while a graph is built, because all its objects are in use."""
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

    So these arrays are never copied into the graph and out of it again.
    """
    from tensorflow.python.framework import ops

    tf = tensorflow()
    create = ops._create_graph_constant

    def apart(value: Any, dtype: Any, shape: Any, name: str, *rest: Any) -> Any:
        small = not isinstance(value, np.ndarray) or value.nbytes < least or value.dtype.hasobject
        # A weight inside a loop or a branch must be computed there, and only a constant is.
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
    """Build conditions and loops from Switch, Merge, Enter and Exit, as TensorFlow 1.4 does.

    The newer ops (If, While) call functions, and then a frozen graph would have to contain these.
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
    """Silence what native code writes to standard error. Exceptions are still raised."""
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
    """Keep TensorFlow's import from loading Keras, with its pandas, matplotlib and IPython.

    Keras takes a third of the import's time and a quarter of its memory. TensorFlow
    imports without Keras, and loads it like any other package when it is first used.
    """
    name = "keras.src.optimizers"
    if name in sys.modules:
        yield
        return
    modules: dict[str, Any] = sys.modules
    modules[name] = None  # Python then takes the module for missing
    try:
        yield
    finally:
        del sys.modules[name]
