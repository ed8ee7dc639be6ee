"""RotaryEmbedding (23): pairs of features rotated by an angle for each place in the sequence."""

import numpy as np

from onnxgraph.lowering.node_rewriter import Site

END = 2**63 - 1


def rotary(site: Site) -> None:
    """Rotate, as ONNX defines it, in the order batch × sequence × heads × features."""
    x, heads_first = site.input(0), site.rank() == 4
    if heads_first:
        x = site.op("Transpose", x, perm=[0, 2, 1, 3])
    else:
        x = site.op("Reshape", x, [0, 0, site.attribute("num_heads"), -1])
    rotated = site.attribute("rotary_embedding_dim", 0)
    half = rotated // 2 or site.size(-1, 1)
    first = site.op("Slice", x, [0], [2 * half], [3])
    turned = _turned(site, first, half)
    if rotated:
        turned = site.op("Concat", turned, site.op("Slice", x, [rotated], [END], [3]), axis=3)
    if heads_first:
        return site.give("Transpose", turned, perm=[0, 2, 1, 3])
    return site.give("Reshape", turned, site.op("Shape", site.input(0)))


def _turned(site: Site, x: str, half: int) -> str:
    """Return cos · a − sin · b and sin · a + cos · b, where the features are (a, b)."""
    cos, sin = (_angles(site, position) for position in (1, 2))
    interleaved = site.attribute("interleaved", 0)
    if interleaved:
        pairs = site.op("Reshape", x, [0, 0, 0, half, 2])
        a, b = (site.op("Gather", pairs, np.array(n), axis=4) for n in (0, 1))
    else:
        a, b = (site.op("Slice", x, [n * half], [(n + 1) * half], [3]) for n in (0, 1))
    real = site.op("Sub", site.op("Mul", cos, a), site.op("Mul", sin, b))
    imaginary = site.op("Add", site.op("Mul", sin, a), site.op("Mul", cos, b))
    if not interleaved:
        return site.op("Concat", real, imaginary, axis=3)
    pair = [site.op("Unsqueeze", part, [4]) for part in (real, imaginary)]
    return site.op("Reshape", site.op("Concat", *pair, axis=4), [0, 0, 0, 2 * half])


def _angles(site: Site, position: int) -> str:
    cache = site.input(position)
    if site.input(3):
        cache = site.op("Gather", cache, site.input(3), axis=0)
    return site.op("Unsqueeze", cache, [2])


RULES = {("RotaryEmbedding", 23): rotary}
