"""Spatial ops against onnxruntime, most of them over sizes that are known only when they run.

Each conversion is run at two batch sizes, and what it becomes for the oldest target is run too.
"""

import numpy as np
import pytest

from graphcore.errors import ConversionError
from graphcore.parity import compare
from nbhelpers import convert
from tests.convert.agreement import agree
from tests.convert.models import parse, seeded


def on_both(model, *runs):
    """Return the conversion for the oldest target; it and that for the newest agree."""
    return [agree(model, *runs, target=target) for target in ("tf2", "tf1.4")][-1]


def images(*shapes):
    return [{"x": seeded(*shape, seed=seed)} for seed, shape in enumerate(shapes)]


def dynamic(text, *, rank=2, channels=2, opset=13, result="float", **weights):
    """Return a model of one op over images of unknown sizes."""
    sizes, made = ", ".join("HWD"[:rank]), ", ".join("hwd"[:rank])
    return parse(
        f"g (float[N, {channels}, {sizes}] x) => ({result}[N, k, {made}] y) {{ {text} }}".replace(
            "<>", ""
        ),
        opset=opset,
        **weights,
    )


SIZES = {1: ((1, 2, 9), (3, 2, 12)), 2: ((1, 2, 9, 12), (3, 2, 12, 7))}
SIZES[3] = ((1, 2, 5, 6, 7), (2, 2, 7, 5, 4))

WINDOWS = {
    "same upper": 'kernel_shape = [3, 2], strides = [2, 2], auto_pad = "SAME_UPPER"',
    "same lower": 'kernel_shape = [3, 2], strides = [2, 2], auto_pad = "SAME_LOWER"',
    "ceil": "kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1",
    "ceil, padded": "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], ceil_mode = 1",
    "ceil, past": "kernel_shape = [2, 2], strides = [3, 3], pads = [1, 1, 1, 1], ceil_mode = 1",
    "lopsided": "kernel_shape = [2, 3], strides = [1, 2], pads = [0, 2, 1, 0]",
    "wider stride": "kernel_shape = [1, 2], strides = [2, 3]",
}
OPSETS = (7, 10, 13, 17, 22)


@pytest.mark.parametrize("options", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "AveragePool, padding counts"])
def test_pools_over_unknown_sizes(op, options):
    op, comma, _ = op.partition(",")
    options += ", count_include_pad = 1" if comma else ""
    model = dynamic(f"y = {op}<{options}>(x)")
    on_both(model, *images(*SIZES[2]))


@pytest.mark.parametrize("opset", OPSETS)
def test_pools_of_every_version(opset):
    options = "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]"
    text = f"m = MaxPool<{options}>(x) y = AveragePool<{options}>(m)"
    on_both(dynamic(text, opset=opset), *images(*SIZES[2]))


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pools_over_one_and_three_unknown_sizes(op, rank):
    options = f"kernel_shape = {[3] * rank}, strides = {[2] * rank}, ceil_mode = 1"
    on_both(dynamic(f"y = {op}<{options}>(x)", rank=rank), *images(*SIZES[rank]))


@pytest.mark.parametrize("strides", [[1, 1], [2, 3]], ids=str)
def test_dilated_pools(strides):
    options = f"kernel_shape = [3, 2], dilations = [2, 3], strides = {strides}"
    on_both(dynamic(f"y = MaxPool<{options}, pads = [1, 0, 2, 1]>(x)"), *images(*SIZES[2]))
    on_both(dynamic(f"y = AveragePool<{options}>(x)", opset=19), *images(*SIZES[2]))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_max_pool_of_bytes(dtype):
    model = parse(
        f"g ({dtype}[N, 2, H, W] x) => ({dtype}[N, 2, h, w] y) "
        "{ y = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(x) }"
    )
    low = np.iinfo(dtype).min
    feeds = [{"x": (np.arange(2 * 5 * 6) % 7 + low).astype(dtype).reshape(1, 2, 5, 6)}]
    on_both(model, *feeds)


INDEXED = {
    "plain": "kernel_shape = [2, 2], strides = [2, 2]",
    "padded": "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]",
    "columns": "kernel_shape = [2, 3], strides = [1, 2], storage_order = 1",
    "dilated": "kernel_shape = [2, 2], dilations = [2, 3]",
    "ceil": "kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1",
}


