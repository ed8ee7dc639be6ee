"""Read a file of weights without running code: safetensors, or torch's own format.

torch's format is a pickle. It is read with `weights_only=True`, which makes tensors and plain
containers and refuses everything else.
"""

import argparse
import pickle
import re
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file

from nbhelpers.errors import ModelError


def read_checkpoint(path: Path) -> tuple[str, object]:
    """Return the format ("safetensors" or "torch") and what the file holds.

    Raises:
        ModelError: there is no such file, it is cut short, or it would run code.
    """
    if not path.is_file():
        raise ModelError(f"There is no checkpoint {path}; give CHECKPOINT the path of a file.")
    if path.suffix == ".safetensors":
        return "safetensors", _read_safetensors(path)
    return "torch", _read_torch(path)


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except safetensors.SafetensorError as error:
        raise _cut_short(path, "a safetensors file") from error


def _read_torch(path: Path) -> object:
    # The command line of a training script is often kept beside the weights, and is plain data.
    plain_data = torch.serialization.safe_globals([argparse.Namespace])
    try:
        with plain_data:
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+) was not an allowed", str(error))
        # torch writes protocol 2; a later one is a pickle of something else.
        plain = path.read_bytes()[:2] in (b"\x80\x03", b"\x80\x04", b"\x80\x05")
        if not found and not plain:
            raise _cut_short(path, "a torch checkpoint") from error
        what = f"it pickles an object of {found[1]}" if found else "it is a plain pickle"
        raise ModelError(
            f"{path} is refused: {what}, and unpickling that can run any code. "
            "Where you trust the file, save torch's state_dict() alone: "
            "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors')."
        ) from error
    except RuntimeError as error:
        if "TorchScript" in str(error):
            raise ModelError(
                f"{path} is refused: it is a TorchScript archive, which holds code. "
                "Save the state_dict() of the module instead."
            ) from error
        raise _cut_short(path, "a torch checkpoint") from error
    except (EOFError, OSError, ValueError, KeyError) as error:
        raise _cut_short(path, "a torch checkpoint") from error


def _cut_short(path: Path, kind: str) -> ModelError:
    return ModelError(
        f"{path} cannot be read as {kind}: it is cut short or of another kind "
        f"({path.stat().st_size} bytes); copy it again."
    )
