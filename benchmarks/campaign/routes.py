"""The ways of a drawn model through the product, and its result on each of them.

Each route yields (who, verdict, reason). The verdict is right, refused, stated (it differs as
`stated.py` says), wrong, or failed (something other than a refusal stopped it).
"""

import contextlib
import functools
import io
from collections.abc import Callable, Iterator

import numpy as np
import onnx
from referees import Expected, Referees
from values import RUNS
from workers import Failed, Worker

from graphcore.errors import Refusal, first_line
from graphcore.targets import LEGACY
from graphcore.worker_process import Ended
from nbhelpers import convert, onnxgraph

RIGHT, REFUSED, STATED, WRONG, FAILED = "right", "refused", "stated", "wrong", "failed"

Outcome = tuple[str, str, str]

Pending = Outcome | Callable[[], Outcome]
"""An outcome, or a function that waits for a process to run the result and returns an outcome."""

RUNTIMES = {
    "tf2": ("tf2, oneDNN off", "tf2, oneDNN on"),
    "tf1.15": ("tf1.15", "tf2, oneDNN off"),
    "tf1.13": ("tf1.13", "tf1.15"),
    "tf1.4": ("tf1.4", "tf1.13", "tf1.15", "tf2, oneDNN off"),
}
"""The runtimes for the artefact of each target: the target, and the later ones it promises."""


class Routes:
    """The product's routes, with the processes that they need."""

    def __init__(self, referees: Referees, *, targets: tuple[str, ...]) -> None:
        """Prepare the processes. Nothing is started yet.

        `targets` are those that models are converted for.
        """
        self.referees, self.targets = referees, targets
        self.workers = {
            "tf2, oneDNN off": Worker("tf", "worker_tf.py", {"TF_ENABLE_ONEDNN_OPTS": "0"}),
            "tf2, oneDNN on": Worker("tf", "worker_tf.py", {"TF_ENABLE_ONEDNN_OPTS": "1"}),
            **{name: Worker(name, "worker_tf.py") for name in map(str, LEGACY)},
        }
        self.torch = Worker("th", "worker_torch.py")

    def all(
        self, model: onnx.ModelProto, runs: list[dict], expected: Expected, *, only: str = ""
    ) -> Iterator[Outcome]:
        """Yield the outcomes of a model on every route, or on one route alone.

        The processes run one result while the next one is made here.
        """
        ways = {"import_onnx": self._to_torch}
        ways |= {f"onnx2tf {target}": self._converted for target in self.targets}
        ways |= {"tf2onnx": self._back, **dict.fromkeys(edits(model), self._edited)}
        convert_for = functools.cache(functools.partial(attempt, converted, model))
        pending: list[Pending] = []
        for name, way in ways.items():
            if name == (only or name):
                pending += way(name, model, runs, expected, convert_for)
        for each in pending:
            yield each() if callable(each) else each

    def _converted(self, name, model, runs, expected, convert_for) -> Iterator[Pending]:
        """Convert for a target, and run the graph on every runtime that must run it."""
        target = name.split()[1]
        made, stopped = convert_for(target)
        if made is None:
            yield name, *stopped
            return
        for runtime in RUNTIMES[target]:
            run = self._on(runtime, made, runs)
            yield functools.partial(judged, f"{name} on {runtime}", run, runs, expected)

    def _on(self, runtime, made, runs) -> Callable[[], list[dict]]:
        fed = [{made.inputs[name]: array for name, array in run.items()} for run in runs]
        files = {"graph.pb": made.graph_def.SerializeToString()}
        request = {"fetch": list(made.outputs.values())}
        run = self.workers[runtime].begin(files, request, fed)
        names = {tensor: name for name, tensor in made.outputs.items()}
        return lambda: [{names[tensor]: a for tensor, a in outputs.items()} for outputs in run()]

    def _back(self, name, model, runs, expected, convert_for) -> Iterator[Pending]:
        """Convert for TensorFlow 2, and convert that graph back into ONNX."""
        made, _ = convert_for("tf2")
        if made is not None:
            yield from self._written(name, attempt(back_to_onnx, made), runs, expected)

    def _edited(self, name, model, runs, expected, _) -> Iterator[Pending]:
        """Let a verb rewrite the model."""
        yield from self._written(name, attempt(edits(model)[name], model), runs, expected)

    def _written(self, name, attempted, runs, expected) -> Iterator[Pending]:
        """Run a rewritten model in onnxruntime, or in the other referee if a kernel is missing."""
        result, stopped = attempted
        if result is None:
            yield name, *stopped
            return
        begun = self.referees.begin(result, runs, by="onnxruntime")

        def run() -> list[dict]:
            try:
                return begun()
            except Failed as error:
                if "NOT_IMPLEMENTED" not in str(error):
                    raise
                return self.referees.run(result, runs, by="reference")

        yield functools.partial(judged, name, run, runs, expected)

    def _to_torch(self, name, model, runs, expected, _) -> Iterator[Pending]:
        """Import the model into PyTorch."""
        files = {"model.onnx": model.SerializeToString()}
        run = self.torch.begin(files, {}, runs)
        yield functools.partial(judged, name, run, runs, expected)


