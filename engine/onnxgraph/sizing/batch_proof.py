"""The proof that a dynamic batch is right: every row is what the original gives for it alone."""

import numpy as np
import onnx

from graphcore import parity
from graphcore.errors import GraphError
from graphcore.spec import Feeds
from onnxgraph.examples.reference import reference_runs
from onnxgraph.model import interface
from onnxgraph.model.precision import precisions
from onnxgraph.running.run import Runner
from onnxgraph.sizing.batch_examples import NoExample, example, run_apart
from onnxgraph.sizing.batch_shapes import Axes

BATCHES = (1, 2, 3, 5)
"""The batch sizes at which the result is run."""

TOLERANCE = 1e-5
"""Largest relative difference that counts as equal.

Other batch sizes use other kernels, which add in another order.
"""


class Differs(GraphError):
    """The rewritten graph does not compute what the original does."""


def prove(
    model: onnx.ModelProto, result: onnx.ModelProto, axes: Axes, batch: int
) -> tuple[parity.Report, ...]:
    """Return a report for each batch size: `result` against the original, `batch` rows at a time.

    Args:
        model: the original.
        result: the rewritten model.
        axes: the inputs that carry the batch, and its axis in each.
        batch: the original's fixed batch, or 0 if it is dynamic.

    Raises:
        Differs: a row is not what the original gives for it, or the model does not run.
        NoExample: no inputs are known that the original accepts.
    """
    reports = []
    try:
        after, halves = Runner(result), precisions(result)
        if not batch:
            known = reference_runs(model, batches=BATCHES)
            runs = [(rows, expected, after.run(feeds)) for rows, feeds, expected in known]
        else:
            # One more than the batch, so that no run of the original holds all rows.
            sizes = sorted({*BATCHES, batch, batch + 1})
            runs = []
            for rows, feeds, parts in run_apart(model, Runner(model), axes, batch, sizes):
                seen = after.run(feeds)
                runs.append((rows, _expected(parts, seen, rows, batch), seen))
        for rows, expected, seen in runs:
            _check_labels(result, axes, rows, seen)
            report = parity.compare(
                expected, seen, tolerance=TOLERANCE, title=f"batch {rows}", precisions=halves
            )
            if not report.ok:
                bad = report.rows[0]
                raise Differs(
                    f"at batch {rows} the output {bad.name!r} differs: {bad.status} {bad.note}"
                )
            reports.append(report)
    except (Differs, NoExample):
        raise
    except GraphError as error:
        raise Differs(str(error)) from error
    return tuple(reports)


def _check_labels(result: onnx.ModelProto, axes: Axes, rows: int, seen: Feeds) -> None:
    """Check that the outputs have the shapes that the file states, for a batch of `rows`."""
    specs = {spec.name: spec for spec in interface.inputs(result)}
    symbol = next(specs[name].shape[axis] for name, axis in axes.items())
    for spec in interface.outputs(result):
        shape = seen[spec.name].shape
        stated = [rows if dim == symbol else dim for dim in spec.shape]
        fits = [size for size, dim in zip(shape, stated, strict=False) if dim in (size, str(dim))]
        if len(shape) != len(stated):
            raise Differs(
                f"the output {spec} has rank {len(shape)} in a run, {shape}; does a squeeze depend "
                "on a size?"
            )
        if len(fits) < len(shape):
            raise Differs(f"the output {spec} has the shape {shape} at batch {rows}")


def held_batch(model: onnx.ModelProto, axes: Axes) -> int:
    """Return the only batch size that a model with a symbolic batch accepts, or 0 for several."""
    runner, taken = Runner(model), []
    for rows in (*range(1, 9), 16, 32):
        try:
            runner.run(example(model, axes, rows))
        except GraphError:
            continue
        taken.append(rows)
    return taken[0] if len(taken) == 1 else 0


def join(parts: list[np.ndarray], seen: np.ndarray, rows: int, batch: int) -> np.ndarray:
    """Return the parts as one array of `rows` rows, joined along the axis on which `seen` grew.

    If a batch of one was squeezed out of the parts, they are stacked along a new first axis.

    Raises:
        Differs: no axis grew as the batch did.
    """
    one = parts[0]
    if batch == 1 and seen.shape == (rows, *one.shape):
        return np.stack(parts)
    if one.ndim != seen.ndim:
        raise Differs(f"its shape is {seen.shape} at batch {rows} and was {one.shape}")
    differing = [axis for axis in range(one.ndim) if one.shape[axis] != seen.shape[axis]]
    if not differing:
        nan = one.dtype != object  # the array holds text
        if rows != batch and any(not np.array_equal(part, one, equal_nan=nan) for part in parts):
            raise Differs(f"it keeps the shape {one.shape} at batch {rows}")
        return one
    axis = differing[0]
    if len(differing) > 1 or one.shape[axis] * rows != seen.shape[axis] * batch:
        raise Differs(f"its shape is {seen.shape} at batch {rows} and was {one.shape}")
    return np.concatenate(parts, axis=axis).take(range(seen.shape[axis]), axis=axis)


def _expected(parts: list[Feeds], seen: Feeds, rows: int, batch: int) -> Feeds:
    """Return the outputs of the original for all rows.

    Raises:
        Differs: an output cannot be put together from rows, or it had the batch axis and lost it.
    """
    whole = {}
    for name, value in seen.items():
        try:
            whole[name] = join([part[name] for part in parts], value, rows, batch)
        except Differs as difference:
            raise Differs(f"of the output {name!r}, {difference}") from difference
        stays = value.shape == parts[0][name].shape and rows != batch
        if stays and value.ndim and value.shape[0] == batch:
            raise Differs(f"the output {name!r} keeps the shape {value.shape} at batch {rows}")
    return whole
