"""Load trained weights into a module: safetensors, or torch's own format without its pickled code.

All of the module's weights come from the file, or the file is refused with the keys that do not
fit.
"""

import pickle
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nbhelpers.errors import ModelError

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.")
_SHOWN = 3


@dataclass(frozen=True)
class Checkpoint:
    """What was loaded: the file, its format, the number of tensors, and what was unwrapped or
    cast.
    """

    path: Path
    format: str
    tensors: int
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return one line."""
        notes = "".join(f"; {note}" for note in self.notes)
        return (
            f"Checkpoint {self.path.name} ({self.format}): {self.tensors} tensors, all fit{notes}"
        )


def load_checkpoint(module: nn.Module, path: str | Path) -> Checkpoint:
    """Load the weights in `path` into the module, in place; if they do not fit it stays as it was.

    Raises:
        ModelError: there is no such file, it is cut short, it would run code, or its keys do not
            fit.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"There is no checkpoint {path}; give CHECKPOINT the path of a file.")
    if path.suffix == ".safetensors":
        kind, read = "safetensors", _read_safetensors
    else:
        kind, read = "torch", _read_torch
    state, notes = _unwrap(read(path), path, module.state_dict().keys())
    _check_fit(module, state, path)
    for name, value in module.state_dict().items():
        if value.dtype != state[name].dtype:
            notes.append(f"cast from {state[name].dtype} to {value.dtype}, as {name}")
            break
    module.load_state_dict(state)
    return Checkpoint(path, kind, len(state), tuple(notes))


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except safetensors.SafetensorError as error:
        raise _cut_short(path, "a safetensors file") from error


def _read_torch(path: Path) -> object:
    try:
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


def _unwrap(content: object, path: Path, own: Set[str]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the plain name → tensor mapping inside, and what had to be taken off in words.

    A prefix stays where more keys are the model's own with it than without.
    """
    notes = []
    for wrapper in _WRAPPERS:
        inner = content.get(wrapper) if isinstance(content, Mapping) else None
        if isinstance(inner, Mapping):
            notes.append(f"unwrapped from {wrapper!r}")
            content = inner
            break
    if not isinstance(content, Mapping) or not content:
        raise ModelError(
            f"{path} was expected to hold the weights by name, but holds a "
            f"{type(content).__name__}; save the state_dict() of the module."
        )
    state = dict(content)
    key = next((key for key in state if not isinstance(key, str)), None)
    if key is not None:
        raise ModelError(
            f"{path} was expected to hold tensors by name, but has the key {key!r}, of "
            f"the type {type(key).__name__}; save the state_dict() of the module."
        )
    other = next((name for name, value in state.items() if not isinstance(value, Tensor)), None)
    if other is not None:
        raise ModelError(
            f"{path} was expected to hold tensors by name, but {other!r} is a "
            f"{type(state[other]).__name__}; save the state_dict() of the module alone."
        )
    for prefix in _PREFIXES:
        plain = {name.removeprefix(prefix): value for name, value in state.items()}
        prefixed = all(name.startswith(prefix) for name in state)
        if prefixed and len(own & plain.keys()) >= len(own & state.keys()):
            notes.append(f"the prefix {prefix!r} was taken off every key")
            state = plain
    return state, notes


def _check_fit(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    own = module.state_dict()
    problems = [
        _listed("missing from the file", [name for name in own if name not in state]),
        _listed("unknown to the model", [name for name in state if name not in own]),
        _listed(
            "of another shape",
            [
                f"{name} (file {tuple(state[name].shape)}, model {tuple(value.shape)})"
                for name, value in own.items()
                if name in state and state[name].shape != value.shape
            ],
        ),
    ]
    problems = [problem for problem in problems if problem]
    if problems:
        raise ModelError(
            f"{path} does not fit {type(module).__name__}: {'; '.join(problems)}. Give the "
            "checkpoint of this architecture, or the MODEL that the checkpoint belongs to."
        )


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{more}"
