"""What the old runtimes are wrong about or do not know: sizes, broadcasts, boxes, large angles."""

import numpy as np
import pytest

from tests.convert.everywhere import disagreements, everywhere
from tests.convert.models import parse, seeded

BOXES = np.array(
    [
        *([1, 1, 3, 3], [3, 1, 1, 2.9], [11, 2, 10, 5], [5, 5, 5, 8], [5, 5, 5, 8], [0, 0, 2, 2]),
        *([1, 1, 3, 3], [6, 6, 9, 9], [0, 0, np.inf, 2], [0, np.nan, 1, 2], [2, 2, 2, 2]),
    ],
    np.float32,
)
SCORES = np.linspace(0.9, 0.1, len(BOXES)).astype(np.float32)
HALVES = np.array([[0, 0, 2, 2], [0, 0, 1, 2], [0, 0, 2, 1], [4, 4, 5, 5]], np.float32)
"""Boxes that overlap by a half, just the threshold."""


def selection(center=0):
    """Return a NonMaxSuppression with everything fed."""
    return parse(
        f"""
        g (float[1, A, 4] boxes, float[1, 1, A] scores, int64[1] most, float[1] overlap,
            float[1] least) => (int64[K, 3] picked)
        {{
            picked = NonMaxSuppression<center_point_box = {center}>
                (boxes, scores, most, overlap, least)
        }}
        """,
        opset=11,
    )


def boxes(values, scores, *, most=9, overlap=0.5, least=-np.inf):
    """Return what to feed to `selection`."""
    return {
        "boxes": np.asarray(values, np.float32)[None],
        "scores": np.asarray(scores, np.float32)[None, None],
        "most": np.array([most]),
        "overlap": np.array([overlap], np.float32),
        "least": np.array([least], np.float32),
    }


def hidden(body, shape, **weights):
    """Return a model whose data `h` has sizes that are fed: TensorFlow knows its rank only."""
    dims = ", ".join(f"d{axis}" for axis in range(len(shape)))
    return (
        parse(
            f"g (float[{dims}] x, int64[{len(shape)}] sizes) => (float[M] y) "
            f"{{ h = Reshape(x, sizes)\n {body} }}",
            **{name: seeded(*each, seed=3) / 4 for name, each in weights.items()},
        ),
        [{"x": seeded(*shape), "sizes": np.array(shape)}],
    )


def product(left, right):
    """Return a MatMul of tensors with no known size."""
    return parse(f"g (float[{left}] a, float[{right}] b) => (float[M] y) {{ y = MatMul(a, b) }}")


def factors(*pairs):
    """Return what to feed for pairs of shapes."""
    return [{"a": seeded(*left, seed=1), "b": seeded(*right, seed=2)} for left, right in pairs]


ANGLES = np.array([0.5, -3, 100, 1e4, -1e6, 123456.7, 1e9, -3e20, 3e38, 1e-40], np.float32)

MODELS = {
    "grouped": hidden(
        "y = Conv<group = 2, pads = [1, 1, 1, 1]>(h, w, b)", (2, 4, 9, 8), w=(6, 2, 3, 3), b=(6,)
    ),
    "grouped, dilated": hidden(
        "y = Conv<group = 2, dilations = [2, 3], strides = [2, 1], pads = [2, 3, 2, 3]>(h, w)",
        (2, 4, 9, 8),
        w=(6, 2, 3, 3),
    ),
    "dilated": hidden("y = Conv<dilations = [2, 2]>(h, w)", (3, 4, 9, 8), w=(6, 4, 3, 3)),
    "depthwise": hidden("y = Conv<group = 4>(h, w)", (2, 4, 9, 8), w=(8, 1, 3, 3)),
    "grouped over one axis": hidden(
        "y = Conv<group = 3, dilations = [2]>(h, w)", (2, 6, 9), w=(3, 2, 3)
    ),
    "grouped over three axes": hidden(
        "y = Conv<group = 2, dilations = [1, 2, 1]>(h, w)", (2, 4, 5, 6, 7), w=(4, 2, 2, 2, 2)
    ),
    "transposed": hidden(
        "y = ConvTranspose<group = 2, strides = [2, 2]>(h, w)", (2, 4, 5, 6), w=(4, 3, 3, 3)
    ),
    "batches": (
        product("n, s, 4", "m, 4, t"),
        factors(*([(i, 2, 4), (j, 4, 3)] for i, j in [(3, 1), (1, 3), (3, 3), (1, 1), (0, 1)])),
    ),
    "batches of batches": (
        product("n, h, s, k", "m, k, t"),
        factors([(2, 1, 3, 4), (5, 4, 2)], [(2, 5, 3, 4), (1, 4, 2)], [(1, 2, 3, 4), (2, 4, 2)]),
    ),
    "shares of nothing": (
        parse("g (float[A, B, C] x) => (float[A, B, C] y, float[A, B, C] z) "
            "{ y = Softmax<axis = 2>(x)\n z = LogSoftmax<axis = 2>(x) }"),
        [{"x": seeded(*shape)} for shape in ((2, 3, 0), (0, 3, 4), (2, 0, 4), (2, 3, 4))],
    ),
    "boxes": (
        selection(),
        [
            *(boxes(BOXES, SCORES, overlap=overlap) for overlap in (0, 0.3, 0.5, 1)),
            *(boxes(BOXES, SCORES, most=most) for most in (0, 2)),
            *(boxes(HALVES, SCORES[:4], overlap=overlap) for overlap in (0, 0.4999, 0.5, 1)),
            *(boxes(BOXES, SCORES, least=least) for least in (0.3, np.inf, np.nan)),
            boxes(np.zeros((0, 4)), []),
            boxes(HALVES * np.float32(3e37), SCORES[:4], overlap=0),
            boxes([[0, 0, 2, 2], [4, 0, 6, 2], [8, 0, 9, 2]], [0.5, np.nan, 0.7], least=0.1),
            boxes([[0, 0, 2, 2], [4, 0, 6, 2], [8, 0, 9, 2]], [-np.inf, np.inf, 0.7]),
        ],
    ),
    "boxes by their centres": (
        selection(center=1),
        [boxes([[1, 1, -2, -2], [1, 1, -2, -2], [1, 1, 2, 2], [1, 1, 2, -2], [1, 1, 0, 1]],
            SCORES[:5])],
    ),
    "angles": (
        parse("g (float[N] x) => (float[N] s, float[N] c, float[N] t) "
            "{ s = Sin(x)\n c = Cos(x)\n t = Tan(x) }"),
        [{"x": ANGLES}],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def seen(legacy, tmp_path_factory):
    """What every runtime makes of every model."""
    return everywhere(MODELS, tmp_path_factory.mktemp("everywhere"))


@pytest.mark.parametrize("name", MODELS)
def test_every_runtime_says_what_onnxruntime_says(name, seen):
    assert sum(key[0] == name for key in seen) == 14
    assert not disagreements(name, MODELS, seen)
