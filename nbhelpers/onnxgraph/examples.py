"""Seeded inputs on which two versions of one graph are run and compared.

The first dim of an input is taken for its batch; for any other symbolic dim a few usual sizes are
tried.
"""

from collections.abc import Iterable

import numpy as np
import onnx

from nbhelpers.errors import GraphError
from nbhelpers.onnxgraph import interface
from nbhelpers.onnxgraph.run import Runner
from nbhelpers.spec import TensorSpec

OTHER_SIZES = (32, 64, 16, 8, 224, 1)
"""Tried in this order for a symbolic dim that is not the batch."""

Feeds = dict[str, np.ndarray]


def feeds(
    specs: Iterable[TensorSpec], *, batch: int, other: int = OTHER_SIZES[0], seed: int = 0
) -> Feeds:
    """Return seeded arrays for the inputs, the symbol of a first axis being `batch`, others
    `other`.
    """
    specs = tuple(specs)
    symbols = {spec.shape[0] for spec in specs if spec.shape and isinstance(spec.shape[0], str)}
    made = {}
    for number, spec in enumerate(specs):
        shape = tuple(
            dim if isinstance(dim, int) else (batch if dim in symbols else other)
            for dim in spec.shape
        )
        made[spec.name] = TensorSpec(spec.name, spec.dtype, shape).random(batch, seed=seed + number)
    return made


def has_dynamic_batch(specs: Iterable[TensorSpec]) -> bool:
    """Whether the first dim of any input is symbolic."""
    return any(spec.shape and isinstance(spec.shape[0], str) for spec in specs)


def reference_runs(
    model: onnx.ModelProto, *, batches: Iterable[int] = (1, 3), seed: int = 0
) -> list[tuple[int, Feeds, Feeds]]:
    """Return (batch, inputs, outputs) of the model for each batch, one only if its batch is fixed.

    Raises:
        GraphError: the model cannot be run on any of the example inputs.
    """
    runner = Runner(model)
    specs = interface.inputs(model)
    wanted = tuple(batches) if has_dynamic_batch(specs) else (1,)
    refusal: GraphError | None = None
    for other in OTHER_SIZES:
        given = [(batch, feeds(specs, batch=batch, other=other, seed=seed)) for batch in wanted]
        try:
            return [(batch, arrays, runner.run(arrays)) for batch, arrays in given]
        except GraphError as error:
            refusal = refusal or error
    raise GraphError(f"No example input could be made for the model: {refusal}") from refusal
