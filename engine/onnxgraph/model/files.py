"""Read and write ONNX files.

Every model that is read is checked. The same model is always written as the same bytes, with the
lowest IR version that its opset allows, so that old readers accept it. Nobody sees a half-written
file.
"""

import filecmp
import glob
import itertools
import os
import shutil
import stat
import textwrap
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper

from graphcore.atomic_files import flush, replacing
from graphcore.copies import copy_of
from graphcore.errors import GraphError
from graphcore.writing import writing
from onnxgraph.model import external, lazy_load
from onnxgraph.model.validity import check, messages
from onnxgraph.model.weightless import LARGE

_UNREADABLE = (
    onnx.checker.ValidationError,
    OSError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Errors of reading weights from other files."""


def load(
    path: str | Path, *, keep_external: bool = False, leave_weights: bool = False
) -> onnx.ModelProto:
    """Return the model in an ONNX file, checked, together with its weights in other files.

    Those must be regular files in the model's folder or below it.

    Args:
        path: the file.
        keep_external: leave large weights in their files. Models of any size can then be edited and
            run without holding the weights. The files must stay where they are.
        leave_weights: leave large weights in the model's own file, too, and read each on demand.
            This is for work that is done at once, because a file that changes meanwhile is refused.

    Raises:
        GraphError: the file does not exist, is cut short or is not ONNX, its weights are not in the
            places that it states, or its graph is not valid.
    """
    path = Path(path)
    found = lazy_load.read(path) if leave_weights else None
    model, left = found or (_parsed(path), {})
    if not model.HasField("graph") or not model.opset_import:
        raise GraphError(
            f"{path} was expected to hold an ONNX model, but holds no graph with an opset. Check "
            "that the file is the right one and that the copy is complete."
        )
    _read_external_weights(model, path, keep=keep_external)
    for index, (offset, length) in left.items():
        external.leave(model.graph.initializer[index], path, offset, length)
    return check(model, subject=str(path))


def _parsed(path: Path) -> onnx.ModelProto:
    content = _content(path)
    try:
        return onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise GraphError(
            f"{path} is not an ONNX file, or it was cut short ({len(content)} bytes). "
            "Write it again with the program that made it."
        ) from error


def _content(path: Path) -> bytes:
    try:
        kind = path.stat().st_mode
        if stat.S_ISREG(kind):  # opening anything else may block forever
            return path.read_bytes()
    except FileNotFoundError as error:
        raise GraphError(f"{path} cannot be read: there is no file {path.name}.") from error
    except (OSError, ValueError) as error:  # ValueError means an impossible name
        raise GraphError(f"{path} cannot be read: {_reason(error)}.") from error
    what = "a folder" if stat.S_ISDIR(kind) else "not a regular file"
    raise GraphError(f"{path} is {what}. Give the path of the .onnx file itself.")


def _read_external_weights(model: onnx.ModelProto, path: Path, *, keep: bool) -> None:
    """Read the weights from other files into the model, except large ones that are kept there."""
    tensors = [each for each in messages(model) if isinstance(each, onnx.TensorProto)]
    outside = [each for each in tensors if each.data_location == onnx.TensorProto.EXTERNAL]
    try:
        for tensor in outside:
            external.forget_folder(tensor)
        if keep:
            external.keep(model, path.parent, above=LARGE)
        for tensor in outside:
            if not external.is_kept(tensor):
                external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
    except GraphError:
        raise
    except _UNREADABLE as error:
        raise GraphError(
            f"{path} keeps weights in another file, which cannot be read: {_reason(error)}. Copy "
            "the files of the model together, as they were written, into one folder."
        ) from error


def _reason(error: Exception) -> str:
    """Return the text of an error as one line."""
    said = (isinstance(error, OSError) and error.strerror) or str(error)
    return textwrap.shorten(said, 300, placeholder=" …").rstrip(".")


def save(model: onnx.ModelProto, path: str | Path) -> Path:
    """Write the model after checking it, and return the path. The same model gives the same bytes.

    Weights in files of the path's folder stay there. All others that are in files, and large
    weights of a model above 2 GB, are written to a file beside it, whose name ends in `.data`. A
    process that is killed meanwhile leaves the old model or the new one, each with its own weights.

    Raises:
        GraphError: the model is not valid, the path is a folder, or the file cannot be written. A
            file that existed before is not changed.
    """
    path = Path(path)
    if path.is_dir():
        raise GraphError(f"{path} is a folder. Give the path of the .onnx file to write.")
    written = copy_of(model)
    written.ir_version = lowest_ir_version(model)
    check(written, subject=f"What was to be written to {path}")
    data = path.with_name(f".{path.name}.{os.getpid()}.data")
    with writing(path, error=GraphError):
        try:
            if external.placed_for(written, path, data):
                _replace_both(written, path, data)
            else:
                _replace(written, path)
        finally:
            data.unlink(missing_ok=True)
    return path


def _replace(model: onnx.ModelProto, path: Path) -> None:
    """Write the message in the place of `path`."""
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def _replace_both(model: onnx.ModelProto, path: Path, data: Path) -> None:
    """Put the model and its weights, which were written to `data`, in the place of older ones.

    No file that the model on disk reads is replaced, so this may be interrupted at any point. The
    new model first reads its weights under a temporary name, then under the usual one.
    """
    usual = path.with_name(f"{path.name}.data")
    if path.exists() and not (usual.exists() and filecmp.cmp(data, usual, shallow=False)):
        names = (usual.with_name(f"{usual.name}.new{number}") for number in itertools.count(1))
        own = next(name for name in names if not name.exists())
        _put(data, own)
        external.move(model, usual.name, own.name)
        _replace(model, path)
        usual.unlink(missing_ok=True)
        shutil.copyfile(own, data)  # ONNX refuses weights in a file that has a second name
        external.move(model, own.name, usual.name)
    _put(data, usual)
    _replace(model, path)
    read = external.files_beside(model, path.parent)
    for spare in path.parent.glob(f"{glob.escape(usual.name)}.new*"):
        if spare.resolve() not in read:
            spare.unlink()


def _put(data: Path, place: Path) -> None:
    """Give a complete file of weights its name."""
    flush(data)
    os.replace(data, place)
    flush(place.parent)


def lowest_ir_version(model: onnx.ModelProto) -> int:
    """Return the lowest IR version that can hold the model.

    Up to IR version 3 every initializer had to be listed as an input as well. Functions came with
    IR version 8.
    """
    lowest = onnx.helper.find_min_ir_version_for(model.opset_import, ignore_unknown=True)
    listed = {value.name for value in model.graph.input}
    if any(tensor.name not in listed for tensor in model.graph.initializer):
        lowest = max(lowest, 4)
    return max(lowest, 8) if model.functions else lowest
