"""A training that is saved after each epoch: if interrupted, it continues after its last whole
epoch.

Weights, optimiser, learning rate and random numbers are saved together. So it ends with the same
weights as an uninterrupted training, bit for bit.
"""

import hashlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from graphcore.atomic_files import replacing
from graphcore.progress import stage

_DIGEST = 64
"""Characters of the sha256 at the start of a file. The rest of the file is torch's."""


@dataclass(frozen=True)
class Training:
    """Everything that changes while a module is trained. `recipe` is a text that defines the
    training."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    recipe: str

    def epochs(self, count: int, *, title: str, file: Path | None = None) -> Iterator[int]:
        """Yield the numbers of the remaining epochs, counted from 0, and save the state after each.

        A file that is damaged or from another training is ignored with a warning.

        Args:
            count: how many epochs there are in total.
            title: the name of the training, shown as progress.
            file: where the state is saved, or None to save nothing.
        """
        start = self._digest()
        first = self._resumed(file, start) if file else 0
        with stage(f"{title}: epoch", count) as shown:
            for epoch in range(first, count):
                shown.reached(epoch + 1)
                yield epoch
                if file:
                    file = self._kept(file, start, epoch + 1)

    def _resumed(self, file: Path, start: str) -> int:
        """Restore the state in the file, and return how many epochs were done."""
        if not file.is_file():
            return 0
        try:
            content = file.read_bytes()
        except OSError as error:
            return _left_out(file, f"cannot be read ({error.strerror})")
        digest, payload = content[:_DIGEST], content[_DIGEST:]
        if hashlib.sha256(payload).hexdigest().encode() != digest:
            return _left_out(file, "is damaged or cut short")
        state = torch.load(io.BytesIO(payload), weights_only=True)
        if state["start"] != start:
            return _left_out(file, "belongs to another training")
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.generator.set_state(state["generator"])
        return state["done"]

    def _kept(self, file: Path, start: str, done: int) -> Path | None:
        """Write the state by renaming. Return the file, or None if it cannot be written."""
        state: dict[str, Any] = {"start": start, "done": done}
        state |= {name: part.state_dict() for name, part in self._parts().items()}
        state["generator"] = self.generator.get_state()
        buffer = io.BytesIO()
        torch.save(state, buffer)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as temporary, temporary.open("wb") as stream:
                stream.write(hashlib.sha256(buffer.getbuffer()).hexdigest().encode())
                stream.write(buffer.getbuffer())
        except OSError as error:
            said = f"The epochs are not kept: {file} cannot be written ({error.strerror})."
            warnings.warn(said, stacklevel=3)
            return None
        return file

    def _parts(self) -> dict[str, Any]:
        return {"module": self.module, "optimiser": self.optimiser, "schedule": self.schedule}

    def _digest(self) -> str:
        """Return the sha256 of what decides the result: the recipe and the current weights."""
        digest = hashlib.sha256(self.recipe.encode())
        for name, value in self.module.state_dict().items():
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().contiguous().numpy().tobytes())
        return digest.hexdigest()


def _left_out(file: Path, why: str) -> int:
    warnings.warn(f"{file} {why}. The training begins with its first epoch.", stacklevel=4)
    return 0
