"""The steps of a drawn model: each adds an op, with attributes and tensors that fit it."""

from steps import control, elementwise, indexing, layers, quantisation, reductions, shapes
from steps.step import STEPS, Step, Unfit

__all__ = [
    "STEPS",
    "Step",
    "Unfit",
    "control",
    "elementwise",
    "indexing",
    "layers",
    "quantisation",
    "reductions",
    "shapes",
]
