"""Two runs of a model, layer by layer; ONNX tensors and their twins."""
