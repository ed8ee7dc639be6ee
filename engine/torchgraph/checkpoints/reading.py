"""Read a file of weights without running code: safetensors, or torch's own format.

torch's format is a pickle. It is read with `weights_only=True`, which makes only tensors and plain
containers and refuses everything else.
"""

import argparse
import pickle
import re
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from graphcore.archives import check_directory, check_sums
from graphcore.errors import ModelError
from graphcore.reading import reading


def read_checkpoint(path: Path) -> tuple[str, object]:
    """Return the format ("safetensors" or "torch") and what the file holds.

    Raises:
        ModelError: the file does not exist, is cut short or damaged, or would run code.
    """
    if not path.is_file():
        raise ModelError(f"There is no checkpoint {path}. Give CHECKPOINT the path of a file.")
    if path.suffix == ".safetensors":
        return "safetensors", _read_safetensors(path)
    return "torch", _read_torch(path)


def _read_safetensors(path: Path) -> object:
    with _readable(path, "a safetensors file"):
        return load_file(path)


def _read_torch(path: Path) -> object:
    # A training script often saves its command line beside the weights, which is plain data.
    plain_data = torch.serialization.safe_globals([argparse.Namespace])
    with _readable(path, "a torch checkpoint"), _without_code(path), plain_data:
        _check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)


def _readable(path: Path, kind: str) -> AbstractContextManager[None]:
    size = path.stat().st_size
    wrong = f"cannot be read as {kind}: it is cut short or of another kind ({size} bytes)"
    again, own = "Copy it again", (SafetensorError,)
    return reading(path, wrong, error=ModelError, advice=again, more=own)


def _check_archive(path: Path) -> None:
    """Check what torch does not: the checksums it wrote, and the unpacked size of the file."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_directory(archive, path.stat().st_size)
            check_sums(archive)


@contextmanager
def _without_code(path: Path) -> Iterator[None]:
    """Distinguish a file that would run code from a damaged one.

    Raises:
        ModelError: it contains code, or an object that only code can make.
    """
    try:
        yield
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+) was not an allowed", str(error))
        # torch writes pickle protocol 2, so a later one is a pickle of something else.
        with path.open("rb") as file:
            plain = file.read(2) in (b"\x80\x03", b"\x80\x04", b"\x80\x05")
        if not found and not plain:
            raise
        what = f"it pickles an object of {found[1]}" if found else "it is a plain pickle"
        raise ModelError(
            f"{path} is refused: {what}, and unpickling it can run any code. If you trust the "
            "file, save only torch's state_dict(): "
            "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors')."
        ) from error
    except RuntimeError as error:
        if "TorchScript" not in str(error):
            raise
        raise ModelError(
            f"{path} is refused, because it is a TorchScript archive, which contains code. "
            "Save the state_dict() of the module instead."
        ) from error
