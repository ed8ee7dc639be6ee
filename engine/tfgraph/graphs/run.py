"""Run a frozen graph in this kernel's TensorFlow, optimised as a receiver does, or as written.

A file may come from anybody, so it is run in a separate process. A graph made here is run here.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from graphcore.errors import GraphError, first_line
from graphcore.texts import as_bytes, is_text
from tfgraph import framework
from tfgraph.graphs.foreign_ops import check_ops
from tfgraph.graphs.graphdef import GraphView, TensorInfo, load_graph_def
from tfgraph.graphs.isolated_run import run_apart

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

Names: TypeAlias = list[str]
Fed: TypeAlias = Mapping[str, np.ndarray]
Values: TypeAlias = list[np.ndarray]

TIMEOUT = 600.0
"""Seconds after which a run counts as hanging."""


def run_tf(
    pb_path: "str | Path | GraphDef",
    feeds: Mapping[str, np.ndarray],
    *,
    fetch: Iterable[str] | None = None,
    optimised: bool = True,
) -> dict[str, np.ndarray]:
    """Run a frozen graph and return its outputs by name (without `:0`).

    Args:
        pb_path: a `.pb` file, or a GraphDef.
        feeds: input tensor name, with or without `:0`, to array.
        fetch: tensors to return, inner ones too. If left out, the graph's outputs are returned.
        optimised: whether the session optimises the graph, as a receiver's does, or runs it as it
            is written.

    Raises:
        GraphError: the file or a fed array does not fit, or the graph does more than compute (see
            `allow_ops`).
        UnknownName: a name is not in the graph. The error suggests the closest names.
    """
    graph_def = load_graph_def(pb_path) if isinstance(pb_path, str | Path) else pb_path

    def compute(view: GraphView, names: Names, fed: Fed) -> Values:
        kinds = [tf.as_dtype(view.tensor(name).dtype).as_datatype_enum for name in names]
        fetches = zip(names, kinds, strict=True)
        return run_apart(graph_def, fetches, fed, optimised=optimised, timeout=TIMEOUT)

    tf = framework.tensorflow()
    return _run(GraphView(graph_def), feeds, fetch, compute)


def run_view(
    view: GraphView,
    feeds: Mapping[str, np.ndarray],
    *,
    fetch: Iterable[str] | None = None,
    optimised: bool = True,
) -> dict[str, np.ndarray]:
    """Do what `run_tf` does, in this process, for a graph that has already been inspected."""

    def compute(view: GraphView, names: Names, fed: Fed) -> Values:
        return _computed_here(view, names, fed, optimised)

    return _run(view, feeds, fetch, compute)


def _run(
    view: GraphView,
    feeds: Mapping[str, np.ndarray],
    fetch: Iterable[str] | None,
    compute: Callable[[GraphView, Names, Fed], Values],
) -> dict[str, np.ndarray]:
    """Return the fetched tensors under the names that the caller gave."""
    asked = None if fetch is None else list(fetch)
    found = view.outputs() if asked is None else [view.tensor(name) for name in asked]
    fed = {
        view.tensor(name).name: _checked(view.tensor(name), value) for name, value in feeds.items()
    }
    wanted = [tensor.name for tensor in found]
    check_ops(view.graph_def, ends=wanted, given=fed)
    try:
        values = compute(view, wanted, fed)
    except GraphError as error:
        missing = [t.name for t in view.inputs() if t.name not in fed and t.op == "Placeholder"]
        if missing:
            raise GraphError(f"The graph's inputs {', '.join(missing)} were not fed.") from error
        raise
    names = [name.removesuffix(":0") for name in wanted] if asked is None else asked
    # A session returns plain values for tensors of rank 0.
    arrays = (as_bytes(each) if is_text(each) else np.asarray(each) for each in values)
    return dict(zip(names, arrays, strict=True))


def _computed_here(view: GraphView, names: Names, fed: Fed, optimised: bool) -> Values:
    """Return the values of tensors, computed in this process.

    Raises:
        GraphError: the graph failed to run, or took too long.
    """
    tf = framework.tensorflow()
    with view.graph.as_default():
        # One more consumer each, because TensorFlow's own fusions may remove a fetched tensor.
        fetches = [tf.identity(view.graph.get_tensor_by_name(name)) for name in names]
    options = tf.compat.v1.RunOptions(timeout_in_ms=int(1000 * TIMEOUT))
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = not optimised
    with tf.compat.v1.Session(graph=view.graph, config=config) as session:
        try:
            return session.run(fetches, fed, options)
        except tf.errors.DeadlineExceededError as error:
            raise GraphError(
                f"The graph gave no result in {TIMEOUT:g} s; look for a loop without an end."
            ) from error
        except (tf.errors.OpError, TypeError, ValueError) as error:
            raise GraphError(f"The graph failed to run: {first_line(error)}.") from error


def _checked(tensor: TensorInfo, value: object) -> np.ndarray:
    text = tensor.dtype == "string" and is_text(value)
    try:
        value = as_bytes(value) if text else np.asarray(value)
    except TypeError as error:
        raise GraphError(f"Input {tensor.name} takes text or bytes: {error}.") from error
    shape = tensor.shape
    fits = shape is None or (
        len(shape) == value.ndim
        and all(want in (None, size) for want, size in zip(shape, value.shape, strict=True))
    )
    if not fits or not (text or value.dtype.name == tensor.dtype):
        expected = "any shape" if shape is None else tuple("?" if s is None else s for s in shape)
        raise GraphError(
            f"Input {tensor.name} takes {tensor.dtype} {expected}, but {value.dtype} {value.shape} "
            "was fed."
        )
    return value
