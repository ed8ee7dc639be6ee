"""Weights that stay in files beside the model: the model holds their location, not their values.

So editing a model of any size needs only the memory for its nodes. In memory such a weight also
holds the folder of its file, under ONNX's own key `basepath`. A file on disk does not.
"""

import math
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from graphcore.copies import copy_of
from graphcore.errors import GraphError

_FOLDER = "basepath"

_STATE = "state"
"""The key under which a weight that is not read yet keeps the state of its file."""

_MESSAGE = 2**31 - (64 << 20)
"""The most bytes of weights in one message. Protobuf's limit is 2 GB, and nodes need some."""

_SMALL = 1024
"""Weights of fewer bytes are always written into the message."""

_ALIGNED = 64
"""In a file written here, each weight begins at a multiple of this."""


def keep(model: onnx.ModelProto, folder: Path, *, above: int) -> None:
    """Leave large initializers of the main graph in their files. Others are not changed.

    Args:
        model: a model that was just read. It is changed in place.
        folder: the folder it was read from.
        above: weights with more values than this are large.

    Raises:
        GraphError: a file is missing, too short, or outside the folder.
    """
    folder = folder.resolve()
    for tensor in model.graph.initializer:
        unfit = tensor.data_type in (TensorProto.STRING, TensorProto.UNDEFINED)
        unfit = unfit or min(tensor.dims, default=0) < 0
        if tensor.data_location != TensorProto.EXTERNAL or math.prod(tensor.dims) <= above or unfit:
            continue
        tensor.external_data.add(key=_FOLDER, value=str(folder))
        path, offset, length = place(tensor)
        if not path.resolve().is_relative_to(folder) or not path.is_file():
            raise GraphError(
                f"The weight {tensor.name!r} is in {path.name!r}, which is not a file in the "
                "model's folder. Copy the files of the model together into one folder."
            )
        wanted = nbytes(tensor)
        if length != wanted or not 0 <= offset <= path.stat().st_size - length:
            raise GraphError(
                f"The weight {tensor.name!r} takes {wanted} bytes, but {path.name!r} holds "
                f"{max(0, min(length, path.stat().st_size - offset))} at {offset}. Copy it again."
            )


def kept_fault(tensor: onnx.TensorProto) -> str:
    """Return what is wrong with a kept weight, or ""."""
    try:
        path, offset, length = place(tensor)
        there = path.stat().st_size if path.is_file() else -1
    except (GraphError, OSError, ValueError, LookupError):
        return "does not say where its values are"
    if not fits(tensor, length) or not 0 <= offset <= there - length:
        return f"is not in {path.name!r}, where it should be"
    return ""


def leave(tensor: onnx.TensorProto, path: Path, offset: int, length: int) -> None:
    """Let a weight point to its place in the model's own file, which is read on demand.

    Unlike a kept weight it is never mapped into memory, and a file that was changed is refused.
    """
    _point(tensor, path.name, offset, length)
    tensor.external_data.add(key=_FOLDER, value=str(path.parent.resolve()))
    tensor.external_data.add(key=_STATE, value=_state(path))


def is_lazy(tensor: onnx.TensorProto) -> bool:
    """Whether a weight has not been read yet from the model's own file."""
    return tensor.data_location == TensorProto.EXTERNAL and any(
        entry.key == _STATE for entry in tensor.external_data
    )


def forget_folder(tensor: onnx.TensorProto) -> None:
    """Remove the folder that a file itself states for a weight, because it may be any folder."""
    private = (_FOLDER, _STATE)
    entries = [entry for entry in tensor.external_data if entry.key not in private]
    del tensor.external_data[:]
    tensor.external_data.extend(entries)


def is_kept(tensor: onnx.TensorProto) -> bool:
    """Whether a weight is in a file whose folder is known."""
    return tensor.data_location == TensorProto.EXTERNAL and any(
        entry.key == _FOLDER for entry in tensor.external_data
    )


def place(tensor: onnx.TensorProto) -> tuple[Path, int, int]:
    """Return the file of a kept weight, its first byte there, and its size in bytes."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    length = int(entries.get("length") or nbytes(tensor))
    return Path(entries[_FOLDER], entries["location"]), int(entries.get("offset") or 0), length


def values(tensor: onnx.TensorProto) -> np.ndarray:
    """Return the values of a weight. Those of a kept one are mapped into memory, not read.

    Raises:
        GraphError: they are in the model's own file, which has changed meanwhile.
    """
    if not is_kept(tensor):
        return numpy_helper.to_array(tensor)
    path, offset, _ = place(tensor)
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    if nbytes(tensor) != math.prod(tensor.dims) * dtype.itemsize:  # several values in a byte
        return numpy_helper.to_array(inline(tensor))
    if is_lazy(tensor):
        return _read(tensor).view(dtype).reshape(tuple(tensor.dims))
    return np.memmap(path, dtype, "r", offset, tuple(tensor.dims))


def check_unchanged(model: onnx.ModelProto) -> None:
    """Check that the model's own file, if weights were left in it, has not changed.

    Raises:
        GraphError: it has changed.
    """
    lazy = filter(is_lazy, model.graph.initializer)
    for path, state in {(place(each)[0], _known_state(each)) for each in lazy}:
        if not path.exists() or _state(path) != state:
            raise _changed(path)


def folder_of(model: onnx.ModelProto) -> str:
    """Return the folder that holds the files of all kept weights, or a folder above them all."""
    folders = {str(place(each)[0].parent) for each in model.graph.initializer if is_kept(each)}
    return os.path.commonpath(folders) if folders else ""


def located(tensor: onnx.TensorProto, folder: str) -> onnx.TensorProto:
    """Return a kept weight in the form that a file in `folder` would have."""
    path, offset, length = place(tensor)
    copy = onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
    _point(copy, os.path.relpath(path, folder), offset, length)
    return copy


def inline(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """Return a weight with its values inside."""
    if not is_kept(tensor):
        return tensor
    copy = onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
    copy.raw_data = bytes(_read(tensor) if is_lazy(tensor) else _mapped(tensor))
    return copy


def with_values(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the values of all its weights inside, or itself if none is kept."""
    if not any(is_kept(tensor) for tensor in model.graph.initializer):
        return model
    copy = copy_of(model)
    for tensor in copy.graph.initializer:
        tensor.CopyFrom(inline(tensor))
    return copy


