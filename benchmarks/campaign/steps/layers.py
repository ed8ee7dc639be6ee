"""Layers of networks: convolutions, pools, normalisations, products, resizing, recurrence."""

import numpy as np
from hypothesis import strategies as st

from steps.step import Unfit, pick, step

DTYPES = ("float32", "float32", "float16")


def _weights(draw, sketch, shape, dtype, *, positive=False):
    random = np.random.default_rng(draw(st.integers(0, 99)))
    values = random.uniform(0.5, 1, shape) if positive else random.normal(size=shape) / 2
    return sketch.weight(values.astype(dtype))


def _spatial(t) -> bool:
    """Whether channels are a number, and fixed sizes are large enough for small windows."""
    sizes = [dim for dim in t.shape[2:] if isinstance(dim, int)]
    return isinstance(t.shape[1], int) and t.shape[1] > 0 and all(3 <= d < 20 for d in sizes)


def _picture(draw, sketch, *, dtypes=DTYPES):
    return pick(draw, sketch, dtypes, least=3, most=5, where=_spatial)


def _windows(draw, x, sizes=(1, 2, 3)):
    """Draw kernel, strides, dilations and pads. An axis of symbolic size keeps its size."""
    kernel, strides, dilations, begin, end, shape = [], [], [], [], [], []
    for dim in x.shape[2:]:
        if isinstance(dim, str):
            k, s, d, b, e, size = 3, 1, 1, 1, 1, dim
        else:
            k, s = draw(st.sampled_from(sizes)), draw(st.sampled_from((1, 2)))
            d = draw(st.sampled_from((1, 2) if k < 3 or dim > 4 else (1,)))
            b, e = draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))
            size = (dim + b + e - (k - 1) * d - 1) // s + 1
        for put, value in ((kernel, k), (strides, s), (dilations, d), (begin, b), (end, e)):
            put.append(value)
        shape.append(size)
    if any(isinstance(size, int) and size < 1 for size in shape):
        raise Unfit
    return {
        "kernel_shape": kernel,
        "strides": strides,
        "dilations": dilations,
        "pads": begin + end,
    }, tuple(shape)


@step("Conv", 11)
@step("Conv", 1)
def conv(draw, sketch):
    """Add a Conv with any groups, strides, dilations and pads.

    It may have a bias, and an activation may follow it.
    """
    x = _picture(draw, sketch)
    attributes, spatial = _windows(draw, x)
    channels = x.shape[1]
    group = draw(st.sampled_from([g for g in (1, 2, channels) if channels % g == 0]))
    out = group * draw(st.sampled_from((1, 2)))
    shape = (out, channels // group, *attributes["kernel_shape"])
    inputs = [x, _weights(draw, sketch, shape, x.dtype)]
    if draw(st.booleans()):
        inputs.append(_weights(draw, sketch, (out,), x.dtype))
    output = (x.dtype, (x.shape[0], out, *spatial), False)
    (made,) = sketch.node("Conv", inputs, output, group=group, **attributes)
    follow = draw(st.sampled_from(("", "Relu", "LeakyRelu", "Elu", "Tanh", "Sigmoid")))
    if follow:
        sketch.node(follow, [made], output)


@step("ConvTranspose", 11)
def conv_transpose(draw, sketch):
    """Add a ConvTranspose with groups, strides and output padding."""
    x = pick(draw, sketch, ("float32",), least=3, most=5, where=_spatial)
    if any(isinstance(dim, str) for dim in x.shape[2:]):
        raise Unfit
    kernel, strides, begin, end, extra, shape = [], [], [], [], [], []
    for dim in x.shape[2:]:
        k, s = draw(st.sampled_from((1, 2, 3))), draw(st.sampled_from((1, 2)))
        b, e = draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))
        o = draw(st.integers(0, s - 1))
        for put, value in ((kernel, k), (strides, s), (begin, b), (end, e), (extra, o)):
            put.append(value)
        shape.append((dim - 1) * s + k - b - e + o)
    group = draw(st.sampled_from([g for g in (1, 2) if x.shape[1] % g == 0]))
    out = draw(st.sampled_from((1, 2)))
    weights = _weights(draw, sketch, (x.shape[1], out, *kernel), x.dtype)
    output = (x.dtype, (x.shape[0], out * group, *shape), False)
    sketch.node("ConvTranspose", [x, weights], output, group=group, kernel_shape=kernel,
                strides=strides, pads=begin + end, output_padding=extra)  # fmt: skip


