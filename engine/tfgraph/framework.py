"""TensorFlow, loaded quietly, and the switches under which graphs for old releases are made."""

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