@pytest.mark.parametrize("options", INDEXED.values(), ids=INDEXED)
@pytest.mark.parametrize("known", [True, False], ids=["known sizes", "unknown sizes"])
def test_max_pool_says_where(options, known):
    sizes = "9, 12" if known else "H, W"
    model = parse(
        f"g (float[N, 2, {sizes}] x) => (float[N, 2, h, w] y, int64[N, 2, h, w] i) "
        f"{{ y, i = MaxPool<{options}>(x) }}"
    )
    on_both(model, *images((1, 2, 9, 12), (3, 2, 9, 12)))


def test_max_unpool_puts_numbers_back():
    model = parse(
        "g (float[N, 2, 8, 6] x) => (float[N, 2, 8, 6] y) "
        "{ m, i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x) "
        "y = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(m, i) }"
    )
    on_both(model, *images((1, 2, 8, 6), (3, 2, 8, 6)))


@pytest.mark.parametrize("op", ["GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool<p = 3>"])
def test_global_pools(op):
    model = parse(f"g (float[N, 2, H, W] x) => (float[N, 2, 1, 1] y) {{ y = {op}(x) }}")
    on_both(model, *images(*SIZES[2]))


@pytest.mark.parametrize("power", [1, 2, 3])
def test_lp_pool(power):
    options = f"p = {power}, kernel_shape = [3, 2], strides = [2, 2], pads = [1, 0, 1, 1]"
    on_both(dynamic(f"y = LpPool<{options}>(x)"), *images(*SIZES[2]))


CONVOLUTIONS = {
    "same upper": ((4, 2, 3, 2), 'auto_pad = "SAME_UPPER", strides = [2, 3]'),
    "same lower": ((4, 2, 3, 2), 'auto_pad = "SAME_LOWER", strides = [2, 2]'),
    "dilated": ((4, 2, 3, 3), "dilations = [2, 3], pads = [2, 3, 2, 3]"),
    "dilated, strided": ((4, 2, 2, 3), "dilations = [2, 3], strides = [2, 2], pads = [1, 2, 0, 3]"),
    "depthwise": ((4, 1, 3, 3), "group = 2, strides = [2, 2], pads = [1, 1, 1, 1]"),
    "depthwise, unequal strides": ((2, 1, 3, 3), "group = 2, strides = [2, 3]"),
    "depthwise, dilated": ((2, 1, 3, 3), "group = 2, dilations = [2, 2], pads = [2, 2, 2, 2]"),
    "depthwise, same": ((2, 1, 3, 2), 'group = 2, strides = [3, 2], auto_pad = "SAME_UPPER"'),
    "wider stride": ((4, 2, 1, 2), "strides = [2, 3]"),
}


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolution_over_unknown_sizes(case):
    weights, options = case
    model = (
        dynamic(
            f"y = Conv<{options}>(x, w1, b1)", w1=seeded(*weights, seed=1), b1=seeded(4, seed=2)
        )
        if weights[0] == 4
        else dynamic(f"y = Conv<{options}>(x, w1)", w1=seeded(*weights, seed=1))
    )
    on_both(model, *images(*SIZES[2]))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", ["", "dilations = DD"], ids=["plain", "dilated"])
def test_grouped_convolution(rank, options):
    options = options.replace("DD", str([2] * rank))
    sizes = {1: (9,), 2: (9, 8), 3: (6, 7, 5)}[rank]
    model = dynamic(
        f"y = Conv<group = 2, {options}>(x, w1)".replace(", >", ">"),
        rank=rank,
        channels=4,
        w1=seeded(6, 2, *[3] * rank, seed=1),
    )
    on_both(model, *images((1, 4, *sizes), (3, 4, *sizes)))


@pytest.mark.parametrize("opset", OPSETS)
def test_convolutions_of_every_version(opset):
    model = dynamic(
        "c = Conv<pads = [1, 1, 1, 1]>(x, w1) y = ConvTranspose<strides = [2, 2]>(c, w2)",
        opset=opset,
        w1=seeded(4, 2, 3, 3, seed=1),
        w2=seeded(4, 3, 2, 2, seed=2),
    )
    on_both(model, *images(*SIZES[2]))


TRANSPOSED = {
    "plain": "",
    "same by pads": "strides = [2, 2], pads = [1, 1, 1, 1]",
    "output padding": "strides = [2, 3], pads = [1, 0, 1, 2], output_padding = [1, 2]",
    "dilated": "dilations = [2, 3], strides = [2, 1]",
    "output shape": "strides = [2, 2], output_shape = [17, 23]",
    "same upper": 'strides = [2, 2], auto_pad = "SAME_UPPER"',
    "same lower": 'strides = [2, 2], auto_pad = "SAME_LOWER"',
    "wider stride": "strides = [5, 4]",
    "wider stride, same": 'strides = [5, 4], auto_pad = "SAME_UPPER"',
}


