"""Compare an ONNX model with TensorFlow's own outputs, before anything is written."""

import contextlib
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx

from graphcore.errors import ConversionError, GraphError, ParityError
from graphcore.parity import Report, compare
from graphcore.spec import Feeds, TensorSpec
from onnxgraph.examples import example_search, examples, given
from onnxgraph.model.precision import precisions
from onnxgraph.running.run import Runner
from onnxgraph.running.sessions import ReferenceSession
from tfgraph.graphs.run import run_view
from tfgraph.toonnx import special_values
from tfgraph.toonnx.interface import Interface
from tfgraph.toonnx.sources import Source
from tfgraph.toonnx.texts import Texts

_RANDOM = re.compile("Random|Multinomial|TruncatedNormal|RngUniform")

BATCHES = (1, 3)
"""The batch sizes of the comparison, where the batch is dynamic."""


class Reference:
    """The source, run by TensorFlow with the ONNX model's inputs and outputs."""

    def __init__(self, source: Source, interface: Interface, fixed: Mapping[str, Any]) -> None:
        """Import the graph once."""
        self.source, self._interface = source, interface
        self._view = source.view
        tensors = {name: self._view.tensor(tensor) for name, tensor in source.fixed.items()}
        self._fixed = {
            tensors[name].name: np.asarray(value).astype(tensors[name].dtype)
            for name, value in fixed.items()
        }

    def run(self, feeds: Feeds) -> Feeds:
        """Return the outputs by ONNX name.

        Raises:
            GraphError: TensorFlow cannot run the graph on these inputs.
            ConversionError: an output is one number for a whole batch, and the batch is fixed.
        """
        whole = {name: self._back(name, value) for name, value in feeds.items()}
        size = self._interface.batch
        results = self._once(whole) if size is None else self._in_batches(whole, size)
        return {name: self._forth(name, value) for name, value in results.items()}

    def _once(self, feeds: Feeds) -> Feeds:
        fed = {self.source.inputs[name]: value for name, value in feeds.items()}
        outputs = self.source.outputs
        results = run_view(self._view, fed | self._fixed, fetch=outputs.values(), optimised=False)
        return {name: results[tensor] for name, tensor in outputs.items()}

    def _in_batches(self, feeds: Feeds, size: int) -> Feeds:
        """Run a graph with a fixed batch on any number of examples, one batch after another."""
        count = next(value.shape[0] for value in feeds.values() if value.ndim)
        rows = [np.arange(start, start + size) % count for start in range(0, count, size)]
        runs = [
            self._once(
                {name: value[which] if value.ndim else value for name, value in feeds.items()}
            )
            for which in rows
        ]
        return {name: _joined(name, [run[name] for run in runs], count) for name in runs[0]}

    def _back(self, name: str, value: np.ndarray) -> np.ndarray:
        return np.moveaxis(value, 1, -1) if name in self._interface.turned else value

    def _forth(self, name: str, value: np.ndarray) -> np.ndarray:
        return np.moveaxis(value, -1, 1) if name in self._interface.turned else value


def compared(
    model: onnx.ModelProto, reference: Reference, interface: Interface, *, tolerance: float
) -> tuple[tuple[Report, ...], list[tuple[Feeds, Feeds]]]:
    """Return the reports, and TensorFlow's inputs and outputs in those comparisons.

    Raises:
        ParityError: the model computes something else, or TensorFlow draws random numbers.
        ConversionError: onnxruntime does not run the model.
    """
    runs = _runs(reference, interface)
    try:
        runner = Runner(model)
    except GraphError as error:
        raise ConversionError(f"{error} Nothing was written.") from error
    judge = functools.partial(compare, tolerance=tolerance, precisions=precisions(model))
    usual = (
        judge(
            expected,
            _seen(runner, feeds, batch, interface),
            title=f"{runner.referee} against TensorFlow, batch {batch}",
        )
        for batch, feeds, expected in runs
    )
    special = _special(model, runner, reference, interface, runs[-1], judge)
    reports = []
    for report in itertools.chain(usual, special):
        if not report.ok:
            raise ParityError(_explained(report, reference.source))
        reports.append(report)
    return tuple(reports), [(feeds, expected) for _, feeds, expected in runs]


