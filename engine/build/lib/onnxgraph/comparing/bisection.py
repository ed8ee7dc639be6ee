"""Find the first op whose inputs agree and whose output does not, with few tensors a run.

From an output that differs the search goes back through the graph. A tensor that agrees clears
everything before it; one that differs becomes the new end of the search. What is found is tried
alone: fed with the reference's inputs, does it still give something else?
"""

from collections.abc import Mapping

import numpy as np

from graphcore import parity
from onnxgraph.comparing.difference import Difference
from onnxgraph.comparing.layer import Layer, judge
from onnxgraph.comparing.layers import BUDGET, compared, groups, ordering, shared
from onnxgraph.comparing.layouts import from_onnx, to_onnx
from onnxgraph.comparing.sources import OnnxSource, Source

STEPS = 5
"""Where no op is wrong by itself: how many of the largest steps are tried alone."""


def first_difference(
    reference: Source,
    judged: Source,
    feeds: Mapping[str, np.ndarray],
    *,
    model: OnnxSource | None = None,
    tolerance: float = parity.TOLERANCE,
    budget: int = BUDGET,
) -> Difference | None:
    """Return where two sources part, or None if every output that both have agrees.

    Args:
        reference: what is right.
        judged: what is held against it.
        feeds: the model's inputs by ONNX name.
        model: gives the order of the tensors; needed only if neither source is an `OnnxSource`.
        tolerance: largest difference allowed, as a share of the largest value of each tensor.
        budget: bytes of tensors fetched a run; a smaller one needs less memory and more runs.

    Raises:
        GraphError: there is nothing to compare, or a source cannot be run.
    """
    return _Search(reference, judged, feeds, model, tolerance, budget).difference()


class _Search:
    """What has been compared so far; a tensor is compared once."""

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
        self.wires = self.order.wiring
        self.names = set(shared(reference, judged, self.wires))
        self.sizes = self.order.tensor_bytes(self.feeds)
        self.tolerance, self.budget = tolerance, budget
        self.known: dict[str, Layer] = {}
        self.runs = 0

    def difference(self) -> Difference | None:
        """Search from the first output that differs; see `first_difference`."""
        ends = [name for name in self.wires.outputs if name in self.names]
        ends = ends or [self.wires.sorted(self.names)[-1]]
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
        """Compare tensors that are not known yet, as many a run as the budget allows."""
        new = [name for name in names if name not in self.known]
        for group in groups(new, self.sizes, self.budget):
            self.known |= compared(
                *self.sources, group, self.feeds, self.wires, tolerance=self.tolerance
            )
            self.names -= set(group) - set(self.known)  # sequences
            self.runs += 1

    def first(self, end: str) -> str:
        """Return a tensor that differs, before `end`, all of whose inputs agree."""
        while True:
            found = self._first(end)
            if found == end or self._reaches(found, end):
                return found
            # Nothing that is made from it differs: the name stands for something else.
            self.names.discard(found)

    def _first(self, end: str) -> str:
        agreeing = {name for name in self.names if self._agrees(name)}
        while True:
            behind, _ = self.wires.before(end, agreeing)
            open_ = self.wires.sorted(behind & self.names)
            worse = next((n for n in open_ if n in self.known), None)
            if worse is not None:
                end = worse
                continue
            if not open_:
                return end
            self.compare(self._sample(open_))
            agreeing = {name for name in self.names if self._agrees(name)}

    def _sample(self, names: list[str]) -> list[str]:
        """Return as many of the names, evenly spaced, as one run can fetch."""
        largest = max((self.sizes.get(name, self.budget) for name in names), default=1)
        count = max(1, min(len(names), self.budget // max(largest, 1)))
        return [names[(2 * place + 1) * len(names) // (2 * count)] for place in range(count)]

    def _agrees(self, name: str) -> bool:
        return name in self.known and not self.known[name].differs

    def _reaches(self, name: str, end: str) -> bool:
        """Whether a tensor between this one and `end`, made from it directly, differs too."""
        _, following = self.wires.after(name, self.names)
        way, _ = self.wires.before(end)
        following &= way | {end}
        self.compare(self.wires.sorted(following))
        return any(self.known[each].differs for each in following)

    def inputs(self, name: str) -> tuple[list[str], list[str]]:
        """Return the nearest known tensors before one, and all tensors made between."""
        inner, border = self.wires.before(name, self.names)
        return self.wires.sorted(border), self.wires.sorted({*inner, name} & set(self.wires.makers))

    def alone(self, name: str) -> Layer | None:
        """Run only what lies between a tensor and its inputs, on the values of the other side."""
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
        """Return the tensor before `end` whose own nodes differ most, and how they do alone."""
        behind, _ = self.wires.before(end)
        names = self.wires.sorted((behind | {end}) & self.names & set(self.wires.makers))
        self.compare(names)
        steps = sorted(names, key=self._step, reverse=True)[:STEPS]
        tried = {name: self.alone(name) for name in steps} | {found: alone}
        wrong = [name for name, layer in tried.items() if layer is not None and layer.differs]
        chosen = self.wires.sorted(wrong)[0] if wrong else found
        return chosen, tried[chosen] or alone

    def _step(self, name: str) -> float:
        """Return by how much the relative difference grows at a tensor."""
        border, _ = self.inputs(name)
        before = [self.known[each].row.relative for each in border if each in self.known]
        return self.known[name].row.relative / max([*before, 1e-9])

    def healed(self, name: str, ends: list[str]) -> bool | None:
        """Whether the outputs agree once the reference's tensor is put in its place."""
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
        """Return all that is to be said of a tensor."""
        reference, judged = self.sources
        border, inner = self.inputs(found)
        self.compare(border)
        expected = reference.tensors([*border, found], self.feeds)
        layer = self.known[found]
        seen = judged.tensors([found], self.feeds)[found]
        return Difference(
            layer=layer,
            nodes=tuple(dict.fromkeys(self.wires.node(each) for each in inner)),
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
