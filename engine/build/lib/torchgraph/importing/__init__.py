"""ONNX to PyTorch: a file becomes a module that trains, compared with onnxruntime before it is
handed out.

onnx2pytorch makes a module of each node; what it lacks or gets wrong is beside it (`functions`,
`resizing`), and shapes are computed as Python's own numbers (`sizes`), so that the batch
stays free.
"""
