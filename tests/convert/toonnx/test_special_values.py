"""What tf2onnx writes agrees with TensorFlow on NaN, infinities, ties and what is out of range."""

import numpy as np
import pytest

from graphcore.errors import ConversionError, ParityError
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.toonnx.sources import graph, tf, v1

NAN, INF = np.nan, np.inf
FLOATS = np.array(
    [
        [0, -0.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5],
        [1, -1, 3, -7, 41, 82, 1e-7, -1e-7],
        [NAN, INF, -INF, 1e4, -1e4, 1e-30, 100, 0.99],
    ],
    np.float32,
)
OTHERS = np.array(
    [
        [0, 0, 2, -2, 3, -3, -1, 1],
        [1, 2, -2, 2, 41, 41, NAN, 1],
        [0, INF, -INF, INF, 3, 0, -7, NAN],
    ],
    np.float32,
)
WHOLE = np.array([[0, 1, -1, 5, -7, 7, 100, -100], [3, 2, 2**24 + 1, -7, 9, -9, 8, -8]], np.int32)
DIVISORS = np.array([[1, 2, 3, -2, 2, -2, 7, 7], [2, -3, 2**24, 2, -5, 5, -8, 8]], np.int32)


def agree(build, *arrays, opset, tolerance=1e-5):
    """Convert what a function builds of placeholders for the arrays, and run both on these."""
    definition = graph(lambda: tf.identity(build(*placeholders(arrays)), name="y"))
    made = convert.tf2onnx(definition, None, opset=opset, inputs=names(arrays), outputs=["y"])
    feeds = dict(zip(names(arrays), arrays, strict=True))
    expected = convert.run_tf(definition, feeds, fetch=["y"], optimised=False)
    compare(expected, onnxgraph.run_onnx(made.model, feeds), tolerance=tolerance).check()
    assert made.proven
    return made


def names(arrays):
    return [f"x{place}" for place in range(len(arrays))]


def placeholders(arrays):
    return [
        v1.placeholder(array.dtype, [None, *array.shape[1:]] if array.ndim else [], name=name)
        for name, array in zip(names(arrays), arrays, strict=True)
    ]


@pytest.mark.parametrize("opset", [9, 13, 18])
@pytest.mark.parametrize(
    "build",
    [
        lambda x: tf.where(tf.math.is_finite(x), x, tf.ones_like(x)),
        lambda x: tf.where(x > 0, tf.math.log(x), 0.0),
        lambda x: tf.where(x > 0, tf.where(x > 1, 1 / x, INF), -INF),
        lambda x: v1.where(x[:, 0] < 1, x, 1 / x),
    ],
)
def test_the_side_that_is_not_taken_does_not_come_through(build, opset):
    agree(build, FLOATS, opset=opset)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int64", "float16", "float64"])
def test_every_dtype_can_be_chosen(dtype):
    one, other = np.arange(6).reshape(2, 3).astype(dtype), np.arange(6, 12).reshape(2, 3) % 5
    condition = np.array([[1, 0, 1], [0, 1, 0]], bool)
    agree(tf.where, condition, one, other.astype(dtype), opset=13)


def test_a_branch_is_as_exact_as_the_main_graph():
    def build(x):
        return tf.cond(tf.reduce_sum(x[0]) > -100, lambda: tf.floor(x / 41.0), lambda: x)

    agree(build, FLOATS[:2], opset=13)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: tf.floor(x / 41.0),
        lambda x: tf.cast(x / 41.0, tf.int32),
        lambda x: tf.math.log((1.0 - x) + 1e-9),
        lambda x: (x + 1e8) - 1e8,
        lambda x: (x * 1e30) * 1e-30,
        lambda x: tf.argmax(tf.sigmoid(x), 1),
        lambda x: tf.cast(tf.cast(x, tf.float16), tf.float32),
        lambda x: tf.cast(tf.cast(x, tf.int32), tf.bool),
    ],
)
def test_no_pass_changes_a_result(build):
    x = np.array([[0, 41, 82, 123, 1e-9, 0.5], [1, 1.001, 656, 1681, 0.9999999, 0.25]], np.float32)
    agree(build, x, opset=13)