def _special(
    model: onnx.ModelProto,
    runner: Runner,
    reference: Reference,
    interface: Interface,
    run: examples.Run,
    judge: Callable[..., Report],
) -> Iterator[Report]:
    """Yield the reports for inputs with special values, where TensorFlow runs them.

    If the user gave the inputs, it yields no reports.
    """
    if given.feeds(interface.specs.values()):
        return
    batch, feeds, _ = run
    for kind, special in special_values.drawn(feeds, reference.source.graph_def):
        try:
            expected = reference.run(special)
        except GraphError:
            continue
        title = f"against TensorFlow, batch {batch}, {kind}"
        seen = _seen(runner, special, batch, interface)
        report = judge(expected, _numbers(expected, seen), title=f"{runner.referee} {title}")
        with contextlib.suppress(GraphError):  # the session may lack an op
            if not report.ok:
                session = ReferenceSession(model)
                seen = dict(zip(expected, session.run(list(expected), special), strict=True))
                seen = _numbers(expected, seen)
                second = judge(expected, seen, title=f"{session.title} {title}")
                report = second if second.ok else report
        yield report


def _numbers(expected: Feeds, seen: Feeds) -> Feeds:
    """Return the outputs with NaN wherever NaN is expected, because nothing is promised there."""
    return {
        name: np.where(np.isnan(expected[name]), expected[name], value)
        if value.dtype.kind == "f" and value.shape == expected[name].shape
        else value
        for name, value in seen.items()
    }


def _seen(runner: Runner, feeds: Feeds, batch: int, interface: Interface) -> Feeds:
    try:
        return runner.run(feeds)
    except GraphError as error:
        hint = " The graph is made for its own batch; leave batch= out." if interface.batch else ""
        said = str(error).rstrip(".")
        raise ConversionError(f"At batch {batch}: {said}.{hint} Nothing was written.") from error


def _runs(reference: Reference, interface: Interface) -> list[examples.Run]:
    """Return (batch, inputs, TensorFlow's outputs) for two sizes of each dynamic dim, odd too."""
    specs = tuple(interface.specs.values())
    if own := given.feeds(specs):
        return [(_rows(feeds, specs), feeds, reference.run(feeds)) for feeds in own]
    batches = BATCHES if examples.has_dynamic_batch(specs) else _fixed_batch(specs)
    refusal: GraphError | None = None
    for strange in (True, False):
        texts = Texts(specs, reference.source.graph_def, strange=strange)
        if strange or texts.names:
            try:
                return _drawn(reference, texts, batches)
            except GraphError as error:
                refusal = refusal or error
    assert refusal is not None
    names = ", ".join(f"{spec.name!r}: array" for spec in specs)
    raise GraphError(
        f"TensorFlow itself does not run the graph: {refusal.__cause__} Give inputs that it takes, "
        f"examples={{{names}}}, or sizes, with batch=, shapes= and symbols=."
    ) from refusal


def _drawn(reference: Reference, texts: Texts, batches: tuple[int, ...]) -> list[examples.Run]:
    """Return the runs, with strings in place of the integers that are drawn for them."""
    found = example_search.runs(
        lambda drawn: reference.run(texts.feeds(drawn)),
        texts.specs,
        batches,
        relations=given.relations(texts.specs),
    )
    return [(batch, texts.feeds(drawn), outputs) for batch, drawn, outputs in found]


def _rows(feeds: Feeds, specs: tuple[TensorSpec, ...]) -> int:
    """Return the batch size, which is that of the first input that has one."""
    return next((feeds[spec.name].shape[0] for spec in specs if spec.shape), 1)


def _fixed_batch(specs: tuple[TensorSpec, ...]) -> tuple[int, ...]:
    return (next((int(spec.shape[0]) for spec in specs if spec.shape), 1),)


def _joined(name: str, parts: list[np.ndarray], count: int) -> np.ndarray:
    """Return the rows of several runs as one output.

    Raises:
        ConversionError: the output is one number for a whole batch, and differs between the runs.
    """
    if parts[0].ndim:
        return np.concatenate(parts)[:count]
    if not all(np.array_equal(part, parts[0]) for part in parts):
        raise ConversionError(
            f"The output {name!r} is one number for a whole batch, so that a graph for a fixed one "
            "cannot show what it is for others; leave batch= out, or choose other outputs. Nothing "
            "was written."
        )
    return parts[0]


def _explained(report: Report, source: Source) -> str:
    """Return the report's own sentence, and the probable reason."""
    try:
        report.check()
    except ParityError as error:
        sentence = str(error)
    drawn = [node.name for node in source.graph_def.node if _RANDOM.search(node.op)]
    if drawn:
        sentence += (
            f" The graph draws random numbers (in {drawn[0]!r}), as dropout does in training: give "
            'its switch a value, such as fixed={"keep_prob": 1.0}, or cut it out.'
        )
    return f"{sentence} Nothing was written."
