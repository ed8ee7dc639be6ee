"""Fourier transforms and the matrix of mel bands. ONNX defines the windows as functions.

A complex number is a last axis of two, as in ONNX. TensorFlow's own complex numbers are only used
inside.
"""

import numpy as np
import onnx
import tensorflow as tf

from tfgraph.handlers.registry import Node, constant, refusal, register
from tfgraph.handlers.sizes import Size, inferable, size_of, sizes_of, vector

LARGEST_MATRIX = 128
"""Signals of up to this many samples are transformed by a product with a matrix."""


@register("DFT")
def dft(
    node: Node, data: tf.Tensor, length: tf.Tensor | None = None, axis: tf.Tensor | None = None
) -> tf.Tensor:
    """Transform along an axis, which is an attribute up to opset 19 and may be computed."""
    place: Size = node.attrs.get("axis", 1) if node.since < 20 else -2
    place = place if axis is None else _number(axis)
    size: Size | None = None if length is None else _number(length)
    rank = data.shape.rank
    if isinstance(place, int):
        return _along(node, data, size, place % rank)
    inverted = node.attrs.get("inverse", 0) and node.attrs.get("onesided", 0) and size is None
    possible = [a for a in range(rank - 1) if not (inverted and data.shape[a] == 1)]
    return _along_one(node, data, size, tf.math.floormod(place, rank), possible)


def _along_one(
    node: Node, data: tf.Tensor, length: Size | None, chosen: tf.Tensor, axes: list[int]
) -> tf.Tensor:
    """Transform along the chosen axis, which is one of `axes`."""
    first, *others = axes
    if not others:
        return _along(node, data, length, first)
    return tf.compat.v1.cond(
        tf.equal(chosen, first),
        lambda: _along(node, data, length, first),
        lambda: _along_one(node, data, length, chosen, others),
    )


def _along(node: Node, data: tf.Tensor, length: Size | None, axis: int) -> tf.Tensor:
    order = list(range(data.shape.rank))
    order[axis], order[-2] = order[-2], order[axis]  # the same order moves it back
    last = axis == data.shape.rank - 2
    result = _transform(
        node,
        data if last else tf.transpose(data, order),
        length,
        inverse=bool(node.attrs.get("inverse", 0)),
        onesided=bool(node.attrs.get("onesided", 0)),
    )
    return result if last else tf.transpose(result, order)


@register("STFT")
def stft(
    node: Node,
    signal: tf.Tensor,
    step: tf.Tensor,
    window: tf.Tensor | None = None,
    length: tf.Tensor | None = None,
) -> tf.Tensor:
    """Transform frames of the signal, which one gather cuts out and the window weights.

    The signal is [batch, samples], as PyTorch writes it, or has a last axis for real or complex.
    """
    if signal.shape.rank == 2:
        signal = tf.expand_dims(signal, -1)
    total = size_of(signal, 1)
    if length is not None:
        size: Size = _number(length)
    else:
        size = total if window is None else size_of(window, 0)
    stride = _number(step)
    count = 1 + (total - size) // stride
    begins = tf.expand_dims(tf.range(count) * stride, 1)
    frames = tf.gather(signal, begins + tf.range(size), axis=1)
    if window is not None:
        frames = frames * tf.reshape(window, [-1, 1])
    onesided = bool(node.attrs.get("onesided", 1))
    return _transform(node, frames, None, inverse=False, onesided=onesided)


@register("MelWeightMatrix")
def mel_weight_matrix(
    node: Node,
    bands: tf.Tensor,
    length: tf.Tensor,
    rate: tf.Tensor,
    low: tf.Tensor,
    high: tf.Tensor,
) -> tf.Tensor:
    """Compute the matrix now, because its parameters do not change from run to run."""
    known = [constant(each) for each in (bands, length, rate, low, high)]
    values = [np.reshape(value, ()).item() for value in known if value is not None]
    if len(values) < len(known):
        raise refusal(
            node, "computes its parameters while it runs; make them constants of the model."
        )
    count, size, hertz, lowest, highest = values
    dtype = onnx.helper.tensor_dtype_to_np_dtype(node.attrs.get("output_datatype", 1))
    return tf.constant(_mel_bands(int(count), int(size), hertz, lowest, highest).astype(dtype))


