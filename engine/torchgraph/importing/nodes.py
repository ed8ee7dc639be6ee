"""The call for each ONNX node: a function of ours on known numbers, or a module.

A call is chosen without running anything, so that everything that is missing is known in advance.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from graphcore.copies import copy_of
from graphcore.errors import ConversionError
from onnxgraph.model import external
from onnxgraph.model.nodes import attributes
from torchgraph.importing import converter, functions, resizing, sizes

FEW = 64
"""Constants of at most this many values may be sizes, axes or scales."""


@dataclass(frozen=True)
class Call:
    """The computation of a node: a function with its attributes, or a module that holds weights.

    `numbers` are the positions of inputs passed as Python numbers, `absorbed` those of weights that
    the module itself holds, and `indexed` tells that it returns several tensors.
    """

    what: Callable | nn.Module
    attributes: Mapping[str, Any] = field(default_factory=dict)
    numbers: Collection[int] = ()
    absorbed: Collection[int] = ()
    indexed: bool = False
    is_numbers: bool = False


_SHAPED: dict[str, tuple[Callable, tuple[int, ...]]] = {
    "Expand": (functions.expand, (1,)),
    "Gather": (functions.gather, (1,)),
    "Pad": (functions.pad, (1, 2, 3)),
    "Reshape": (functions.reshape, (1,)),
    "Resize": (resizing.resize, (1, 2, 3)),
    "Slice": (functions.cut, (1, 2, 3, 4)),
    "Split": (functions.split, (1,)),
    "Squeeze": (functions.squeeze, (1,)),
    "Tile": (functions.tile, (1,)),
    "Unsqueeze": (functions.unsqueeze, (1,)),
    "Upsample": (resizing.resize_10, (1,)),
}
"""Positions of inputs that control an op rather than hold data."""

_PLAIN = {
    "Concat": functions.concat,
    "ConstantOfShape": functions.constant_of_shape,
    "Flatten": functions.flatten,
    "Gemm": functions.gemm,
    "LpNormalization": functions.lp_normalize,
    "MatMul": torch.matmul,
    "Mod": functions.remainder,
    "Sign": functions.sign,
    "ThresholdedRelu": functions.thresholded_relu,
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"), functions.reduce),
}

_WEIGHTED = frozenset(
    {
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "GRU",
        "InstanceNormalization",
        "LSTM",
        "RNN",
    }
)
"""Ops whose module holds the weights, if they are constants."""

OURS = frozenset({*_SHAPED, *_PLAIN, *sizes.SOURCES, *sizes.ARITHMETIC})
"""Ops implemented here, for all or for some uses."""


def call_for(
    node: onnx.NodeProto,
    weights: Mapping[str, onnx.TensorProto],
    numbers: Collection[str],
    opset: int,
) -> Call:
    """Return the call that computes a node.

    Args:
        node: the node.
        weights: the initializers by name.
        numbers: the tensors that are Python numbers when the model runs.
        opset: the version of ONNX's operators.

    Raises:
        ConversionError: there is none. The words follow the name of the node.
    """
    known = {
        place
        for place, name in enumerate(node.input)
        if name in numbers or (name in weights and _is_few(weights[name]))
    }
    given = {place for place, name in enumerate(node.input) if name}
    options = attributes(node)
    moving = any(name in numbers for name in node.input)
    if node.op_type in sizes.SOURCES and not moving:
        return Call(sizes.SOURCES[node.op_type], options, is_numbers=True)
    if node.op_type in sizes.ARITHMETIC and moving and known == given:
        return Call(sizes.ARITHMETIC[node.op_type], options, known, is_numbers=True)
    if node.op_type in _SHAPED:
        call = _shaped(node, options, known, given, opset)
        if call:
            return call
    if node.op_type == "Gemm" and _is_linear(node, weights, options):
        return Call(_linear(node, weights, options), absorbed=(1, 2))
    if node.op_type == "MatMul" and _is_matrix(node, weights):
        return Call(converter.module_of(node, weights, opset), absorbed=(1,))
    if node.op_type in _PLAIN:
        call = _plain(node, options, known, given)
        if call:
            return call
    return _converted(node, weights, opset)


def _is_few(tensor: onnx.TensorProto) -> bool:
    """Whether a constant of numbers is small enough to be sizes or axes."""
    count = int(np.prod(tensor.dims, dtype=np.int64))
    return count <= FEW and tensor.data_type in (1, 6, 7, 11)


def _shaped(
    node: onnx.NodeProto, options: dict[str, Any], known: set[int], given: set[int], opset: int
) -> Call | None:
    function, places = _SHAPED[node.op_type]
    if node.op_type == "Resize" and opset < 11:
        function, places = resizing.resize_10, (1,)
    wanted = given.intersection(places)
    if node.op_type == "Resize" and opset >= 11:
        how = options.get("coordinate_transformation_mode", "half_pixel")
        plain = how in resizing.PLACES and not options.get("antialias")
        if not plain or options.pop("keep_aspect_ratio_policy", "stretch") != "stretch":
            return None
        for name in ("antialias", "extrapolation_value"):
            options.pop(name, None)
    if not wanted <= known:
        return None
    if node.op_type == "Split":
        options["outputs"] = len(node.output)
    return Call(function, options, wanted, indexed=node.op_type == "Split")


def _plain(
    node: onnx.NodeProto, options: dict[str, Any], known: set[int], given: set[int]
) -> Call | None:
    if node.op_type == "ConstantOfShape":
        if 0 not in known:
            return None
        value = numpy_helper.to_array(options["value"]) if options else np.zeros(1, np.float32)
        fill = {"fill": value.item(), "dtype": torch.from_numpy(value).dtype}
        return Call(functions.constant_of_shape, fill, (0,))
    if node.op_type.startswith("Reduce"):
        if not given - {0} <= known:
            return None
        return Call(functions.reduce, {**options, "op": node.op_type}, given - {0})
    return Call(_PLAIN[node.op_type], options)


def _converted(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto], opset: int) -> Call:
    copy = copy_of(node)
    held = _held(node, weights) if node.op_type in _WEIGHTED else []
    if node.op_type == "ConvTranspose" and held and not _has(node, "kernel_shape"):
        kernel = list(weights[node.input[1]].dims)[2:]
        copy.attribute.append(helper.make_attribute("kernel_shape", kernel))
    module = converter.module_of(copy, weights, opset)
    return Call(module, absorbed=held, indexed=_returns_several(module, node))


def _held(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> list[int]:
    """Return the positions of the weights that a layer's module holds, which are all or none.

    Raises:
        ConversionError: some weights are constants, and some are computed.
    """
    states = 3 if node.op_type in ("GRU", "LSTM", "RNN") else 4  # inputs after W, R and B
    places = list(range(1, len(node.input)))
    constant = [place for place in places if node.input[place] in weights]
    moving = [p for p in places if p <= states and node.input[p] and p not in constant]
    if constant and moving:
        names = ", ".join(repr(node.input[place]) for place in moving)
        raise ConversionError(f"has weights that are computed ({names}) beside constant ones")
    empty = [place for place in places if not node.input[place]]
    return constant + empty if constant else []


def _returns_several(module: nn.Module, node: onnx.NodeProto) -> bool:
    """Whether a module returns a tuple. Pools whose indices nobody reads are set to return one."""
    single = len([name for name in node.output if name]) == 1
    several = False
    for part in module.modules():
        if isinstance(part, nn.modules.pooling._MaxPoolNd) and single:
            part.return_indices = False
        elif isinstance(part, _multiple()):
            several = True
    return several


def _multiple() -> tuple[type, ...]:
    from onnx2pytorch.constants import MULTIOUTPUT_LAYERS

    return MULTIOUTPUT_LAYERS


def _is_matrix(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    left, right = node.input[:2]
    return left not in weights and right in weights and len(weights[right].dims) == 2


def _is_linear(
    node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto], options: Mapping[str, Any]
) -> bool:
    bias = _name(node, 2)
    scaled = options.get("alpha", 1.0) != 1 or options.get("beta", 1.0) != 1
    if options.get("transA") or scaled or not _is_matrix(node, weights):
        return False
    wide = weights[node.input[1]].dims[0 if options.get("transB") else 1]
    return not bias or (bias in weights and list(weights[bias].dims)[-1:] == [wide])


def _linear(
    node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto], options: Mapping[str, Any]
) -> nn.Linear:
    weight = torch.tensor(external.values(weights[node.input[1]]))
    weight = weight if options.get("transB") else weight.T.contiguous()
    made = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], bool(_name(node, 2)))
    made.weight = nn.Parameter(weight)
    if _name(node, 2):
        made.bias = nn.Parameter(torch.tensor(external.values(weights[node.input[2]])).reshape(-1))
    return made


def _name(node: onnx.NodeProto, place: int) -> str:
    return node.input[place] if place < len(node.input) else ""


def _has(node: onnx.NodeProto, attribute: str) -> bool:
    return any(each.name == attribute for each in node.attribute)
