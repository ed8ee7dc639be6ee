"""DFT: its axis was an attribute. Before opset 17 it becomes a product with a constant matrix."""

import numpy as np
from onnx import helper

from onnxgraph.lowering.node_rewriter import NodeRewriter, NotLowered


def axis_to_attribute(node: NodeRewriter) -> None:
    """DFT (20): write the axis as an attribute, because the older default was another axis."""
    axis = int(node.known(2, "axis").ravel()[0]) if node.input(2) else -2
    _check(node)
    axis = axis + node.rank() if axis < 0 else axis
    length = [node.input(1)] if node.input(1) else []
    node.give("DFT", node.input(0), *length, axis=axis, **node.attributes())


def as_matrix(node: NodeRewriter) -> None:
    """DFT (17): apply it to the identity to get its matrix.

    The length must be fixed.
    """
    _check(node)
    rank = node.rank()
    axis = node.attribute("axis", 1) % rank
    size, parts = node.size(axis), node.size(rank - 1)
    length = int(node.known(1, "length").ravel()[0]) if node.input(1) else size
    matrix = _matrix(node, size, parts, length)
    order = [n for n in range(rank - 1) if n != axis] + [axis, rank - 1]
    back = [order.index(n) for n in range(rank)]
    kept = [0] * (rank - 2)
    x = node.op("Transpose", node.input(0), perm=order)
    product = node.op("MatMul", node.op("Reshape", x, [*kept, size * parts]), matrix)
    result = node.op("Reshape", product, [*kept, matrix.shape[1] // 2, 2])
    node.give("Transpose", result, perm=back)


def _check(node: NodeRewriter) -> None:
    if node.attribute("inverse", 0) and node.attribute("onesided", 0):
        raise NotLowered("it is an inverse with onesided=1, which is exact only from opset 20 on")


def _matrix(node: NodeRewriter, size: int, parts: int, length: int) -> np.ndarray:
    """Return the matrix (size · parts) × (frequencies · 2). The parts are real and imaginary."""
    identity = np.eye(size * parts).reshape(-1, size, parts)
    signal = identity[..., 0] + (1j * identity[..., 1] if parts == 2 else 0)
    transform = np.fft.ifft if node.attribute("inverse", 0) else np.fft.fft
    spectrum = transform(signal, length, axis=1)
    if node.attribute("onesided", 0):
        spectrum = spectrum[:, : length // 2 + 1]
    both = np.stack([spectrum.real, spectrum.imag], axis=-1)
    dtype = helper.tensor_dtype_to_np_dtype(node.dtype() or 1)
    return both.reshape(size * parts, -1).astype(dtype)


RULES = {("DFT", 20): axis_to_attribute, ("DFT", 17): as_matrix}
