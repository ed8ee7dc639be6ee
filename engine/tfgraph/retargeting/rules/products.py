"""Rules for products and normalisation."""

from typing import TYPE_CHECKING

from tfgraph.graphs.node_defs import like
from tfgraph.graphs.shapes import Shapes
from tfgraph.retargeting.rules.node_writer import INT32, INT64, Writer
from tfgraph.retargeting.rules.registry import rule

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


@rule("BatchMatMulV2")
def batch_mat_mul_v2(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Use BatchMatMul, after both sides are repeated to the same leading axes.

    Nothing is repeated where both leading shapes are known and equal. An unknown size may be 1.
    """
    left, right = (shapes.of(source) for source in node.input)
    if left is None or right is None:
        return None
    if node.attr["T"].type == INT64:
        return _as_sum(node, len(left), len(right), ("adj_x", "adj_y"))
    if left[:-2] == right[:-2] and None not in left[:-2]:
        return [like(node, "BatchMatMul", "T", "adj_x", "adj_y")]
    write = Writer(node)
    rank = max(len(left), len(right)) - 2
    heads = [
        _head(write, *each, rank) for each in zip("xy", node.input, (left, right), strict=True)
    ]
    shared = write.add("head", "BroadcastArgs", *(head for _, head in heads), T=INT32)
    write.last(
        "BatchMatMul",
        *(_repeated(write, role, *each, shared) for role, each in zip("xy", heads, strict=True)),
        T=node.attr["T"].type,
    )
    for name in ("adj_x", "adj_y"):
        write.nodes[-1].attr[name].CopyFrom(node.attr[name])
    return write.nodes


def _head(
    write: Writer, role: str, source: str, shape: tuple[int | None, ...], rank: int
) -> tuple[str, str]:
    """Return a factor with `rank` leading axes before the matrix, and the sizes of these axes."""
    dtype, missing = write.node.attr["T"].type, rank + 2 - len(shape)
    whole = write.shape(f"{role}_shape", source, dtype)
    if missing:
        ones = write.const(f"{role}_ones", [1] * missing)
        whole = write.joined(f"{role}_long", ones, whole)
        source = write.add(f"{role}_longer", "Reshape", source, whole, T=dtype)
    return source, write.part(f"{role}_head", whole, 0, rank)


def _repeated(write: Writer, role: str, source: str, head: str, shared: str) -> str:
    """Return a factor repeated to the shared sizes. Axes that have their size are repeated once."""
    one = write.const(f"{role}_one", 1)
    sizes = write.add(f"{role}_sizes", "Maximum", head, one, T=INT32)
    times = write.add(f"{role}_times", "FloorDiv", shared, sizes, T=INT32)
    counts = write.joined(f"{role}_counts", times, write.const(f"{role}_matrix", [1, 1]))
    return write.add(f"{role}_repeated", "Tile", source, counts, T=write.node.attr["T"].type)


@rule("MatMul")
def mat_mul(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Sum elementwise products, because old TensorFlow has no kernel for these integers."""
    if node.attr["T"].type != INT64:
        return None
    return _as_sum(node, 2, 2, ("transpose_a", "transpose_b"))


def _as_sum(node: "NodeDef", left: int, right: int, flags: tuple[str, str]) -> list["NodeDef"]:
    """Multiply matrices by broadcasting rows against columns. The ranks are `left` and `right`."""
    dtype, write, factors = node.attr["T"].type, Writer(node), []
    for role, source, rank, flag, axis in zip(
        "xy", node.input, (left, right), flags, (-1, -3), strict=True
    ):
        if node.attr[flag].b:
            order = [*range(rank - 2), rank - 1, rank - 2]
            swap = write.const(f"{role}_order", order)
            source = write.add(f"{role}_swapped", "Transpose", source, swap, T=dtype)
        place = write.const(f"{role}_axis", axis)
        factors.append(write.add(f"{role}_wide", "ExpandDims", source, place, T=dtype))
    products = write.add("products", "Mul", *factors, T=dtype)
    return write.last("Sum", products, write.const("axis", [-2]), T=dtype)


@rule("FusedBatchNormV3")
def fused_batch_norm_v3(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """Use FusedBatchNorm: the third version adds only an output and a type, both for training."""
    if node.attr["is_training"].b or node.attr["data_format"].s not in (b"NHWC", b"NCHW"):
        return None
    return [like(node, "FusedBatchNorm", "T", "epsilon", "data_format", "is_training")]
