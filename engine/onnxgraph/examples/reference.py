"""A model's results on seeded inputs: the reference for every other version of it."""

from collections.abc import Callable, Iterable

import numpy as np
import onnx

from graphcore.errors import GraphError
from graphcore.spec import Feeds, TensorSpec
from onnxgraph.examples import given
from onnxgraph.examples.drawing import is_float
from onnxgraph.examples.example_search import EVEN_SIZES, first_run, runs
from onnxgraph.examples.examples import (
    Run,
    first_symbols,
    has_dynamic_batch,
    other_symbols,
    symbol_sizes,
)
from onnxgraph.examples.roles import roles, summed_at_once
from onnxgraph.examples.variations import special
from onnxgraph.model import interface
from onnxgraph.running.memory_guard import check_memory
from onnxgraph.running.run import Runner

_APART = ((2, 6), (6, 2))
"""Sizes of the batch and of another first axis, to test whether a model accepts different ones.

Neither is 1, which would broadcast.
"""

LONG = 1000
"""Inputs with an axis of at least this size are checked again for the memory of all tensors."""

_MOST_ROWS = 30
"""The largest size of another first axis, used with a batch of five."""


def reference_runs(
    model: onnx.ModelProto,
    *,
    batches: Iterable[int] = (1, 3),
    seed: int = 0,
    fetch: Iterable[str] | None = None,
    specs: Iterable[TensorSpec] | None = None,
    runner: Runner | None = None,
) -> list[Run]:
    """Return (batch, inputs, outputs) of the model for each batch, or only one if its batch is
    fixed.

    Inputs from the user (`given.use_examples`) are used unchanged, one run for each. Otherwise they
    are drawn as described at `example_search.runs`. First axes with another symbol than the batch
    have another size than the batch (see `batch_inputs`).

    Args:
        model: the model to run.
        batches: batch sizes.
        seed: the seed of the random inputs.
        fetch: names of the tensors to return instead of the outputs, including inner ones.
        specs: the inputs to draw, if they are narrower than those of the model. Their values are
            then cast to the model's dtypes.
        runner: an open session of the model that fetches these names, if there is one.

    Raises:
        GraphError: the model cannot be run on any of the example inputs.
    """
    runner = runner or Runner(model, fetch=fetch, few_runs=True)
    specs = interface.inputs(model) if specs is None else tuple(specs)
    if own := given.feeds(runner.inputs):
        return [(_rows(feeds, specs), feeds, runner.run(feeds)) for feeds in own]
    wanted = tuple(batches) if has_dynamic_batch(specs) else (1,)
    check_examples_fit(model, batch=max(wanted), specs=specs)
    carriers = batch_inputs(model, runner=runner, specs=specs)
    apart = any(has_dynamic_batch([spec]) and spec.name not in carriers for spec in specs)
    found = runs(
        _taking(runner, model),
        specs,
        wanted,
        apart=apart,
        seed=seed,
        relations=given.relations(specs),
        roles=roles(model),
    )
    return [(batch, _cast(runner, feeds), outputs) for batch, feeds, outputs in found]


def special_runs(
    model: onnx.ModelProto, found: list[Run], *, runner: Runner
) -> list[tuple[str, Feeds, Feeds]]:
    """Return runs like the first one with special values among the floats, and the values' name.

    None if the user gave the inputs, an output would not be finite, or all values are summed at
    once.

    Args:
        model: the model to run.
        found: its runs (see `reference_runs`).
        runner: a session of it.
    """
    specs = interface.inputs(model)
    if given.feeds(specs):
        return []
    summed = summed_at_once(model)
    if all(spec.name in summed for spec in specs if is_float(spec.dtype)):
        return []
    return special(_taking(runner, model), specs, found[0], roles=roles(model))


def _rows(feeds: Feeds, specs: Iterable[TensorSpec]) -> int:
    """Return the size of the batch: that of the first symbolic first axis, or 1."""
    sizes = (feeds[spec.name].shape[0] for spec in specs if has_dynamic_batch([spec]))
    return next(sizes, 1)


def _taking(runner: Runner, model: onnx.ModelProto) -> Callable[[Feeds], Feeds]:
    """Return a function that runs the model on values of other dtypes too, if memory suffices."""

    def run(feeds: Feeds) -> Feeds:
        shapes = {name: value.shape for name, value in feeds.items()}
        if max((size for shape in shapes.values() for size in shape), default=0) >= LONG:
            check_memory(model, shapes)
        return runner.run(_cast(runner, feeds))

    return run


def _cast(runner: Runner, feeds: Feeds) -> Feeds:
    return {spec.name: _as(feeds[spec.name], spec.dtype) for spec in runner.inputs}


def _as(value: np.ndarray, dtype: str) -> np.ndarray:
    return value if dtype == "str" else value.astype(dtype)


def batch_inputs(
    model: onnx.ModelProto,
    *,
    runner: Runner | None = None,
    specs: Iterable[TensorSpec] | None = None,
) -> tuple[str, ...]:
    """Return the names of the inputs whose first dim is the batch, if that is symbolic.

    Another symbol there is a different size (the edges of a graph, for example, besides its nodes),
    unless the model does not run with different sizes: exporters write several names for one size.

    Args:
        model: the model.
        runner: an open session of the model, if there is one.
        specs: its inputs, if narrower ones are meant.
    """
    specs = tuple(interface.inputs(model) if specs is None else specs)
    symbols = first_symbols(specs)
    if len(symbols) > 1 and _takes_apart(model, runner, specs):
        symbols = symbols[:1]
    return tuple(spec.name for spec in specs if spec.shape and spec.shape[0] in symbols)


def _takes_apart(
    model: onnx.ModelProto, runner: Runner | None, specs: tuple[TensorSpec, ...]
) -> bool:
    others = EVEN_SIZES if other_symbols(specs) else (1,)
    try:
        check_examples_fit(model, specs=specs, rows=_MOST_ROWS)
        runner = runner or Runner(model, few_runs=True)
    except GraphError:
        return False
    run, relations, known = _taking(runner, model), given.relations(specs), roles(model)
    for batch, rows in _APART:
        sizes = [(rows, other, 0) for other in others]
        try:
            first_run(run, specs, batch, sizes, relations=relations, roles=known)
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
    """Check, without running the model, that its tensors fit into memory for usual example inputs.

    Models that take sequences are not checked here.

    Raises:
        GraphError: a tensor would take a large part of the machine's memory. The message names it.
    """
    if any(value.type.WhichOneof("value") != "tensor_type" for value in model.graph.input):
        return
    specs = tuple(interface.inputs(model) if specs is None else specs)
    sizes = symbol_sizes(specs, batch=batch, rows=rows, relations=given.relations(specs))
    check_memory(model, {each.name: each.shape_at(sizes) for each in specs})
