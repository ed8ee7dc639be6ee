"""Read, write and inspect a GraphDef: find tensors by name, op and shape, without a session."""

import re
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphcore.copies import copy_of
from graphcore.errors import GraphError, first_line, unknown_name
from graphcore.spec import UNKNOWN_RANK, TensorSpec
from tfgraph import framework
from tfgraph.graphs.foreign_ops import check_import
from tfgraph.graphs.order import full, maker
from tfgraph.graphs.pb_file import write_graph
from tfgraph.graphs.validity import check_form, check_nodes

if TYPE_CHECKING:
    import tensorflow as tf
    from tensorflow.core.framework.graph_pb2 import GraphDef

_ASSERTION = re.compile(r"(^|/)(assert_[a-z_]+|Assert|AssertGuard)(_\d+)?/")
"""TensorFlow's name for the scope of an assertion."""

_CONDITION = re.compile(r"/(switch_[tf]|pred_id)$")
"""TensorFlow 1's name for the condition inside a `tf.cond`."""


def load_graph_def(path: str | Path) -> "GraphDef":
    """Read a frozen graph from binary (`.pb`) or text (`.pbtxt`).

    Raises:
        GraphError: the file does not exist, is cut short, is not a GraphDef (for example a
            SavedModel), or has a node that does not have the form of its op.
    """
    framework.tensorflow()
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework import graph_pb2

    path = Path(path)
    if not path.is_file():
        raise GraphError(f"There is no file {path}; a frozen graph (.pb) was expected.")
    graph_def = graph_pb2.GraphDef()
    try:
        if path.suffix == ".pbtxt":
            text_format.Parse(path.read_text(encoding="utf-8"), graph_def)
        else:
            graph_def.ParseFromString(path.read_bytes())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise GraphError(f"{path} is not a whole GraphDef in text form; make it again.") from error
    except DecodeError as error:
        raise GraphError(
            f"{path} ({path.stat().st_size} bytes) is not a whole GraphDef: the file is cut short, "
            "or of another kind. Make it again."
        ) from error
    if not graph_def.node:
        hint = "give its folder instead" if path.name == "saved_model.pb" else "make it again"
        raise GraphError(f"{path} holds no graph nodes; a frozen graph was expected: {hint}.")
    check_form(graph_def)
    return graph_def


def save_graph_def(graph_def: "GraphDef", path: str | Path) -> Path:
    """Write a GraphDef by renaming. The same graph gives the same bytes.

    Raises:
        GraphError: it is larger than the 2 GB that protobuf allows.
    """
    return write_graph(graph_def, {}, path)