@pytest.mark.parametrize("case", [(2, 3, 1), (2, 1, 2), (4, 3, 2)], ids=["1", "depthwise", "2"])
@pytest.mark.parametrize("options", TRANSPOSED.values(), ids=TRANSPOSED)
def test_transposed_convolution(options, case):
    channels, outputs, group = case
    size = (9, 12)
    model = dynamic(
        f"y = ConvTranspose<group = {group}, {options}>(x, w1, b1)".replace(", >", ">"),
        channels=channels,
        w1=seeded(channels, outputs, 4, 3, seed=1),
        b1=seeded(outputs * group, seed=2),
    )
    feeds = [(1, channels, *size), (3, channels, *size)]
    feeds += [] if "output_shape" in options else [(2, channels, 4, 7)]
    on_both(model, *images(*feeds))


@pytest.mark.parametrize("rank", [1, 3])
def test_transposed_convolution_over_one_and_three_axes(rank):
    model = dynamic(
        f"y = ConvTranspose<strides = {[2] * rank}, pads = {[1] * 2 * rank}, "
        f"output_padding = {[1] * rank}>(x, w1)",
        rank=rank,
        w1=seeded(2, 3, *[3] * rank, seed=1),
    )
    on_both(model, *images(*SIZES[rank]))


def scaled(options, scales, *, rank=2, opset=13):
    return dynamic(
        f"y = Resize<{options}>(x, none, scales)",
        rank=rank,
        opset=opset,
        none=np.zeros(0, np.float32),
        scales=np.array(scales, np.float32),
    )


COORDINATES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")


@pytest.mark.parametrize("known", [True, False], ids=["known sizes", "unknown sizes"])
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("coordinates", [*COORDINATES[:2], "tf_half_pixel_for_nn"])
def test_resize_to_the_nearest(coordinates, rounding, known):
    options = f'coordinate_transformation_mode = "{coordinates}", nearest_mode = "{rounding}"'
    for scales in ([1, 1, 2, 2], [1, 1, 2.6, 0.6]):
        model = scaled(f'mode = "nearest", {options}', scales, opset=11)
        if known:
            for axis, size in ((2, 9), (3, 12)):
                model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
        on_both(model, *images((1, 2, 9, 12), (3, 2, 9, 12)))


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("scales", [[1, 1, 2, 2], [1, 1, 3, 1], [1, 1, 0.5, 1.5]], ids=str)
def test_resize_by_interpolation(mode, coordinates, scales):
    options = f'mode = "{mode}", coordinate_transformation_mode = "{coordinates}"'
    model = scaled(options, scales)
    if coordinates == "align_corners" and 1.5 in scales:
        with pytest.raises(ConversionError, match="ONNX and onnxruntime disagree"):
            convert.onnx2tf(model, None)
        return
    on_both(model, *images(*SIZES[2]))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_resize_to_sizes_that_are_computed(mode):
    model = parse(
        "g (float[N, 2, H, W] x, float[N, 2, P, Q] like) => (float[N, 2, P, Q] y) "
        "{ s = Shape(like) "
        f'y = Resize<mode = "{mode}">(x, none, none, s) }}',
        none=np.zeros(0, np.float32),
    )
    shapes = [((1, 2, 5, 7), (1, 2, 9, 4)), ((3, 2, 6, 5), (3, 2, 3, 11))]
    on_both(model, *[{"x": seeded(*x), "like": seeded(*like)} for x, like in shapes])


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("known", [True, False], ids=["known sizes", "unknown sizes"])
def test_resize_to_a_fixed_size(mode, known):
    sizes = "9, 12" if known else "H, W"
    model = parse(
        f"g (float[1, 2, {sizes}] x) => (float[1, 2, 5, 17] y) "
        f'{{ y = Resize<mode = "{mode}">(x, none, none, sizes) }}',
        none=np.zeros(0, np.float32),
        sizes=np.array([1, 2, 5, 17], np.int64),
    )
    on_both(model, *images((1, 2, 9, 12)))


