"""Elementwise handlers against onnxruntime, or numpy for dtypes that it has no kernel for."""

from functools import partial

import numpy as np
import onnx
import pytest

from graphcore.errors import ConversionError
from nbhelpers import convert
from tests.convert import agreement
from tests.convert.agreement import fed
from tests.convert.models import parse, seeded

EDGES = np.array([[np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -7.25, 80, -80, 1e-5]])
agree = partial(agreement.agree, tolerance=1e-6)

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
ONNX_TYPES = {"float16": "float16", "float32": "float", "float64": "double"}


def converted(model, target="tf2"):
    return convert.onnx2tf(model, None, target=target, verify=False)


def one(model, *arrays, target="tf2"):
    """Return the first output."""
    seen = convert.run_conversion(converted(model, target), fed(model, *arrays))
    return next(iter(seen.values()))


def unary(text, dtype="float", shape="N, H", opset=17):
    out = ", ".join("abcde"[: len(shape.split(","))])
    return parse(f"g ({dtype}[{shape}] x) => ({dtype}[{out}] y) {{ y = {text} }}", opset=opset)


UNARY = """
    Abs Neg Ceil Floor Round Sqrt Reciprocal Exp Log Erf Sin Cos Tan Asin Acos Atan Sinh Cosh
    Asinh Acosh Atanh Sigmoid Tanh Softsign HardSwish Relu
"""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("op", UNARY.split())
def test_unary_ops_at_any_size(op):
    batches = [(EDGES.astype(np.float32),), (seeded(3, 7) * 3,)]
    if op in ("Sin", "Cos", "Tan", "Sinh", "Cosh"):  # libraries differ beyond their range
        batches = [(EDGES[:, 3:10].astype(np.float32),), *batches[1:]]
    if op == "HardSwish":  # onnxruntime makes 0·∞ of it
        batches = [(EDGES[:, 3:].astype(np.float32),), *batches[1:]]
    agree(unary(f"{op}(x)"), *batches, tolerance=2e-6)


@pytest.mark.parametrize("op", ["Tan", "Asinh", "Erf", "Sign", "Neg", "Gelu", "Softmax", "Mish"])
def test_half_floats_are_computed_as_float32_where_a_kernel_is_missing(op):
    values = seeded(3, 5)
    model = unary(f"{op}(x)", "float16", opset=20)
    wide = one(unary(f"{op}(x)", opset=20), values.astype(np.float16).astype(np.float32))
    for target in ("tf2", "tf1.4"):
        half = one(model, values.astype(np.float16), target=target)
        assert half.dtype == np.float16
        np.testing.assert_allclose(half, wide, rtol=2e-3, atol=1e-3)


def binary(op, dtype, result=None, attributes=""):
    return parse(
        f"g ({dtype}[N, 5] x, {dtype}[5] y) => ({result or dtype}[N, 5] z) "
        f"{{ z = {op}{attributes}(x, y) }}",
        opset=18,
    )


def integers(dtype, *shape, low=None, seed=0):
    info = np.iinfo(dtype)
    low = info.min if low is None else low
    rng = np.random.default_rng(seed)
    return rng.integers(low, info.max, shape, dtype=dtype, endpoint=True)


