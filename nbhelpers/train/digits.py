"""Train the default sample model on scikit-learn's digits: real images, without a download.

The 1,797 images of 8×8 grey values are enlarged and get three channels. Every fifth image is held
out. The same recipe gives the same weights, and later runs read them from `.cache/`.
"""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from graphcore.atomic_files import replacing
from nbhelpers import places
from nbhelpers.train.determinism import deterministic
from nbhelpers.train.epochs import Training


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the trained weights, apart from the version of torch."""

    size: int = 32
    epochs: int = 5
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    shift: int = 3
    hold_out: int = 5
    seed: int = 0
    threads: int = 2

    @property
    def key(self) -> str:
        """A short text that changes with every part of the recipe."""
        text = json.dumps({**asdict(self), "torch": torch.__version__}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Digits:
    """Images N×3×size×size float32 in about [-1, 1], and the digit of each as N int64."""

    images: np.ndarray
    digits: np.ndarray

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """The true class for each head: the digit, and the pair of digits it belongs to (0–1, 2–3
        …)."""
        return {"digit": self.digits, "pair": self.digits // 2}


def load_digits(recipe: Recipe = Recipe()) -> tuple[Digits, Digits]:
    """Return the training images and the held-out ones (every `hold_out`-th)."""
    from sklearn import datasets

    bunch = datasets.load_digits()
    grey = torch.from_numpy(bunch.images.astype(np.float32) / 8 - 1)[:, None]
    large = F.interpolate(grey, size=(recipe.size,) * 2, mode="bilinear", align_corners=False)
    images = large.expand(-1, 3, -1, -1).contiguous().numpy()
    digits = bunch.target.astype(np.int64)
    held = np.arange(len(digits)) % recipe.hold_out == 0
    return Digits(images[~held], digits[~held]), Digits(images[held], digits[held])


def train(module: nn.Module, recipe: Recipe = Recipe(), *, keep: Path | None = None) -> nn.Module:
    """Train a module with the heads "digit" and "pair" in place, and return it in eval mode.

    The method is Adam with a one-cycle learning rate, on images shifted by up to `shift` pixels.
    All random numbers come from the recipe's seed, and torch's own generator and settings are
    restored afterwards. With the file `keep`, an interrupted training continues after its last
    whole epoch.
    """
    training, _ = load_digits(recipe)
    images, digits = torch.from_numpy(training.images), torch.from_numpy(training.digits)
    with deterministic(threads=recipe.threads):
        generator = torch.Generator().manual_seed(recipe.seed)
        optimiser = torch.optim.AdamW(
            module.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        steps = recipe.epochs * -(-len(digits) // recipe.batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, steps)
        module.train()
        state = Training(module, optimiser, schedule, generator, recipe.key)
        for _ in state.epochs(recipe.epochs, title="training on digits", file=keep):
            for some in torch.randperm(len(digits), generator=generator).split(recipe.batch):
                loss = _loss(module, _shifted(images[some], recipe.shift, generator), digits[some])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    return module.eval()


def train_or_load(
    module: nn.Module,
    recipe: Recipe = Recipe(),
    *,
    cache: str | Path | None = None,
) -> Path:
    """Give the module its trained weights. Train it only if no file of this recipe is cached.

    Returns:
        the safetensors file that holds the weights. If it cannot be written it does not exist, and
        a warning says so. The module has its weights in either case.
    """
    folder = Path(cache) if cache is not None else places.cache()
    path = folder / f"{type(module).__name__.lower()}-digits-{recipe.key}.safetensors"
    weights = _read(path, module)
    if weights is None:
        kept = path.with_suffix(".epochs")
        train(module, recipe, keep=kept)
        weights = {name: value.contiguous() for name, value in module.state_dict().items()}
        if _written(weights, path):
            kept.unlink(missing_ok=True)
    # Loaded in both cases, so that the first run and later runs are the same.
    module.load_state_dict(weights)
    module.eval()
    return path


def _read(path: Path, module: nn.Module) -> dict[str, torch.Tensor] | None:
    """Return cached weights, or None if they do not fit, with a warning if a file exists."""
    if not path.is_file():
        return None
    try:
        weights = load_file(path)
    except (OSError, SafetensorError):
        weights = {}
    if _shapes(weights) == _shapes(module.state_dict()):
        return weights
    warnings.warn(f"{path} is damaged or of another model. It is made again.", stacklevel=3)
    return None


def _written(weights: dict[str, torch.Tensor], path: Path) -> bool:
    """Write weights by renaming, and return whether it succeeded."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            save_file(weights, temporary)
    except (OSError, SafetensorError) as error:
        warnings.warn(
            f"The weights are not kept: {path} cannot be written ({error}).", stacklevel=3
        )
        return False
    return True


def _shapes(weights: Mapping[str, torch.Tensor]) -> dict[str, tuple]:
    return {name: (value.dtype, value.shape) for name, value in weights.items()}


def _loss(module: nn.Module, images: torch.Tensor, digits: torch.Tensor) -> torch.Tensor:
    digit, pair = module(images)
    return F.cross_entropy(digit, digits) + 0.5 * F.cross_entropy(pair, digits // 2)


def _shifted(images: torch.Tensor, most: int, generator: torch.Generator) -> torch.Tensor:
    """Return the images moved by up to `most` pixels, one shift for the whole batch."""
    down, right = torch.randint(-most, most + 1, (2,), generator=generator).tolist()
    height, width = images.shape[-2:]
    padded = F.pad(images, (most,) * 4, mode="replicate")
    return padded[..., most + down : most + down + height, most + right : most + right + width]