@step("MaxPool", 10)
@step("AveragePool", 19)
@step("LpPool", 18)
def pool(draw, sketch):
    """Add a pool whose windows overlap the border. The padding is counted or not."""
    x = _picture(draw, sketch, dtypes=("float32",))
    ops = ("MaxPool", "AveragePool" if sketch.opset >= 19 else "MaxPool")
    op = draw(st.sampled_from(ops))
    attributes, spatial = _windows(draw, x, sizes=(2, 3))
    if op == "AveragePool":
        attributes["count_include_pad"] = draw(st.sampled_from((0, 1)))
    shape = (*x.shape[:2], *spatial)
    sketch.node(op, [x], (x.dtype, shape, x.exact and op == "MaxPool"), **attributes)


@step("GlobalAveragePool")
@step("GlobalMaxPool")
def global_pool(draw, sketch):
    """Add a pool over every spatial axis."""
    x = pick(draw, sketch, ("float32",), least=3)
    op = draw(st.sampled_from(("GlobalAveragePool", "GlobalMaxPool")))
    shape = (*x.shape[:2], *(1 for _ in x.shape[2:]))
    sketch.node(op, [x], (x.dtype, shape, x.exact and op == "GlobalMaxPool"))


@step("BatchNormalization", 9)
@step("InstanceNormalization", 6)
def norm(draw, sketch):
    """Add a normalisation by stored statistics, or by those of each instance."""
    x = pick(draw, sketch, ("float32",), least=2,
             where=lambda t: isinstance(t.shape[1], int) and t.shape[1] > 0)  # fmt: skip
    count = (x.shape[1],)
    inputs = [x, *(_weights(draw, sketch, count, x.dtype) for _ in range(2))]
    if x.rank < 3 or draw(st.booleans()):
        inputs.append(_weights(draw, sketch, count, x.dtype))
        inputs.append(_weights(draw, sketch, count, x.dtype, positive=True))
        sketch.node("BatchNormalization", inputs, (x.dtype, x.shape, False), epsilon=1e-3)
    else:
        sketch.node("InstanceNormalization", inputs, (x.dtype, x.shape, False), epsilon=1e-2)


@step("LayerNormalization", 17)
def layer_norm(draw, sketch):
    """Add a LayerNormalization over the axes from 1 on."""
    x = pick(draw, sketch, ("float32", "float16"), least=2,
             where=lambda t: isinstance(t.shape[-1], int) and t.shape[-1] > 1)  # fmt: skip
    inputs = [x, _weights(draw, sketch, x.shape[-1:], x.dtype)]
    sketch.node("LayerNormalization", inputs, (x.dtype, x.shape, False), axis=-1, epsilon=1e-2)


@step("LRN")
def lrn(draw, sketch):
    """Add an LRN across an odd number of channels.

    Neither referee is right about an even number.

    onnxruntime has no kernel for it, and onnx's evaluator sums for the first channels only.
    """
    x = pick(draw, sketch, ("float32",), least=4, most=4)
    size = draw(st.sampled_from((1, 3, 5)))
    sketch.node("LRN", [x], (x.dtype, x.shape, False), size=size, alpha=0.1)


@step("MatMul", 9)
def matmul(draw, sketch):
    """Add a MatMul with a matrix of weights, or of two tensors."""
    x = pick(draw, sketch, ("float32", "float64", "float16", "int32"), least=2,
             where=lambda t: isinstance(t.shape[-1], int) and t.shape[-1] > 0)  # fmt: skip
    if x.dtype == "int32":
        weights = sketch.weight(np.resize([1, -2, 3], (x.shape[-1], 2)).astype(np.int32))
    else:
        weights = _weights(draw, sketch, (x.shape[-1], 2), x.dtype)
    exact = x.exact and x.dtype == "int32"
    (made,) = sketch.node("MatMul", [x, weights], (x.dtype, (*x.shape[:-1], 2), exact))
    if draw(st.booleans()) and x.dtype == "float32":
        bias = _weights(draw, sketch, (2,), x.dtype)
        sketch.node("Add", [made, bias], (x.dtype, made.shape, False))


@step("MatMul", 9)
def self_product(draw, sketch):
    """Add a MatMul of a tensor and its transpose, as in attention."""
    x = pick(draw, sketch, ("float32",), least=2)
    perm = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
    turned = (*x.shape[:-2], x.shape[-1], x.shape[-2])
    (other,) = sketch.node("Transpose", [x], (x.dtype, turned, x.exact), perm=perm)
    sketch.node("MatMul", [x, other], (x.dtype, (*x.shape[:-1], x.shape[-2]), False))


