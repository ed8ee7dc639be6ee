"""Intended differences between routes and ONNX: the ops, the values that show them, the reasons.

A difference is excused only in a run where such a value reaches such an op.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

EVERY = ("",)
ONNX = ("simplify", "lower_opset", "make_batch_dynamic", "free_dims", "tf2onnx")
"""The first parts of the names: of all routes, and of routes whose results onnxruntime runs."""

LARGE = 1e3


def nan(array: np.ndarray) -> bool:
    """Whether an array has a NaN."""
    return bool(np.isnan(array).any())


def nan_or_infinite(array: np.ndarray) -> bool:
    """Whether an array has a NaN or an infinity."""
    return not np.isfinite(array).all()


def nan_or_large(array: np.ndarray) -> bool:
    """Whether an array has a NaN, or a number whose square hides small ones in a sum."""
    return not (np.abs(array) < LARGE).all()


def minus_zero(array: np.ndarray) -> bool:
    """Whether an array has a minus zero."""
    return bool((np.signbit(array) & (array == 0)).any())


def minus_zero_or_infinity(array: np.ndarray) -> bool:
    """Whether an array has a minus zero, or minus infinity."""
    return minus_zero(array) or bool(np.isneginf(array).any())


def every(node: onnx.NodeProto, weights: dict[str, np.ndarray]) -> bool:
    """Whether a node counts: every node does."""
    return True


def mixing(node: onnx.NodeProto, weights: dict[str, np.ndarray]) -> bool:
    """Whether a node is a Resize that adds up pixels, each with a weight."""
    modes = [attribute.s for attribute in node.attribute if attribute.name == "mode"]
    return modes in ([b"linear"], [b"cubic"])


def root(node: onnx.NodeProto, weights: dict[str, np.ndarray]) -> bool:
    """Whether a node is a Pow to one half, or to minus one half."""
    exponents = weights.get(node.input[1])
    return exponents is not None and bool((np.abs(exponents) == 0.5).all())


@dataclass(frozen=True)
class Stated:
    """Ops that differ if the first input `holds` some value, on routes with these first parts.

    `of` tells which nodes of the ops differ, given the weights of the model by name.
    """

    ops: tuple[str, ...]
    routes: tuple[str, ...]
    holds: Callable[[np.ndarray], bool]
    why: str
    of: Callable[[onnx.NodeProto, dict[str, np.ndarray]], bool] = every


STATED = (
    Stated(
        ("Softmax", "LogSoftmax"),
        ("onnx2tf",),
        nan_or_infinite,
        "A NaN or +inf makes a whole row NaN in ONNX. The kernels of TensorFlow 1.13, and of 2 "
        "with oneDNN, make NaN of that element alone. Looking for such a value first would "
        "lengthen every Softmax of every network.",
    ),
    Stated(
        ("ArgMax", "ArgMin", "Hardmax", "TopK"),
        EVERY,
        nan,
        "ONNX gives NaN no place in an order. onnxruntime, onnx's reference evaluator, torch and "
        "TensorFlow each choose another one.",
    ),
    Stated(
        ("MaxPool", "GlobalMaxPool"),
        EVERY,
        nan,
        "ONNX does not say whether NaN is the largest number of a window. onnxruntime itself "
        "keeps it or drops it, as the kernel and the place in the window have it.",
    ),
    Stated(
        ("ReduceMax", "ReduceMin", "Max", "Min"),
        ONNX,
        nan,
        "onnxruntime, which runs what these routes write, keeps NaN or drops it, as the layout of "
        "the tensor has it. TensorFlow and torch keep it, as onnx's reference evaluator does.",
    ),
    Stated(
        ("LRN",),
        EVERY,
        nan_or_large,
        "onnxruntime and TensorFlow sum over channels so that NaN, infinity and the rounding of "
        "large numbers reach channels outside the window; onnx's reference evaluator leaves "
        "channels out.",
    ),
    Stated(
        ("Resize",),
        EVERY,
        nan_or_infinite,
        "In the modes linear and cubic, the weight of a pixel may be 0, and 0 times NaN or "
        "infinity is NaN. onnxruntime, onnx's reference evaluator, torch and TensorFlow each leave "
        "out other pixels of the weight 0.",
        mixing,
    ),
    Stated(
        ("PRelu", "LeakyRelu"),
        ("onnx2tf", "tf2onnx"),
        minus_zero,
        "Minus zero becomes zero, which shows where a number is divided by it. Choosing between "
        "two tensors would keep the sign, and make a PRelu slower than adding two of them does.",
    ),
    Stated(
        ("Pow",),
        ("onnx2tf", "import_onnx", "tf2onnx"),
        minus_zero_or_infinity,
        "With the exponent 0.5 or -0.5, torch and TensorFlow's optimiser take a root, which of "
        "minus infinity is NaN, and of minus zero minus zero. ONNX's power is infinity and zero "
        "there. Keeping the root away would make such a power three times slower or more.",
        root,
    ),
    Stated(
        ("LSTM", "GRU", "RNN"),
        EVERY,
        nan_or_infinite,
        "onnxruntime clips what it gives to the activations, so that NaN becomes a number. "
        "TensorFlow, torch and onnx's reference evaluator keep it.",
    ),
)
"""The known differences that stay. `onnx2tf` informs its users about those that concern them."""


def watched(model: onnx.ModelProto) -> dict[str, list[Stated]]:
    """Return the tensors to look at: name → the differences that a value in them would excuse."""
    found: dict[str, list[Stated]] = {}
    weights = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    for node in model.graph.node:
        for each in STATED:
            if node.op_type in each.ops and each.of(node, weights):
                found.setdefault(node.input[0], []).append(each)
    return found


def showing(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the watched tensors as further outputs."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    known = {value.name for value in (*model.graph.input, *model.graph.output)}
    names = [name for name in watched(model) if name not in known]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return shown


def excuses(model: onnx.ModelProto, tensors: dict[str, np.ndarray]) -> list[Stated]:
    """Return the differences that a run excuses. `tensors` are the watched ones of the run."""
    return [
        each
        for name, statements in watched(model).items()
        for each in statements
        if name in tensors and tensors[name].dtype.kind == "f" and each.holds(tensors[name])
    ]
