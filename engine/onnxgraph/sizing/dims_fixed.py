"""Make symbolic dims of the inputs fixed, with a proof."""

from collections.abc import Mapping

import onnx

from graphcore.copies import copy_of
from graphcore.errors import GraphError, unknown_name
from onnxgraph.editing.proof import same
from onnxgraph.editing.result import Edited, edited
from onnxgraph.examples.reference import reference_runs
from onnxgraph.model import interface
from onnxgraph.model.entry_check import checked
from onnxgraph.model.graphs import subgraphs
from onnxgraph.model.nodes import titled
from onnxgraph.model.sparse import dense_model
from onnxgraph.running.shape_tracker import Sizes


@checked
def fix_dims(model: onnx.ModelProto, sizes: Mapping[str, int]) -> Edited:
    """Return the model with symbolic dims of its inputs fixed, and nothing else changed.

    Args:
        model: the model. It is not changed.
        sizes: symbol ("batch", "height") to size. Symbols that are left out stay symbolic.

    Raises:
        UnknownName: no input has a dim of that symbol.
        GraphError: a size is below 1, or the model does not run at these sizes.
        ParityError: the result differs from the model, which would be a bug of this package.
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
    copy = copy_of(model)
    del copy.graph.value_info[:]
    specs = {spec.name: spec.shape for spec in interface.inputs(model)}
    changes = []
    for value in interface.fed(copy.graph):
        for axis, dim in enumerate(specs[value.name]):
            if dim in sizes:
                interface.set_dim(value, axis, sizes[str(dim)])
                changes.append(f"input {value.name!r}, axis {axis}: {dim!r} → {sizes[str(dim)]}")
    _label_outputs(copy, sizes)
    result = edited(model, copy, changes)
    reports = same(result.model, model)
    _check_ranks(result.model)
    return Edited(result.model, model, result.changes, reports=reports)


def _check_ranks(model: onnx.ModelProto) -> None:
    """Check that outputs have the rank that the file states, where branches may differ in it."""
    inner = [node for node in model.graph.node if subgraphs(node)]
    if not inner:
        return
    _, _, seen = reference_runs(model, batches=(2,))[0]
    for spec in interface.outputs(model):
        if len(spec.shape) != (rank := seen[spec.name].ndim):
            raise GraphError(
                f"The output {spec} has rank {rank} in a run, {seen[spec.name].shape}: a branch of "
                f"{titled(inner[-1])} is for another rank, as that of a squeeze which depends on a "
                "size is. Squeeze by a Reshape in the module, or fix the size that it asks for."
            )


def _label_outputs(model: onnx.ModelProto, sizes: Mapping[str, int]) -> None:
    """Set the dims of the outputs, in place.

    If no input has a symbol any more, all dims are set.
    """
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
            if isinstance(dim, str):  # shape inference adds it again, if it still holds
                better = found.get(output.name) or ()
                fixed = better[axis] if len(better) == len(said) else None
                interface.set_dim(output, axis, fixed or sizes.get(dim))
