"""Set the dtype of inputs by a Cast, and their shape by a trial run."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import onnx

from graphcore import parity
from graphcore.errors import GraphError, unknown_name
from graphcore.spec import TensorSpec, parse_specs
from onnxgraph.editing.finishing import free_name
from onnxgraph.editing.result import Edited, copied, rewired
from onnxgraph.editing.rewire import move_readers
from onnxgraph.examples.reference import reference_runs
from onnxgraph.model import interface
from onnxgraph.model.dataflow import reads
from onnxgraph.model.entry_check import checked
from onnxgraph.sizing.batch_proof import Differs, prove
from onnxgraph.sizing.batch_shapes import Axes, set_batch_dim


@checked
def set_inputs(
    model: onnx.ModelProto, specs: str | Iterable[TensorSpec], *, try_run: bool = True
) -> Edited:
    """Return the model with other dtypes and shapes of the named inputs.

    A Cast converts another dtype into the one that the graph works in. Another shape is only a
    label, which nodes may contradict. So the result is run at two batch sizes, and refused if it
    does not run. A first dim that becomes a symbol counts as a batch: every row must be what the
    model gives for it alone. `make_batch_dynamic` rewrites the nodes that hold a fixed batch.

    Args:
        model: the model. It is not changed.
        specs: a text such as "images:uint8:batch,3,224,224", several separated by spaces, or
            TensorSpecs.
        try_run: False for a model that cannot be run here, or whose first dim is not a batch (the
            points of one cloud). Its outputs at other sizes are then not checked.

    Raises:
        UnknownName: the model has no such input.
        GraphError: the rank changes and another op than a Reshape reads the input, the graph does
            not fit the new shape (the error names the node), or its rows would influence each
            other.
        Refusal: a text does not have that form.
    """
    copy, changes, touched, shaped = copied(model), [], [], []
    inputs = {value.name: value for value in interface.fed(copy.graph)}
    for spec in parse_specs(specs) if isinstance(specs, str) else list(specs):
        if spec.name not in inputs:
            raise unknown_name("input", spec.name, inputs)
        value = inputs[spec.name]
        if not value.type.HasField("tensor_type"):
            raise GraphError(f"The input {spec.name!r} is no tensor; it has no shape to set.")
        was = value.type.tensor_type.elem_type
        dims = interface.dims(value)
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
        if dims != spec.shape:
            _check_rank(copy, spec, dims)
            changes.append(f"input {spec.name!r}: shape {_words(dims)} → {_words(spec.shape)}")
            shaped.append(spec.name)
        if kind != was:
            touched.append(_cast(copy, spec.name, was))
            changes.append(
                f"input {spec.name!r}: {interface.dtype(was)} → {spec.dtype}, and a Cast behind it"
            )
        value.CopyFrom(onnx.helper.make_tensor_value_info(spec.name, kind, spec.shape))
    try:
        result = rewired(model, copy, changes, touched, changed=tuple(shaped))
        if shaped and try_run:
            reference_runs(result.model)
            result = _with_rows(model, result, shaped)
    except GraphError as error:
        names = ", ".join(map(repr, shaped or inputs))
        raise GraphError(
            f"The graph does not take {names} in the new form: {error} For a batch of any size use "
            "make_batch_dynamic, which rewrites the nodes too."
        ) from error
    return result


def _with_rows(model: onnx.ModelProto, result: Edited, shaped: list[str]) -> Edited:
    """Return the result with a proof for each first dim of a fixed size that became a symbol.

    Raises:
        GraphError: a row depends on the others, or one symbol would have several sizes.
    """
    was = {v.name: (interface.dims(v) or (None,))[0] for v in interface.fed(model.graph)}
    sizes = {name: size for name, size in was.items() if isinstance(size, int)}
    now = {spec.name: spec.shape[0] for spec in interface.inputs(result.model) if spec.shape}
    grown = [now[name] for name in shaped if name in sizes and isinstance(now[name], str)]
    reports: list[parity.Report] = []
    for symbol in dict.fromkeys(grown):
        axes = {name: 0 for name in now if now[name] == symbol}
        ones = {name: sizes[name] for name in axes if name in sizes}
        if len(set(ones.values())) > 1:
            raise GraphError(f"the first dims {ones} cannot all be {symbol!r}.")
        size = next(iter(ones.values()))
        try:
            reports += prove(_fixed(result.model, axes, size), result.model, axes, size)
        except Differs as difference:
            said = str(difference).rstrip(".")
            raise GraphError(
                f"{said}, so rows of {symbol!r} do not stay rows (a first dim that is no batch "
                "becomes a symbol with try_run=False)."
            ) from difference
    return replace(result, reports=tuple(reports))


def _fixed(model: onnx.ModelProto, axes: Axes, size: int) -> onnx.ModelProto:
    """Return the model with a fixed size for the batch of some inputs."""
    copy = copied(model)
    del copy.graph.value_info[:]
    set_batch_dim(copy, axes, size)
    return copy


def _cast(copy: onnx.ModelProto, name: str, kind: int) -> str:
    """Insert a Cast to the old dtype after an input, and return the node's name."""
    if any(value.name == name for value in copy.graph.output):
        raise GraphError(f"{name!r} is an output too; its dtype cannot be changed at the input.")
    label = free_name(copy.graph, f"{name}_Cast")
    move_readers(copy.graph, name, label)
    copy.graph.node.append(onnx.helper.make_node("Cast", [name], [label], name=label, to=kind))
    return label


def _check_rank(copy: onnx.ModelProto, spec: TensorSpec, dims: tuple | None) -> None:
    """Check that the rank stays, unless only a Reshape reads the input."""
    readers = {node.op_type for node in copy.graph.node if spec.name in reads(node)}
    if dims is not None and len(dims) != len(spec.shape) and readers != {"Reshape"}:
        target = [dim if isinstance(dim, int) else -1 for dim in dims]
        raise GraphError(
            f"The input {spec.name!r} has {len(dims)} dims, {_words(dims)}, but {spec} has "
            f"{len(spec.shape)}; put a Reshape behind it first: "
            f"insert_after(model, {spec.name!r}, 'Reshape', others=[np.array({target})])."
        )


def _words(dims: tuple | None) -> str:
    return (
        "unknown" if dims is None else f"({', '.join('?' if d is None else str(d) for d in dims)})"
    )
