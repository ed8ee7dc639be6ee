"""Compare two runs of a model layer by layer, and match ONNX tensors with their twins."""
