"""The PyTorch module that an ONNX node comes from, as noted by both exporters of PyTorch."""

import ast

import onnx

_SCOPES = "pkg.torch.onnx.name_scopes"


def module_path(node: onnx.NodeProto) -> str:
    """Return the path of the module, such as "layer1.0.conv1", or "" for the whole or if unknown.

    The tracing exporter writes it into the node's name, the dynamo exporter into its metadata:
    `['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d_3']`.
    """
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            return ast.literal_eval(entry.value)[-2]
    return torch_module(node.name)


def has_scopes(model: onnx.ModelProto) -> bool:
    """Whether the dynamo exporter made the model, so that its nodes have scopes as metadata."""
    return any(entry.key == _SCOPES for node in model.graph.node for entry in node.metadata_props)


def torch_module(node_name: str) -> str:
    """Return the module path in a node name of PyTorch's tracing exporter.

    `/layer1/layer1.0/conv1/Conv` is `layer1.0.conv1`: each part is a scope, and a child of a
    container repeats the container's name.
    """
    parts = node_name.strip("/").split("/")[:-1] if node_name.startswith("/") else []
    path: list[str] = []
    for part in parts:
        if path and part.startswith(path[-1] + "."):
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)
