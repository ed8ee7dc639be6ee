"""The two sample models, and the small protocol through which a module describes itself.

All of it is optional. What a module does not provide is given as parameters (INPUTS, OUTPUTS):

- `input_specs`: tuple of TensorSpec, one for each argument of `forward`, in order. A symbolic first
  dim means that the batch may vary. A number means that the model is exported for that batch.
- `output_names`: tuple of names, one for each tensor that `forward` returns, in order.
- `evaluation()`: held-out samples as (inputs by name, true labels by output name).
- `train_in_place()`: gives the module its trained weights. It is called if there is no checkpoint.
"""

import torch
from torch import nn

from graphcore.golden import Arrays
from graphcore.spec import TensorSpec
from nbhelpers.train import digits
from nbhelpers.train.determinism import deterministic
from nbhelpers.train.resnet import ResNet18
from nbhelpers.train.resnet3d import ResNet34For3d


class MultitaskResNet18(ResNet18):
    """ResNet-18 with two heads: which digit an image shows (10), and which pair of digits (5)."""

    recipe = digits.Recipe()
    input_specs = (TensorSpec("images", "float32", ("batch", 3, recipe.size, recipe.size)),)
    output_names = ("digit", "pair")

    def __init__(self) -> None:
        """Build the network with weights drawn from the recipe's seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed)
            super().__init__({"digit": 10, "pair": 5})

    def train_in_place(self) -> None:
        """Train on scikit-learn's digits, which takes about a minute, or read earlier weights."""
        digits.train_or_load(self, self.recipe)

    def evaluation(self) -> tuple[Arrays, Arrays]:
        """Return the held-out images and their labels."""
        _, held_out = digits.load_digits(self.recipe)
        return {"images": held_out.images}, held_out.labels


class CtResNet34(ResNet34For3d):
    """3-D ResNet-34 for CT volumes of 128×128×128 with 6 classes, exported for one volume at a
    time."""

    input_specs = (TensorSpec("images", "float32", (1, 1, 128, 128, 128)),)
    output_names = ("result",)


def multitask_resnet18() -> nn.Module:
    """Return the default sample model, which `train_in_place` can train."""
    return MultitaskResNet18()


def ct_resnet34(*, shortcut: str = "A", seed: int = 0) -> nn.Module:
    """Return the CT model with seeded weights and matching batch-norm statistics.

    No package includes CT data, so the model is not trained. The statistics are measured on smaller
    volumes of noise. As in a trained network, activations then keep their scale through all 34
    layers.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = CtResNet34(6, shortcut=shortcut)
        for layer in model.modules():
            if isinstance(layer, nn.Conv3d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(layer, nn.BatchNorm3d):
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.uniform_(layer.bias, -0.2, 0.2)
                layer.momentum = None  # the plain average of all batches
        model.train()
        with deterministic(threads=2):
            model(torch.randn(4, 1, 64, 64, 64))
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm3d):
                layer.momentum = 0.1
    return model.eval()
