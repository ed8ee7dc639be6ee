"""ONNX ops that onnx-tf converts wrongly, wastefully or not at all.

Importing this package registers them as onnx-tf registers its own: a later handler for the same
ONNX op replaces the earlier one. Each gets the ONNX node and its inputs and returns its outputs.
"""

from nbhelpers.convert.handlers import pools, products, shapes
from nbhelpers.convert.handlers.registry import Tensors, knows

__all__ = ["Tensors", "knows", "pools", "products", "shapes"]