def test_resize_to_a_fixed_size_that_smooths():
    model = parse(
        "g (float[1, 2, H, W] x) => (float[1, 2, 5, 17] y) "
        '{ y = Resize<mode = "linear", antialias = 1>(x, , , sizes) }',
        opset=18,
        sizes=np.array([1, 2, 5, 17], np.int64),
    )
    on_both(model, *images((1, 2, 9, 12), (1, 2, 21, 6)))


def test_resize_by_the_last_axis_of_channels():
    model = parse(
        "g (float[N, H, W, 3] x) => (float[N, h, w, 3] y) "
        '{ y = Resize<mode = "linear">(x, none, scales) }',
        none=np.zeros(0, np.float32),
        scales=np.array([1, 2, 2, 1], np.float32),
    )
    on_both(model, *images((1, 5, 6, 3), (2, 7, 4, 3)))


@pytest.mark.parametrize("opset", [7, 9, 10])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample_and_the_first_resize(mode, opset):
    if opset == 7:
        text, weights = f'y = Upsample<mode = "{mode}", scales = [1.0, 1.0, 2.0, 3.0]>(x)', {}
    else:
        op = "Upsample" if opset == 9 else "Resize"
        text = f'y = {op}<mode = "{mode}">(x, scales)'
        weights = {"scales": np.array([1, 1, 2, 3], np.float32)}
    on_both(dynamic(text, opset=opset, **weights), *images(*SIZES[2]))


def test_resize_10_rounds_up_where_it_shrinks():
    model = dynamic(
        'y = Resize<mode = "nearest">(x, scales)',
        opset=10,
        scales=np.array([1, 1, 0.4, 0.7], np.float32),
    )
    on_both(model, *images(*SIZES[2]))


@pytest.mark.parametrize("fraction", [[2, 0.5]], ids=str)
def test_resize_of_integers_by_interpolation_is_refused_where_rounding_is_open(fraction):
    model = parse(
        "g (int32[N, 2, H, W] x) => (int32[N, 2, h, w] y) "
        '{ y = Resize<mode = "cubic">(x, none, scales) }',
        none=np.zeros(0, np.float32),
        scales=np.array([1, 1, *fraction], np.float32),
    )
    with pytest.raises(ConversionError, match="interpolates integers"):
        convert.onnx2tf(model, None)


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample(mode, padding, align):
    model = parse(
        "g (float[N, 2, H, W] x, float[N, P, Q, 2] grid) => (float[N, 2, P, Q] y) "
        f'{{ y = GridSample<mode = "{mode}", padding_mode = "{padding}", '
        f"align_corners = {align}>(x, grid) }}",
        opset=16,
    )
    shapes = [((1, 2, 5, 7), (1, 4, 6, 2)), ((3, 2, 6, 4), (3, 5, 3, 2))]
    on_both(model, *[{"x": seeded(*x), "grid": seeded(*g, seed=1)} for x, g in shapes])


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "output_half_pixel"])
def test_roi_align(coordinates, mode, ratio):
    model = parse(
        "g (float[N, 2, H, W] x, float[R, 4] rois, int64[R] batch) => (float[R, 2, 3, 2] y) "
        f'{{ y = RoiAlign<mode = "{mode}", sampling_ratio = {ratio}, output_height = 3, '
        f'output_width = 2, spatial_scale = 0.5, coordinate_transformation_mode = "{coordinates}">'
        "(x, rois, batch) }",
        opset=16,
    )
    rois = np.array([[0, 0, 9, 13], [3, 2, 6, 5], [-4, 3, 40, 12.5], [5, 5, 5.5, 5.5]], np.float32)
    batch = np.array([0, 1, 1, 0], np.int64)
    on_both(
        model, *[{"x": seeded(2, 2, *s), "rois": rois, "batch": batch} for s in ((9, 8), (7, 12))]
    )


def test_deformed_convolution():
    model = parse(
        "g (float[N, 4, H, W] x, float[N, 36, P, Q] o, float[N, 18, P, Q] m) "
        "=> (float[N, 6, P, Q] y) "
        "{ y = DeformConv<group = 2, offset_group = 2, pads = [1, 1, 1, 1]>(x, w1, o, b1, m) }",
        opset=19,
        w1=seeded(6, 2, 3, 3, seed=1),
        b1=seeded(6, seed=2),
    )
    feeds = [
        {"x": seeded(n, 4, *s), "o": seeded(n, 36, *s, seed=1), "m": seeded(n, 18, *s, seed=3)}
        for n, s in ((1, (5, 6)), (2, (7, 4)))
    ]
    on_both(model, *feeds)


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_batch_normalisation(rank, opset):
    weights = {name: np.abs(seeded(2, seed=i)) + 0.1 for i, name in enumerate("sbmv")}
    model = dynamic("y = BatchNormalization(x, s, b, m, v)", rank=rank, opset=opset, **weights)
    on_both(model, *images(*SIZES[rank]))