ARITHMETIC = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Max": np.maximum,
    "Min": np.minimum,
}
COMPARISONS = {
    "Equal": np.equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
}


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_exact_and_wrap(dtype):
    for op, function in (ARITHMETIC | COMPARISONS).items():
        result = "bool" if op in COMPARISONS else dtype
        conversion = converted(binary(op, dtype, result))
        for batch in (1, 4):
            left, right = integers(dtype, batch, 5), integers(dtype, 5, seed=batch)
            left[0, 0] = right[0]
            (seen,) = convert.run_conversion(conversion, {"x": left, "y": right}).values()
            np.testing.assert_array_equal(seen, function(left, right), err_msg=op)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_division_is_cut_off_and_remainders_follow_their_side(dtype):
    left = integers(dtype, 3, 5)
    right = np.array([3, 7, 2, 5, 11]).astype(dtype)
    if not dtype.startswith("u"):
        right[1:3] = -right[1:3]
    quotients = [[int(a) // int(b) for a, b in zip(row, right, strict=True)] for row in left]
    exact = np.array(quotients, object) * right.astype(object) == left.astype(object)
    below = (left < 0) != (right < 0)
    expected = (np.array(quotients, object) + (below & ~exact)).astype(dtype)
    np.testing.assert_array_equal(one(binary("Div", dtype), left, right), expected)
    np.testing.assert_array_equal(one(binary("Mod", dtype), left, right), np.mod(left, right))
    fmod = binary("Mod", dtype, attributes="<fmod = 1>")
    np.testing.assert_array_equal(one(fmod, left, right), np.fmod(left, right))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_remainders_of_floats(dtype):
    left = np.array([[-7.5, 7.5, -0.0, 3.0, np.inf]], dtype)
    right = np.array([2.0, -2.0, 3.0, np.inf, 2.0], dtype)
    fmod = binary("Mod", ONNX_TYPES[dtype], attributes="<fmod = 1>")
    np.testing.assert_array_equal(one(fmod, left, right), np.fmod(left, right))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floored_remainders_of_floats_as_numpy_has_them(dtype):
    """ONNX allows them from opset 26 on; a remainder of zero has the divisor's sign."""
    left = np.array([[-7.5, 7.5, -0.0, 0.0, 3.0, -3.0, np.inf, 6.0, np.nan]], dtype)
    right = np.array([2.0, -2.0, 3.0, -3.0, np.inf, np.inf, 2.0, -3.0, 1.0], dtype)
    for target in ("tf2", "tf1.4"):
        model = binary("Mod", ONNX_TYPES[dtype])
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[-1].dim_value = 9
        seen = one(model, left, right, target=target)
        np.testing.assert_array_equal(seen, np.mod(left, right))
        finite = ~np.isnan(seen)
        np.testing.assert_array_equal(
            np.signbit(seen)[finite], np.signbit(np.mod(left, right))[finite]
        )


def test_infinities_and_nan_pass_through_sums_and_bounds():
    model = parse(
        "g (float[N, K] x, float[K] y) => (float[N, K] a, float[N, K] b, float[N, K] c) "
        "{ a = Max(x, y) b = Sum(x, y, x) c = Mean(x, y) }"
    )
    for size in (1, 3):
        x = np.repeat(EDGES.astype(np.float32), size, 0)
        agree(model, (x, x[0, ::-1].copy()))


POWERS = [
    ("float", "int64", [[2.5, -3.0, 0.0, 1.0]], [3, 2, 0, -7]),
    ("float", "float", [[2.5, 3.0, 0.0, 1.0]], [0.5, 2, 0, -7]),
    ("double", "int32", [[2.5, -3.0, 0.0, 1.0]], [3, 2, 0, -7]),
    ("int32", "float", [[2, 3, 4, 9]], [0.5, 2, 0, 1.5]),
    ("int64", "int64", [[2, -3, 0, 7]], [10, 3, 0, 1]),
    ("int32", "int64", [[2, -3, 0, 7]], [10, 3, 0, 1]),
]


@pytest.mark.parametrize(("base", "exponent", "x", "y"), POWERS, ids=str)
def test_powers_keep_the_base_dtype(base, exponent, x, y):
    model = parse(f"g ({base}[N, 4] x, {exponent}[4] y) => ({base}[N, 4] z) {{ z = Pow(x, y) }}")
    numpy = {"float": np.float32, "double": np.float64, "int32": np.int32, "int64": np.int64}
    arrays = np.array(x, numpy[base]), np.array(y, numpy[exponent])
    agree(model, arrays, (arrays[0].repeat(3, 0), arrays[1]))


def test_a_constant_exponent_of_two_is_one_square():
    model = parse("g (float[N, 4] x) => (float[N, 4] z) { z = Pow(x, e) }", e=np.float32(2))
    conversion = agree(model, (seeded(2, 4),))
    assert conversion.steps[-1].histogram.get("Square") == 1


def test_integer_powers_below_zero():
    model = parse("g (int32[N, 4] x, int32[4] y) => (int32[N, 4] z) { z = Pow(x, y) }")
    seen = one(model, np.array([[1, -1, 2, -1]], np.int32), np.array([-3, -3, -1, -2], np.int32))
    assert seen.tolist() == [[1, -1, 0, 1]]


CLIPS = {
    "attributes": (6, "Clip<min = -0.5, max = 0.75>(x)", {}),
    "relu": (6, "Clip<min = 0.0>(x)", {}),
    "relu6": (11, "Clip(x, low, high)", {"low": np.float32(0), "high": np.float32(6)}),
    "no low": (12, "Clip(x, , high)", {"high": np.float32(0.25)}),
    "no high": (13, "Clip(x, low)", {"low": np.float32(-0.25)}),
    "none": (13, "Clip(x)", {}),
    "crossed": (13, "Clip(x, low, high)", {"low": np.float32(2), "high": np.float32(1)}),
}


@pytest.mark.parametrize(("opset", "text", "bounds"), CLIPS.values(), ids=CLIPS)
def test_clip(opset, text, bounds):
    model = parse(
        f"g (float[N, H] x) => (float[N, H] y) {{ y = {text} }}", opset=max(opset, 7), **bounds
    )
    edges = EDGES[:, [0, 3, 4, 5, 6, 7, 8, 9, 10, 11]].astype(np.float32)
    agree(model, (edges,), (seeded(4, 5),))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint64", "float16"])
def test_clip_with_computed_bounds_of_any_dtype(dtype):
    model = parse(
        f"g ({dtype}[N, 5] x, {dtype} low, {dtype} high) => ({dtype}[N, 5] y) "
        "{ y = Clip(x, low, high) }"
    )
    x = seeded(3, 5).astype(dtype) if dtype == "float16" else integers(dtype, 3, 5)
    low, high = np.quantile(x.astype(np.float64), [0.3, 0.7]).astype(dtype)
    np.testing.assert_array_equal(one(model, x, low, high), np.clip(x, low, high))


ACTIVATIONS = {
    "LeakyRelu<alpha = 0.2>(x)": 7,
    "LeakyRelu<alpha = 1.5>(x)": 16,
    "LeakyRelu<alpha = -0.5>(x)": 7,
    "Elu(x)": 7,
    "Elu<alpha = 0.3>(x)": 7,
    "Selu(x)": 7,
    "Selu<alpha = 2.0, gamma = 3.0>(x)": 7,
    "Celu<alpha = 2.0>(x)": 12,
    "HardSigmoid(x)": 7,
    "HardSigmoid<alpha = 0.1666666716, beta = 0.5>(x)": 14,
    "HardSigmoid<alpha = 0.3, beta = 0.1>(x)": 17,
    "Softplus(x)": 7,
    "ThresholdedRelu<alpha = 0.5>(x)": 10,
    "Shrink<lambd = 0.7, bias = 0.2>(x)": 9,
    "Mish(x)": 18,
    "Gelu(x)": 20,
    'Gelu<approximate = "tanh">(x)': 20,
}


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
@pytest.mark.parametrize(("text", "opset"), ACTIVATIONS.items(), ids=ACTIVATIONS)
def test_activations(text, opset, target):
    model = unary(text, shape="N, 3, H, W", opset=opset)
    batches = [(seeded(1, 3, 5, 4) * 3,), (seeded(2, 3, 1, 7) * 3,)]
    agree(model, *batches, target=target, tolerance=3e-6)


SLOPES = [(3, 1, 1), (1,), (1, 3, 1, 1), (3, 4, 5), (5,)]


@pytest.mark.parametrize("shape", SLOPES, ids=str)
def test_prelu_broadcasts_its_slope(shape):
    body = "g (float[N, 3, 4, 5] x) => (float[N, 3, 4, 5] y) { y = PRelu(x, slope) }"
    x = seeded(2, 3, 4, 5)
    x[0, 0, 0, :2] = np.inf, -np.inf
    agree(parse(body, slope=seeded(*shape, seed=1)), (x,), (x[:1],))


def test_prelu_of_opset_6_has_a_slope_for_each_channel():
    body = "g (float[N, 4, 3, 4] x) => (float[N, 4, 3, 4] y) { y = PRelu(x, slope) }"
    x, slope = seeded(2, 4, 3, 4), seeded(4, seed=1)
    expected = np.where(x < 0, x * slope[:, None, None], x)
    seen = one(parse(body, opset=6, slope=slope), x)
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
@pytest.mark.parametrize(
    ("opset", "axis"),
    # Negative axes came with opset 11.
    [(opset, axis) for opset in (7, 11, 13) for axis in (0, 1, 2, 3, None)] + [(11, -2), (13, -2)],
)
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
def test_softmax_before_and_after_opset_13(op, axis, opset, target):
    attribute = "" if axis is None else f"<axis = {axis}>"
    model = unary(f"{op}{attribute}(x)", shape="N, 3, H, W", opset=opset)
    agree(model, (seeded(1, 3, 5, 4),), (seeded(2, 3, 1, 7),), target=target)


@pytest.mark.parametrize("target", ["tf2", "tf1.13", "tf1.4"])
@pytest.mark.parametrize(
    "shapes",
    [("N, 1, 3", "2, 1", "3"), ("N, 2", "N, 2", "N, 2"), ("1", "N, 2", "2"), ("", "N", "M, 1")],
    ids=str,
)
def test_where_broadcasts_and_keeps_the_sign_of_zero(shapes, target):
    rank = max(len(text.split(", ")) for text in shapes)
    one_type, yes, no = (
        f"{kind}[{text}]" if text else kind
        for kind, text in zip(("bool", "float", "float"), shapes, strict=True)
    )
    result = f"float[{', '.join('abc'[:rank])}]"
    model = parse(f"g ({one_type} c, {yes} x, {no} y) => ({result} z) {{ z = Where(c, x, y) }}")
    for sizes in ({"N": 1, "M": 2}, {"N": 4, "M": 3}):
        arrays = []
        for seed, text in enumerate(shapes):
            dims = [sizes.get(d, d) for d in text.split(", ")] if text else []
            values = seeded(*map(int, dims), seed=seed)
            arrays.append(values > 0 if seed == 0 else np.where(values > 0.5, -0.0, values))
        arrays = [np.asarray(a, bool if i == 0 else np.float32) for i, a in enumerate(arrays)]
        arrays[1].flat[0], arrays[2].flat[0] = np.nan, -np.inf
        seen, expected = one(model, *arrays, target=target), np.where(*arrays)
        np.testing.assert_array_equal(seen, expected)
        np.testing.assert_array_equal(np.signbit(seen), np.signbit(expected))


@pytest.mark.parametrize("target", ["tf2", "tf1.4"])
@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_shifts_by_all_bits_leave_nothing(direction, target):
    model = parse(
        "g (uint8[N, 4] x, uint8[4] y) => (uint8[N, 4] z) "
        f'{{ z = BitShift<direction = "{direction}">(x, y) }}'
    )
    x, y = integers("uint8", 3, 4), np.array([0, 3, 7, 9], np.uint8)
    shift = np.left_shift if direction == "LEFT" else np.right_shift
    np.testing.assert_array_equal(one(model, x, y, target=target), shift(x, y))


@pytest.mark.parametrize("op", ["CumSum", "CumProd"])
@pytest.mark.parametrize("options", ["", "<exclusive = 1>", "<reverse = 1>"])
def test_cumulation_along_a_computed_axis(op, options):
    model = parse(
        f"g (double[N, M] x, int64 axis) => (double[N, M] y) {{ y = {op}{options}(x, axis) }}",
        opset=14 if op == "CumSum" else 26,
    )
    conversion = converted(model)
    function = np.cumsum if op == "CumSum" else np.cumprod
    for axis, shape in ((0, (3, 4)), (1, (2, 5)), (-1, (1, 3))):
        x = seeded(*shape, dtype=np.float64)
        seen = convert.run_conversion(conversion, {"x": x, "axis": np.int64(axis)})["y"]
        expected = x[::-1, ::-1] if "reverse" in options else x
        expected = function(expected, axis)
        expected = expected[::-1, ::-1] if "reverse" in options else expected
        if "exclusive" in options:
            expected = np.roll(expected, 1, axis)
            np.moveaxis(expected, axis, 0)[0] = op == "CumProd"
        np.testing.assert_allclose(seen, expected)


def test_logic_and_bits():
    model = parse(
        "g (bool[N, 3] x, bool[3] y) => (bool[N, 3] a, bool[N, 3] b, bool[N, 3] c, bool[N, 3] d) "
        "{ a = And(x, y) b = Or(x, y) c = Xor(x, y) d = Not(x) }"
    )
    for seed in (0, 1):
        agree(model, (seeded(2 + seed, 3, seed=seed) > 0, seeded(3, seed=seed) > 0))


def test_infinities_of_one_sign():
    for attributes in ("", "<detect_negative = 0>", "<detect_positive = 0>"):
        body = f"g (float[N, K] x) => (bool[N, K] y) {{ y = IsInf{attributes}(x) }}"
        agree(parse(body, opset=10), (EDGES.astype(np.float32),))


@pytest.mark.parametrize(
    "source", ["float", "double", "float16", "int8", "uint16", "int64", "bool"]
)
def test_casts(source):
    numpy = {"float": "float32", "double": "float64"}.get(source, source)
    values = np.array([[0, 1, 2.75, 100.5, 127]]).astype(numpy)
    for code in ("FLOAT", "DOUBLE", "FLOAT16", "INT32", "INT64", "UINT8", "UINT32", "BOOL"):
        dtype = onnx.TensorProto.DataType.Value(code)
        name = onnx.helper.tensor_dtype_to_np_dtype(dtype).name
        onnx_name = {"float32": "float", "float64": "double"}.get(name, name)
        body = f"g ({source}[N, 5] x) => ({onnx_name}[N, 5] y) {{ y = Cast<to = {dtype}>(x) }}"
        agree(parse(body), (values,), (values.repeat(2, 0),))


def test_the_axis_of_old_opsets():
    body = (
        "g (float[N, 3, 4] x, float[3] y) => (float[N, 3, 4] z) "
        "{ z = Add<broadcast = 1, axis = 1>(x, y) }"
    )
    x, y = seeded(2, 3, 4), seeded(3)
    np.testing.assert_allclose(one(parse(body, opset=6), x, y), x + y[:, None], rtol=1e-6)


def test_common_ops_stay_one_op():
    for text, op in (("Relu(x)", "Relu"), ("Tanh(x)", "Tanh"), ("Softmax(x)", "Softmax")):
        histogram = converted(unary(text)).steps[-1].histogram
        assert {name for name in histogram if name not in ("Placeholder", "Identity")} == {op}


def test_a_constant_for_each_channel_costs_no_transposition():
    body = (
        "g (float[N, 3, 5, 5] x) => (float[N, 4, 5, 5] y) "
        "{ a = Conv<pads = [1, 1, 1, 1]>(x, w) b = Mul(a, s) c = PRelu(b, s) "
        "y = Conv<pads = [1, 1, 1, 1]>(c, v) }"
    )
    weights = {"w": seeded(4, 3, 3, 3), "v": seeded(4, 4, 3, 3), "s": seeded(4, 1, 1)}
    conversion = agree(parse(body, **weights), (seeded(2, 3, 5, 5),), tolerance=1e-5)
    assert conversion.steps[-1].transposes == 2


def test_dropout_drops_nothing():
    model = parse("g (float[N, 3] x) => (float[N, 3] y, bool[N, 3] m) { y, m = Dropout(x) }")
    agree(model, (seeded(2, 3),), (seeded(5, 3),))


REFUSALS = {
    "Dropout(x, ratio, training)": "drops numbers at random",
    "Cast<to = 8>(x)": "casts float32 to string",
    "Cast<to = 17>(x)": "makes float8e4m3fn, which is not converted",
}


@pytest.mark.parametrize(("text", "words"), REFUSALS.items(), ids=REFUSALS)
def test_what_is_not_exact_is_refused(text, words):
    dtype = {"8": "string", "17": "float8e4m3fn"}.get(text[10:12].strip(">"), "float")
    body = f"g (float[N, 3] x) => ({dtype}[N, 3] y) {{ [named] y = {text} }}"
    weights = {"ratio": np.float32(0.5), "training": np.array(True)}
    with pytest.raises(ConversionError, match=rf"'named' \(\w+\) {words}"):
        converted(parse(body, opset=19, **weights))


def test_the_widest_unsigned_integers_are_refused_for_tf14():
    with pytest.raises(ConversionError, match="DT_UINT32"):
        converted(binary("Add", "uint32"), "tf1.4")
