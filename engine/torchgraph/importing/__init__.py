"""ONNX to PyTorch: a file becomes a trainable module, compared with onnxruntime before it is
returned.

onnx2pytorch makes a module of each node. Ops that it lacks or gets wrong are in `functions` and
`resizing`. Shapes are computed as Python's own numbers (`sizes`), so that the batch stays dynamic.
"""