def converted(model: onnx.ModelProto, target: str) -> convert.Conversion:
    """Convert a model without the product's own comparison, so that the campaign's sees errors."""
    return convert.onnx2tf(model, None, target=target, verify=False)


def back_to_onnx(made: convert.Conversion) -> onnx.ModelProto:
    """Convert a TensorFlow graph into ONNX, as written."""
    return convert.tf2onnx(made, None, opset=17, verify=False).model


def edits(model: onnx.ModelProto) -> dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]]:
    """Return the verbs that can edit a model: name → function that returns the new model."""
    verbs: dict[str, Callable] = {"simplify": lambda model: onnxgraph.simplify(model).model}
    if older := [opset for opset in (9, 11, 13, 15, 17) if opset < onnxgraph.opset(model)]:
        lowest = older[len(older) // 2]
        verbs["lower_opset"] = lambda model: onnxgraph.lower_opset(model, lowest).model
    for symbol, name in (("batch", "make_batch_dynamic"), ("time", "free_dims")):
        if _axes(model, symbol):
            verbs[name] = functools.partial(freed, symbol=symbol, verb=name)
    return verbs


def _axes(model: onnx.ModelProto, symbol: str) -> dict[str, dict[int, str]]:
    """Return input name → axis → symbol for the inputs that hold it."""
    found = {}
    for spec in onnxgraph.inputs(model):
        axes = {axis: symbol for axis, dim in enumerate(spec.shape) if dim == symbol}
        if axes:
            found[spec.name] = axes
    return found


def freed(model: onnx.ModelProto, symbol: str, verb: str) -> onnx.ModelProto:
    """Fix every symbol of a model, and let a verb make one of them symbolic again."""
    sizes, _ = RUNS[1]
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in (*fixed.graph.input, *fixed.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == symbol:
                dim.dim_value = sizes[symbol]
    fixed = onnxgraph.infer_shapes(fixed)
    if verb == "make_batch_dynamic":
        batch = {name: next(iter(axes)) for name, axes in _axes(model, symbol).items()}
        return onnxgraph.make_batch_dynamic(fixed, axes=batch).model
    return onnxgraph.free_dims(fixed, _axes(model, symbol)).model


def attempt(work, *arguments) -> tuple[object | None, tuple[str, str]]:
    """Return the result of the work, or None with the verdict and the reason that stopped it."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return work(*arguments), (RIGHT, "")
    except Refusal as error:
        return None, (REFUSED, first_line(error)[:300])
    except Exception as error:
        return None, (FAILED, f"{type(error).__name__}: {first_line(error)[:300]}")


def judged(name: str, work, runs: list[dict], expected: Expected) -> Outcome:
    """Wait for the outputs of a result, and compare them with the expected ones."""
    try:
        outputs = work()
    except (Failed, Ended) as error:
        said = str(error)
        if said.startswith("refused "):
            return name, REFUSED, said.removeprefix("refused ")
        return name, FAILED, said
    verdict = name, RIGHT, ""
    for number in range(len(runs)):
        seen = {key: np.asarray(value) for key, value in outputs[number].items()}
        if why := expected.difference(number, seen):
            stated = [each for each in expected.excuses[number] if name.startswith(each.routes)]
            if not stated:
                return name, WRONG, why
            verdict = name, STATED, ", ".join(stated[0].ops)
    return verdict
