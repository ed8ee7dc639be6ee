"""Operator sets by domain.

Files call ONNX's own set "" or "ai.onnx". This package calls it "".
"""

import onnx


def domain(of: onnx.NodeProto | onnx.OperatorSetIdProto) -> str:
    """Return the domain of a node or of an operator set, which is "" for ONNX's own."""
    return "" if of.domain == "ai.onnx" else of.domain


def is_default(of: onnx.NodeProto | onnx.OperatorSetIdProto) -> bool:
    """Whether a node or an operator set belongs to ONNX's own domain."""
    return domain(of) == ""


def opsets(model: onnx.ModelProto) -> dict[str, int]:
    """Return domain to version of the operator sets that a model imports."""
    return {domain(entry): entry.version for entry in model.opset_import}
