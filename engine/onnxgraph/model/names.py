"""Names that a model uses already, and new ones beside them."""

from collections import Counter
from collections.abc import Iterable

import onnx

from onnxgraph.model.graphs import graphs


class Names:
    """A set of used names.

    Each new name that it gives counts as used from then on.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """Start with the names that are used."""
        self._taken = set(taken)
        self._counts: Counter[str] = Counter()

    def free(self, stem: str) -> str:
        """Return the first free name of `stem`, `stem_1`, `stem_2` …, and mark it as used."""
        name = stem
        while name in self._taken:
            self._counts[stem] += 1
            name = f"{stem}_{self._counts[stem]}"
        self._taken.add(name)
        return name


def used_names(graph: onnx.GraphProto) -> set[str]:
    """Return the names of all tensors and nodes of a graph, including its subgraphs."""
    used: set[str] = set()
    for each in graphs(graph):
        values = (*each.input, *each.output, *each.initializer, *each.value_info)
        used.update(value.name for value in values)
        used.update(tensor.values.name for tensor in each.sparse_initializer)
        for node in each.node:
            used.update((node.name, *node.input, *node.output))
    return used
