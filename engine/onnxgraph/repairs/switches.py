"""Doubts about a file that only golden outputs can settle. Each doubt is a switch to try.

The writer of the file may have meant a gamma of ones (MXNet's `fix_gamma`), or padding that counts
(MXNet's and Caffe's pools). The smallest set of switches with which the golden outputs agree is
kept.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from graphcore import parity
from graphcore.copies import copy_of
from graphcore.golden import Case
from onnxgraph.editing.finishing import free_name, without_dead_parts
from onnxgraph.editing.result import Edited, edited
from onnxgraph.model.entry_check import checked
from onnxgraph.model.nodes import attributes, node_name, titled
from onnxgraph.repairs.evidence import compared, largest_change, unchanged

_TRIED_IN_FULL = 5
"""Up to this many doubts, every combination is tried. Above it, one at a time is switched."""


@dataclass(frozen=True)
class Switch:
    """A change of one node: its position in the graph, its description, and how to make it in a
    copy."""

    place: int
    sentence: str
    turn: Callable[[onnx.GraphProto, onnx.NodeProto], None]


@checked
def repair_fix_gamma(
    model: onnx.ModelProto, cases: Iterable[Case] = (), *, tolerance: float = parity.TOLERANCE
) -> Edited:
    """Set gammas of BatchNormalization to ones if golden outputs show that ones were meant.

    Args:
        model: for example a file of MXNet. It is not changed.
        cases: inputs, and the results of the framework that wrote the file.
        tolerance: the largest difference allowed, as a share of the largest value of each output.
    """
    return _decided(model, cases, gammas(model), tolerance)


@checked
def repair_count_include_pad(
    model: onnx.ModelProto, cases: Iterable[Case] = (), *, tolerance: float = parity.TOLERANCE
) -> Edited:
    """Let AveragePool count its padding if golden outputs show that this was meant.

    See `repair_fix_gamma` for the arguments.
    """
    return _decided(model, cases, counted_pads(model), tolerance)


@checked
def repair_to_golden(
    model: onnx.ModelProto, cases: Iterable[Case] = (), *, tolerance: float = parity.TOLERANCE
) -> Edited:
    """Do both, for files in which neither alone makes the golden outputs agree.

    See `repair_fix_gamma` for the arguments.
    """
    return _decided(model, cases, [*gammas(model), *counted_pads(model)], tolerance)


def gammas(model: onnx.ModelProto) -> list[Switch]:
    """Return a switch for each BatchNormalization whose gamma is not ones."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    found = []
    for place, node in enumerate(model.graph.node):
        if node.op_type == "BatchNormalization" and node.input[1] in weights:
            gamma = numpy_helper.to_array(weights[node.input[1]])
            change = float(np.abs(gamma - 1).max())
            if change:
                sentence = f"{titled(node)}: gamma set to ones, largest change {change:.3g}"
                found.append(Switch(place, sentence, _ones(gamma)))
    return found


def counted_pads(model: onnx.ModelProto) -> list[Switch]:
    """Return a switch for each AveragePool with padding that it does not count."""
    found = []
    for place, node in enumerate(model.graph.node):
        given = attributes(node)
        padded = any(given.get("pads", ())) or given.get("auto_pad", "").startswith("SAME")
        if node.op_type == "AveragePool" and padded and not given.get("count_include_pad", 0):
            found.append(Switch(place, f"{titled(node)}: count_include_pad 0 → 1", _count))
    return found


def _ones(gamma: np.ndarray) -> Callable[[onnx.GraphProto, onnx.NodeProto], None]:
    def turn(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
        name = free_name(graph, f"{node.input[1]}_ones")
        graph.initializer.append(numpy_helper.from_array(np.ones_like(gamma), name))
        node.input[1] = name

    return turn


def _count(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != "count_include_pad"]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("count_include_pad", 1)])


def _decided(
    model: onnx.ModelProto, cases: Iterable[Case], switches: Sequence[Switch], tolerance: float
) -> Edited:
    cases = tuple(cases)
    if not switches:
        return unchanged(model, "no node is in doubt")
    if not cases:
        doubts = "; ".join(switch.sentence for switch in switches)
        return unchanged(
            model, f"only golden outputs can decide, so give cases. In doubt: {doubts}"
        )
    before, _ = compared(model, cases, tolerance=tolerance)
    if before <= tolerance:
        return unchanged(model, f"the golden outputs agree already, to {before:.1e}")
    best, tried = before, 0
    for chosen in _combinations(model, switches, cases, tolerance):
        after, reports = compared(_turned(model, chosen), cases, tolerance=tolerance)
        best, tried = min(best, after), tried + 1
        if reports and all(report.ok for report in reports):
            return _repaired(model, chosen, cases, (before, after), reports)
    return unchanged(
        model,
        f"the golden outputs differ by {before:.1e}, and still by {best:.1e} with the best of "
        f"{tried} combinations of {len(switches)} nodes in doubt",
    )


def _repaired(
    model: onnx.ModelProto,
    chosen: Sequence[Switch],
    cases: Sequence[Case],
    differences: tuple[float, float],
    reports: tuple[parity.Report, ...],
) -> Edited:
    after = _turned(model, chosen)
    change = largest_change(model, after, cases)
    changes = [
        "evidence: the golden outputs differed by {:.1e} and agree now, to {:.1e}".format(
            *differences
        ),
        *(switch.sentence for switch in chosen),
        f"largest change of an output: {change:.3g}",
    ]
    names = [node_name(model.graph.node[s.place]) for s in chosen]
    return replace(edited(model, after, changes, names), reports=reports)


def _combinations(
    model: onnx.ModelProto, switches: Sequence[Switch], cases: Sequence[Case], tolerance: float
) -> Iterable[Sequence[Switch]]:
    """Yield sets of switches to try: all combinations, from large to small, or two climbs if
    many."""
    if len(switches) <= _TRIED_IN_FULL:
        for count in range(len(switches), 0, -1):
            yield from itertools.combinations(switches, count)
        return
    everything = set(range(len(switches)))
    for start in (everything, set()):
        for chosen in _climb(model, switches, cases[:1], tolerance, start):
            yield [switches[number] for number in sorted(chosen)]


def _climb(
    model: onnx.ModelProto,
    switches: Sequence[Switch],
    cases: Sequence[Case],
    tolerance: float,
    chosen: set[int],
) -> Iterable[set[int]]:
    """Yield sets of switches, each one switch from the last, with smaller and smaller
    differences."""

    def difference(numbers: set[int]) -> float:
        turned = _turned(model, [switches[number] for number in sorted(numbers)])
        return compared(turned, cases, tolerance=tolerance)[0]

    least = difference(chosen)
    while True:
        if chosen:
            yield chosen
        if least <= tolerance:
            return
        tried = [(difference(chosen ^ {number}), number) for number in range(len(switches))]
        best, number = min(tried)
        if not best < least:
            return
        chosen, least = chosen ^ {number}, best


def _turned(model: onnx.ModelProto, switches: Iterable[Switch]) -> onnx.ModelProto:
    copy = copy_of(model)
    for switch in switches:
        switch.turn(copy.graph, copy.graph.node[switch.place])
    return without_dead_parts(copy)
