"""Einsum (12) as Transposes and MatMuls, pair by pair, without fixed sizes."""

from collections import Counter

from onnxgraph.lowering.node_rewriter import NodeRewriter, NotLowered


def einsum(node: NodeRewriter) -> None:
    """Contract the first two operands, then the result with the third, and so on.

    The nodes are valid for opset 11, where axes are attributes.
    """
    inputs, output = _parse(node)
    data, dims = node.input(0), inputs[0]
    for position in range(1, len(inputs)):
        later = set(output).union(*inputs[position + 1 :])
        data, dims = _contracted(
            node, (data, dims), (node.input(position), inputs[position]), later
        )
    data, dims = _summed(node, data, dims, set(output))
    order = [dims.index(letter) for letter in output]
    if order == sorted(order):
        return node.give("Identity", data)
    return node.give("Transpose", data, perm=order)


def _parse(node: NodeRewriter) -> tuple[list[str], str]:
    equation = node.attribute("equation").replace(" ", "")
    left, arrow, output = equation.partition("->")
    inputs = left.split(",")
    if "..." in equation:
        raise NotLowered(
            "its equation has an ellipsis; write a letter for each dim that it stands for"
        )
    if any(len(set(dims)) < len(dims) for dims in (*inputs, output)):
        raise NotLowered(
            "its equation names a dim twice, which is a diagonal; write two letters, and an "
            "identity matrix as one more operand, as in ij,ij->i for ii->i"
        )
    if not arrow:
        counts = Counter("".join(inputs))
        output = "".join(sorted(letter for letter, count in counts.items() if count == 1))
    return inputs, output


def _contracted(
    node: NodeRewriter, left: tuple[str, str], right: tuple[str, str], later: set[str]
) -> tuple[str, str]:
    """Return the product of two operands, and those of its dims that are needed later."""
    a, a_dims = _summed(node, *left, later | set(right[1]))
    b, b_dims = _summed(node, *right, later | set(a_dims))
    summed = [x for x in a_dims if x in b_dims and x not in later]
    shared = [x for x in a_dims if x in b_dims and x in later]
    only_a = [x for x in a_dims if x not in b_dims]
    only_b = [x for x in b_dims if x not in a_dims]
    if not summed:
        dims = shared + only_a + only_b
        return node.op(
            "Mul", _spread(node, a, a_dims, dims), _spread(node, b, b_dims, dims)
        ), "".join(dims)
    # A side's own dims except the last are batch dims of the MatMul, with size 1 on the other side.
    batch = shared + only_a[:-1] + only_b[:-1]
    row, column = only_a[-1:] or ["<"], only_b[-1:] or [">"]
    a = _spread(node, a, a_dims, batch + row + summed)
    b = _spread(node, b, b_dims, batch + column + summed)
    if len(summed) > 1:
        shape = [0] * (len(batch) + 1) + [-1]
        a, b = node.op("Reshape", a, shape), node.op("Reshape", b, shape)
    places = list(range(len(batch) + 2))
    product = node.op("MatMul", a, node.op("Transpose", b, perm=[*places[:-2], *places[:-3:-1]]))
    dims = batch + row + column
    extra = [axis for axis, letter in enumerate(dims) if letter in "<>"]
    if extra:
        product = node.op("Squeeze", product, axes=extra)
    return product, "".join(letter for letter in dims if letter not in "<>")


def _spread(node: NodeRewriter, data: str, dims: str, wanted: list[str]) -> str:
    """Return the operand in the order `wanted`, with a dim of 1 for each dim that it lacks."""
    own = [letter for letter in wanted if letter in dims]
    order = [dims.index(letter) for letter in own]
    if order != sorted(order):
        data = node.op("Transpose", data, perm=order)
    lacking = [axis for axis, letter in enumerate(wanted) if letter not in dims]
    return node.op("Unsqueeze", data, axes=lacking) if lacking else data


def _summed(node: NodeRewriter, data: str, dims: str, needed: set[str]) -> tuple[str, str]:
    """Return the operand summed over the dims that nothing else needs."""
    axes = [axis for axis, letter in enumerate(dims) if letter not in needed]
    if axes:
        data = node.op("ReduceSum", data, axes=axes, keepdims=0)
    return data, "".join(letter for letter in dims if letter in needed)


RULES = {("Einsum", 12): einsum}