@pytest.mark.parametrize("opset", [9, 10, 11])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_halves_are_rounded_to_even(dtype, opset):
    agree(tf.round, FLOATS.astype(dtype), opset=opset)
    if dtype != "float16":  # TensorFlow has none
        agree(tf.math.rint, FLOATS.astype(dtype), opset=opset)


def test_fake_quantisation_rounds_halves_up():
    x = np.arange(-3, 9, 0.5, np.float32).reshape(2, -1)
    agree(lambda x: tf.quantization.fake_quant_with_min_max_args(x, 0, 255), x, opset=13)
    narrow = {"num_bits": 4, "narrow_range": True}
    agree(lambda x: tf.quantization.fake_quant_with_min_max_args(x, -1, 2.3, **narrow), x, opset=9)


@pytest.mark.parametrize("opset", [9, 13])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_what_is_no_class_is_nowhere(axis, opset):
    indices = np.array([[-1, 0, 3], [4, -4, 2]], np.int32)
    agree(lambda x: tf.one_hot(x, 4, axis=axis), indices, opset=opset)
    agree(lambda x: tf.one_hot(x, 4, 5, -1, axis=axis, dtype=tf.int64), indices, opset=opset)


@pytest.mark.parametrize("opset", [9, 11, 13])
@pytest.mark.parametrize(
    "name", ["equal", "not_equal", "greater_equal", "less_equal", "maximum", "atan2"]
)
def test_numbers_are_compared_as_they_are(name, opset):
    agree(getattr(tf.math, name), FLOATS, OTHERS, opset=opset)


@pytest.mark.parametrize("opset", [9, 10, 18])
@pytest.mark.parametrize("dtype", ["int32", "int64", "int8"])
def test_integers_are_divided_towards_minus_infinity(dtype, opset):
    numbers, divisors = (each[:, [0, 1, 2, 3, 4, 5]] % 97 for each in (WHOLE, DIVISORS))
    numbers = (numbers - 50).astype(dtype)
    divisors = np.where(divisors % 7 == 0, -3, divisors % 7 - 8).astype(dtype)
    agree(tf.math.floordiv, numbers, divisors, opset=opset)
    agree(tf.math.floormod, numbers, divisors, opset=opset)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64"])
def test_integers_are_computed_with_at_an_opset_of_floats(dtype):
    """Before opset 14 ONNX adds no small integers, and onnxruntime has no Relu of any."""

    def build(x, y):
        return tf.nn.relu(x + y) - x * y

    agree(build, WHOLE.astype(dtype), DIVISORS.astype(dtype), opset=9)
    agree(build, WHOLE.astype(dtype), DIVISORS.astype(dtype), opset=17)


@pytest.mark.parametrize(
    "name", ["divide_no_nan", "multiply_no_nan", "xlogy", "xdivy", "xlog1py", "floormod"]
)
def test_zero_is_zero_whatever_stands_beside_it(name):
    agree(getattr(tf.math, name), FLOATS, OTHERS, opset=13)


@pytest.mark.parametrize("name", ["log1p", "expm1", "erfc", "is_inf", "is_finite"])
def test_functions_that_onnx_has_in_other_words(name):
    for opset in (9, 13):
        agree(getattr(tf.math, name), FLOATS, opset=opset)


@pytest.mark.parametrize("name", ["sum", "max", "min", "prod", "mean"])
def test_negative_segments_are_left_out_and_empty_ones_have_their_value(name):
    data = np.arange(10, dtype=np.float32).reshape(5, 2) + 1
    function = getattr(tf.math, f"unsorted_segment_{name}")
    agree(lambda x, i: function(x, i, 4), data, np.array([2, 0, -1, 2, 1], np.int32), opset=13)
    function = getattr(tf.math, f"segment_{name}")
    agree(function, data, np.array([0, 0, 1, 3, 3], np.int32), opset=13)


