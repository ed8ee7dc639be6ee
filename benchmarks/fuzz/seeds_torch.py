"""Checkpoints of PyTorch, in every format of weights."""

import io

import torch
from safetensors.torch import save

WEIGHTS = {"0.weight": (3, 4), "0.bias": (3,), "2.weight": (2, 3), "2.bias": (2,)}


def checkpoints() -> dict[str, dict[str, bytes]]:
    """Return name to files."""
    torch.manual_seed(0)
    state = {name: torch.rand(shape) for name, shape in WEIGHTS.items()}
    training = {"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1, "steps": [1, 2]}}
    old = {"_use_new_zipfile_serialization": False}
    return {
        "plain": {"weights.pt": _saved(state)},
        "training": {"weights.pt": _saved(training)},
        "old": {"weights.pt": _saved(state, **old)},
        "safetensors": {"weights.safetensors": save(state)},
    }


def _saved(content: object, **options: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def module() -> torch.nn.Module:
    """Return a module that the weights fit."""
    layers = torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2)
    return torch.nn.Sequential(*layers)
