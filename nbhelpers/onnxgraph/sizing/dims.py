"""Other sizes of the inputs: symbolic dims fixed, fixed dims made symbolic.

To fix a dim is always possible and always proven. To free one is possible where the graph holds no
size that was worked out from it; every node that does is named.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import onnx

from nbhelpers.errors import GraphError, unknown_name
from nbhelpers.onnxgraph import interface
from nbhelpers.onnxgraph.editing.edited import Edited, edited
from nbhelpers.onnxgraph.editing.proof import same
from nbhelpers.onnxgraph.examples import feeds
from nbhelpers.onnxgraph.functions import inline_functions
from nbhelpers.onnxgraph.run import Runner
from nbhelpers.onnxgraph.sizing.batch_shapes import forget_shapes
from nbhelpers.onnxgraph.sizing.dims_followed import Followed
from nbhelpers.onnxgraph.sizing.dims_rules import rewrite
from nbhelpers.onnxgraph.sizing.draft import named
from nbhelpers.onnxgraph.sizing.sizes import Sizes
from nbhelpers.onnxgraph.sparse import dense_model

TIMES = (2, 3)
"""A freed dim is tried at so many times its size: what divides the size divides these too."""


def fix_dims(model: onnx.ModelProto, sizes: Mapping[str, int]) -> Edited:
    """Return the model with symbolic dims of its inputs fixed; nothing else changes.

    Args:
        model: the model; it is not changed.
        sizes: symbol ("batch", "height") to size; symbols that are left out stay.

    Raises:
        UnknownName: no input has a dim of that symbol.
        GraphError: a size is below 1, or the model does not run at these sizes.
        ParityError: it computes something else (which would be a mistake of this package).
    """
    model = dense_model(model)
    symbols = {
        dim for spec in interface.inputs(model) for dim in spec.shape if isinstance(dim, str)
    }
    for symbol, size in sizes.items():
        if symbol not in symbols:
            raise unknown_name("symbolic dim", symbol, sorted(symbols))
        if size < 1:
            raise GraphError(f"The dim {symbol!r} must be 1 or more, but {size} was asked for.")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    specs = {spec.name: spec.shape for spec in interface.inputs(model)}
    changes = []
    for value in interface.fed(copy.graph):
        for axis, dim in enumerate(specs[value.name]):
            if dim in sizes:
                _set_dim(value, axis, sizes[str(dim)])
                changes.append(f"input {value.name!r}, axis {axis}: {dim!r} → {sizes[str(dim)]}")
    _label_outputs(copy, sizes)
    result = edited(model, copy, changes)
    reports = same(result.model, model)
    return Edited(result.model, model, result.changes, reports=reports)


def _label_outputs(model: onnx.ModelProto, sizes: Mapping[str, int]) -> None:
    """Set the dims of the outputs, in place: all of them where no input has a symbol any more."""
    found = {}
    inputs = {spec.name: spec.shape for spec in interface.inputs(model)}
    if all(isinstance(dim, int) for shape in inputs.values() for dim in shape):
        known = Sizes(model, {name: [int(dim) for dim in shape] for name, shape in inputs.items()})
        for node in model.graph.node:
            known.follow(node)
        found = {value.name: known.shape(value.name) for value in model.graph.output}
    for output in model.graph.output:
        said = interface.dims(output) or ()
        for axis, dim in enumerate(said):
            if isinstance(dim, str):  # inference says it again, if it still holds
                better = found.get(output.name) or ()
                fixed = better[axis] if len(better) == len(said) else None
                _set_dim(output, axis, fixed or sizes.get(dim))


def free_dims(
    model: onnx.ModelProto,
    axes: Mapping[str, Mapping[int, str]],
    *,
    references: Iterable[onnx.ModelProto] = (),
) -> Edited:
    """Return the model with fixed dims of its inputs made symbolic, batches excepted.

    At its own size the result is compared with the model; at two more it is run. What is right
    there nothing but another export can tell: the result is compared with each of the `references`.

    Args:
        model: the model; it is not changed.
        axes: input name → axis → symbol, such as {"images": {2: "height", 3: "width"}}.
        references: the same network, exported at other sizes. With one at least, a Resize to a
            fixed size is taken for a scale, a window or a start that is a large share of the size
            for a number of its own, and the comparison decides.

    Raises:
        UnknownName: there is no such input.
        GraphError: an axis is not there, is the batch, or is symbolic already; or nodes hold a
            size: all of them are named, each with the reason.
        ParityError: it computes something else than a reference.
    """
    model, references = dense_model(model), tuple(references)
    _check_axes(model, axes)
    copy = onnx.ModelProto()
    copy.CopyFrom(inline_functions(model, keep=lambda node: True) if model.functions else model)
    forget_shapes(copy)
    followed = Followed(copy, [_sizes(model, axes, times) for times in (1, *TIMES)])
    changes = []
    for value in interface.fed(copy.graph):
        for axis, symbol in axes.get(value.name, {}).items():
            was = (interface.dims(value) or ())[axis]
            changes.append(f"input {value.name!r}, axis {axis}: {was} → {symbol!r}")
            _set_dim(value, axis, symbol)
    obstacles = rewrite(followed, guess=bool(references))
    if obstacles:
        listed = "; ".join(f"{named(node)} {why}" for node, why in obstacles)
        raise GraphError(
            f"The dims cannot be made symbolic, because of {len(obstacles)} "
            f"node{'s' if len(obstacles) > 1 else ''}: {listed}. Export the model with these dims "
            "dynamic, or give `references`: multiples in a Resize, large windows and starts are "
            "then judged by comparison."
        )
    result = _relabelled(model, followed)
    changes += followed.changes
    reports = [*same(model, result)]
    if references:
        for number, other in enumerate(references, start=1):
            changes.append(f"compared with reference {number}, at its size")
            title = f"of reference {number}"
            reports += [replace(r, title=f"{r.title} {title}") for r in same(other, result)]
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


def _sizes(
    model: onnx.ModelProto, axes: Mapping[str, Mapping[int, str]], times: int
) -> dict[str, list[int]]:
    """Return the input shapes with the chosen axes, and those that are symbolic already, `times`
    as long.
    """
    specs = interface.inputs(model)
    arrays = feeds(specs, batch=1)
    return {
        spec.name: [
            size * (times if axis in axes.get(spec.name, {}) or isinstance(dim, str) else 1)
            for axis, (size, dim) in enumerate(
                zip(arrays[spec.name].shape, spec.shape, strict=True)
            )
        ]
        for spec in specs
    }


def _set_dim(value: onnx.ValueInfoProto, axis: int, dim: int | str | None) -> None:
    proto = value.type.tensor_type.shape.dim[axis]
    proto.Clear()
    if isinstance(dim, int):
        proto.dim_value = dim
    elif dim:
        proto.dim_param = dim


def _relabelled(model: onnx.ModelProto, followed: Followed) -> onnx.ModelProto:
    """Return the finished model; an output keeps the dims that follow nothing."""
    result = followed.finish()
    for original, output in zip(model.graph.output, result.graph.output, strict=True):
        output.CopyFrom(original)
        for axis, follows in enumerate(followed.follows(output.name) or ()):
            if follows is not False and axis < len(output.type.tensor_type.shape.dim):
                _set_dim(output, axis, None)
    return edited(model, result, []).model


def _check_runs(
    model: onnx.ModelProto, result: onnx.ModelProto, axes: Mapping[str, Mapping[int, str]]
) -> None:
    runner = Runner(result)
    for times in TIMES:
        given = {}
        for spec in interface.inputs(model):
            shape = tuple(_sizes(model, axes, times)[spec.name])
            given[spec.name] = type(spec)(spec.name, spec.dtype, shape).random(1)
        try:
            runner.run(given)
        except GraphError as error:
            raise GraphError(
                f"The dims cannot be made symbolic: at {times} times the size, {error} Export the "
                "model with these dims dynamic."
            ) from error
