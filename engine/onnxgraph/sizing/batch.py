"""Make a fixed batch dynamic: its size on inputs and outputs, and every node that holds the size.

The result is proven: it is run at several batches, and every row must be what the original gives
for that row alone. Otherwise the model is refused, and the error names all nodes that prevent a
dynamic batch.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import onnx

from graphcore.copies import copy_of
from graphcore.errors import GraphError
from graphcore.progress import stage
from onnxgraph.editing.finishing import finished
from onnxgraph.editing.result import Edited
from onnxgraph.examples.reference import batch_inputs
from onnxgraph.model import interface
from onnxgraph.model.domains import is_default
from onnxgraph.model.entry_check import checked
from onnxgraph.model.functions import inline_functions
from onnxgraph.model.obstacles import Obstacle
from onnxgraph.model.sparse import dense_model
from onnxgraph.sizing.batch_axes import Way, question, sizes, stated, ways
from onnxgraph.sizing.batch_examples import NoExample
from onnxgraph.sizing.batch_labels import labelled
from onnxgraph.sizing.batch_obstacles import obstacles, refusal
from onnxgraph.sizing.batch_proof import Differs, held_batch, prove
from onnxgraph.sizing.batch_rows import repeat_outputs
from onnxgraph.sizing.batch_rules import RULES
from onnxgraph.sizing.batch_shapes import Axes, forget_shapes, rows_axis, set_batch_dim
from onnxgraph.sizing.batch_state import Work
from onnxgraph.sizing.watched_graph import copies

_COMPARED = 4
"""At most this many failed ways are compared, to report the one with the fewest obstacles."""


class _Failed(Exception):
    """A way to carry the batch that was not proven."""

    def __init__(
        self, model: onnx.ModelProto, result: onnx.ModelProto, work: Work, why: GraphError
    ) -> None:
        super().__init__(str(why))
        self._model, self._result, self._work, self._why = model, result, work, why

    @cached_property
    def obstacles(self) -> list[Obstacle]:
        """The nodes that prevent this way."""
        return obstacles(self._model, self._result, self._work)

    @property
    def refusal(self) -> GraphError:
        """The refusal that names these nodes."""
        return refusal(self._model, self._work, self.obstacles, self._why)


@checked
@stage("making the batch dynamic")
def make_batch_dynamic(
    model: onnx.ModelProto, *, symbol: str = "batch", axes: Mapping[str, int] | None = None
) -> Edited:
    """Return a model that takes any batch.

    If the batch is dynamic already, its symbol stays. Then only reshapes whose target is computed
    from the shape get constant targets.

    Args:
        model: the model. It is not changed.
        symbol: the name of the batch dim in the result.
        axes: the inputs that carry the batch, and its axis in each, such as {"x": 0, "state": 1}.
            All rows share the other inputs. If `axes` is left out, an input carries the batch if
            the model can take a separate value for each row. The axis is the first one, or for a
            state the one that fits.

    Raises:
        GraphError: rows would influence each other, or nodes need the fixed size (the error names
            all of them, each with the reason). Also if several ways to carry the batch are
            possible, or if the model accepts no known example input.
        UnknownName: `axes` names something that is not an input.
    """
    model = dense_model(model)
    if not any(spec.shape for spec in interface.inputs(model)):
        raise GraphError("The model has no input with a batch: all its inputs are scalars.")
    carriers = {} if axes is not None else dict.fromkeys(batch_inputs(model), 0)
    try:
        if axes is not None:
            return _opened(model, stated(model, axes), symbol)
        if carriers:
            return _opened(model, Way(carriers, 0), symbol)
        return _searched(model, sizes(model), symbol)
    except _Failed as failed:
        batch = held_batch(model, carriers) if carriers else 0
        if not batch:
            raise failed.refusal from failed
    return _under_a_label(model, carriers, batch)


def _under_a_label(model: onnx.ModelProto, carriers: Axes, batch: int) -> Edited:
    """Return a model made dynamic whose batch already has a symbol, while its nodes hold a size."""
    fixed = copy_of(model)
    del fixed.graph.value_info[:]
    set_batch_dim(fixed, carriers, batch)
    try:
        result = _searched(fixed, [batch], _symbol_of(model, carriers))
    except _Failed as failed:
        raise failed.refusal from failed
    return replace(result, before=model)


def _searched(model: onnx.ModelProto, batches: list[int], symbol: str) -> Edited:
    """Return the model made dynamic in the only way that is proven.

    Raises:
        GraphError: several ways are proven.
        _Failed: no way is proven.
    """
    failures: list[_Failed] = []
    passed: list[tuple[Way, Edited]] = []
    for batch in batches:
        for tier in ways(model, batch):
            found = _proven(model, tier, symbol, failures, leading=len(batches) > 1)
            passed += found
            if found:
                break
    if len(passed) > 1:
        raise question(model, [way for way, _ in passed])
    if not passed:  # report the way with the fewest obstacles
        raise min(failures[:_COMPARED], key=lambda failed: len(failed.obstacles) or _COMPARED)
    return passed[0][1]


def _proven(
    model: onnx.ModelProto, tier: list[Way], symbol: str, failures: list[_Failed], *, leading: bool
) -> list[tuple[Way, Edited]]:
    """Return the ways that are proven, or the way with only first axes if that one is proven."""
    found = []
    for way in tier:
        try:
            found.append((way, _opened(model, way, symbol, leading=leading)))
        except _Failed as failed:
            failures.append(failed)
        if found and not any(way.axes.values()):
            break
    return found


def _opened(model: onnx.ModelProto, way: Way, symbol: str, *, leading: bool = False) -> Edited:
    """Return the model made dynamic in one way.

    Args:
        model: the original.
        way: which inputs carry the batch.
        symbol: the name of the batch, where no input has a symbol for it.
        leading: require that the batch is the first axis of some output.

    Raises:
        _Failed: the result cannot be proven.
    """
    symbol = _symbol_of(model, way.axes) or symbol
    work = Work(_private_copy(model, way.axes if way.batch else {}, symbol), way)
    if way.batch:
        work.changes += _input_changes(model, way, symbol)
    _rewrite(model, work)
    result = work.finish()
    try:
        if leading and not any(rows_axis(work.shape(v.name)) == 0 for v in model.graph.output):
            raise Differs(f"no output begins with a batch of {way.batch}")
        if work.shared:
            raise Differs(f"all rows would share the input {work.shared[0]!r}")
        result = finished(labelled(model, result, work, symbol))
        reports = prove(model, result, way.axes, way.batch)
    except NoExample:
        raise
    except GraphError as difference:
        raise _Failed(model, result, work, difference) from difference
    if not way.batch and not work.changes:
        result = finished(model)
    return Edited(result, model, tuple(work.changes), tuple(work.changed), reports)


def _symbol_of(model: onnx.ModelProto, axes: Axes) -> str:
    """Return the symbol that an input already has for the batch, or "" if no input has one."""
    specs = {spec.name: spec for spec in interface.inputs(model)}
    dims = (specs[name].shape[axis] for name, axis in axes.items())
    return next((dim for dim in dims if isinstance(dim, str)), "")


def _input_changes(model: onnx.ModelProto, way: Way, symbol: str) -> list[str]:
    places = {name: f", axis {axis}" if axis else "" for name, axis in way.axes.items()}
    changes = [
        f"input {name!r}{place}: batch {way.batch} → {symbol!r}" for name, place in places.items()
    ]
    rest = [spec.name for spec in interface.inputs(model) if spec.name not in way.axes]
    return changes + [f"input {name!r}: the same for all rows" for name in rest]


def _private_copy(model: onnx.ModelProto, axes: Axes, symbol: str) -> onnx.ModelProto:
    """Return a copy without calls of the model's functions, with new labels if there are `axes`."""
    if model.functions:
        model = inline_functions(model, keep=lambda node: True)
    copy = copy_of(model)
    if axes:
        forget_shapes(copy)
        set_batch_dim(copy, axes, symbol)
    return copy


def _rewrite(model: onnx.ModelProto, work: Work) -> None:
    """Apply the rules in the order of computation, so each rule sees how its inputs changed."""
    for node in copies(work.model.graph.node):
        if node.op_type in RULES and is_default(node):
            RULES[node.op_type](work, node)
        work.add(node)
    if work.batch:
        repeat_outputs(work, [value.name for value in model.graph.output])
