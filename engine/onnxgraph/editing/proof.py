"""Prove an edit: run the model before and the model after on the same seeded inputs."""

from collections.abc import Iterable, Mapping

import onnx

from graphcore import parity
from graphcore.errors import unknown_name
from graphcore.progress import stage
from graphcore.spec import Dim, Feeds, TensorSpec
from onnxgraph.examples.reference import reference_runs
from onnxgraph.model import interface
from onnxgraph.model.entry_check import checked
from onnxgraph.model.precision import precisions
from onnxgraph.running.run import Runner, tensor_names

TOLERANCE = 1e-5
"""An edit may reorder a few additions. A difference above this share of the largest value is a
change."""


@checked
@stage("comparing with the original")
def same(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    *,
    batches: Iterable[int] = (1, 3),
    tolerance: float = TOLERANCE,
    seed: int = 0,
    outputs: Iterable[str] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> tuple[parity.Report, ...]:
    """Run both models in onnxruntime and return a report for each batch.

    Only `before` gets random values. If `after` starts at an inner tensor of it, as an extracted
    part does, it gets the value that `before` computes there. Outputs that only `after` has are
    compared with the tensors of these names inside `before`.

    Args:
        before: the reference.
        after: the model to judge. An input of both may have another dtype here. A size that is
            fixed in either of them is used for both.
        batches: batch sizes. There is only one run if the batch is fixed.
        tolerance: the largest difference allowed, as a share of the largest value of each output.
        seed: the seed of the random inputs.
        outputs: names (in `after`) to compare. The default is all outputs of both.
        renamed: name in `before` to name in `after`, for those that differ.

    Raises:
        ParityError: they give different results. The message holds the worst outputs.
        UnknownName: `after` has an input or output that is not a tensor of `before`.
        GraphError: one of them cannot be run.
    """
    new = dict(renamed or {})
    old = {name: each for each, name in new.items()}
    wanted = [value.name for value in after.graph.output] if outputs is None else list(outputs)
    if outputs is None:
        wanted += [new.get(value.name, value.name) for value in before.graph.output]
    specs = {old.get(spec.name, spec.name): spec for spec in interface.inputs(after)}
    fetch = [old.get(name, name) for name in wanted]
    inner = set(specs) - {spec.name for spec in interface.inputs(before)}
    _check_known(before, [*fetch, *inner])
    runner, halves, reports = Runner(after), precisions(after), []
    runs = reference_runs(
        before,
        batches=batches,
        seed=seed,
        fetch=[*fetch, *inner],
        specs=[_narrowed(spec, specs.get(spec.name)) for spec in interface.inputs(before)],
    )
    for batch, feeds, found in runs:
        seen = runner.run(_fed(specs, feeds | {name: found[name] for name in inner}))
        expected = {name: found[old.get(name, name)] for name in wanted}
        actual = {name: value for name, value in seen.items() if name in expected}
        report = parity.compare(
            expected, actual, tolerance=tolerance, title=f"batch {batch}", precisions=halves
        )
        reports.append(report.check())
    return tuple(reports)


def _check_known(before: onnx.ModelProto, names: Iterable[str]) -> None:
    known = dict.fromkeys(tensor_names(before))
    for name in names:
        if name not in known:
            raise unknown_name("tensor in the model before", name, known)


def _narrowed(mine: TensorSpec, theirs: TensorSpec | None) -> TensorSpec:
    """Return a spec that both models accept: with the sizes that are fixed in either."""
    if theirs is None or len(theirs.shape) != len(mine.shape):
        return mine
    dims: list[Dim] = [
        two if isinstance(one, str) else one
        for one, two in zip(mine.shape, theirs.shape, strict=True)
    ]
    return TensorSpec(mine.name, theirs.dtype, tuple(dims))


def _fed(specs: Mapping[str, TensorSpec], feeds: Feeds) -> Feeds:
    """Return the inputs under the names and in the dtypes of a model."""
    return {spec.name: feeds[name].astype(spec.dtype) for name, spec in specs.items()}
