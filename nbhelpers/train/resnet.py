"""ResNet-18 with any number of classification heads.

The architecture of He et al., "Deep Residual Learning for Image Recognition" (2015), with
torchvision's parameter names. So torchvision's checkpoints fit, apart from the heads.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut: N×C×H×W → N×`planes`×H/stride×W/stride."""

    def __init__(self, channels: int, planes: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != planes:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, planes, 1, stride=stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(residual + shortcut)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + shortcut)


class ResNet18(nn.Module):
    """ResNet-18: N×3×H×W images → one N×classes tensor of logits for each head."""

    def __init__(self, heads: Mapping[str, int]) -> None:
        """Build the network. `heads` maps head names to numbers of classes, in the order of the
        outputs."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _layer(64, 64, stride=1)
        self.layer2 = _layer(64, 128, stride=2)
        self.layer3 = _layer(128, 256, stride=2)
        self.layer4 = _layer(256, 512, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(512, classes) for name, classes in heads.items()}
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the logits of every head."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        features = torch.flatten(self.avgpool(x), 1)
        return tuple(head(features) for head in self.heads.values())


def _layer(channels: int, planes: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(channels, planes, stride=stride), BasicBlock(planes, planes))
