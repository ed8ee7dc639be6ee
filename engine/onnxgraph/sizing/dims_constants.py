"""Constants in arithmetic that may have been computed from a size that is being freed.

The number 256 may be a plain constant or 16 × 16, and the graph does not tell which. So a number is
suspected where it could be a size, and the other operand decides how easily. Beside places along an
axis (from an ArgMax), sizes of any magnitude are suspected. Beside sums and means over an axis, so
is the number of values in the sum. Beside plain features, only sizes above those of ordinary
constants are suspected.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from onnxgraph.model.nodes import attributes
from onnxgraph.sizing.dims_reductions import MEANS, counts
from onnxgraph.sizing.dims_watched_graph import Followed

OPS = (
    *("Add", "Sub", "Mul", "Div", "Mod", "Pow", "Min", "Max", "Clip", "Where", "Equal"),
    *("Less", "LessOrEqual", "Greater", "GreaterOrEqual"),
)

_FEW = 4
"""A constant with more values than this holds weights, not sizes."""

_LARGE = 8
"""Beside plain features, smaller sizes are too common as ordinary constants to be suspected."""

_PIXELS = (255, 127.5, 127, 128, 256)
"""The numbers by which the pixels of 8-bit pictures are scaled."""

_PLACES = {"ArgMax": 0, "ArgMin": 0, "NonZero": 0, "TopK": 1, "MaxPool": 1}
"""Ops that return places along an axis, with the number of that output."""

_SCALING = (*OPS, "Cast", "Transpose", "Identity")
"""Ops that a picture passes through before the network itself."""

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "LSTM", "GRU", "RNN")
"""Ops whose outputs are no longer counts or places."""

_ROUNDING = {"float16": 2.0**-11, "bfloat16": 2.0**-8}

Form = tuple[str, Callable[[float], float]]

_SIZE: list[Form] = [("{}", lambda s: s), ("{} − 1", lambda s: s - 1)]
_HALF: list[Form] = [("half of {}", lambda s: s / 2), ("half of {} − 1", lambda s: (s - 1) / 2)]
_COUNT: list[Form] = [
    *_SIZE,
    ("{0} over {0} − 1", lambda s: s / max(s - 1, 1)),
    ("the root of {}", math.sqrt),
    ("the logarithm of {}", math.log),
    ("the root of {} − 1", lambda s: math.sqrt(s - 1)),
    ("the root of {0} over {0} − 1", lambda s: math.sqrt(s / max(s - 1, 1))),
]


class Constants:
    """The state of the search: sizes that follow, and tensors that are computed from them."""

    def __init__(self, followed: Followed) -> None:
        """Start with the inputs."""
        self.followed = followed
        self.sizes: dict[int, str] = {}
        """Sizes of axes that follow, and products of them in a tensor, with their text form."""
        self._sums: dict[str, dict[int, str]] = {}
        self._means: dict[str, dict[int, str]] = {}
        self._places: set[str] = set()
        self._raw = {value.name for value in followed.model.graph.input}
        self._coordinates = _coordinates(followed.model.graph)
        for name in self._raw:
            self._learn_sizes(name)

    def suspected(self, node: onnx.NodeProto) -> str:
        """Return which constant of a node may be a size, or "" if no constant may be one."""
        if node.op_type == "OneHot" and node.input[0] in self._places:
            depth = self.followed.constant(node.input[1])
            size = 0 if depth is None else int(depth.ravel()[0])
            return f"has the depth {size}, a size" if size in self.sizes else ""
        if node.op_type not in OPS:
            return ""
        fixed = {name: self.followed.constant(name) for name in node.input if name}
        data = [name for name, value in fixed.items() if value is None]
        values = [value for value in fixed.values() if value is not None]
        values += [np.array(v) for k, v in attributes(node).items() if k in ("min", "max")]
        for number in _numbers(values):
            if data and (found := self._explained(node, number, data)):
                shown = f"{number.value:.6g}"
                return f"has the constant {shown}" + (
                    ", a size" if found == shown else f", which may be {found}"
                )
        return ""

    def learn(self, node: onnx.NodeProto) -> None:
        """Note what a node that was just written computes from sizes."""
        for name in filter(None, node.output):
            self._learn_sizes(name)
        if counted := counts(self.followed, node):
            known = self._means if node.op_type in MEANS else self._sums
            known.setdefault(node.output[0], {}).update(counted)
        if node.op_type in _PLACES and any(self.followed.moving(node)):
            self._places.update(node.output[_PLACES[node.op_type] :][:1])
        if node.op_type in _WEIGHTED or self._has_weights(node):
            return
        for name in filter(None, node.output):
            for known in (self._sums, self._means):
                for each in (known[source] for source in node.input if source in known):
                    known.setdefault(name, {}).update(each)
            if self._places.intersection(node.input):
                self._places.add(name)
            if node.op_type in _SCALING and self._raw.intersection(node.input):
                self._raw.add(name)

    def _explained(self, node: onnx.NodeProto, number: "_Number", data: list[str]) -> str:
        """Return in words how a number could be a size, or "" if it could not."""
        small = number.value in (2, 0.5)
        if node.op_type == "Pow" and (small or number.value < 1):  # squares and roots
            return ""
        places = any(name in self._places for name in data)
        if places and (found := _made_of_size(number, self.sizes, [*_COUNT, *_HALF])):
            return found
        for name in data:
            sizes = self.sizes | self._sums.get(name, {})
            if name in self._sums and (found := _made_of_size(number, sizes, _COUNT)):
                return found
            means = {} if small else self._means.get(name, {})
            if found := _made_of_size(number, means, _COUNT):
                return found
        large = {size: shown for size, shown in self.sizes.items() if size >= _LARGE}
        if self._coordinates.intersection(node.output):
            return _made_of_size(number, large, [*_SIZE, *_HALF])
        if not any(any(self.followed.follows(name) or ()) for name in data):
            return ""
        if self._is_scale(number, data):
            return ""
        return _made_of_size(number, large, _SIZE, twice=False)

    def _is_scale(self, number: "_Number", data: list[str]) -> bool:
        """Whether a number is the range of pixels, or the root of a fixed dim of the data."""
        scales: list[float] = [*_PIXELS] if self._raw.intersection(data) else []
        dims = {dim for name in data for dim in self._fixed_dims(name)}
        scales += [math.sqrt(dim) for dim in dims if dim > 1]
        return any(number.equals(each) or number.equals(1 / each) for each in scales)

    def _fixed_dims(self, name: str, depth: int = 4) -> Iterator[int]:
        """Yield the dims that do not follow, of a tensor and of those that it is computed from."""
        follows = self.followed.follows(name) or ()
        for dim, moves in zip(self.followed.static(name), follows, strict=False):
            if dim and moves is False:
                yield dim
        node = self.followed.producers.get(name)
        for source in node.input if node and depth else ():
            yield from self._fixed_dims(source, depth - 1)

    def _learn_sizes(self, name: str) -> None:
        moving = [size for size in self.followed.moving_sizes(name) if size > 1]
        for count in range(1, len(moving) + 1):
            for some in itertools.combinations(moving, count):
                self.sizes.setdefault(math.prod(some), " × ".join(map(str, some)))

    def _has_weights(self, node: onnx.NodeProto) -> bool:
        return node.op_type == "MatMul" and any(
            name in self.followed.weights or self.followed.constant(name) is not None
            for name in node.input
        )


def _coordinates(graph: onnx.GraphProto) -> set[str]:
    """Return the tensors from which places in pictures are computed."""
    found: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type in ("GridSample", "RoiAlign") or found.intersection(node.output):
            found.update(
                node.input[1:2] if node.op_type in ("GridSample", "RoiAlign") else node.input
            )
    return found


@dataclass(frozen=True)
class _Number:
    """A number without its sign, and how far its dtype rounds it."""

    value: float
    rounding: float

    def equals(self, other: float) -> bool:
        return math.isclose(self.value, other, rel_tol=self.rounding)


def _numbers(values: Iterable[np.ndarray]) -> Iterator[_Number]:
    """Yield the numbers of small constants that are not 0 or 1."""
    for array in values:
        rounding = _ROUNDING.get(array.dtype.name, 2e-6)
        if 0 < array.size <= _FEW and (array.dtype.kind in "fiu" or rounding > 2e-6):
            found = (abs(float(value)) for value in array.ravel())
            yield from (_Number(v, rounding) for v in found if v not in (0, 1) and np.isfinite(v))


def _made_of_size(
    number: _Number, sizes: dict[int, str], forms: list[Form], *, twice: bool = True
) -> str:
    """Return how a number derives from a size, or from one or two over a size, or ""."""
    for (size, shown), (words, form) in itertools.product(sizes.items(), forms):
        made = form(size)
        if made <= 1:
            continue
        text = words.format(f"({shown})" if "×" in shown and words != "{}" else shown)
        if number.equals(made):
            return text
        if number.equals(1 / made):
            return f"one over {text}"
        if twice and made >= _LARGE and number.equals(2 / made):
            return f"two over {text}"
    return ""
