"""Inputs with special values: ties, classes out of range, infinities, NaN.

The ops of the graph decide which kinds are drawn. For example, NaN is drawn only if some op
distinguishes it from numbers, because a graph without such an op promises nothing for NaN.
"""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from graphcore.spec import Feeds
from tfgraph.graphs.order import every_node

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

_STEPS = re.compile(
    r"Round|Rint|Floor\w*|Ceil|(Truncate)?Mod|TruncateDiv|Sign|ArgM\w+|TopKV2|OneHot|Bucketize|"
    r"(Not)?Equal|Less\w*|Greater\w*|Cast|FakeQuant\w+|(Unsorted)?Segment\w+|LookupTable\w+|"
    r"SelectV?2?|Atan2|Log|Div|RealDiv|DivNoNan|MulNoNan|Xlogy|Xdivy|Xlog1py"
)
_CHOOSING = re.compile(r"Select(V2)?|Is(Inf|Finite)|DivNoNan|MulNoNan|Xlogy|Xdivy|Xlog1py|Atan2")
_TELLING_NAN = re.compile(r"Is(Nan|Finite)|MulNoNan|DivNoNan|Xlogy")

_STEPPED = (0.5, -1.5, 2.5, 0.0, -0.0, 41, 82, -0.5, 1, -7, 3, 3, 123, 1.5, -2.5, 2)
_WHOLE = (-1, 0, 5, -2, 3, 40, 1, 7, -8, 2)
_SMALL = (0, 1, 3, 2)

Draw = Callable[[np.ndarray, int], np.ndarray]
"""From an array of an input and the input's number to an array with special values."""


def drawn(feeds: Feeds, graph_def: "GraphDef") -> Iterable[tuple[str, Feeds]]:
    """Yield the kind of special values and the inputs with them, for each kind that an op needs."""
    ops = {node.op for node in every_node(graph_def)}
    kinds: list[tuple[str, re.Pattern, Draw]] = [
        ("ties and integers out of range", _STEPS, _stepped),
        ("infinities", _CHOOSING, _infinite),
        ("NaN", _TELLING_NAN, _with_nan),
    ]
    for title, pattern, draw in kinds:
        if any(map(pattern.fullmatch, ops)):
            yield title, {n: draw(each, at) for at, (n, each) in enumerate(feeds.items())}


def _stepped(array: np.ndarray, number: int) -> np.ndarray:
    if array.dtype.kind == "f":
        return _cycled(_STEPPED, array, number)
    if array.dtype.kind not in "iu":
        return array
    return _cycled(_SMALL if array.dtype.kind == "u" else _WHOLE, array, number)


def _infinite(array: np.ndarray, number: int) -> np.ndarray:
    return _sprinkled(array, number, (np.inf, -np.inf))


def _with_nan(array: np.ndarray, number: int) -> np.ndarray:
    return _sprinkled(array, number, (np.nan,))


def _sprinkled(array: np.ndarray, number: int, values: tuple[float, ...]) -> np.ndarray:
    """Put values in every third place.

    The whole first row gets the last value, and the last row stays unchanged.
    """
    if array.dtype.kind != "f":
        return array
    changed = array.copy()
    places = changed.reshape(-1)[number % 3 :: 3]
    places[:] = np.resize(values, places.shape)
    if array.ndim > 1 and len(array) > 1:
        changed[0], changed[-1] = values[-1], array[-1]
    return changed


def _cycled(values: tuple[float, ...], array: np.ndarray, number: int) -> np.ndarray:
    turned = np.roll(np.array(values), number)
    return np.resize(turned, array.shape).astype(array.dtype)
