"""Read and write ONNX files.

What is read has passed ONNX's own checker; what is written has the same bytes for the same model,
the lowest IR version that its opset allows (so that old readers take it), and is never seen half-
written.
"""

import os
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from nbhelpers.errors import GraphError

_SERIALISED_LIMIT = 2**31 - 1
"""Protobuf cannot hold more bytes than this in one message."""


def load(path: str | Path) -> onnx.ModelProto:
    """Return the model in an ONNX file, after checking it.

    Raises:
        GraphError: there is no such file, it is cut short, it is not ONNX, or its graph is not
            valid.
    """
    path = Path(path)
    try:
        model = onnx.load(path)
    except FileNotFoundError as error:
        missing = Path(error.filename or path).name
        raise GraphError(f"{path} cannot be read: there is no file {missing}.") from error
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise GraphError(
            f"{path} is not an ONNX file, or it was cut short ({path.stat().st_size} bytes); "
            "write it again with the program that made it."
        ) from error
    if not model.HasField("graph") or not model.opset_import:
        raise GraphError(
            f"{path} was expected to hold an ONNX model, but holds no graph with an opset; check "
            "that the file is the right one and that it was copied whole."
        )
    check(model, subject=str(path))
    return model


def check(model: onnx.ModelProto, *, subject: str = "The model") -> onnx.ModelProto:
    """Return the model if ONNX's checker accepts it.

    Raises:
        GraphError: it does not; the sentence holds the checker's first line.
    """
    if model.ByteSize() > _SERIALISED_LIMIT:  # the checker would have to serialise it
        raise GraphError(f"{subject} holds more than 2 GB, which one ONNX message cannot.")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().splitlines()[0]
        raise GraphError(f"{subject} is not a valid ONNX model: {reason}") from error
    return model


def save(model: onnx.ModelProto, path: str | Path) -> Path:
    """Write the model, checked, and return the path; the same model gives the same bytes.

    Raises:
        GraphError: the model is not valid.
        OSError: the file cannot be written; a file that was there before is left as it was.
    """
    path = Path(path)
    written = onnx.ModelProto()
    written.CopyFrom(model)
    written.ir_version = lowest_ir_version(model)
    check(written, subject=f"What was to be written to {path}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(written.SerializeToString(deterministic=True))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def lowest_ir_version(model: onnx.ModelProto) -> int:
    """Return the lowest IR version that can hold the model.

    Up to IR version 3 every initializer had to be listed as an input as well; functions came with
    8.
    """
    lowest = onnx.helper.find_min_ir_version_for(model.opset_import, ignore_unknown=True)
    listed = {value.name for value in model.graph.input}
    if any(tensor.name not in listed for tensor in model.graph.initializer):
        lowest = max(lowest, 4)
    return max(lowest, 8) if model.functions else lowest
