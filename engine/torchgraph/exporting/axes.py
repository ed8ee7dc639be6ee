"""Which axes of a module's outputs follow a symbol of its inputs.

One run cannot show it, because an axis may be 2 only when the batch is 2. Runs at other sizes can:
an axis that is as long as the symbol in every run follows the symbol.
"""

import itertools
from collections.abc import Mapping, Sequence

from graphcore import dims
from graphcore.spec import TensorSpec
from torchgraph.exporting.runs import Run, all_symbols
from torchgraph.exporting.sizes import Runs

Axes = dict[int, str]


def symbolic_axes(spec: TensorSpec) -> Axes:
    """Return the symbolic dims by axis."""
    return {axis: dim for axis, dim in enumerate(spec.shape) if isinstance(dim, str)}


def following(runs: Runs, specs: Sequence[TensorSpec], names: Mapping[str, str]) -> dict[str, Axes]:
    """Return, for each output, the axes whose size changes, each with its symbol.

    The symbol is a dim of an input, or a sum of two dims, that has the same size in every run, or
    else a new name. If the module accepts one size only, a first axis gets the symbol of its size.

    Args:
        runs: the module at several sizes.
        specs: its inputs.
        names: the name of each output, by its place in what the module returns.
    """
    every = [runs.first, *itertools.chain.from_iterable(runs.further.values())]
    labels = _labels(specs)
    axes: dict[str, Axes] = {}
    for place, name in names.items():
        rank = runs.first.outputs[place].ndim
        alike = [run for run in every if place in run.outputs and run.outputs[place].ndim == rank]
        found = {axis: _label(alike, place, axis, labels, name) for axis in range(rank)}
        axes[name] = {axis: label for axis, label in found.items() if label is not None}
        axes[name] |= _of_single_sizes(runs, place, axes[name])
    return axes


def _labels(specs: Sequence[TensorSpec]) -> list[str]:
    known = all_symbols(specs)
    written = [dim for spec in specs for dim in spec.shape if isinstance(dim, str)]
    sums = [f"{one}+{two}" for one, two in itertools.combinations(known, 2)]
    return list(dict.fromkeys([*known, *written, *sums]))


def _label(
    runs: Sequence[Run], place: str, axis: int, labels: Sequence[str], name: str
) -> str | None:
    """Return the symbol of an axis, or None if its size never changes."""
    seen = [run.outputs[place].shape[axis] for run in runs]
    if len(set(seen)) == 1:
        return None
    fits = (label for label in labels if [dims.size(label, run.sizes) for run in runs] == seen)
    return next(fits, f"{name}_dim{axis}")


def _of_single_sizes(runs: Runs, place: str, found: Axes) -> Axes:
    shape = runs.first.outputs[place].shape
    if not shape or 0 in found:
        return {}
    single = (symbol for symbol, further in runs.further.items() if not further)
    alike = [symbol for symbol in single if runs.first.sizes[symbol] == shape[0]]
    return {0: alike[0]} if alike else {}
