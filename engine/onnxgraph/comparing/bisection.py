"""Find the first op whose inputs agree and whose output differs, with few tensors per run.

The search starts at an output that differs and goes back through the graph. A tensor that agrees
clears everything before it. A tensor that differs becomes the new end of the search. The op that is
found is then run alone, on the reference's inputs, to see whether it still differs.
"""

from collections.abc import Mapping

import numpy as np

from graphcore import parity
from onnxgraph.comparing.difference import Difference
from onnxgraph.comparing.layers import BUDGET, compared, groups, ordering, shared
from onnxgraph.comparing.layouts import from_onnx, to_onnx
from onnxgraph.comparing.one_tensor import Layer, judge
from onnxgraph.comparing.sources import OnnxSource, Source

STEPS = 5
"""How many of the largest steps are run alone if no op is wrong by itself."""


def first_difference(
    reference: Source,
    judged: Source,
    feeds: Mapping[str, np.ndarray],
    *,
    model: OnnxSource | None = None,
    tolerance: float = parity.TOLERANCE,
    budget: int = BUDGET,
) -> Difference | None:
    """Return where two sources start to differ, or None if every output that both have agrees.

    Args:
        reference: the source that is right.
        judged: the source to judge.
        feeds: the model's inputs by ONNX name.
        model: gives the order of the tensors. Needed only if neither source is an `OnnxSource`.
        tolerance: the largest difference allowed, as a share of the largest value of each tensor.
        budget: bytes of tensors fetched per run. A smaller budget needs less memory and more runs.

    Raises:
        GraphError: there is nothing to compare, or a source cannot be run.
    """
    return _Search(reference, judged, feeds, model, tolerance, budget).difference()


