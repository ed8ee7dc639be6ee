"""Multiply-adds of an operator, by the field's standard formulas.

One multiply-add is one multiplication and the addition after it. Operators that only move, compare,
add or scale values count as zero, as is usual.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Shape = Sequence[int]
Formula = Callable[[Sequence[Shape | None], Sequence[Shape], Mapping[str, Any]], int]


def _conv(inputs: Sequence[Shape | None], outputs: Sequence[Shape], _: Mapping[str, Any]) -> int:
    """For each output value: the input channels of its group times the positions of the kernel."""
    return math.prod(outputs[0]) * math.prod(_second(inputs, 1)[1:])


def _conv_transpose(
    inputs: Sequence[Shape | None], outputs: Sequence[Shape], _: Mapping[str, Any]
) -> int:
    return math.prod(_second(inputs, 0)) * math.prod(_second(inputs, 1)[1:])


def _matmul(inputs: Sequence[Shape | None], outputs: Sequence[Shape], _: Mapping[str, Any]) -> int:
    return math.prod(outputs[0]) * _second(inputs, 0)[-1]


def _gemm(
    inputs: Sequence[Shape | None], outputs: Sequence[Shape], attributes: Mapping[str, Any]
) -> int:
    return math.prod(outputs[0]) * _second(inputs, 0)[0 if attributes.get("transA") else 1]


def _recurrent(
    inputs: Sequence[Shape | None], outputs: Sequence[Shape], attributes: Mapping[str, Any]
) -> int:
    """For each step and row: the weights of the input and those of the state."""
    data, weight, state = (_second(inputs, number) for number in range(3))
    return math.prod(data[:2]) * (math.prod(weight) + math.prod(state))


def _einsum(
    inputs: Sequence[Shape | None], outputs: Sequence[Shape], attributes: Mapping[str, Any]
) -> int:
    """The product of the sizes of all letters. For more than two inputs this is an upper bound."""
    if len(inputs) < 2:
        return 0
    terms = attributes["equation"].replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, number in zip(terms, range(len(inputs)), strict=True):
        shape = list(_second(inputs, number))
        before, dots, after = term.partition("...")
        hidden = len(shape) - len(before) - len(after) if dots else 0
        letters = [*before, *(f".{n - hidden}" for n in range(hidden)), *after]
        for letter, size in zip(letters, shape, strict=True):
            sizes[letter] = max(sizes.get(letter, 1), size)
    return math.prod(sizes.values())


def _attention(
    inputs: Sequence[Shape | None], outputs: Sequence[Shape], attributes: Mapping[str, Any]
) -> int:
    """Scores and weighted sum: each query with each key, over the query's and the value's width."""
    query, key, value = (_second(inputs, number) for number in range(3))
    past = inputs[4][-2] if len(inputs) > 4 and inputs[4] else 0
    if len(query) == 4:
        rows, heads, length, width = query
        return rows * heads * length * (key[2] + past) * (width + value[3])
    heads, groups = attributes["q_num_heads"], attributes["kv_num_heads"]
    rows, length, wide = query
    return rows * length * (key[1] + past) * (wide + value[2] // groups * heads)


def _second(inputs: Sequence[Shape | None], number: int) -> Shape:
    """Return the shape of a required input."""
    shape = inputs[number]
    if shape is None:
        raise ValueError(f"input {number} is missing")
    return shape


FORMULAS: Mapping[str, Formula] = {
    "Conv": _conv,
    "ConvInteger": _conv,
    "QLinearConv": lambda i, o, a: _conv([i[0], i[3]], o, a),
    "DeformConv": _conv,
    "ConvTranspose": _conv_transpose,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Einsum": _einsum,
    "Attention": _attention,
}
"""Operator to formula of the shapes of inputs (None if left out) and outputs, and attributes."""