def test_updates_of_one_place_are_added_up():
    places, updates = np.array([[1], [3], [1]], np.int32), np.ones((3, 2), np.float32)

    def build(i, x):
        return tf.scatter_nd(i, x, [6, 2])

    agree(build, places, updates, opset=16)
    with pytest.raises(ConversionError, match=r"added up from opset 16 on.* opset=16 has what"):
        agree(build, places, updates, opset=13)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: tf.linalg.band_part(tf.where(x > 0, x, NAN), 1, 0),
        lambda x: tf.concat(tf.split(x, [1, -1], 0)[::-1], 0),
        lambda x: tf.einsum("aB,bB->ab", x, np.ones((3, 8), np.float32)),
        lambda x: tf.math.cumprod(x, -1, reverse=True),
        lambda x: tf.dynamic_stitch([[0, 2], [1, 2]], tf.unstack(tf.reshape(x[0], [2, 2, 2]))),
        lambda x: tf.bitwise.right_shift(tf.cast(x, tf.int8), np.int8(1)),
        lambda x: tf.raw_ops.Bucketize(input=x, boundaries=[0.0, 1.5, 41.0]),
        lambda x: x[:, -3:0],
        lambda x: tf.math.top_k(x, 3).values,
        lambda x: tf.image.adjust_saturation(tf.reshape(x[:, :6], [-1, 2, 3]), 1.7),
    ],
)
def test_other_ops_that_tf2onnx_writes_wrongly(build):
    agree(build, FLOATS[[0, 1, 1]], opset=13)


@pytest.mark.parametrize("opset", [9, 13, 18])
def test_what_is_empty_keeps_its_shape(opset):
    """ONNX's Reshape takes a size of 0 for that of the input."""
    agree(lambda x: tf.reshape(x[:, :0], [2, 0, 5]), FLOATS[:2], opset=opset)
    agree(lambda x: tf.reshape(x[:, :0], [0, tf.shape(x)[0], 3]), FLOATS[:2], opset=opset)
    agree(lambda x: tf.reshape(x[:, :0], [-1, 4]), FLOATS[:2], opset=opset)


@pytest.mark.parametrize("end", [2**31 - 1, 2**31 - 2, 7, 0])
def test_a_slice_backwards_ends_where_tensorflow_ends_it(end):
    """onnxruntime takes the largest integer for "to the first place" there."""
    agree(lambda x: x[:, 0:end:-1], FLOATS, opset=13)
    agree(lambda x: x[:, -2:end:-1], FLOATS, opset=13)
    agree(lambda x: x[:, 5::-2], FLOATS, opset=13)


def test_a_sum_of_nothing_but_minus_infinity_is_that():
    rows = np.array([[-INF, -INF, -INF], [1000, 1000, 0], [-INF, 1, 2]], np.float32)
    for opset in (10, 13):
        agree(lambda x: tf.reduce_logsumexp(x, 1), rows, opset=opset)


def test_a_wrong_way_to_write_an_op_is_seen(monkeypatch):
    """What is drawn shows a NaN that leaks, a tie and a class of -1, whatever handler is wrong."""
    from tfgraph.toonnx import handlers

    builds = {
        "SelectV2": (lambda x: tf.where(tf.math.is_finite(x), x, 0.5 * x[:1] * 0), "infinities"),
        "Round": (tf.round, "ties"),
        "OneHot": (lambda x: tf.one_hot(tf.cast(x, tf.int32), 4), "batch"),
    }
    for op, (build, kind) in builds.items():
        with monkeypatch.context() as patched:
            patched.delitem(handlers.HANDLERS, op)
            with pytest.raises(ParityError, match=kind):
                agree(build, FLOATS[:2], opset=9)
