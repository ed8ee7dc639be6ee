"""Each handler of ours against onnxruntime, at several batch sizes and at odd and even sizes."""

import numpy as np
import pytest

from nbhelpers import convert
from tests.convert.agreement import agree, drawn
from tests.convert.models import parse, seeded

POOLS = {
    "padded": "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]",
    "lopsided": "kernel_shape = [2, 3], strides = [1, 2], pads = [0, 2, 1, 0]",
    "ceil": "kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1",
    "ceil, padded": "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], ceil_mode = 1",
    "ceil, past": "kernel_shape = [2, 2], strides = [3, 3], pads = [1, 1, 1, 1], ceil_mode = 1",
    "same upper": 'kernel_shape = [3, 2], strides = [2, 2], auto_pad = "SAME_UPPER"',
    "same lower": 'kernel_shape = [3, 2], strides = [2, 2], auto_pad = "SAME_LOWER"',
    "valid": 'kernel_shape = [3, 3], auto_pad = "VALID"',
    "wider stride": "kernel_shape = [1, 1], strides = [2, 3]",
}


@pytest.mark.parametrize("size", [(8, 8), (9, 11), (10, 7)], ids=str)
@pytest.mark.parametrize("options", POOLS.values(), ids=POOLS)
def test_max_pool_is_exact_at_odd_and_even_sizes(options, size):
    height, width = size
    model = parse(
        f"g (float[N, 2, {height}, {width}] x) => (float[N, 2, h, w] y) "
        f"{{ y = MaxPool<{options}>(x) }}"
    )
    agree(model, *drawn((1, 2, *size), (3, 2, *size)))


@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("size", [(8, 8), (9, 11)], ids=str)
@pytest.mark.parametrize("options", POOLS.values(), ids=POOLS)
def test_average_pool_counts_just_the_cells_that_count(options, size, include):
    height, width = size
    model = parse(
        f"g (float[N, 2, {height}, {width}] x) => (float[N, 2, h, w] y) "
        f"{{ y = AveragePool<{options}, count_include_pad = {include}>(x) }}"
    )
    agree(model, *drawn((1, 2, *size), (3, 2, *size)))


def test_padded_max_pool_is_exact_below_zero():
    """Padding with zeros instead of the lowest value would win against negative numbers."""
    model = parse(
        "g (float[N, 1, 5, 5] x) => (float[N, 1, 3, 3] y) "
        "{ y = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(x) }"
    )
    converted = convert.onnx2tf(model, None)
    low = -1 - np.abs(seeded(2, 1, 5, 5))
    assert convert.run_conversion(converted, {"x": low})["y"].max() < 0


def test_padded_max_pool_over_unknown_sizes_is_exact():
    model = parse(
        "g (float[N, 1, H, W] x) => (float[N, 1, h, w] y) "
        "{ y = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(x) }"
    )
    agree(model, *drawn((1, 1, 8, 8), (2, 1, 9, 12)))


def test_ceil_mode_over_unknown_sizes_is_computed_when_it_runs():
    model = parse(
        "g (float[N, 1, H, W] x) => (float[N, 1, h, w] y) "
        "{ [squeezed] y = MaxPool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>(x) }"
    )
    agree(model, *drawn((1, 1, 8, 8), (2, 1, 9, 12), (1, 1, 7, 4)))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_pools_over_one_two_and_three_axes(kind, rank):
    size, threes, ones = (7, 8, 9)[:rank], [3] * rank, [1] * 2 * rank
    dims = ", ".join(map(str, size))
    model = parse(
        f"g (float[N, 2, {dims}] x) => (float[N, 2, {', '.join('abc'[:rank])}] y) "
        f"{{ y = {kind}<kernel_shape = {threes}, strides = {[2] * rank}, pads = {ones}>(x) }}"
    )
    agree(model, *drawn((1, 2, *size), (3, 2, *size)))


def test_dilated_max_pool():
    model = parse(
        "g (float[N, 2, 11, 9] x) => (float[N, 2, h, w] y) "
        "{ y = MaxPool<kernel_shape = [3, 2], dilations = [2, 3]>(x) }"
    )
    agree(model, *drawn((1, 2, 11, 9), (2, 2, 11, 9)))