@pytest.mark.parametrize("opset", [7, 13, 22])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_instance_normalisation(rank, opset):
    weights = {"s": seeded(2, seed=1), "b": seeded(2, seed=2)}
    model = dynamic("y = InstanceNormalization(x, s, b)", rank=rank, opset=opset, **weights)
    on_both(model, *images(*SIZES[rank]))


@pytest.mark.parametrize("opset", [18, 21])
def test_group_normalisation(opset):
    count = 2 if opset == 18 else 4
    model = dynamic(
        "y = GroupNormalization<num_groups = 2>(x, s, b)",
        channels=4,
        opset=opset,
        s=seeded(count, seed=1),
        b=seeded(count, seed=2),
    )
    on_both(model, *images((1, 4, 5, 6), (3, 4, 7, 4)))


@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_layer_normalisation(axis):
    shape = (5, 6)[axis % 3 - 1 :]
    model = parse(
        "g (float[N, 5, 6] x) => (float[N, 5, 6] y) "
        f"{{ y = LayerNormalization<axis = {axis}>(x, s, b) }}",
        opset=17,
        s=seeded(*shape, seed=1),
        b=seeded(*shape, seed=2),
    )
    on_both(model, *images((1, 5, 6), (3, 5, 6)))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_normalisation(size):
    model = dynamic(f"y = LRN<size = {size}, alpha = 0.5, bias = 2.0>(x)", channels=5)
    on_both(model, *images((1, 5, 3, 4), (3, 5, 4, 2)))


def test_local_response_normalisation_over_an_even_number_has_one_more_behind():
    """onnxruntime refuses even numbers."""
    model = dynamic("y = LRN<size = 2, alpha = 0.5, bias = 2.0, beta = 1.0>(x)", channels=3)
    data = seeded(2, 3, 4, 5)
    squares = np.pad(data**2, [(0, 0), (0, 1), (0, 0), (0, 0)])
    expected = data / (2 + 0.25 * (squares[:, :-1] + squares[:, 1:]))
    converted = convert.onnx2tf(model, None, verify=False)
    seen = convert.run_conversion(converted, {"x": data})
    compare({"y": expected}, seen, tolerance=1e-5).check()


def test_norms_of_zero_stay_zero():
    model = parse("g (float[N, 4] x) => (float[N, 4] y) { y = LpNormalization<p = 2>(x) }")
    on_both(model, {"x": np.array([[3, 4, 0, 0], [0, 0, 0, 0]], np.float32)})


def test_a_convolution_over_four_axes_is_refused():
    model = parse(
        "g (float[N, 2, 3, 3, 3, 3] x) => (float[N, 4, a, b, c, d] y) { y = Conv(x, w) }",
        w=seeded(4, 2, 1, 1, 1, 1),
    )
    with pytest.raises(ConversionError, match="works on 4 axes"):
        convert.onnx2tf(model, None)


def test_a_linear_resize_that_keeps_the_aspect_ratio_scales_both_axes_alike():
    model = dynamic(
        'y = Resize<mode = "linear", axes = [2, 3], keep_aspect_ratio_policy = "not_larger">'
        "(x, , , s)",
        opset=18,
        s=np.array([20, 30]),
    )
    on_both(model, *images((1, 2, 33, 50), (3, 2, 24, 18)))


def test_a_linear_resize_of_integers_is_exact_or_refused():
    text = 'y = Resize<mode = "linear">(x, , s)'
    for scale in (2.0, 0.5, 1.5):
        model = parse(
            f"g (uint8[N, 3, H, W] x) => (uint8 y) {{ {text} }}",
            s=np.array([1, 1, scale, 2], np.float32),
        )
        feeds = [
            {"x": np.random.default_rng(n).integers(0, 256, (n, 3, 7, 10)).astype(np.uint8)}
            for n in (1, 3)
        ]
        if scale == 1.5:
            with pytest.raises(ConversionError, match="interpolates integers"):
                convert.onnx2tf(model, None)
        else:
            on_both(model, *feeds)