class _Search:
    """The comparisons so far. Each tensor is compared once."""

    def __init__(
        self,
        reference: Source,
        judged: Source,
        feeds: Mapping[str, np.ndarray],
        model: OnnxSource | None,
        tolerance: float,
        budget: int,
    ) -> None:
        self.sources = (reference, judged)
        self.order = ordering(reference, judged, model)
        self.feeds = self.order.checked(feeds)
        self.flow = self.order.dataflow
        self.names = set(shared(reference, judged, self.flow))
        self.sizes = self.order.tensor_bytes(self.feeds)
        self.tolerance, self.budget = tolerance, budget
        self.known: dict[str, Layer] = {}
        self.runs = 0

    def difference(self) -> Difference | None:
        """Search from the first output that differs (see `first_difference`)."""
        ends = [name for name in self.flow.outputs if name in self.names]
        ends = ends or [self.flow.sorted(self.names)[-1]]
        self.compare(ends)
        output = next((self.known[end] for end in ends if self.known[end].differs), None)
        if output is None:
            return None
        found = self.first(output.name)
        alone = self.alone(found)
        if alone is not None and not alone.differs:
            found, alone = self.largest_step(output.name, found, alone)
        return self.described(found, alone, output, ends)

    def compare(self, names: list[str]) -> None:
        """Compare tensors that are not known yet, as many per run as the budget allows."""
        new = [name for name in names if name not in self.known]
        for group in groups(new, self.sizes, self.budget):
            self.known |= compared(
                *self.sources, group, self.feeds, self.flow, tolerance=self.tolerance
            )
            self.names -= set(group) - set(self.known)  # sequences
            self.runs += 1

    def first(self, end: str) -> str:
        """Return a tensor before `end` that differs and whose inputs all agree."""
        while True:
            found = self._first(end)
            if found == end or self._reaches(found, end):
                return found
            # Nothing computed from it differs, so the other side uses the name for another tensor.
            self.names.discard(found)

    def _first(self, end: str) -> str:
        agreeing = {name for name in self.names if self._agrees(name)}
        while True:
            behind, _ = self.flow.before(end, agreeing)
            open_ = self.flow.sorted(behind & self.names)
            worse = next((n for n in open_ if n in self.known), None)
            if worse is not None:
                end = worse
                continue
            if not open_:
                return end
            self.compare(self._sample(open_))
            agreeing = {name for name in self.names if self._agrees(name)}

    def _sample(self, names: list[str]) -> list[str]:
        """Return as many of the names, evenly spaced, as fit into one run."""
        largest = max((self.sizes.get(name, self.budget) for name in names), default=1)
        count = max(1, min(len(names), self.budget // max(largest, 1)))
        return [names[(2 * place + 1) * len(names) // (2 * count)] for place in range(count)]

    def _agrees(self, name: str) -> bool:
        return name in self.known and not self.known[name].differs

    def _reaches(self, name: str, end: str) -> bool:
        """Whether a tensor between this one and `end`, computed directly from it, differs too."""
        _, following = self.flow.after(name, self.names)
        way, _ = self.flow.before(end)
        following &= way | {end}
        self.compare(self.flow.sorted(following))
        return any(self.known[each].differs for each in following)

    def inputs(self, name: str) -> tuple[list[str], list[str]]:
        """Return the nearest known tensors before one, and all tensors computed in between."""
        inner, border = self.flow.before(name, self.names)
        return self.flow.sorted(border), self.flow.sorted({*inner, name} & set(self.flow.makers))

    def alone(self, name: str) -> Layer | None:
        """Run only the part between a tensor and its inputs, on the values of the other side."""
        reference, judged = self.sources
        border, _ = self.inputs(name)
        self.compare(border)
        turned = not judged.restarts
        runner, giver = (reference, judged) if turned else (judged, reference)
        if not runner.restarts:
            return None
        given = giver.tensors([*border, name], self.feeds)
        fed = dict(self.feeds)
        for each in border:
            mine, theirs = self.known[each].layouts[:: -1 if turned else 1]
            fed[each] = from_onnx(to_onnx(given[each], mine), theirs)
        made = runner.tensors([name], fed)[name]
        pair = (made, given[name]) if turned else (given[name], made)
        return judge(name, *pair, self.sources, self.tolerance)

    def largest_step(self, end: str, found: str, alone: Layer) -> tuple[str, Layer]:
        """Return the tensor before `end` whose own nodes differ most, and their comparison
        alone."""
        behind, _ = self.flow.before(end)
        names = self.flow.sorted((behind | {end}) & self.names & set(self.flow.makers))
        self.compare(names)
        steps = sorted(names, key=self._step, reverse=True)[:STEPS]
        tried = {name: self.alone(name) for name in steps} | {found: alone}
        wrong = [name for name, layer in tried.items() if layer is not None and layer.differs]
        chosen = self.flow.sorted(wrong)[0] if wrong else found
        return chosen, tried[chosen] or alone

    def _step(self, name: str) -> float:
        """Return how much the relative difference grows at a tensor."""
        border, _ = self.inputs(name)
        before = [self.known[each].row.relative for each in border if each in self.known]
        return self.known[name].row.relative / max([*before, 1e-9])

    def healed(self, name: str, ends: list[str]) -> bool | None:
        """Whether the outputs agree once the reference's value replaces the tensor."""
        reference, judged = self.sources
        if not judged.restarts or name in ends:
            return None
        value = reference.tensors([name], self.feeds)[name]
        mine, theirs = self.known[name].layouts
        fed = self.feeds | {name: from_onnx(to_onnx(value, mine), theirs)}
        expected, seen = reference.tensors(ends, self.feeds), judged.tensors(ends, fed)
        rows = [judge(e, expected[e], seen[e], self.sources, self.tolerance) for e in ends]
        return not any(row.differs for row in rows)

    def described(
        self, found: str, alone: Layer | None, output: Layer, ends: list[str]
    ) -> Difference:
        """Return the full description of a tensor that differs."""
        reference, judged = self.sources
        border, inner = self.inputs(found)
        self.compare(border)
        expected = reference.tensors([*border, found], self.feeds)
        layer = self.known[found]
        seen = judged.tensors([found], self.feeds)[found]
        return Difference(
            layer=layer,
            nodes=tuple(dict.fromkeys(self.flow.node(each) for each in inner)),
            inputs=tuple(self.known[each] for each in border),
            output=output,
            alone=alone,
            healed=self.healed(found, ends),
            title=f"{judged.title} against {reference.title}",
            runs=self.runs,
            feeds=self.feeds
            | {each: to_onnx(expected[each], self.known[each].layouts[0]) for each in border},
            expected=to_onnx(expected[found], layer.layouts[0]),
            seen=to_onnx(seen, layer.layouts[1]),
        )
