"""A 3-D ResNet-34 for CT volumes, as used in medical imaging.

Hara et al., "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?" (2018), with
one input channel as in Chen et al., "Med3D" (2019). The shortcut has type A (no weights) or B (a
1×1×1 convolution).
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS = (3, 4, 6, 3)
"""The number of blocks in each of the four stages of a ResNet-34."""


def shortcut_a(x: Tensor, *, planes: int, stride: int) -> Tensor:
    """Return every `stride`-th value of `x`, padded with zero channels up to `planes`."""
    out = F.avg_pool3d(x, kernel_size=1, stride=stride)
    zeros = out.new_zeros(out.size(0), planes - out.size(1), out.size(2), out.size(3), out.size(4))
    return torch.cat([out, zeros], dim=1)


class BasicBlock3d(nn.Module):
    """Two 3×3×3 convolutions and a shortcut: N×C×D×H×W → N×`planes`×D/stride×H/stride×W/stride."""

    def __init__(self, channels: int, planes: int, *, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm3d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv3d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(planes)
        self.downsample = None
        if stride != 1 or channels != planes:
            if shortcut == "A":
                self.downsample = functools.partial(shortcut_a, planes=planes, stride=stride)
            else:
                self.downsample = nn.Sequential(
                    nn.Conv3d(channels, planes, 1, stride=stride, bias=False),
                    nn.BatchNorm3d(planes),
                )

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(residual + shortcut)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + shortcut)


class ResNet34For3d(nn.Module):
    """3-D ResNet-34: N×1×D×H×W volumes → N×`classes` logits."""

    def __init__(self, classes: int = 6, *, shortcut: str = "A") -> None:
        """Build the network with shortcuts of type "A" or "B".

        Raises:
            ValueError: the type of shortcut is neither.
        """
        super().__init__()
        if shortcut not in ("A", "B"):
            raise ValueError(f"The shortcut has type 'A' or 'B', not {shortcut!r}.")
        self.conv1 = nn.Conv3d(1, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        layers, channels = [], 64
        for planes, blocks, stride in zip((64, 128, 256, 512), LAYERS, (1, 2, 2, 2), strict=True):
            layer = []
            for number in range(blocks):
                step = 1 if number else stride
                layer.append(BasicBlock3d(channels, planes, stride=step, shortcut=shortcut))
                channels = planes
            layers.append(nn.Sequential(*layer))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.fc = nn.Linear(512, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.avgpool(x)
        return self.fc(x.view(x.size(0), -1))
