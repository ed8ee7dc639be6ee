"""Compare two sources tensor by tensor, in graph order, a few tensors per run.

The result tells for each tensor how far the two are apart. `bisection` finds where this begins.
"""

import html
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from graphcore import parity
from graphcore.errors import GraphError
from graphcore.progress import stage
from onnxgraph.comparing.one_tensor import Layer, badness, judge, without_effect
from onnxgraph.comparing.sources import OnnxSource, Source
from onnxgraph.model.dataflow import Dataflow

BUDGET = 128 << 20
"""Bytes of tensors that are fetched from one source in one run."""

_SHOWN = 12


@dataclass(frozen=True)
class LayerReport:
    """Every tensor that both sources have, in graph order. `missing` are the others."""

    layers: tuple[Layer, ...]
    missing: tuple[str, ...]
    title: str
    tolerance: float
    runs: int = field(default=0, compare=False)

    @property
    def ok(self) -> bool:
        """True if something was compared, and no difference has an effect."""
        return bool(self.layers) and not any(layer.differs for layer in self.layers)

    @property
    def first(self) -> Layer | None:
        """The first tensor in graph order that differs."""
        return next((layer for layer in self.layers if layer.differs), None)

    def worst(self, count: int = _SHOWN) -> tuple[Layer, ...]:
        """Return the `count` layers that differ most, the worst first."""
        return tuple(sorted(self.layers, key=badness)[:count])

    def __getitem__(self, name: str) -> Layer:
        """Return the layer of an ONNX tensor."""
        return next(layer for layer in self.layers if layer.name == name)

    def __repr__(self) -> str:
        """Return the verdict, the first tensor that differs, and the worst ones, one per line."""
        bad = sum(layer.differs for layer in self.layers)
        verdict = f"{bad} of {len(self.layers)} tensors differ" if bad else "all agree"
        without = f", {len(self.missing)} without a twin" if self.missing else ""
        lines = [f"{self.title}: {verdict} ({len(self.layers)} compared{without})"]
        if self.first:
            lines.append(f"  first    {self.first!r}")
        lines += [f"  {layer!r}" for layer in self.worst()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def compare_layers(
    reference: Source,
    judged: Source,
    feeds: Mapping[str, np.ndarray],
    *,
    model: OnnxSource | None = None,
    tolerance: float = parity.TOLERANCE,
    budget: int = BUDGET,
) -> LayerReport:
    """Compare every tensor that both sources have.

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
    order = ordering(reference, judged, model)
    feeds = order.checked(feeds)
    names = shared(reference, judged, order.dataflow)
    found: dict[str, Layer] = {}
    runs = 0
    with stage("comparing layers", len(names)) as comparing:
        for group in groups(names, order.tensor_bytes(feeds), budget):
            found |= compared(reference, judged, group, feeds, order.dataflow, tolerance=tolerance)
            runs += 1
            comparing.reached(len(found))
    result = _with_effects(found, order.dataflow)
    return LayerReport(
        tuple(result[name] for name in names if name in result),
        tuple(name for name in order.names if name not in result),
        f"{judged.title} against {reference.title}",
        tolerance,
        runs,
    )


def ordering(reference: Source, judged: Source, model: OnnxSource | None) -> OnnxSource:
    """Return the ONNX model that gives the order in which tensors are computed.

    Raises:
        GraphError: neither source is an ONNX model, and none is given.
    """
    for each in (model, reference, judged):
        if isinstance(each, OnnxSource):
            return each
    raise GraphError(
        "Neither side is an ONNX model, so the order of the tensors is not known. Give the model "
        "as model=."
    )


def shared(reference: Source, judged: Source, flow: Dataflow) -> list[str]:
    """Return the tensors that both sources have, in graph order.

    Raises:
        GraphError: they have none in common.
    """
    common = set(reference.names) & set(judged.names)
    names = flow.sorted(common)
    if not set(names) & set(flow.makers):
        raise GraphError(
            f"{judged.title} and {reference.title} have no computed tensor in common. Check that "
            "both were made from this ONNX model."
        )
    return names


def groups(names: Iterable[str], sizes: Mapping[str, int], budget: int) -> Iterator[list[str]]:
    """Yield the names in order, in groups that fit into `budget` bytes (at least one name each).

    A tensor of unknown size counts as the largest known one.
    """
    unknown = max(sizes.values(), default=budget)
    group: list[str] = []
    used = 0
    for name in names:
        size = sizes.get(name, unknown)
        if group and used + size > budget:
            yield group
            group, used = [], 0
        group.append(name)
        used += size
    if group:
        yield group


def compared(
    reference: Source,
    judged: Source,
    names: Iterable[str],
    feeds: Mapping[str, np.ndarray],
    flow: Dataflow,
    *,
    tolerance: float,
) -> dict[str, Layer]:
    """Return the comparison of some tensors by name, in one run of each source."""
    names = list(names)
    expected, seen = reference.tensors(names, feeds), judged.tensors(names, feeds)
    found = {}
    for name in names:
        pair = expected.pop(name), seen.pop(name)
        if all(isinstance(value, np.ndarray | np.generic) for value in pair):  # not a sequence
            values = np.asarray(pair[0]), np.asarray(pair[1])
            layer = judge(name, *values, (reference, judged), tolerance)
            found[name] = replace(layer, op=flow.op(name), node=flow.node(name))
    return found


def _with_effects(found: Mapping[str, Layer], flow: Dataflow) -> dict[str, Layer]:
    """Return the layers, with the status "no effect" where everything that follows agrees.

    Either the optimiser of the other graph uses the name for another tensor, or the next op removes
    the difference.
    """
    result: dict[str, Layer] = {}
    for name in reversed(flow.sorted(found)):
        layer = found[name]
        if layer.differs and name not in flow.outputs:
            _, following = flow.after(name, found)
            if following and not any(result[each].differs for each in following):
                layer = without_effect(layer)
        result[name] = layer
    return result
