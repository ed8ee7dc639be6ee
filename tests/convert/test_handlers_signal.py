"""Fourier transforms, windows, losses and n-grams against onnxruntime."""

import numpy as np
import pytest

from graphcore.errors import ConversionError
from graphcore.parity import compare
from nbhelpers import convert
from tests.convert.agreement import agree
from tests.convert.models import parse, seeded

INEXACT = 2e-4
"""How far onnxruntime's long transforms are from numpy's; ours are within 1e-6."""


TRANSFORMS = {
    "real": (1, ""),
    "complex": (2, ""),
    "one-sided": (1, "onesided = 1"),
    "inverse": (2, "inverse = 1"),
}


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("length", ["", "12", "5"])
@pytest.mark.parametrize("dims", ["N, 8, 9", "N, A, B", "N, 200, 150"], ids=str)
@pytest.mark.parametrize("case", TRANSFORMS.values(), ids=TRANSFORMS)
def test_fourier_transform(case, dims, length, axis):
    parts, options = case
    attributes = ", ".join(filter(None, [f"axis = {axis}", options]))
    model = parse(
        f"g (float[{dims}, {parts}] x) => (float[N, a, b, c] y) "
        f"{{ y = DFT<{attributes}>({'x, n' if length else 'x'}) }}",
        opset=17,
        **({"n": np.int64(length)} if length else {}),
    )
    sizes = [(200, 150)] * 2 if "200" in dims else [(8, 9)] * 2 if "8" in dims else [(6, 7), (5, 4)]
    feeds = [{"x": seeded(b, *s, parts)} for b, s in zip((1, 3), sizes, strict=True)]
    agree(model, *feeds, tolerance=INEXACT if "200" in dims else 1e-5)


def test_long_transforms_are_as_exact_as_numpy():
    model = parse(
        "g (float[N, 1000, 1] x) => (float[N, a, b] y) { y = DFT<axis = 1>(x) }", opset=17
    )
    x = seeded(2, 1000, 1)
    y = convert.run_conversion(convert.onnx2tf(model, None, verify=False), {"x": x})["y"]
    expected = np.fft.fft(x[..., 0])
    compare({"y": np.stack([expected.real, expected.imag], -1)}, {"y": y}, tolerance=1e-6).check()


def test_inverse_of_half_a_spectrum():
    """onnxruntime lacks it: numpy is the reference."""
    for dims in ("N, 9", "N, A"):
        model = parse(
            f"g (float[{dims}, 2] x) => (float[N, b, 1] y) "
            "{ y = DFT<inverse = 1, onesided = 1>(x, n, axis) }",
            opset=20,
            n=np.int64(15),
            axis=np.int64(1),
        )
        x = seeded(2, 9, 2)
        y = convert.run_conversion(convert.onnx2tf(model, None, verify=False), {"x": x})["y"]
        expected = np.fft.irfft(x[..., 0] + 1j * x[..., 1], 15)[..., None]
        np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("size", [16, 300])
