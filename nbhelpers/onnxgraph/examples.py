"""Seeded inputs on which two versions of one graph are run and compared.

The first dim of an input is taken for its batch; for any other symbolic dim a few usual sizes are
tried.
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

Feeds = dict[str, np.ndarray]


def feeds(
    specs: Iterable[TensorSpec], *, batch: int, other: int = EVEN_SIZES[0], seed: int = 0
) -> Feeds:
    """Return seeded arrays for the inputs, the symbol of a first axis being `batch`, others
    `other`.
    """
    specs = tuple(specs)
    made = {}
    for number, (spec, shape) in enumerate(zip(specs, _shapes(specs, batch, other), strict=True)):
        if math.prod(shape) > LARGEST:
            raise GraphError(
                f"The input {spec.name!r} of the shape {shape} is too large for an example input; "
                "check its sizes."
            )
        made[spec.name] = TensorSpec(spec.name, spec.dtype, shape).random(batch, seed=seed + number)
    return made


def _shapes(specs: tuple[TensorSpec, ...], batch: int, other: int) -> list[tuple[int, ...]]:
    symbols = {spec.shape[0] for spec in specs if spec.shape and isinstance(spec.shape[0], str)}
    return [
        tuple(
            dim if isinstance(dim, int) else (batch if dim in symbols else other)
            for dim in spec.shape
        )
        for spec in specs
    ]


def check_examples_fit(
    model: onnx.ModelProto, *, batch: int = 3, specs: Iterable[TensorSpec] | None = None
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
    check_extent(model, dict(zip(names, _shapes(specs, batch, EVEN_SIZES[0]), strict=True)))


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
    takes any.

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
    if not has_other_symbols(specs):
        return [_first_run(runner, specs, batch, (1,), seed) for batch in wanted]
    runs = [_first_run(runner, specs, wanted[0], EVEN_SIZES, seed)]
    for batch in wanted[1:] or wanted:
        runs.append(_first_run(runner, specs, batch, (*ODD_SIZES, *EVEN_SIZES), seed))
    return runs


def _first_run(
    runner: Runner, specs: tuple[TensorSpec, ...], batch: int, sizes: Iterable[int], seed: int
) -> tuple[int, Feeds, Feeds]:
    """Return (batch, inputs, outputs) with the first of the sizes that the model takes."""
    refusal: GraphError | None = None
    for other in sizes:
        given = feeds(specs, batch=batch, other=other, seed=seed)
        given = {spec.name: given[spec.name].astype(spec.dtype) for spec in runner.inputs}
        try:
            return batch, given, runner.run(given)
        except GraphError as error:
            refusal = refusal or error
    raise GraphError(f"No example input could be made for the model: {refusal}") from refusal
