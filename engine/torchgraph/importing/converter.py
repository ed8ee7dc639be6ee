"""onnx2pytorch, used for one node at a time: the module that computes it, or why there is none.

It imports torchvision for five rare ops. PyPI's build of torchvision cannot be imported beside
PyTorch's CPU build, so stand-ins replace it during the import, and those ops are refused.
"""

import contextlib
import functools
import inspect
import re
import sys
import types
import warnings
from collections.abc import Iterator, Mapping

import onnx
from torch import nn

from graphcore.errors import ConversionError

NEEDS_TORCHVISION = frozenset(
    {"DeformConv", "ImageDecoder", "MaxRoiPool", "NonMaxSuppression", "RoiAlign"}
)
"""Ops for which onnx2pytorch uses compiled ops of torchvision."""

_RAISED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    RuntimeWarning,
    TypeError,
    ValueError,
)
"""Errors of the converter for a node without a module."""


@functools.cache
def load() -> types.ModuleType:
    """Import and return `onnx2pytorch.convert.operations`. A second call costs nothing."""
    with _stand_ins():
        from onnx2pytorch.convert import operations

    return operations


@functools.cache
def known_ops() -> frozenset[str]:
    """Return the ops that the converter names in its chain of comparisons, as it has no table."""
    chain = inspect.getsource(load().convert_operations)
    return frozenset(re.findall(r'op_type == "(\w+)"', chain)) - NEEDS_TORCHVISION


def module_of(
    node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto], opset: int
) -> nn.Module:
    """Return the converter's module for a node, with its weights loaded.

    Args:
        node: one node.
        weights: the initializers of its graph by name.
        opset: the version of ONNX's operators that the graph is written in.

    Raises:
        ConversionError: it has none. The words are the converter's.
    """
    if node.op_type in NEEDS_TORCHVISION:
        raise ConversionError("needs compiled ops of torchvision")
    if node.op_type not in known_ops():  # the converter would guess a torch function from the name
        raise ConversionError("has no counterpart in onnx2pytorch")
    graph = onnx.GraphProto(node=[node])
    graph.initializer.extend(weights[name] for name in node.input if name in weights)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            warnings.simplefilter("ignore", UserWarning)  # a difference is found by comparing
            ((_, _, module),) = load().convert_operations(graph, opset, enable_pruning=False)
    except _RAISED as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ConversionError(f"is refused by onnx2pytorch ({said.rstrip('.')})") from error
    return module


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    def absent(*_: object, **__: object) -> None:
        raise NotImplementedError("this needs compiled ops of torchvision")

    names = ("box_convert", "deform_conv2d", "nms", "roi_align", "roi_pool")
    ops = _module("torchvision.ops", **dict.fromkeys(names, absent))
    io = _module("torchvision.io", decode_image=absent, ImageReadMode=None)
    provided = {
        "torchvision": _module("torchvision", ops=ops, io=io),
        "torchvision.ops": ops,
        "torchvision.io": io,
    }
    before = {name: sys.modules.get(name) for name in provided}
    sys.modules.update(provided)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _module(name: str, **members: object) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(members)
    return module
