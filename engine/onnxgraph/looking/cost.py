"""Estimate the cost of a model: multiply-adds and parameters, node by node.

Parameters are the values of weights. Each weight counts once: at the first node that reads it, or
reads something computed from it alone, together with a value computed from the inputs. 64-bit
integers, booleans and text are shapes and indices, not parameters.
"""

import html
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto

from graphcore.enumeration import listed
from graphcore.errors import GraphError
from onnxgraph.looking.macs import FORMULAS
from onnxgraph.model import interface
from onnxgraph.model.dataflow import reads
from onnxgraph.model.domains import is_default
from onnxgraph.model.entry_check import checked
from onnxgraph.model.functions import inline_functions
from onnxgraph.model.nodes import attributes, node_name, op_name
from onnxgraph.model.random_ops import RANDOM_OPS
from onnxgraph.running.shape_tracker import Sizes

if TYPE_CHECKING:
    import pandas

_NO_PARAMETERS = {TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING, 0}


_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class NodeCost:
    """The cost of one node. `macs` is None if unknown. `per_run` is what it counts in one run."""

    node: str
    op: str
    graph: str
    macs: int | None
    parameters: int
    per_run: bool = True


@dataclass(frozen=True)
class Cost:
    """The cost of a model for one set of input shapes."""

    rows: tuple[NodeCost, ...] = field(repr=False)
    shapes: Mapping[str, tuple[int, ...]]
    notes: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-adds of one run. An If counts its more expensive branch, a loop one
        iteration."""
        return sum(row.macs or 0 for row in self.rows if row.per_run)

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(row.parameters for row in self.rows)

    @property
    def table(self) -> "pandas.DataFrame":
        """One row for each node: node, op, graph, multiply-adds, parameters, share of each."""
        import pandas

        columns = ("node", "op", "graph", "multiply-adds", "parameters")
        rows = [(row.node, row.op, row.graph, row.macs, row.parameters) for row in self.rows]
        table = pandas.DataFrame(rows, columns=list(columns))
        table["multiply-adds"] = table["multiply-adds"].astype("Int64")
        for column, total in (("multiply-adds", self.macs), ("parameters", self.parameters)):
            table[f"share of {column}"] = table[column].astype("Float64") / max(1, total)
        return table

    def __repr__(self) -> str:
        """Return the totals, the most expensive operators, and what is unknown."""
        given = ", ".join(f"{n} {'×'.join(map(str, s))}" for n, s in self.shapes.items())
        ops: dict[str, int] = {}
        for row in self.rows:
            ops[row.op] = ops.get(row.op, 0) + (row.macs or 0)
        first = sorted((op for op in ops if ops[op]), key=lambda op: -ops[op])[:4]
        lines = [
            f"Cost for {given}: {_short(self.macs)} multiply-adds, {_short(self.parameters)} "
            "parameters"
        ]
        if first:
            lines.append("  " + ", ".join(f"{op} {_short(ops[op])}" for op in first))
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


@checked
def cost(
    model: onnx.ModelProto, *, batch: int | None = None, sizes: Mapping[str, int] | None = None
) -> Cost:
    """Estimate the multiply-adds and the parameters of each node.

    Args:
        model: the model. Functions of its own are inlined first.
        batch: the size of the first dim of the inputs, 1 by default. A fixed batch must be the
            same.
        sizes: the sizes of the other symbolic dims, by symbol.

    Raises:
        GraphError: a size is missing, or the batch is fixed at another size.
    """
    if model.functions:
        model = inline_functions(model, keep=lambda node: True)
    shapes = _input_shapes(model, batch, dict(sizes or {}))
    count = _Count(model, shapes)
    rows = tuple(count.rows(model.graph))
    unknown = [f"{row.op} {row.node!r}" for row in rows if row.macs is None]
    notes = list(count.notes)
    if unknown:
        notes.append(f"not counted, because it is unknown: {listed(unknown, most=4)}")
    return Cost(rows, shapes, tuple(notes))


def _input_shapes(
    model: onnx.ModelProto, batch: int | None, sizes: dict[str, int]
) -> dict[str, tuple[int, ...]]:
    specs = interface.inputs(model)
    for spec in specs:
        first = spec.shape[0] if spec.shape else batch
        if isinstance(first, str):
            sizes.setdefault(first, 1 if batch is None else batch)
        elif batch is not None and first != batch and _is_batch(spec.shape, specs[0].shape):
            raise GraphError(
                f"The batch of the input {spec.name!r} is fixed at {first}, so it cannot be "
                f"{batch}. Use make_batch_dynamic first."
            )
    for spec in specs:
        open_ = [dim for dim in spec.shape if isinstance(dim, str) and dim not in sizes]
        if open_:
            names = ", ".join(f"{dim!r}: …" for dim in open_)
            raise GraphError(f"The input {spec} has unknown sizes. Give them: sizes={{{names}}}.")
    return {
        spec.name: tuple(sizes[dim] if isinstance(dim, str) else dim for dim in spec.shape)
        for spec in specs
    }


def _is_batch(shape: tuple, first: tuple) -> bool:
    return bool(shape) and bool(first) and shape[0] == first[0]


class _Count:
    """Counts node by node, in the order of computation."""

    def __init__(self, model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.sizes = Sizes(model, shapes)
        # The weights that each constant is computed from, by name.
        self.constant: dict[str, frozenset[str]] = {}
        self.counted: set[str] = set()
        self.notes: list[str] = []
        self._add_weights(model.graph)

    def rows(self, graph: onnx.GraphProto) -> Iterator[NodeCost]:
        for node in graph.node:
            self.sizes.follow(node)
            if all(name in self.constant for name in reads(node)) and not _draws(node):
                self._fold(node)
                continue
            yield NodeCost(
                node_name(node), op_name(node), graph.name, self._macs(node), self._parameters(node)
            )
            yield from self._inner(node)

    def _inner(self, node: onnx.NodeProto) -> Iterator[NodeCost]:
        """Yield the cost of branches and bodies. Of two branches only the more expensive one
        counts."""
        inner = [each.g for each in node.attribute if each.HasField("g")]
        counted = []
        for graph in inner:
            self._add_weights(graph)
            for weight in graph.initializer:
                self.sizes.add_weight(weight)
            counted.append(list(self.rows(graph)))
        if inner and node.op_type != "If":
            self.notes.append(f"{node.op_type} {node_name(node)!r}: one iteration is counted")
        dearest = max(counted, key=lambda rows: sum(r.macs or 0 for r in rows), default=[])
        for rows in counted:
            for row in rows:
                per_run = row.per_run and rows is dearest
                yield NodeCost(row.node, row.op, row.graph, row.macs, row.parameters, per_run)

    def _macs(self, node: onnx.NodeProto) -> int | None:
        if not is_default(node):
            return None
        formula = FORMULAS.get(node.op_type)
        if formula is None:
            return 0
        inputs = [self.sizes.shape(name) if name else None for name in node.input]
        outputs = [self.sizes.shape(name) if name else () for name in node.output]
        given = [shape for shape, name in zip(inputs, node.input, strict=True) if name]
        if any(shape is None or None in shape for shape in (*given, *outputs)):
            return None
        return formula(inputs, outputs, attributes(node))  # type: ignore[arg-type]

    def _add_weights(self, graph: onnx.GraphProto) -> None:
        for weight in graph.initializer:
            counts = weight.data_type not in _NO_PARAMETERS
            self.constant[weight.name] = frozenset([weight.name] if counts else [])

        for sparse in graph.sparse_initializer:
            self.notes.append(f"the sparse weight {sparse.values.name!r} is not counted")

    def _fold(self, node: onnx.NodeProto) -> None:
        """Mark the outputs of a node that reads only constants as constants."""
        made_from = _NOTHING.union(*(self.constant[name] for name in reads(node)))
        for name in filter(None, node.output):
            counts = self.sizes.elem_type(name) not in _NO_PARAMETERS
            self.constant[name] = made_from or frozenset([name] if counts else [])

    def _parameters(self, node: onnx.NodeProto) -> int:
        read = [self.constant[name] for name in node.input if name in self.constant]
        fresh = _NOTHING.union(*read) - self.counted
        self.counted |= fresh
        shapes = [self.sizes.shape(name) or () for name in fresh]
        return sum(math.prod(dim or 0 for dim in shape) for shape in shapes)


def _draws(node: onnx.NodeProto) -> bool:
    return node.op_type in RANDOM_OPS


def _short(number: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.4g} {unit}"
    return str(number)