def fits(tensor: onnx.TensorProto, length: int) -> bool:
    """Whether a weight of this type and shape takes `length` bytes."""
    known = tensor.data_type in TensorProto.DataType.values()
    unfit = (TensorProto.STRING, TensorProto.UNDEFINED)
    if not known or tensor.data_type in unfit or min(tensor.dims, default=0) < 0:
        return False
    return length == nbytes(tensor)


def nbytes(tensor: onnx.TensorProto) -> int:
    """Return the bytes of a weight's values in a file.

    Raises:
        GraphError: it has no type.
    """
    if tensor.data_type not in TensorProto.DataType.values() or not tensor.data_type:
        raise GraphError(
            f"The tensor {tensor.name!r} has the type {tensor.data_type}, which ONNX does not have."
        )
    name = TensorProto.DataType.Name(tensor.data_type)
    bits = next((b for b in (2, 4) if name.endswith((f"INT{b}", f"FLOAT{b}E2M1"))), 0)
    bits = bits or 8 * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return math.ceil(math.prod(tensor.dims) * bits / 8)


def placed_for(model: onnx.ModelProto, path: Path, temporary: Path) -> bool:
    """Prepare the weights of a private copy to be written to `path`.

    Kept weights whose file is in the folder of `path` stay there. All others, and large ones in
    memory if one message cannot hold them, are written to `temporary`, which will become `path`
    with the suffix `.data`.

    Returns:
        Whether `temporary` was written.

    Raises:
        GraphError: that file holds weights of this model.
        OSError: it cannot be written.
    """
    folder, data = path.parent.resolve(), path.name + ".data"
    for tensor in filter(is_lazy, model.graph.initializer):
        tensor.CopyFrom(inline(tensor))
    kept = [tensor for tensor in model.graph.initializer if is_kept(tensor)]
    files = {tensor.name: place(tensor)[0].resolve() for tensor in kept}
    here = [tensor for tensor in kept if files[tensor.name].is_relative_to(folder)]
    moved = [tensor for tensor in kept if not files[tensor.name].is_relative_to(folder)]
    in_memory = [t for t in model.graph.initializer if not is_kept(t) and len(t.raw_data) > _SMALL]
    if sum(len(tensor.raw_data) for tensor in in_memory) > _MESSAGE:
        moved += in_memory
    if moved and any(files[tensor.name] == folder / data for tensor in here):
        raise GraphError(
            f"{data} must be written again, but weights of this model are in it. Save the model "
            "under another name."
        )
    for tensor in here:
        _, offset, length = place(tensor)
        _point(tensor, str(files[tensor.name].relative_to(folder)), offset, length)
    if moved:
        for tensor, stub in zip(moved, write_weights(moved, temporary, name=data), strict=True):
            tensor.CopyFrom(stub)
    return bool(moved)


def write_weights(
    tensors: Iterable[onnx.TensorProto], path: Path, *, name: str
) -> list[onnx.TensorProto]:
    """Write the values of weights to a new file. Return the weights, which then point to it.

    Args:
        tensors: weights with raw data, or kept ones.
        path: the file.
        name: the file's name for a model beside it.
    """
    stubs = []
    with path.open("wb") as file:
        for tensor in tensors:
            file.write(b"\0" * (-file.tell() % _ALIGNED))
            offset = file.tell()
            file.write(tensor.raw_data or _mapped(tensor))
            stub = onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
            _point(stub, name, offset, file.tell() - offset)
            stubs.append(stub)
    return stubs


def move(model: onnx.ModelProto, was: str, now: str) -> None:
    """Let the weights of a model that will be written point to a file of another name."""
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location" and entry.value == was:
                entry.value = now


def files_beside(model: onnx.ModelProto, folder: Path) -> set[Path]:
    """Return the files that hold the weights of a model written to `folder`."""
    return {
        (folder / entry.value).resolve()
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }


def _read(tensor: onnx.TensorProto) -> np.ndarray:
    """Return the bytes of a weight that was left in the model's own file."""
    path, offset, length = place(tensor)
    try:
        found = np.fromfile(path, np.uint8, length, offset=offset)
    except OSError:
        found = np.empty(0, np.uint8)
    if len(found) < length or _state(path) != _known_state(tensor):
        raise _changed(path)
    return found


def _changed(path: Path) -> GraphError:
    return GraphError(
        f"{path} was changed or removed while the model was being read. Begin again, and do not "
        "write to the file meanwhile."
    )


def _known_state(tensor: onnx.TensorProto) -> str:
    return next(entry.value for entry in tensor.external_data if entry.key == _STATE)


def _state(path: Path) -> str:
    """Return what distinguishes a file from another one written in its place."""
    state = path.stat()
    return f"{state.st_ino} {state.st_size} {state.st_mtime_ns}"


def _mapped(tensor: onnx.TensorProto) -> memoryview:
    path, offset, length = place(tensor)
    return np.memmap(path, np.uint8, "r", offset, (length,)).data


def _point(tensor: onnx.TensorProto, location: str, offset: int, length: int) -> None:
    """Let a weight hold its place in a file, and nothing else."""
    tensor.ClearField("raw_data")
    del tensor.external_data[:]
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
