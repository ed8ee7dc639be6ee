"""Operator sets by domain. Files call the set of ONNX itself "" or "ai.onnx"; here it is ""."""

import onnx


def domain(of: onnx.NodeProto | onnx.OperatorSetIdProto) -> str:
    """Return the domain of a node or of an operator set, "" for that of ONNX itself."""
    return "" if of.domain == "ai.onnx" else of.domain


def is_default(of: onnx.NodeProto | onnx.OperatorSetIdProto) -> bool:
    """Whether a node, or an operator set, is of ONNX's own domain."""
    return domain(of) == ""


def opsets(model: onnx.ModelProto) -> dict[str, int]:
    """Return domain to version of the operator sets that a model imports."""
    return {domain(entry): entry.version for entry in model.opset_import}
