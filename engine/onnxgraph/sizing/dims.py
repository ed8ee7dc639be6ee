"""Fixed dims of the inputs, made symbolic.

A dim follows if it changes with a freed dim. Freeing is possible where the graph holds no size that
was computed from a freed dim. The error names every node that does or may hold such a size.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import onnx

from graphcore.copies import copy_of
from graphcore.errors import GraphError, ParityError, unknown_name
from onnxgraph.editing.proof import same
from onnxgraph.editing.result import Edited, edited
from onnxgraph.examples.examples import symbol_sizes
from onnxgraph.examples.reference import reference_runs
from onnxgraph.model import interface
from onnxgraph.model.entry_check import checked
from onnxgraph.model.functions import inline_functions
from onnxgraph.model.obstacles import Obstacle
from onnxgraph.model.sparse import dense_model
from onnxgraph.running.run import Runner
from onnxgraph.sizing.batch_shapes import forget_shapes
from onnxgraph.sizing.dims_rules import rewrite
from onnxgraph.sizing.dims_watched_graph import Followed

TIMES = (2, 3)
"""The result is tried at these multiples of a freed dim, which keep every divisor of its size."""


@checked
def free_dims(
    model: onnx.ModelProto,
    axes: Mapping[str, Mapping[int, str]],
    *,
    references: Iterable[onnx.ModelProto] = (),
) -> Edited:
    """Return the model with fixed dims of its inputs made symbolic, except for batches.

    At its own size the result is compared with the model, and it is run at two more sizes. Only
    another export can tell which values are right there, so the result is compared with each of the
    `references`.

    Args:
        model: the model. It is not changed.
        axes: input name → axis → symbol, such as {"images": {2: "height", 3: "width"}}.
        references: the same network, exported at other sizes of each of the axes. With references,
            a Resize to a fixed size counts as a scale. A constant that may be a size, and a window
            or a start that is a large share of a size, count as independent numbers. The comparison
            then decides.

    Raises:
        UnknownName: the model has no such input.
        GraphError: an axis does not exist, is the batch, or is symbolic already. Also if all
            references have the file's own size, or if nodes do or may hold a size. The error names
            all these nodes, each with the reason.
        ParityError: the result differs from a reference.
    """
    model, references = dense_model(model), tuple(references)
    _check_axes(model, axes)
    _check_references(model, axes, references)
    copy = copy_of(inline_functions(model, keep=lambda node: True) if model.functions else model)
    forget_shapes(copy)
    followed = Followed(copy, [_sizes(model, axes, times) for times in (1, *TIMES)])
    changes = []
    for value in interface.fed(copy.graph):
        for axis, symbol in axes.get(value.name, {}).items():
            was = (interface.dims(value) or ())[axis]
            changes.append(f"input {value.name!r}, axis {axis}: {was} → {symbol!r}")
            interface.set_dim(value, axis, symbol)
    obstacles, doubts = rewrite(followed, guess=bool(references))
    if obstacles:
        listed = "; ".join(f"{each.title} {each.why}" for each in obstacles)
        raise GraphError(
            f"The dims cannot be made symbolic, because of {len(obstacles)} "
            f"node{'s' if len(obstacles) > 1 else ''}: {listed}. Export the model with these dims "
            "dynamic, or give `references`, the same network exported at other sizes: multiples in "
            "a Resize, large windows and starts, and constants that may be sizes are then judged "
            "by comparison."
        )
    result = _relabelled(model, followed)
    changes += followed.changes
    reports = [*same(model, result)]
    if references:
        for number, other in enumerate(references, start=1):
            changes.append(f"compared with reference {number}, at its size")
            title = f"of reference {number}"
            try:
                reports += [replace(r, title=f"{r.title} {title}") for r in same(other, result)]
            except ParityError as error:
                raise _with_doubts(error, doubts) from error
    else:
        shown = " and ".join(map(str, TIMES))
        changes.append(
            f"compared at the size of the file; run at {shown} times it, where there is nothing to "
            "compare with"
        )
    _check_runs(model, result, axes)
    return Edited(result, model, tuple(changes), tuple(followed.changed), tuple(reports))


def _check_axes(model: onnx.ModelProto, axes: Mapping[str, Mapping[int, str]]) -> None:
    specs = {spec.name: spec for spec in interface.inputs(model)}
    for name, chosen in axes.items():
        if name not in specs:
            raise unknown_name("input", name, specs)
        for axis in chosen:
            rank = len(specs[name].shape)
            if not 0 < axis < rank:
                raise GraphError(
                    f"Axis {axis} of the input {specs[name]} cannot be made symbolic here: it must "
                    f"be between 1 and {rank - 1} (make_batch_dynamic is for axis 0)."
                )
            if isinstance(specs[name].shape[axis], str):
                raise GraphError(f"Axis {axis} of the input {specs[name]} is symbolic already.")


def _check_references(
    model: onnx.ModelProto,
    axes: Mapping[str, Mapping[int, str]],
    references: tuple[onnx.ModelProto, ...],
) -> None:
    """Check that some reference has another size than the model on each of the axes."""
    own = {spec.name: spec.shape for spec in interface.inputs(model)}
    shapes = [{s.name: s.shape for s in interface.inputs(other)} for other in references]
    for name, chosen in axes.items():
        for axis in chosen:
            others = [shape[name][axis] for shape in shapes if axis < len(shape.get(name, ()))]
            if references and not set(others) - {own[name][axis]}:
                raise GraphError(
                    f"Axis {axis} of the input {name!r} has the size {own[name][axis]} in all "
                    "references, as in the model, which proves nothing of other sizes; export one "
                    "with another size there."
                )


def _with_doubts(error: ParityError, doubts: Iterable[Obstacle]) -> ParityError:
    """Return the error, with the constants that may be the cause added to it."""
    listed = "; ".join(f"{each.title} {each.why}" for each in doubts)
    return ParityError(f"{error} Perhaps a constant is a size: {listed}.") if listed else error


def _sizes(
    model: onnx.ModelProto, axes: Mapping[str, Mapping[int, str]], times: int
) -> dict[str, list[int]]:
    """Return the input shapes, with the chosen axes and those already symbolic `times` as long."""
    specs = interface.inputs(model)
    sizes = symbol_sizes(specs, batch=1)
    return {
        spec.name: [
            size * (times if axis in axes.get(spec.name, {}) or isinstance(dim, str) else 1)
            for axis, (size, dim) in enumerate(zip(spec.shape_at(sizes), spec.shape, strict=True))
        ]
        for spec in specs
    }


def _relabelled(model: onnx.ModelProto, followed: Followed) -> onnx.ModelProto:
    """Return the finished model. Its outputs keep the dims that do not follow the freed ones."""
    result = followed.finish()
    for original, output in zip(model.graph.output, result.graph.output, strict=True):
        output.CopyFrom(original)
        for axis, follows in enumerate(followed.follows(output.name) or ()):
            if follows is not False and axis < len(output.type.tensor_type.shape.dim):
                interface.set_dim(output, axis, None)
    return edited(model, result, []).model


def _check_runs(
    model: onnx.ModelProto, result: onnx.ModelProto, axes: Mapping[str, Mapping[int, str]]
) -> None:
    """Run the result on inputs that the model accepts, repeated along the axes made symbolic."""
    runner, known = Runner(result), reference_runs(model)[0][1]
    for times in TIMES:
        feeds = dict(known)
        for name, chosen in axes.items():
            counts = [times if axis in chosen else 1 for axis in range(known[name].ndim)]
            feeds[name] = np.tile(known[name], counts)
        try:
            runner.run(feeds)
        except GraphError as error:
            raise GraphError(
                f"The dims cannot be made symbolic: at {times} times the size, {error} Export the "
                "model with these dims dynamic, or leave out those that must stay."
            ) from error