CONVOLUTIONS = {
    "plain": ((4, 3, 3, 3), ""),
    "same": ((4, 3, 3, 3), "pads = [1, 1, 1, 1]"),
    "same, dilated": ((4, 3, 3, 3), "pads = [2, 2, 2, 2], dilations = [2, 2]"),
    "strided": ((4, 3, 3, 3), "pads = [1, 1, 1, 1], strides = [2, 2]"),
    "even kernel": ((4, 3, 2, 4), "pads = [0, 1, 1, 2]"),
    "auto_pad": ((4, 3, 3, 2), 'auto_pad = "SAME_LOWER", strides = [2, 2]'),
    "depthwise": ((3, 1, 3, 3), "group = 3, pads = [1, 1, 1, 1]"),
    "depthwise, multiplied": ((6, 1, 3, 3), "group = 3, strides = [2, 2]"),
    "grouped": ((6, 2, 3, 3), "group = 2, pads = [1, 1, 1, 1]"),
}


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolution(case):
    weights, options = case
    channels = 4 if "group = 2" in options else 3
    model = parse(
        f"g (float[N, {channels}, 9, 8] x) => (float[N, {weights[0]}, h, w] y) "
        f"{{ y = Conv<{options}>(x, w1, b1) }}".replace("<>", ""),
        w1=seeded(*weights, seed=1),
        b1=seeded(weights[0], seed=2),
    )
    agree(model, *drawn((1, channels, 9, 8), (3, channels, 9, 8)))


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_over_one_and_three_axes(rank, stride):
    size = (9, 6, 7)[:rank]
    sizes, symbols = ", ".join(map(str, size)), ", ".join("abc"[:rank])
    model = parse(
        f"g (float[N, 2, {sizes}] x) => (float[N, 3, {symbols}] y) "
        f"{{ y = Conv<pads = {[1] * 2 * rank}, strides = {[stride] * rank}>(x, w1, b1) }}",
        w1=seeded(3, 2, *[3] * rank, seed=1),
        b1=seeded(3, seed=2),
    )
    agree(model, *drawn((1, 2, *size), (3, 2, *size)))


def test_convolution_with_weights_that_are_computed():
    model = parse(
        "g (float[N, 2, 7, 7] x, float[4, 2, 3, 3] w) => (float[N, 4, 5, 5] y) { y = Conv(x, w) }"
    )
    agree(model, *drawn([(1, 2, 7, 7), (4, 2, 3, 3)], [(2, 2, 7, 7), (4, 2, 3, 3)]))


PADS = {
    "constant": "y = Pad(x, pads, value)",
    "edge": 'y = Pad<mode = "edge">(x, pads)',
    "reflect": 'y = Pad<mode = "reflect">(x, pads)',
}


@pytest.mark.parametrize("amounts", [[0, 0, 1, 2, 0, 0, 2, 0], [0, 0, -1, 2, 0, 0, 1, -2]], ids=str)
@pytest.mark.parametrize("text", PADS.values(), ids=PADS)
def test_pad(text, amounts):
    model = parse(
        f"g (float[N, 2, 5, 6] x) => (float[N, 2, h, w] y) {{ {text} }}",
        pads=np.array(amounts, np.int64),
        value=np.float32(1.5),
    )
    agree(model, *drawn((1, 2, 5, 6), (3, 2, 5, 6)))


@pytest.mark.parametrize(
    "wanted", [[0, -1], [-1, 12], [0, 3, 4], [2, -1, 2], [0, 0, 2, 2]], ids=str
)
def test_reshape(wanted):
    dims = ", ".join("abcd"[: len(wanted)])
    model = parse(
        f"g (float[N, 3, 4] x) => (float[{dims}] y) {{ y = Reshape(x, shape) }}",
        shape=np.array(wanted, np.int64),
    )
    agree(model, *drawn((2, 3, 4), (4, 3, 4)))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_flatten(axis):
    model = parse(f"g (float[N, 3, 4] x) => (float[a, b] y) {{ y = Flatten<axis = {axis}>(x) }}")
    agree(model, *drawn((1, 3, 4), (3, 3, 4)))


@pytest.mark.parametrize(
    "options", ["", "<transB = 1>", "<alpha = 0.5, beta = 2.0>", "<beta = 0.0>"]
)
def test_gemm(options):
    shape = (5, 4) if "transB" in options else (4, 5)
    model = parse(
        f"g (float[N, 4] x) => (float[N, 5] y) {{ y = Gemm{options}(x, w, b) }}",
        w=seeded(*shape, seed=1),
        b=seeded(5, seed=2),
    )
    agree(model, *drawn((1, 4), (3, 4)))


def test_squeeze_and_unsqueeze_take_axes_as_input():
    model = parse(
        "g (float[N, 1, 4, 1] x) => (float[N, 1, 1, 4] y) "
        "{ s = Squeeze(x, one) y = Unsqueeze(s, two) }",
        one=np.array([1, -1], np.int64),
        two=np.array([1, 2], np.int64),
    )
    agree(model, *drawn((1, 1, 4, 1), (3, 1, 4, 1)))


def test_ops_in_a_row():
    model = parse(
        "g (float[N, 3, 4] x) => (float[N, 4, 3] y) "
        "{ a = Sigmoid(x) b = Softmax<axis = 2>(a) c = Mul(a, b) "
        "y = Transpose<perm = [0, 2, 1]>(c) }"
    )
    agree(model, *drawn((1, 3, 4), (3, 3, 4)))
