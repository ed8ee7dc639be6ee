"""A photograph with ImageNet's preprocessing: RGB, resize, centre crop, mean and std, NCHW.

The arithmetic is float32, one operation at a time, so that numpy and PIL alone give the same bits.
The resize is PIL's bilinear one, applied to the shorter side as in torchvision.
"""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from graphcore.spec import TensorSpec

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """The steps as numbers: `resize` is the shorter side in pixels, `crop` is (height, width)."""

    resize: int
    crop: tuple[int, int]
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD

    @classmethod
    def imagenet(cls, height: int, width: int) -> "Preprocessing":
        """Return the usual steps: resize the shorter side to 256/224 of the crop, then crop."""
        return cls(round(max(height, width) * 256 / 224), (height, width))

    def to_json(self) -> dict:
        """Return the steps as plain JSON data."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """Return the picture as a 1×3×height×width float32 tensor."""
        image = image.convert("RGB")
        scale = self.resize / min(image.size)
        width, height = (max(self.resize, int(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - self.crop[1]) // 2, (height - self.crop[0]) // 2
        image = image.crop((left, top, left + self.crop[1], top + self.crop[0]))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).to(torch.float32) / 255
        mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in (self.mean, self.std))
        return ((pixels - mean) / std)[None].contiguous()


def fitting(specs: tuple[TensorSpec, ...]) -> Preprocessing | None:
    """Return the steps for a model whose only input is a 3-channel float32 image, or None."""
    if len(specs) != 1 or specs[0].dtype != "float32" or len(specs[0].shape) != 4:
        return None
    _, channels, height, width = specs[0].shape
    if channels != 3:
        return None
    # ImageNet models that accept any size were trained at 224.
    return Preprocessing.imagenet(
        *(side if isinstance(side, int) else 224 for side in (height, width))
    )


def photograph() -> Path:
    """Return the path of a photograph that scikit-learn includes (a temple in China, 640×427)."""
    import sklearn.datasets

    return Path(sklearn.datasets.__file__).parent / "images" / "china.jpg"


def copy_photograph(path: str | Path) -> Path:
    """Copy the photograph to `path`, so that the receiver can preprocess it too."""
    shutil.copyfile(photograph(), path)
    return Path(path)
