"""Seeded inputs on which two versions of one graph are run and compared.

The batch is the first symbol that stands first in an input; for any other symbolic dim a few usual
sizes are tried.
"""

import math
from collections.abc import Iterable

import numpy as np
import onnx

from nbhelpers.errors import GraphError
from nbhelpers.onnxgraph import interface
from nbhelpers.onnxgraph.extent import check_extent
from nbhelpers.onnxgraph.run import Runner
from nbhelpers.spec import TensorSpec

EVEN_SIZES = (32, 64, 16, 8, 224, 1)
ODD_SIZES = (33, 65, 17, 9, 225, 7)
"""Tried in this order for symbolic dims that are not the batch; many models take even ones only."""

LARGEST = 2**28
"""An example input has no more values than this; it would take 1 GB as float32."""

_APART = ((2, 6), (6, 2))
"""Sizes of the batch and of another first axis that show whether a model takes them apart.

One holds the other, and none is 1, which would broadcast.
"""

_MOST_ROWS = 30
"""The largest size of another first axis, which goes with a batch of five."""

Feeds = dict[str, np.ndarray]


def feeds(
    specs: Iterable[TensorSpec],
    *,
    batch: int,
    other: int = EVEN_SIZES[0],
    rows: int | None = None,
    seed: int = 0,
) -> Feeds:
    """Return seeded arrays for the inputs.

    Args:
        specs: the inputs.
        batch: the size of the batch.
        other: the size of symbols that are not those of a first axis.
        rows: the size of first axes whose symbol is not the batch's; left out, `batch`.
        seed: of the random values.

    Raises:
        GraphError: an array would be too large.
    """
    specs = tuple(specs)
    made = {}
    shapes = _shapes(specs, batch, other, rows)
    for number, (spec, shape) in enumerate(zip(specs, shapes, strict=True)):
        if math.prod(shape) > LARGEST:
            raise GraphError(
                f"The input {spec.name!r} of the shape {shape} is too large for an example input; "
                "check its sizes."
            )
        made[spec.name] = TensorSpec(spec.name, spec.dtype, shape).random(batch, seed=seed + number)
    return made


def _shapes(
    specs: tuple[TensorSpec, ...], batch: int, other: int, rows: int | None = None
) -> list[tuple[int, ...]]:
    sizes = dict.fromkeys(first_symbols(specs), batch if rows is None else rows)
    sizes.update(dict.fromkeys(list(sizes)[:1], batch))
    return [
        tuple(dim if isinstance(dim, int) else sizes.get(dim, other) for dim in spec.shape)
        for spec in specs
    ]


def first_symbols(specs: Iterable[TensorSpec]) -> list[str]:
    """Return the symbols of first axes, in order; the first of them is the batch."""
    firsts = (spec.shape[0] for spec in specs if spec.shape)
    return list(dict.fromkeys(dim for dim in firsts if isinstance(dim, str)))


def batch_inputs(
    model: onnx.ModelProto,
    *,
    runner: Runner | None = None,
    specs: Iterable[TensorSpec] | None = None,
) -> tuple[str, ...]:
    """Return the names of the inputs whose first dim is the batch, if that is symbolic.

    Another symbol there is a size of its own (the edges of a graph beside its nodes), unless the
    model does not run where they differ: exporters write several names for one size.

    Args:
        model: the model.
        runner: a session of it, if one is open.
        specs: its inputs, where narrower ones are meant.
    """
    specs = tuple(interface.inputs(model) if specs is None else specs)
    symbols = first_symbols(specs)
    if len(symbols) > 1 and _takes_apart(model, runner, specs):
        symbols = symbols[:1]
    return tuple(spec.name for spec in specs if spec.shape and spec.shape[0] in symbols)


def _takes_apart(
    model: onnx.ModelProto, runner: Runner | None, specs: tuple[TensorSpec, ...]
) -> bool:
    others = EVEN_SIZES if has_other_symbols(specs) else (1,)
    try:
        check_examples_fit(model, specs=specs, rows=_MOST_ROWS)
        runner = runner or Runner(model, few_runs=True)
    except GraphError:
        return False
    for batch, rows in _APART:
        try:
            _first_run(runner, specs, batch, ((rows, other) for other in others), 0)
            return True
        except GraphError:
            continue
    return False


