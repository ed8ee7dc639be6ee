"""Dims that are computed from others, as exporters write them."""

import pytest

from graphcore import dims
from graphcore.errors import GraphError

SIZES = {"past": 5, "length": 3, "past_sequence_length": 7, "h": 9, "n": 4, "b": 2, "heads": 6}


@pytest.mark.parametrize(
    ("dim", "size"),
    [
        (7, 7),
        ("past", 5),
        ("past + length", 8),
        ("past+length", 8),
        ("past_sequence_length + 1", 8),
        ("2*n", 8),
        ("h/2", 4),
        ("h//2", 4),
        ("floor(h/2)", 4),
        ("ceil(h/2)", 5),
        ("(h - 1)//2 + 1", 5),
        ("b x heads", 12),
        ("b * heads", 12),
        ("Max(1, n - 6)", 1),
    ],
)
def test_a_computed_dim_has_the_size_that_it_says(dim, size):
    assert dims.size(dim, SIZES) == size


@pytest.mark.parametrize(
    "dim", ["batch", "batch-size", "seq-len-1", "x/y", "unk__12", "input.1_dim", "a/0", "?", "a b"]
)
def test_what_is_no_arithmetic_is_one_symbol(dim):
    assert dims.names(dim) == (dim,) and not dims.is_expression(dim)
    assert dims.size(dim, {dim: 3}) == 3


def test_nothing_but_arithmetic_is_computed():
    for text in ("__import__('os')", "(lambda: 1)()", "a.b + c", "[1] + x", "f(x) + 1", "2**n"):
        assert dims.names(text) == (text,)


def test_relations_are_solved_in_any_order():
    found = dims.solved({"total": "keys + 1", "keys": "past + length", "n": 16}, SIZES)
    assert (found["total"], found["keys"], found["n"], found["past"]) == (9, 8, 16, 5)
    odd = {"past-len": 4, "new.1": 3}
    assert dims.solved({"all": "`past-len` + `new.1`"}, odd)["all"] == 7


def test_what_is_no_size_is_refused():
    with pytest.raises(GraphError, match=r"'past - h' is not a size where past is 5, h is 9"):
        dims.size("past - h", SIZES)
    with pytest.raises(
        GraphError, match=r"total = total \+ 1 cannot be computed, because a symbol in it"
    ):
        dims.solved({"total": "total + 1"}, SIZES)
