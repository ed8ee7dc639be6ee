"""onnx2tf: ONNX file → frozen TensorFlow graph, in pure steps, compared before it is written.

The steps are `prepare` → `build` → `optimise` → `retarget` → compare with onnxruntime → write. You
can call each one by itself, and notebook 03 shows them one by one.
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx

import onnxgraph
from graphcore.errors import ConversionError, GraphError, ParityError
from graphcore.parity import TOLERANCE, Report
from graphcore.progress import stage
from onnxgraph.examples.given import Examples, Symbols, use_examples
from onnxgraph.examples.reference import check_examples_fit
from onnxgraph.model import external
from onnxgraph.model.entry_check import checked
from onnxgraph.model.precision import precisions
from onnxgraph.model.weightless import weights_size
from onnxgraph.running import session_process
from tfgraph import framework, memory, optables
from tfgraph.building.build import Built, attempt, prepare
from tfgraph.comparing import processors
from tfgraph.comparing.judge import Judge
from tfgraph.comparing.layers import first_difference
from tfgraph.conversion import Conversion, Step
from tfgraph.graphs import frozen
from tfgraph.graphs.frozen import LIMIT
from tfgraph.graphs.run import run_view
from tfgraph.native import native
from tfgraph.obstacles import Unconvertible
from tfgraph.optimising import grappler
from tfgraph.optimising.optimise import optimise
from tfgraph.preflight import obstacles
from tfgraph.retargeting.retarget import retarget

Result = TypeVar("Result")


BATCHES = (1, 3)
"""The batch sizes at which a conversion is compared with onnxruntime."""


@checked
@stage("converting")
def onnx2tf(
    onnx_path: str | Path | onnx.ModelProto,
    pb_path: str | Path | None,
    *,
    target: str = "tf2",
    verify: bool = True,
    tolerance: float = TOLERANCE,
    examples: Examples | None = None,
    symbols: Symbols | None = None,
) -> Conversion:
    """Convert an ONNX model to a frozen graph for `target`, and compare before anything is written.

    Two things are not promised, because the runtimes' kernels differ in them. The first is where
    ArgMax, TopK, Hardmax and max pools place NaN in the order. The second is which other elements
    become NaN because of a NaN or +inf in a row of Softmax, or among the channels of LRN.

    Args:
        onnx_path: an `.onnx` file, or a model.
        pb_path: where to write the graph, or None to keep it in memory.
        target: the oldest TensorFlow that must load it: "tf1.4", "tf1.13", "tf1.15" or "tf2".
        verify: compare with onnxruntime on seeded inputs. Without it the result says UNPROVEN.
        tolerance: largest difference allowed, relative to the largest reference value.
        examples: inputs to compare on: arrays by name, a list of such, or the path of an .npz. If
            they are left out, seeded ones are drawn (see `onnxgraph.use_examples`).
        symbols: sizes of symbolic dims in drawn inputs, such as {"total": "past + length"}.

    Raises:
        ConversionError: a node cannot be converted at all or for this target. The error names it.
        ParityError: the graph computes something else. The error names the first ONNX tensor that
            differs.
        GraphError: the file is not an ONNX model.
    """
    optables.table(target)  # refuse a wrong target before any work
    if isinstance(onnx_path, onnx.ModelProto):
        model = onnxgraph.check(onnx_path)
    else:
        model = onnxgraph.load(onnx_path, keep_external=True, leave_weights=True)
    with use_examples(examples, symbols=symbols):
        check_examples_fit(model)
        if pb_path is not None:  # also before the work
            _check_size(weights_size(model))
        conversion = _pipeline(model, target, verify=verify)
        if verify:
            conversion = verified(conversion, model, tolerance=tolerance)
    if pb_path is None:
        return conversion
    return written(conversion, pb_path)


def _check_size(size: int) -> None:
    """Refuse to write weights of `size` bytes if one file cannot hold them."""
    if size >= LIMIT:
        raise ConversionError(
            f"The weights take {size / 2**30:.1f} GiB; a frozen graph is one protobuf message, "
            "which holds less than 2. Give no pb_path, and the result to build_saved_model: it "
            "keeps such weights as variables, for target tf2."
        )


def written(conversion: Conversion, pb_path: str | Path) -> Conversion:
    """Write the graph and return the conversion with its path.

    Raises:
        ConversionError: the weights take more than the 2 GB that a frozen graph can hold.
    """
    _check_size(conversion.graph.size)
    return replace(conversion, pb_path=frozen.save(conversion.graph, pb_path))


@stage("comparing with onnxruntime")
def verified(
    conversion: Conversion,
    model: onnx.ModelProto,
    *,
    batches: tuple[int, ...] = BATCHES,
    tolerance: float = TOLERANCE,
) -> Conversion:
    """Compare the graph with onnxruntime on seeded inputs, and return it with the reports.

    TensorFlow computes the graph with oneDNN and without, because newer processors use it and older
    ones do not.

    Raises:
        ParityError: they differ. The message names the first ONNX tensor that does.
        GraphError: TensorFlow cannot compute the graph, with oneDNN or without.
    """
    judge = Judge(model, tolerance=tolerance, precisions=conversion.precisions)
    reports: list[Report] = []
    here = processors.words(native.onednn())
    with contextlib.ExitStack() as stack:
        others = processors.others(conversion.graph, conversion.outputs.values())
        for other in others:
            stack.callback(other.close)
        # One after the other, the referee first, because each needs memory for the weights.
        rounds = judge.rounds(batches)
        for where, each in itertools.product((None, *others), rounds):
            memory.give_back()  # memory of the previous run
            title = f"{conversion.target} {where.title if where else here}"
            seen = run_conversion(conversion, each.feeds, where=where)
            report = judge.report(each, seen, title=title)
            if report is not None and not report.ok:
                raise ParityError(_explained(report, conversion, model, each.feeds))
            reports += [report] if report else []
    return replace(conversion, parity=tuple(reports))


def run_conversion(
    conversion: Conversion,
    feeds: Mapping[str, np.ndarray],
    *,
    where: processors.OtherProcessor | None = None,
) -> dict[str, np.ndarray]:
    """Run the graph here or in the process `where`, with inputs and outputs by ONNX name."""
    fed = {conversion.inputs[name]: value for name, value in feeds.items()}
    if where is None:
        fed |= conversion.graph.weights  # not put into the graph, which would copy them
        results = run_view(conversion.view, fed, fetch=conversion.outputs.values())
    else:
        results = where.run(fed)
    return {name: results[tensor] for name, tensor in conversion.outputs.items()}


def _pipeline(model: onnx.ModelProto, target: str, *, verify: bool) -> Conversion:
    framework.tensorflow()
    steps: list[Step] = []
    grappler.start()
    if verify:
        session_process.start()
    ready = prepare(model)
    built = _timed(steps, "build", lambda: _build(ready, target))
    memory.give_back()
    fast = _timed(steps, "optimise", lambda: optimise(built.graph, built.outputs.values()))
    ends = [*built.outputs.values()]
    fitted = _timed(
        steps, "retarget", lambda: retarget(fast, target, onnx_names=built.provenance, outputs=ends)
    )
    specs = (*onnxgraph.inputs(model), *onnxgraph.outputs(model))
    left = {node.name for node in fitted.graph.skeleton.node}
    return Conversion(
        target=target,
        graph=fitted.graph,
        inputs=built.inputs,
        outputs=built.outputs,
        specs={spec.name: spec for spec in specs},
        steps=tuple(steps),
        rewrites=fitted.rewrites,
        tensors={n: t for n, t in built.tensors.items() if t.partition(":")[0] in left},
        precisions=precisions(model),
    )


def _build(model: onnx.ModelProto, target: str) -> Built:
    """Build the graph, or refuse with all nodes that cannot be converted for this target."""
    built = attempt(model)
    if found := obstacles(built, model, target):
        raise Unconvertible(found)
    return built


def _timed(steps: list[Step], name: str, work: Callable[[], Result]) -> Result:
    """Run a step and record it: its time and the number of nodes of each op in its graph."""
    begin = time.perf_counter()
    with stage(name):
        result = work()
    seconds = time.perf_counter() - begin
    graph: Any = getattr(result, "graph", result)
    steps.append(Step(name, graph.histogram(), seconds))
    return result


def _explained(
    report: Report,
    conversion: Conversion,
    model: onnx.ModelProto,
    feeds: Mapping[str, np.ndarray],
) -> str:
    """Return the report's own sentence and where the difference begins."""
    try:
        report.check()
    except ParityError as error:
        sentence = str(error)
    try:
        found = first_difference(
            external.with_values(model), conversion, feeds, tolerance=report.tolerance
        )
    except GraphError as error:
        return f"{sentence} Where it begins cannot be said: {error} Nothing was written."
    if found is None:
        return f"{sentence} Nothing was written."
    return (
        f"{sentence} The first ONNX tensor that differs is {found.layer.name!r} "
        f"({found.layer.row.note}). Nothing was written."
    )
