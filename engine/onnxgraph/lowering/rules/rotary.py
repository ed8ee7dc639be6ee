"""RotaryEmbedding (23): rotate pairs of features by an angle for each place in the sequence."""

import numpy as np

from onnxgraph.lowering.node_rewriter import NodeRewriter

END = 2**63 - 1


def rotary(node: NodeRewriter) -> None:
    """Rotate the data as ONNX defines it, in the order batch × sequence × heads × features."""
    x, heads_first = node.input(0), node.rank() == 4
    if heads_first:
        x = node.op("Transpose", x, perm=[0, 2, 1, 3])
    else:
        x = node.op("Reshape", x, [0, 0, node.attribute("num_heads"), -1])
    rotated = node.attribute("rotary_embedding_dim", 0)
    half = rotated // 2 or node.size(-1, 1)
    first = node.op("Slice", x, [0], [2 * half], [3])
    turned = _turned(node, first, half)
    if rotated:
        turned = node.op("Concat", turned, node.op("Slice", x, [rotated], [END], [3]), axis=3)
    if heads_first:
        return node.give("Transpose", turned, perm=[0, 2, 1, 3])
    return node.give("Reshape", turned, node.op("Shape", node.input(0)))


def _turned(node: NodeRewriter, x: str, half: int) -> str:
    """Return cos · a − sin · b and sin · a + cos · b, where the features are (a, b)."""
    cos, sin = (_angles(node, position) for position in (1, 2))
    interleaved = node.attribute("interleaved", 0)
    if interleaved:
        pairs = node.op("Reshape", x, [0, 0, 0, half, 2])
        a, b = (node.op("Gather", pairs, np.array(n), axis=4) for n in (0, 1))
    else:
        a, b = (node.op("Slice", x, [n * half], [(n + 1) * half], [3]) for n in (0, 1))
    real = node.op("Sub", node.op("Mul", cos, a), node.op("Mul", sin, b))
    imaginary = node.op("Add", node.op("Mul", sin, a), node.op("Mul", cos, b))
    if not interleaved:
        return node.op("Concat", real, imaginary, axis=3)
    pair = [node.op("Unsqueeze", part, [4]) for part in (real, imaginary)]
    return node.op("Reshape", node.op("Concat", *pair, axis=4), [0, 0, 0, 2 * half])


def _angles(node: NodeRewriter, position: int) -> str:
    cache = node.input(position)
    if node.input(3):
        cache = node.op("Gather", cache, node.input(3), axis=0)
    return node.op("Unsqueeze", cache, [2])


RULES = {("RotaryEmbedding", 23): rotary}
