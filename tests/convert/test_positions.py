"""Positions at the ends of an axis, and past them, on every real runtime."""

import numpy as np
import pytest

from tests.convert.everywhere import disagreements, everywhere
from tests.convert.models import parse, seeded

ROWS = np.round(seeded(3, 4) * 2) / 2 + 0.0
"""Numbers with ties, and no minus zero."""

ENDS = np.array([-4, -1, 0, 3])
PAIRS = np.array([[0, -4], [-3, 3], [2, 0], [-1, -1]])
PLACES = np.array([[-3, 2, 0, 1], [0, -1, 2, -2]])

MODELS = {
    "gathered": (
        parse(
            """
            g (float[A, B] x, int64[K] i, int64[P, Q] p, int64[R, 2] q)
                => (float[A, K] a, float[P, Q] b, float[R] c, float[K, 3] d) {
                a = Gather<axis = 1>(x, i)
                b = GatherElements<axis = 0>(x, p)
                c = GatherND(x, q)
                d = OneHot(i, three, offon)
            }
            """,
            three=np.array(3),
            offon=np.array([-1, 5], np.float32),
        ),
        [{"x": ROWS, "i": ENDS, "p": PLACES, "q": PAIRS}],
    ),
    "scattered": (
        parse(
            """
            g (float[A, B] x, int64[P, Q] p, float[P, Q] u, int64[R, 2] q, float[R] v)
                => (float[A, B] a, float[A, B] b, float[A, B] c, float[A, B] d) {
                a = ScatterElements(x, p, u)
                b = ScatterElements<reduction = "add">(x, p, u)
                c = ScatterND(x, q, v)
                d = ScatterND<reduction = "max">(x, q, v)
            }
            """,
            opset=18,
        ),
        [{"x": ROWS, "p": PLACES, "u": seeded(2, 4), "q": PAIRS, "v": seeded(4)}],
    ),
    "ranked": (
        parse(
            """
            g (float[A, B] x) => (float[A, 3] v, int64[A, 3] w, int64[A, 1] a, int64[1, B] b) {
                v, w = TopK<largest = 0>(x, three)
                a = ArgMax<axis = 1>(x)
                b = ArgMin<select_last_index = 1>(x)
            }
            """,
            three=np.array([3]),
        ),
        [{"x": ROWS}, {"x": np.zeros_like(ROWS)}],
    ),
    "sliced": (
        parse(
            """
            g (float[A, B] x, int64[2] s, int64[2] e, int64[2] t)
                => (float[P, Q] y, float[B, A] z) {
                y = Slice(x, s, e, axes, t)
                z = Transpose(x)
            }
            """,
            axes=np.array([0, -1]),
        ),
        [
            {"x": ROWS, "s": np.array(s), "e": np.array(e), "t": np.array(t)}
            for s, e, t in (
                ([-9, 9], [9, -9], [1, -1]),
                ([1, 2], [1, 9], [1, 2]),
                ([2, -1], [-(2**62), -3], [-1, -1]),
                ([5, 0], [9, 2**62], [1, 3]),
            )
        ],
    ),
}

PAST = {
    "Gather": "y = Gather<axis = 1>(x, i)",
    "GatherElements": "j = Unsqueeze(i, zero)\n y = GatherElements<axis = 1>(x, j)",
    "GatherND": "o = Mul(i, zero)\n p = Unsqueeze(o, one)\n q = Unsqueeze(i, one)\n"
    "r = Concat<axis = 1>(p, q)\n y = GatherND(x, r)",
    "ScatterND": "o = Mul(i, zero)\n p = Unsqueeze(o, one)\n q = Unsqueeze(i, one)\n"
    "r = Concat<axis = 1>(p, q)\n v = Cast<to = 1>(i)\n y = ScatterND(x, r, v)",
    "ScatterElements": "j = Unsqueeze(i, zero)\n v = Cast<to = 1>(j)\n"
    "y = ScatterElements<axis = 1>(x, j, v)",
}
"""Op → what it does with the columns `i` of the first row, or of all."""

OUTSIDE = {
    f"{op} at {place}": (
        parse(
            f"g (float[A, B] x, int64[K] i) => (float[P, Q] y) {{ {text} }}".replace(
                "float[P, Q] y", "float[P] y" if op == "GatherND" else "float[P, Q] y"
            ),
            zero=np.array([0]),
            one=np.array([1]),
        ),
        [{"x": ROWS, "i": np.array([0, place])}],
    )
    for op, text in PAST.items()
    for place in (4, -5)
}


@pytest.fixture(scope="module")
def seen(legacy, tmp_path_factory):
    """What every runtime makes of every model that is converted for it."""
    return everywhere(MODELS | OUTSIDE, tmp_path_factory.mktemp("everywhere"), later=False)


@pytest.mark.parametrize("name", MODELS)
def test_positions_at_the_ends_are_right_on_every_runtime(name, seen):
    assert not disagreements(name, MODELS, seen)


@pytest.mark.parametrize("name", OUTSIDE)
def test_positions_past_the_ends_are_an_error_on_every_runtime(name, seen):
    said = {key[2]: result for key, result in seen.items() if key[0] == name}
    assert len(said) == 5
    assert all(isinstance(result, str) for result in said.values()), said
