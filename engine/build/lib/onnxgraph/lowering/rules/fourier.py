"""DFT: its axis was an attribute; before opset 17 it is a product with a constant matrix."""

import numpy as np
from onnx import helper

from onnxgraph.lowering.node_rewriter import Obstacle, Site


def axis_to_attribute(site: Site) -> None:
    """DFT (20): write the axis as an attribute; the default was another."""
    axis = int(site.known(2, "axis").ravel()[0]) if site.input(2) else -2
    _check(site)
    axis = axis + site.rank() if axis < 0 else axis
    length = [site.input(1)] if site.input(1) else []
    site.give("DFT", site.input(0), *length, axis=axis, **site.attributes())


def as_matrix(site: Site) -> None:
    """DFT (17): what it makes of the identity is its matrix; the length must be fixed."""
    _check(site)
    rank = site.rank()
    axis = site.attribute("axis", 1) % rank
    size, parts = site.size(axis), site.size(rank - 1)
    length = int(site.known(1, "length").ravel()[0]) if site.input(1) else size
    matrix = _matrix(site, size, parts, length)
    order = [n for n in range(rank - 1) if n != axis] + [axis, rank - 1]
    back = [order.index(n) for n in range(rank)]
    kept = [0] * (rank - 2)
    x = site.op("Transpose", site.input(0), perm=order)
    product = site.op("MatMul", site.op("Reshape", x, [*kept, size * parts]), matrix)
    result = site.op("Reshape", product, [*kept, matrix.shape[1] // 2, 2])
    site.give("Transpose", result, perm=back)


def _check(site: Site) -> None:
    if site.attribute("inverse", 0) and site.attribute("onesided", 0):
        raise Obstacle("it is an inverse with onesided=1, which is exact only from opset 20 on")


def _matrix(site: Site, size: int, parts: int, length: int) -> np.ndarray:
    """Return (size · parts) × (frequencies · 2), where a part is real or imaginary."""
    identity = np.eye(size * parts).reshape(-1, size, parts)
    signal = identity[..., 0] + (1j * identity[..., 1] if parts == 2 else 0)
    transform = np.fft.ifft if site.attribute("inverse", 0) else np.fft.fft
    spectrum = transform(signal, length, axis=1)
    if site.attribute("onesided", 0):
        spectrum = spectrum[:, : length // 2 + 1]
    both = np.stack([spectrum.real, spectrum.imag], axis=-1)
    dtype = helper.tensor_dtype_to_np_dtype(site.dtype() or 1)
    return both.reshape(size * parts, -1).astype(dtype)


RULES = {("DFT", 20): axis_to_attribute, ("DFT", 17): as_matrix}