@step("Gemm", 11)
def gemm(draw, sketch):
    """Add a Gemm, with either side transposed, with factors, and with or without C."""
    x = pick(draw, sketch, ("float32",), least=2, most=2,
             where=lambda t: isinstance(t.shape[1], int) and t.shape[1] > 0)  # fmt: skip
    turned = draw(st.sampled_from((0, 1)))
    shape = (3, x.shape[1]) if turned else (x.shape[1], 3)
    inputs = [x, _weights(draw, sketch, shape, x.dtype)]
    if draw(st.booleans()):
        inputs.append(_weights(draw, sketch, draw(st.sampled_from(((), (3,), (1, 3)))), x.dtype))
    scale = {
        "alpha": draw(st.sampled_from((1.0, 0.5, 0.0))),
        "beta": draw(st.sampled_from((1.0, 2.0))),
    }
    sketch.node("Gemm", inputs, (x.dtype, (x.shape[0], 3), False), transB=turned, **scale)


@step("Resize", 13)
def resize(draw, sketch):
    """Add a Resize by scales, in any mode."""
    x = pick(draw, sketch, ("float32",), least=4, most=4,
             where=lambda t: all(isinstance(d, int) and d > 1 for d in t.shape[2:]))  # fmt: skip
    mode = draw(st.sampled_from(("nearest", "linear", "cubic")))
    coordinates = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
    attributes = {
        "mode": mode,
        "coordinate_transformation_mode": draw(st.sampled_from(coordinates)),
    }
    if mode == "nearest":
        modes = ("round_prefer_floor", "floor", "ceil", "round_prefer_ceil")
        attributes["nearest_mode"] = draw(st.sampled_from(modes))
    scales = [draw(st.sampled_from((2.0, 0.5, 1.0, 1.5))) for _ in x.shape[2:]]
    sizes = [int(np.floor(d * s)) for d, s in zip(x.shape[2:], scales, strict=True)]
    given = sketch.weight(np.array([1, 1, *scales], np.float32))
    output = (x.dtype, (*x.shape[:2], *sizes), x.exact and mode == "nearest")
    sketch.node("Resize", [x, "", given], output, **attributes)


@step("GridSample", 16)
def grid_sample(draw, sketch):
    """Add a GridSample whose grid goes outside the picture."""
    x = pick(draw, sketch, ("float32",), least=4, most=4, exact=True, where=_spatial)
    if not isinstance(x.shape[0], int):
        raise Unfit
    grid = np.random.default_rng(0).uniform(-1.4, 1.4, (x.shape[0], 3, 2, 2)).astype(np.float32)
    modes = ("bilinear", "nearest") if sketch.opset < 20 else ("linear", "nearest")
    sketch.node(
        "GridSample",
        [x, sketch.weight(grid)],
        (x.dtype, (*x.shape[:2], 3, 2), False),
        mode=draw(st.sampled_from(modes)),
        padding_mode=draw(st.sampled_from(("zeros", "border", "reflection"))),
        align_corners=draw(st.sampled_from((0, 1))),
    )


@step("LSTM", 14)
@step("GRU", 14)
@step("RNN", 14)
def recurrent(draw, sketch):
    """Add a recurrent layer in either direction, or in both."""
    x = pick(draw, sketch, ("float32",), least=3, most=3,
             where=lambda t: isinstance(t.shape[2], int) and t.shape[2] > 0)  # fmt: skip
    op = draw(st.sampled_from(("LSTM", "GRU", "RNN")))
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    direction = draw(st.sampled_from(("forward", "reverse", "bidirectional")))
    count = 2 if direction == "bidirectional" else 1
    shapes = ((count, gates * 3, x.shape[2]), (count, gates * 3, 3), (count, gates * 6))
    inputs = [x, *(_weights(draw, sketch, shape, x.dtype) for shape in shapes)]
    attributes = {"hidden_size": 3, "direction": direction}
    if op == "GRU":
        attributes["linear_before_reset"] = draw(st.sampled_from((0, 1)))
    states = (x.dtype, (count, x.shape[1], 3), False)
    outputs = [(x.dtype, (x.shape[0], count, x.shape[1], 3), False), states]
    sketch.node(op, inputs, *outputs, *([states] if op == "LSTM" else []), **attributes)


@step("Einsum", 12)
def einsum(draw, sketch):
    """Add an Einsum with sums and products over letters."""
    x = pick(draw, sketch, ("float32",), least=2, most=3)
    letters = "abc"[: x.rank]
    equation, shape = draw(
        st.sampled_from(
            [
                (f"{letters}->{letters[::-1]}", x.shape[::-1]),
                (f"{letters}->{letters[0]}", x.shape[:1]),
                (f"{letters},{letters}->{letters[0]}", x.shape[:1]),
                (f"{letters},z{letters[1:]}->{letters[0]}z", (x.shape[0], x.shape[0])),
            ]
        )
    )
    inputs = [x, x] if "," in equation else [x]
    sketch.node("Einsum", inputs, (x.dtype, shape, False), equation=equation)