def _transform(
    node: Node, data: tf.Tensor, length: Size | None, *, inverse: bool, onesided: bool
) -> tf.Tensor:
    """Transform the last axis but one. `length` crops or pads it."""
    if data.dtype not in (tf.float32, tf.float64):
        wide = _transform(
            node, tf.cast(data, tf.float32), length, inverse=inverse, onesided=onesided
        )
        return tf.cast(wide, data.dtype)
    parts = data.shape[-1]
    if parts is None:
        raise refusal(
            node,
            "does not say whether its input is real or complex; fix its last dim to 1 or 2 "
            "(onnxgraph.fix_dims for an input).",
        )
    if data.shape[-2] is not None and (length is None or isinstance(length, int)):
        size = max(data.shape[-2], length or 0)
        if size <= LARGEST_MATRIX:
            return _product(data, length, inverse=inverse, onesided=onesided)
    if inverse and onesided:
        if length is None:
            length = 2 * (size_of(data, -2) - 1)
        values = tf.complex(data[..., 0], data[..., 1])
        return tf.expand_dims(tf.signal.irfft(values, [length]), -1)
    if length is not None:
        data = _fitted(data, length)
    if onesided and parts == 1:
        return _parts(tf.signal.rfft(data[..., 0], [size_of(data, -2)]))
    imaginary = tf.zeros_like(data[..., 0]) if parts == 1 else data[..., 1]
    values = tf.complex(data[..., 0], imaginary)
    result = tf.signal.ifft(values) if inverse else tf.signal.fft(values)
    if onesided:
        result = result[..., : size_of(data, -2) // 2 + 1]
    return _parts(result)


def _product(data: tf.Tensor, length: int | None, *, inverse: bool, onesided: bool) -> tf.Tensor:
    """Transform short signals by one product, in float64 to keep the error of cancellation small.

    numpy computes the matrix, from signals that are zero except for one number.
    """
    *lead, size, parts = sizes_of(data)
    basis = np.eye(size * parts).reshape(-1, size, parts)
    basis = basis[..., 0] if parts == 1 else basis[..., 0] + 1j * basis[..., 1]
    if inverse and onesided:
        result = np.fft.irfft(basis, length)[..., None]
    else:
        values = (np.fft.ifft if inverse else np.fft.fft)(basis, length)
        if onesided:
            values = values[:, : values.shape[1] // 2 + 1]
        result = np.stack([values.real, values.imag], -1)
    matrix = tf.constant(result.reshape(size * parts, -1))
    rows = tf.reshape(tf.cast(data, tf.float64), [-1, size * parts])
    shape = inferable([*lead, *result.shape[1:]])
    return tf.cast(tf.reshape(rows @ matrix, vector(shape)), data.dtype)


def _parts(values: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.math.real(values), tf.math.imag(values)], -1)


def _fitted(data: tf.Tensor, length: Size) -> tf.Tensor:
    """Crop the last axis but one, or pad it with zeros, to `length`."""
    size = size_of(data, -2)
    if isinstance(size, int) and isinstance(length, int):
        missing: Size = max(length - size, 0)
    else:
        missing = tf.maximum(length - size, 0)
    if not (isinstance(missing, int) and missing == 0):
        data = tf.pad(data, [[0, 0]] * (data.shape.rank - 2) + [[0, missing], [0, 0]])
    return data[..., :length, :]


def _number(value: tf.Tensor) -> Size:
    known = constant(value)
    if known is None:
        return tf.cast(tf.reshape(value, []), tf.int32)
    return int(np.reshape(known, ()))


def _mel_bands(count: int, size: int, rate: float, low: float, high: float) -> np.ndarray:
    """Return triangular filters over the bins of a one-sided spectrum, as ONNX defines them."""
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (low, high))
    mels = lowest + np.arange(count + 2) * (highest - lowest) / (count + 2)
    edges = ((size + 1) * (700 * (10 ** (mels / 2595) - 1)) // rate).astype(int)
    bins = np.arange(size // 2 + 1)
    result = np.zeros((len(bins), count))
    for band in range(count):
        left, centre, right = edges[band : band + 3]
        rising, falling = (bins >= left) & (bins <= centre), (bins >= centre) & (bins < right)
        if centre == left:
            result[centre, band] = 1
        else:
            result[rising, band] = (bins[rising] - left) / (centre - left)
        if right > centre:
            result[falling, band] = (right - bins[falling]) / (right - centre)
    return result
