"""Runs of the original on any number of rows, drawn at random or taken from examples it accepts."""

from collections.abc import Iterable

import numpy as np
import onnx

from graphcore.errors import GraphError
from graphcore.spec import Feeds
from onnxgraph.examples import given
from onnxgraph.examples.example_search import ODD_SIZES, NotTaken
from onnxgraph.examples.examples import USUAL, feeds, other_symbols
from onnxgraph.examples.reference import reference_runs
from onnxgraph.model import interface
from onnxgraph.running.run import Runner
from onnxgraph.sizing.batch_shapes import Axes

_SEEDS = range(4)
"""At most this many examples are searched for where the model does not accept drawn rows."""

Apart = tuple[int, Feeds, list[Feeds]]
"""A number of rows, the inputs, and the outputs of the original for them, one batch at a time."""


class NoExample(GraphError):
    """No inputs are known that the original accepts, so nothing can be compared with it."""


def run_apart(
    model: onnx.ModelProto, runner: Runner, axes: Axes, batch: int, sizes: Iterable[int]
) -> list[Apart]:
    """Return a run for each number of rows.

    The rows come from the user's examples (`given.use_examples`), or else they are drawn. If the
    original does not accept drawn rows, examples are searched for.

    Args:
        model: the original.
        runner: a session of it.
        axes: the inputs that carry the batch, and its axis in each.
        batch: its batch.
        sizes: numbers of rows.

    Raises:
        NoExample: no example is found, or all rows of the examples are the same.
        GraphError: the original does not accept the user's examples.
    """
    sizes = tuple(sizes)
    if own := given.feeds(interface.inputs(model)):
        return _of_examples(model, runner, axes, batch, sizes, own)
    try:
        return [_drawn(model, runner, axes, batch, rows, n) for n, rows in enumerate(sizes)]
    except GraphError:
        found = _searched(model, runner)
        return _of_examples(model, runner, axes, batch, sizes, found)


def _of_examples(
    model: onnx.ModelProto,
    runner: Runner,
    axes: Axes,
    batch: int,
    sizes: Iterable[int],
    found: list[Feeds],
) -> list[Apart]:
    """Return the runs with the rows of the examples, used in turn."""
    rows = {name: np.concatenate([each[name] for each in found], ax) for name, ax in axes.items()}
    if all((value == value.take([0], axes[name])).all() for name, value in rows.items()):
        raise NoExample(
            "Whether rows stay apart cannot be seen in examples whose rows are all the same. "
            f"{_advice(model)}"
        )
    made = []
    for size in sizes:
        some = {name: rows[name].take(range(size), ax, mode="wrap") for name, ax in axes.items()}
        made.append((size, found[0] | some, _parts(runner, found[0] | some, axes, batch)))
    return made


def _searched(model: onnx.ModelProto, runner: Runner) -> list[Feeds]:
    try:
        found = [reference_runs(model, seed=seed, runner=runner)[0][1] for seed in _SEEDS]
    except GraphError as error:
        said = error.tried if isinstance(error, NotTaken) else str(error)
        raise NoExample(f"{said} {_advice(model)}") from error
    shapes = [[value.shape for value in each.values()] for each in found]
    return [each for each, shape in zip(found, shapes, strict=True) if shape == shapes[0]]


def _advice(model: onnx.ModelProto) -> str:
    names = ", ".join(f"{spec.name!r}: array" for spec in interface.inputs(model))
    return (
        "Give two examples that the model takes, with other values in each: write the call inside "
        f"`with onnxgraph.use_examples([{{{names}}}, {{{names}}}]):`."
    )


def _drawn(
    model: onnx.ModelProto, runner: Runner, axes: Axes, batch: int, rows: int, number: int
) -> Apart:
    """Return a run with drawn rows.

    Every second run has odd sizes for the symbols, if the original accepts them.

    Raises:
        GraphError: the original does not run.
    """
    if number % 2 and other_symbols(interface.inputs(model)):
        made = example(model, axes, rows, other=ODD_SIZES[0])
        try:
            return rows, made, _parts(runner, made, axes, batch)
        except GraphError:
            pass  # the model accepts even sizes only, for example because it halves them
    made = example(model, axes, rows)
    return rows, made, _parts(runner, made, axes, batch)


def example(model: onnx.ModelProto, axes: Axes, rows: int, *, other: int = USUAL) -> Feeds:
    """Return inputs with `rows` rows.

    Inputs without a batch have the shape that the model states. Other symbols get the size `other`.
    """
    made = feeds(interface.inputs(model), batch=1, other=other)
    for number, spec in enumerate(interface.inputs(model)):
        if spec.name in axes:
            shape = list(made[spec.name].shape)
            shape[axes[spec.name]] = rows
            wide = type(spec)(spec.name, spec.dtype, tuple(shape))
            made[spec.name] = wide.random(rows, seed=number)
    return made


def _parts(runner: Runner, made: Feeds, axes: Axes, batch: int) -> list[Feeds]:
    """Return the original's outputs for the rows, `batch` at a time.

    The last row is repeated to fill the last batch.
    """
    rows = next(made[name].shape[axis] for name, axis in axes.items())
    order = np.arange(-(-rows // batch) * batch).clip(max=rows - 1).reshape(-1, batch)
    return [
        runner.run(
            {
                name: value.take(some, axis=axes[name]) if name in axes else value
                for name, value in made.items()
            }
        )
        for some in order
    ]
