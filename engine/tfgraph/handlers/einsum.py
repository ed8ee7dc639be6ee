"""Einsum, as transpositions and one batched matmul for each operand after the first.

So no TensorFlow needs an Einsum op, and attention's equations become one BatchMatMul.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import tensorflow as tf

from tfgraph.handlers.products import multiplied
from tfgraph.handlers.registry import Node, refusal, register
from tfgraph.handlers.sizes import Size, inferable, product, sizes_of, vector

ELLIPSIS = "0123456789"
"""The letters for the axes of an ellipsis, where the last axis gets "9"."""


@dataclass(frozen=True)
class _Term:
    """A tensor and a letter for each of its axes."""

    tensor: tf.Tensor
    letters: str

    def sizes(self) -> dict[str, Size]:
        return dict(zip(self.letters, sizes_of(self.tensor), strict=True))

    def static(self, letter: str) -> int | None:
        return self.tensor.shape[self.letters.index(letter)]

    def ordered(self, letters: str) -> "_Term":
        """Return the term with its axes in the order of `letters`."""
        if letters == self.letters:
            return self
        order = [self.letters.index(letter) for letter in letters]
        return _Term(tf.transpose(self.tensor, order), letters)

    def summed(self, letters: Collection[str]) -> "_Term":
        """Return the term summed over some axes."""
        axes = [axis for axis, letter in enumerate(self.letters) if letter in letters]
        if not axes:
            return self
        kept = "".join(letter for letter in self.letters if letter not in letters)
        return _Term(tf.reduce_sum(self.tensor, axes), kept)


@register("Einsum")
def einsum(node: Node, *operands: tf.Tensor) -> tf.Tensor:
    """Multiply operands pair by pair, and sum over an axis as soon as nothing else needs it."""
    terms, output = _parsed(node, operands)
    dtype = operands[0].dtype
    narrow = dtype.is_integer and dtype not in (tf.int32, tf.int64)
    if narrow:  # sums wrap in the narrow dtype as in the wide one
        wide = tf.int32 if dtype.size < 4 else tf.int64
        terms = [_Term(tf.cast(term.tensor, wide), term.letters) for term in terms]
    terms = _without_ones([_diagonal(term) for term in terms])
    result, *rest = terms
    while True:
        needed = set(output).union(*(term.letters for term in rest))
        result = result.summed(set(result.letters) - needed)
        if not rest:
            break
        following = rest.pop(0)
        needed = set(output).union(*(term.letters for term in rest))
        following = following.summed(set(following.letters) - needed - set(result.letters))
        result = _multiplied(result, following, needed)
    tensor = result.ordered(output).tensor
    return tf.cast(tensor, dtype) if narrow else tensor


def _parsed(node: Node, operands: tuple[tf.Tensor, ...]) -> tuple[list[_Term], str]:
    """Return the operands with a letter for each axis, and the letters of the output."""
    equation = node.attrs["equation"].replace(" ", "")
    left, arrow, output = equation.partition("->")
    terms = []
    for tensor, letters in zip(operands, left.split(","), strict=True):
        covered = tensor.shape.rank - len(letters.replace("...", ""))
        if covered < 0 or covered > len(ELLIPSIS):
            raise refusal(node, f"has {letters!r} for an operand of {tensor.shape.rank} axes.")
        terms.append(_Term(tensor, letters.replace("...", ELLIPSIS[len(ELLIPSIS) - covered :])))
    used = sorted({letter for term in terms for letter in term.letters if letter in ELLIPSIS})
    if not arrow:
        counts = Counter(letter for part in left.split(",") for letter in part if letter.isalpha())
        output = "..." + "".join(sorted(letter for letter, n in counts.items() if n == 1))
    return terms, output.replace("...", "".join(used))


def _diagonal(term: _Term) -> _Term:
    """Keep only one of several axes with the same letter, by taking the diagonal."""
    for letter, count in Counter(term.letters).items():
        for _ in range(count - 1):
            axes = [axis for axis, each in enumerate(term.letters) if each == letter][:2]
            others = [axis for axis in range(len(term.letters)) if axis not in axes]
            moved = tf.transpose(term.tensor, others + axes)
            letters = "".join(term.letters[axis] for axis in others) + letter
            term = _Term(tf.raw_ops.MatrixDiagPart(input=moved), letters)
    return term


def _without_ones(terms: list[_Term]) -> list[_Term]:
    """Drop axes of size one where another operand has a larger size, because they broadcast."""
    largest: dict[str, bool] = {}
    for term in terms:
        for letter in term.letters:
            largest[letter] = largest.get(letter, False) or term.static(letter) != 1
    result = []
    for term in terms:
        axes = [i for i, x in enumerate(term.letters) if largest[x] and term.static(x) == 1]
        letters = "".join(x for i, x in enumerate(term.letters) if i not in axes)
        result.append(_Term(tf.squeeze(term.tensor, axes), letters) if axes else term)
    return result


def _multiplied(left: _Term, right: _Term, needed: Collection[str]) -> _Term:
    """Multiply two terms, and sum over the axes that both have and nothing else needs."""
    common = [letter for letter in left.letters if letter in right.letters]
    summed = "".join(letter for letter in common if letter not in needed)
    batch = "".join(letter for letter in common if letter in needed)
    rows = "".join(letter for letter in left.letters if letter not in common)
    columns = "".join(letter for letter in right.letters if letter not in common)
    if not summed:
        letters = batch + rows + columns
        return _Term(_aligned(left, letters) * _aligned(right, letters), letters)
    first, adjoint = _as_matrices(left, batch, rows, summed)
    second, plain = _as_matrices(right, batch, columns, summed)
    result = multiplied(first, second, transpose_a=adjoint, transpose_b=not plain)
    if len(rows) == len(columns) == 1:
        return _Term(result, batch + rows + columns)
    sizes = left.sizes() | right.sizes() if rows + columns else left.sizes()
    kept = batch + rows + columns
    return _Term(tf.reshape(result, vector(inferable([sizes[letter] for letter in kept]))), kept)


def _as_matrices(term: _Term, batch: str, free: str, summed: str) -> tuple[tf.Tensor, bool]:
    """Return batch × free × summed, or batch × summed × free (and True) if that moves nothing."""
    swapped = term.letters == batch + summed + free
    letters = batch + summed + free if swapped else batch + free + summed
    tensor = term.ordered(letters).tensor
    if len(free) == len(summed) == 1:
        return tensor, swapped
    sizes = term.sizes()
    parts = [product([sizes[letter] for letter in part]) for part in (free, summed)]
    groups = parts[::-1] if swapped else parts
    return tf.reshape(
        tensor, vector(inferable([*(sizes[letter] for letter in batch), *groups]))
    ), swapped


def _aligned(term: _Term, letters: str) -> tf.Tensor:
    """Return the term with axes of size one for its missing letters."""
    own = "".join(letter for letter in letters if letter in term.letters)
    tensor = term.ordered(own).tensor
    if own == letters or letters.endswith(own):
        return tensor
    sizes = term.sizes()
    return tf.reshape(tensor, vector(inferable([sizes.get(letter, 1) for letter in letters])))