def op_histogram(graph_def: "GraphDef") -> dict[str, int]:
    """Return op → number of nodes, the most frequent first."""
    counts = Counter(node.op for node in graph_def.node)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def import_graph(graph_def: "GraphDef") -> "tf.Graph":
    """Return a `tf.Graph` made from a GraphDef, which is not changed.

    The reason is that `tf.import_graph_def` adds default attributes to the GraphDef that it takes,
    and an old target must not see those.

    Raises:
        GraphError: this TensorFlow refuses the graph (an unknown op, a missing input), or its
            import would access files (see `allow_ops`).
    """
    tf = framework.tensorflow()

    check_nodes(graph_def)
    check_import(graph_def)
    copy = copy_of(graph_def)
    graph = tf.Graph()
    try:
        with graph.as_default():
            tf.import_graph_def(copy, name="")
    except (ValueError, KeyError, TypeError, tf.errors.OpError) as error:
        raise GraphError(
            f"TensorFlow {tf.__version__} refuses the graph: {first_line(error)}."
        ) from error
    return graph


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a GraphDef, with None for unknown sizes and ranks."""

    name: str
    op: str
    dtype: str
    shape: tuple[int | None, ...] | None
    consumers: tuple[str, ...]

    def spec(self) -> TensorSpec:
        """Return name (without `:0`), dtype and shape, where "batch" is the first unknown size."""
        if self.shape is None:
            return TensorSpec(self.name.removesuffix(":0"), self.dtype, UNKNOWN_RANK)
        dims: list[int | str] = []
        for axis, size in enumerate(self.shape):
            dims.append(size if size is not None else ("batch" if axis == 0 else f"dim{axis}"))
        return TensorSpec(self.name.removesuffix(":0"), self.dtype, tuple(dims))


class GraphView:
    """The tensors of a GraphDef, to be found by name, op or shape."""

    def __init__(self, graph_def: "GraphDef") -> None:
        """Import the graph once, for its shapes.

        Raises:
            GraphError: this TensorFlow refuses the graph (an unknown op, a missing input).
        """
        graph = import_graph(graph_def)
        self.graph_def, self.graph = graph_def, graph
        self.tensors = {
            tensor.name: _info(tensor)
            for operation in graph.get_operations()
            for tensor in operation.outputs
        }

    def tensor(self, name: str) -> TensorInfo:
        """Return a tensor by its name, with or without `:0`.

        Raises:
            UnknownName: no tensor has this name. The error suggests the closest names.
        """
        tensor = full(name)
        if tensor not in self.tensors:
            raise unknown_name("TensorFlow tensor", name, self.tensors)
        return self.tensors[tensor]

    def inputs(self) -> tuple[TensorInfo, ...]:
        """Return the placeholders."""
        return tuple(t for t in self.tensors.values() if t.op.startswith("Placeholder"))

    def outputs(self) -> tuple[TensorInfo, ...]:
        """Return the tensors that nothing consumes and that are results.

        These exclude constants and placeholders, and what assertions, summaries, conditions and
        tables leave behind.
        """
        consumed = {maker(t.name) for t in self.tensors.values() if t.consumers}
        guards = {maker(s) for node in self.graph_def.node for s in node.input if s[:1] == "^"}
        return tuple(
            t
            for t in self.tensors.values()
            if maker(t.name) not in consumed and not _left_behind(t, guards)
        )

    def find(
        self, name: str = "", *, op: str = "", shape: Iterable[int | None] | None = None
    ) -> tuple[TensorInfo, ...]:
        """Return the tensors that match all given criteria.

        Args:
            name: a regular expression that matches some part of the name, in upper or lower case.
            op: the op that makes the tensor ("Conv2D").
            shape: sizes, where None matches any.
        """
        wanted = None if shape is None else tuple(shape)
        return tuple(
            tensor
            for tensor in self.tensors.values()
            if re.search(name, tensor.name, re.IGNORECASE)
            and (not op or tensor.op == op)
            and (wanted is None or _fits(tensor.shape, wanted))
        )

    def neighbours(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the inputs of the node that makes a tensor, and the outputs of those that read it.

        Raises:
            UnknownName: no tensor has this name. The error suggests the closest names.
        """
        tensor = self.graph.get_tensor_by_name(self.tensor(name).name)
        reads = tuple(each.name for each in tensor.op.inputs)
        made = (each.name for reader in tensor.consumers() for each in reader.outputs)
        # Nodes that a later run added, to fetch a tensor, are not part of this graph.
        return reads, tuple(each for each in made if each in self.tensors)

    def __repr__(self) -> str:
        """Return the counts, and the inputs and outputs with dtype and shape."""
        lines = [f"GraphDef with {len(self.graph_def.node)} nodes"]
        for kind, tensors in (("input", self.inputs()), ("output", self.outputs())):
            lines += [
                f"  {kind:<6} {t.name}  {t.dtype}  {_shape(t.shape)}  {t.op}" for t in tensors
            ]
        return "\n".join(lines)


def _left_behind(tensor: TensorInfo, guards: Container[str]) -> bool:
    """Whether an unread tensor is not a result. `guards` are nodes that other nodes wait for."""
    name, _, port = tensor.name.partition(":")
    return (
        tensor.op in ("Const", "LookupTableSize", "LookupTableSizeV2")
        or tensor.op.startswith("Placeholder")
        or bool(re.search(r"Summary(V2)?$", tensor.op))
        or tensor.dtype in ("resource", "variant")
        or (tensor.dtype == "bool" and (name in guards or bool(_CONDITION.search(name))))
        or (tensor.op == "Merge" and (port == "1" or name in guards))
        or bool(_ASSERTION.search(name))
    )


def _info(tensor: "tf.Tensor") -> TensorInfo:
    rank = tensor.shape.rank
    return TensorInfo(
        tensor.name,
        tensor.op.type,
        tensor.dtype.base_dtype.name,
        None if rank is None else tuple(tensor.shape.as_list()),
        tuple(operation.name for operation in tensor.consumers()),
    )


def _fits(shape: tuple[int | None, ...] | None, wanted: tuple[int | None, ...]) -> bool:
    if shape is None or len(shape) != len(wanted):
        return False
    return all(want is None or size == want for size, want in zip(shape, wanted, strict=True))


def _shape(shape: tuple[int | None, ...] | None) -> str:
    if shape is None:
        return "unknown"
    return "×".join("?" if size is None else str(size) for size in shape)