def check_examples_fit(
    model: onnx.ModelProto,
    *,
    batch: int = 3,
    rows: int | None = None,
    specs: Iterable[TensorSpec] | None = None,
) -> None:
    """Check, without running the model, that its tensors find room for usual example inputs.

    Models that take sequences are left to whoever runs or converts them.

    Raises:
        GraphError: a tensor would take a large part of the machine's memory; it is named.
    """
    if any(value.type.WhichOneof("value") != "tensor_type" for value in model.graph.input):
        return
    specs = tuple(interface.inputs(model) if specs is None else specs)
    names = [spec.name for spec in specs]
    shapes = _shapes(specs, batch, EVEN_SIZES[0], rows)
    check_extent(model, dict(zip(names, shapes, strict=True)))


def has_dynamic_batch(specs: Iterable[TensorSpec]) -> bool:
    """Whether the first dim of any input is symbolic."""
    return any(spec.shape and isinstance(spec.shape[0], str) for spec in specs)


def has_other_symbols(specs: Iterable[TensorSpec]) -> bool:
    """Whether a dim after the first of any input is symbolic, and not just the batch again."""
    specs = tuple(specs)
    batch = {spec.shape[0] for spec in specs if spec.shape}
    return any(isinstance(dim, str) and dim not in batch for s in specs for dim in s.shape[1:])


def reference_runs(
    model: onnx.ModelProto,
    *,
    batches: Iterable[int] = (1, 3),
    seed: int = 0,
    fetch: Iterable[str] | None = None,
    specs: Iterable[TensorSpec] | None = None,
) -> list[tuple[int, Feeds, Feeds]]:
    """Return (batch, inputs, outputs) of the model for each batch, one only if its batch is fixed.

    Where other dims are symbolic, the first run has even sizes and the next odd ones, if the model
    takes any. First axes of another symbol than the batch's differ from it (see `batch_inputs`).

    Args:
        model: what is run.
        batches: batch sizes.
        seed: of the random inputs.
        fetch: names of the tensors to return instead of the outputs, inner ones included.
        specs: inputs to make, where they are narrower than those of the model; the values are
            then cast to what the model takes.

    Raises:
        GraphError: the model cannot be run on any of the example inputs.
    """
    runner = Runner(model, fetch=fetch, few_runs=True)
    specs = interface.inputs(model) if specs is None else tuple(specs)
    wanted = tuple(batches) if has_dynamic_batch(specs) else (1,)
    check_examples_fit(model, batch=max(wanted), specs=specs)
    carriers = batch_inputs(model, runner=runner, specs=specs)
    apart = any(has_dynamic_batch([spec]) and spec.name not in carriers for spec in specs)
    if not has_other_symbols(specs):
        return [
            _first_run(runner, specs, batch, _sizes(batch, (1,), apart=apart), seed)
            for batch in wanted
        ]
    runs = [_first_run(runner, specs, wanted[0], _sizes(wanted[0], EVEN_SIZES, apart=apart), seed)]
    for batch in wanted[1:] or wanted:
        sizes = _sizes(batch, (*ODD_SIZES, *EVEN_SIZES), apart=apart)
        runs.append(_first_run(runner, specs, batch, sizes, seed))
    return runs


def _sizes(batch: int, others: tuple[int, ...], *, apart: bool) -> list[tuple[int | None, int]]:
    """Return what to try, as (size of other first axes, size of other symbols).

    Other first axes are in another ratio to each batch; None, as the last resort, is its own size.
    """
    rows = [size for size in (batch * (batch + 1), 1) if size != batch] if apart else []
    return [(first, other) for first in (*rows, None) for other in others]


def _first_run(
    runner: Runner,
    specs: tuple[TensorSpec, ...],
    batch: int,
    sizes: Iterable[tuple[int | None, int]],
    seed: int,
) -> tuple[int, Feeds, Feeds]:
    """Return (batch, inputs, outputs) with the first of the sizes that the model takes."""
    refusal: GraphError | None = None
    for rows, other in sizes:
        given = feeds(specs, batch=batch, other=other, rows=rows, seed=seed)
        given = {spec.name: given[spec.name].astype(spec.dtype) for spec in runner.inputs}
        try:
            return batch, given, runner.run(given)
        except GraphError as error:
            refusal = refusal or error
    raise GraphError(f"No example input could be made for the model: {refusal}") from refusal
