"""Record golden cases: inputs, and the outputs that torch computes for them.

Every later step is compared with these.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from PIL import Image
from torch import nn

from graphcore.errors import ModelError
from graphcore.golden import Arrays, Case
from graphcore.progress import stage
from graphcore.spec import TensorSpec
from nbhelpers.train.picture import fitting, photograph
from torchgraph.exporting.arguments import Given
from torchgraph.exporting.relations import with_sums
from torchgraph.exporting.runs import Run, all_symbols, batch_symbol, run_at
from torchgraph.exporting.sizes import Runs, run_at_sizes
from torchgraph.modules.forward import as_array, check_count, run_torch

BATCH = "batch"
"""The symbol of a fixed batch while other batches are tried."""


@stage("recording the golden cases")
def record_golden(
    module: nn.Module,
    specs: Sequence[TensorSpec],
    output_names: Sequence[str],
    *,
    batches: Sequence[int] = (1, 3),
    evaluation: tuple[Arrays, Arrays] | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
) -> tuple[Case, ...]:
    """Run the module in eval mode on seeded inputs, on held-out samples and on a photograph.

    The seeded cases differ in the size of every symbol: two odd sizes if the module accepts them,
    or else others that it accepts. If it accepts no two together, each symbol has a case of its
    own, named after the symbol and its size.

    Args:
        module: the module to run. It is left unchanged.
        specs: its inputs. If all have the same fixed first dim, this is taken as a batch, and
            `batches` are multiples of it. torch accepts any batch, and a batch made dynamic later
            must give the same results. Larger batches are left out if an output has no row for each
            input row. Other fixed dims stay.
        output_names: names of what `forward` returns, in order.
        batches: sizes of the seeded cases, named `batch1`, `batch3` …. If no batch is dynamic,
            these cases differ only in their values.
        evaluation: inputs and true labels by name, recorded as `held_out`.
        sizes: for a symbol, the sizes to record at, instead of the usual ones.
        seed: the seed of the random inputs.
    Raises:
        ModelError: the module fails on an input, or returns another number of tensors.
    """
    fixed = _fixed_batch(specs)
    if fixed:
        specs, batches = _any_batch(specs), [fixed * rows for rows in batches]
    given = with_sums(module, [Given(spec) for spec in specs])
    found = _seeded(module, given, batches, sizes or {}, seed)
    cases = [
        _case(module, name, run, output_names)
        for name, run in found
        if fixed in (None, run.sizes.get(BATCH)) or _by_rows(run)
    ]
    if evaluation is not None:
        outputs = run_torch(module, evaluation[0], output_names)
        cases.append(Case("held_out", dict(evaluation[0]), outputs, evaluation[1]))
    steps = fitting(tuple(specs))
    if steps is not None:
        with Image.open(photograph()) as image:
            inputs = {specs[0].name: steps(image).numpy()}
        cases.append(Case("picture", inputs, run_torch(module, inputs, output_names)))
    return tuple(cases)


def _seeded(
    module: nn.Module,
    inputs: Sequence[Given],
    batches: Sequence[int],
    sizes: Mapping[str, Sequence[int]],
    seed: int,
) -> Iterator[tuple[str, Run]]:
    """Yield (name, run) of a case for each batch, and further cases for missing sizes."""
    batch = batch_symbol(inputs)
    known = all_symbols([each.spec for each in inputs])
    runs: Runs | None = None
    if set(known) - {batch}:
        runs = run_at_sizes(module, inputs, sizes=sizes, batch=False)
    found: list[Run] = []
    for number, rows in enumerate(sizes.get(batch or "", batches)):
        fed = {batch: rows} if batch else {}
        try:
            # Each batch has its own seed, so that no case repeats the rows of another.
            found.append(_together(module, inputs, runs, fed, number, seed + rows))
        except ModelError:
            if not batch or batch in sizes:
                raise
            continue
        yield f"batch{rows}", found[-1]
    if batch and len(found) < len(batches) and batch not in sizes:  # it accepts other batches only
        with contextlib.suppress(*([ModelError] if found else [])):
            runs = run_at_sizes(module, inputs, sizes=sizes)
    if runs is None:
        return
    for symbol in runs.further:
        for run in (*runs.further[symbol], runs.first):
            seen = {each.sizes[symbol] for each in found}
            if len(seen) < 2 and run.sizes[symbol] not in seen:
                found.append(run)
                yield f"{symbol}{run.sizes[symbol]}", run


def _together(
    module: nn.Module,
    inputs: Sequence[Given],
    runs: Runs | None,
    rows: Mapping[str, int],
    number: int,
    seed: int,
) -> Run:
    """Return a run with this many rows: if possible, with other sizes of each symbol for each
    number, or else with the first sizes.
    """
    if runs is None:
        return run_at(module, inputs, rows, seed=seed)
    sizes: dict[str, int] = {**runs.first.sizes, **rows}
    apart = {symbol: _nth(runs, symbol, number) for symbol in runs.further}
    try:
        return run_at(module, inputs, {**sizes, **apart}, seed=seed)
    except ModelError:
        return run_at(module, inputs, sizes, seed=seed)


def _nth(runs: Runs, symbol: str, number: int) -> int:
    found = [run.sizes[symbol] for run in runs.further[symbol]] or [runs.first.sizes[symbol]]
    return found[number % len(found)]


def _case(module: nn.Module, name: str, run: Run, output_names: Sequence[str]) -> Case:
    check_count(module, run.outputs, output_names)
    return Case(
        name,
        {key: as_array(value, f"The input {key!r}") for key, value in run.arguments.items()},
        {
            key: as_array(value, f"The output {key!r} of {type(module).__name__}")
            for key, value in zip(output_names, run.outputs.values(), strict=True)
        },
    )


def _fixed_batch(specs: Sequence[TensorSpec]) -> int | None:
    """Return the first dim that all inputs share, if it is a number."""
    first = {spec.shape[0] if spec.shape else None for spec in specs}
    size = first.pop() if len(first) == 1 else None
    return size if isinstance(size, int) else None


def _any_batch(specs: Sequence[TensorSpec]) -> list[TensorSpec]:
    return [replace(spec, shape=(BATCH, *spec.shape[1:])) for spec in specs]


def _by_rows(run: Run) -> bool:
    """Whether every output has one row for each row of the inputs."""
    rows = run.sizes[BATCH]
    return all(value.ndim and len(value) == rows for value in run.outputs.values())
