"""The latency of some networks where TensorFlow computes without oneDNN."""

import latency

NETWORKS = ("resnet50", "resnext50", "mobilenet_v2", "shufflenet_v2")
"""Networks with plain, grouped and depthwise convolutions, and many small ops between them."""


def measure(name):
    """Measure one network at every batch size."""
    latency.measure(name, onednn=False)