def test_short_time_fourier_transform_of_any_signal(size, onesided):
    model = parse(
        "g (float[N, L, 1] x) => (float[N, f, b, 2] y) "
        f"{{ y = STFT<onesided = {onesided}>(x, step, window) }}",
        opset=17,
        step=np.int64(size // 4),
        window=np.hanning(size).astype(np.float32),
    )
    feeds = {"x": seeded(2, 1000, 1)}, {"x": seeded(1, 777, 1)}
    agree(model, *feeds, tolerance=INEXACT if size > 128 else 1e-5)


@pytest.mark.parametrize("kind", ["Hann", "Hamming", "Blackman"])
@pytest.mark.parametrize("options", ["", "<periodic = 0>", "<output_datatype = 11>"])
def test_windows(kind, options):
    dtype = "double" if "11" in options else "float"
    model = parse(
        f"g ({dtype}[N, 10] x) => ({dtype}[N, 10] y) "
        f"{{ w = {kind}Window{options}(n) y = Mul(x, w) }}",
        opset=17,
        n=np.int64(10),
    )
    agree(model, {"x": seeded(2, 10, dtype=np.float64 if dtype == "double" else np.float32)})


def test_mel_bands():
    numbers = {"bands": 8, "size": 64, "rate": 16000}
    model = parse(
        "g (float[N, 33] x) => (float[N, 8] y) "
        "{ m = MelWeightMatrix(bands, size, rate, low, high) y = MatMul(x, m) }",
        opset=17,
        **{name: np.int64(value) for name, value in numbers.items()},
        low=np.float32(20),
        high=np.float32(7000),
    )
    agree(model, {"x": seeded(2, 33)}, {"x": seeded(1, 33)})


LOSSES = [
    f"{op}<{', '.join(filter(None, [ignore, f'reduction = {quoted}']))}>"
    for op in ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
    for ignore in ("", "ignore_index = 1", "ignore_index = -100")
    for quoted in ('"none"', '"sum"', '"mean"')
]


@pytest.mark.parametrize("weights", ["", ", w"], ids=["alike", "weighted"])
@pytest.mark.parametrize("text", LOSSES)
def test_losses_of_any_size(text, weights):
    kind = "float[N, H, W]" if "none" in text else "float"
    model = parse(
        f"g (float[N, 4, H, W] x, int64[N, H, W] t) => ({kind} y) {{ y = {text}(x, t{weights}) }}",
        opset=13,
        **({"w": np.abs(seeded(4, seed=3))} if weights else {}),
    )
    feeds = []
    for shape in ((1, 3, 2), (3, 2, 5)):
        target = np.random.default_rng(0).integers(0, 4, shape)
        if "-100" in text:
            target[0, 0, 0] = -100
        feeds.append({"x": seeded(shape[0], 4, *shape[1:]), "t": target})
    agree(model, *feeds)


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize("skips", [0, 2])
def test_n_grams(mode, skips):
    model = parse(
        "g (int64[N, L] x) => (float[N, 6] y) { y = TfIdfVectorizer<"
        f'mode = "{mode}", min_gram_length = 1, max_gram_length = 2, max_skip_count = {skips}, '
        "ngram_counts = [0, 2], ngram_indexes = [0, 2, 5, 3, 1], weights = [1.0, 0.5, 2.0, 3.0, "
        "0.25], pool_int64s = [2, 3, 5, 4, 5, 6, 7, 8]>(x) }"
    )
    integers = np.random.default_rng(0).integers
    agree(model, {"x": integers(2, 9, (1, 12))}, {"x": integers(2, 9, (3, 20))})


def test_n_grams_of_words_in_integers_are_refused():
    model = parse(
        "g (int64[N, L] x) => (float[N, 1] y) { y = TfIdfVectorizer<"
        'mode = "TF", min_gram_length = 1, max_gram_length = 1, max_skip_count = 0, '
        'ngram_counts = [0], ngram_indexes = [0], pool_strings = ["a"]>(x) }'
    )
    with pytest.raises(ConversionError, match="has a pool of another kind than its input"):
        convert.onnx2tf(model, None, verify=False)


def test_computed_mel_bands_are_refused():
    model = parse(
        "g (int64 n) => (float[a, b] y) { y = MelWeightMatrix(n, n, n, low, low) }",
        opset=17,
        low=np.float32(20),
    )
    with pytest.raises(ConversionError, match=r"computes its parameters while it runs"):
        convert.onnx2tf(model, None, verify=False)


@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("dims", ["N, 40", "N, L", "N, L, 1"])
@pytest.mark.parametrize("inputs", ["x, step, window, size", "x, step, window", "x, step, , size"])
def test_frames_of_a_signal_with_and_without_an_axis_for_its_parts(inputs, dims, onesided):
    weights = {"step": np.int64(5), "window": np.hanning(15).astype("f"), "size": np.int64(15)}
    used = {name: weights[name] for name in weights if name in inputs}
    model = parse(
        f"g (float[{dims}] x) => (float[N, F, B, 2] y) "
        f"{{ y = STFT<onesided = {onesided}>({inputs}) }}",
        opset=17,
        **used,
    )
    converted = convert.onnx2tf(model, None, verify=False)
    for batch, length in ((2, 40), *([(1, 33)] if "L" in dims else [])):
        x = seeded(batch, length, seed=length)
        frames = np.stack([x[:, at : at + 15] for at in range(0, length - 14, 5)], 1)
        frames = frames * (weights["window"] if "window" in used else 1)
        spectrum = (np.fft.rfft if onesided else np.fft.fft)(frames)
        wanted = np.stack([spectrum.real, spectrum.imag], -1).astype("f")
        fed = x[..., None] if dims.endswith("1") else x
        seen = convert.run_conversion(converted, {"x": fed})
        compare({"y": wanted}, seen, tolerance=1e-5).check()
