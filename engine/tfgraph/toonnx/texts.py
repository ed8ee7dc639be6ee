"""Example inputs of strings: those that the graph itself knows, and two that it does not."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from graphcore.spec import Feeds, TensorSpec

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

_STRING = 7
"""TensorFlow's number for the type."""

_MOST = 1000
"""How many strings are tried, at most."""


class Texts:
    """Has integers drawn in place of strings, and then turns them into strings."""

    def __init__(
        self, specs: Iterable[TensorSpec], graph_def: "GraphDef", *, strange: bool = True
    ) -> None:
        """Take the inputs, and the graph whose constants are the known strings.

        With `strange=False` only known strings are used, if there are any.
        """
        specs = tuple(specs)
        self.names = {spec.name for spec in specs if spec.dtype in ("str", "string")}
        self.specs = tuple(
            TensorSpec(spec.name, "int64", spec.shape) if spec.name in self.names else spec
            for spec in specs
        )
        known = _texts(graph_def) if self.names else []
        self._known = [*known, "none of these", ""] if strange or not known else known

    def feeds(self, drawn: Feeds) -> Feeds:
        """Return the inputs with strings, in turn, each shifted by the integer drawn for it."""
        return {
            name: self._chosen(value) if name in self.names else value
            for name, value in drawn.items()
        }

    def _chosen(self, numbers: np.ndarray) -> np.ndarray:
        places = np.arange(numbers.size).reshape(numbers.shape) + numbers
        chosen = [self._known[place % len(self._known)] for place in places.ravel()]
        return np.array(chosen, object).reshape(numbers.shape)


def _texts(graph_def: "GraphDef") -> list[str]:
    from tensorflow import make_ndarray

    found: list[str] = []
    for node in graph_def.node:
        if node.op == "Const" and node.attr["dtype"].type == _STRING:
            values = make_ndarray(node.attr["value"].tensor).ravel()[:_MOST]
            found += [each.decode(errors="ignore") for each in values]
    return list(dict.fromkeys(found))[:_MOST]
