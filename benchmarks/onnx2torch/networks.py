"""Architectures for which onnx has no light file, written plainly and seeded."""

import torch
from torch import nn
from torch.nn import functional as F


def conv(inputs, outputs, kernel=3, stride=1, groups=1, active=True):
    """Return convolution, batch normalisation and, if requested, ReLU6."""
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.ReLU6()] if active else []))


class InvertedResidual(nn.Module):
    """Widen the channels, filter each one by itself, and narrow them."""

    def __init__(self, inputs, outputs, stride, widen):
        super().__init__()
        wide = inputs * widen
        self.layers = nn.Sequential(
            *([conv(inputs, wide, 1)] if widen > 1 else []),
            conv(wide, wide, 3, stride, groups=wide),
            conv(wide, outputs, 1, active=False),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileNetV2(nn.Module):
    """Seventeen inverted residuals at full width."""

    PLAN = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip

    def __init__(self, classes=1000):
        super().__init__()
        layers, width = [conv(3, 32, 3, 2)], 32
        for widen, outputs, count, stride in self.PLAN:
            for number in range(count):
                layers.append(InvertedResidual(width, outputs, stride if not number else 1, widen))
                width = outputs
        self.features = nn.Sequential(*layers, conv(width, 1280, 1))
        self.classifier = nn.Linear(1280, classes)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class ShuffleUnit(nn.Module):
    """Half of the channels pass (or both halves are strided), then the halves are shuffled."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        half, self.stride = outputs // 2, stride
        through = inputs if stride > 1 else half
        self.right = nn.Sequential(
            conv(through, half, 1),
            conv(half, half, 3, stride, groups=half, active=False),
            conv(half, half, 1),
        )
        self.left = nn.Sequential(
            conv(inputs, inputs, 3, stride, groups=inputs, active=False), conv(inputs, half, 1)
        ) if stride > 1 else None  # fmt: skip

    def forward(self, x):
        left, right = (x, x) if self.left else x.chunk(2, 1)
        y = torch.cat([self.left(left) if self.left else left, self.right(right)], 1)
        n, channels, height, width = y.shape
        return y.view(n, 2, channels // 2, height, width).transpose(1, 2).reshape(y.shape)


class ShuffleNetV2(nn.Module):
    """ShuffleNet V2 of width 1."""

    def __init__(self, classes=1000):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1))
        layers, width = [], 24
        for outputs, count in ((116, 4), (232, 8), (464, 4)):
            for number in range(count):
                layers.append(ShuffleUnit(width, outputs, 1 if number else 2))
                width = outputs
        self.stages = nn.Sequential(*layers, conv(width, 1024, 1))
        self.classifier = nn.Linear(1024, classes)

    def forward(self, x):
        return self.classifier(self.stages(self.stem(x)).mean((2, 3)))


class PreActivation(nn.Module):
    """Normalise and activate before each convolution, but not after the sum."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        inner = outputs // 4
        self.norms = nn.ModuleList(map(nn.BatchNorm2d, (inputs, inner, inner)))
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(inputs, inner, 1, bias=False),
                nn.Conv2d(inner, inner, 3, stride, 1, bias=False),
                nn.Conv2d(inner, outputs, 1, bias=False),
            ]
        )
        changes = stride > 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def forward(self, x):
        y = F.relu(self.norms[0](x))
        kept = self.shortcut(y) if self.shortcut else x
        y = self.convs[0](y)
        for norm, layer in zip(self.norms[1:], self.convs[1:]):
            y = layer(F.relu(norm(y)))
        return kept + y


class ResNet50V2(nn.Module):
    """ResNet-50 with pre-activation."""

    def __init__(self, classes=1000):
        super().__init__()
        layers, width = [], 64
        for outputs, count in ((256, 3), (512, 4), (1024, 6), (2048, 3)):
            for number in range(count):
                stride = 2 if not number and outputs > 256 else 1
                layers.append(PreActivation(width, outputs, stride))
                width = outputs
        self.stem = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.stages, self.norm = nn.Sequential(*layers), nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x):
        x = F.max_pool2d(self.stem(x), 3, 2, 1)
        return self.classifier(F.relu(self.norm(self.stages(x))).mean((2, 3)))


class Branches(nn.Module):
    """Parallel 1×1, 3×3 and 5×5 convolutions and a pool."""

    def __init__(self, inputs, one, three_in, three, five_in, five, pooled):
        super().__init__()

        def layer(*sizes):
            return nn.Conv2d(*sizes, padding=sizes[2] // 2)

        self.one, self.pooled = layer(inputs, one, 1), layer(inputs, pooled, 1)
        self.three_in, self.three = layer(inputs, three_in, 1), layer(three_in, three, 3)
        self.five_in, self.five = layer(inputs, five_in, 1), layer(five_in, five, 5)

    def forward(self, x):
        three = self.three(F.relu(self.three_in(x)))
        five = self.five(F.relu(self.five_in(x)))
        pooled = self.pooled(F.max_pool2d(x, 3, 1, 1))
        return F.relu(torch.cat([self.one(x), three, five, pooled], 1))


class Normalisation(nn.Module):
    """Local response normalisation over five channels.

    Torch's own exports with a branch.
    """

    def forward(self, x):
        squares = F.pad(x.square().unsqueeze(1), (0, 0, 0, 0, 2, 2))
        around = F.avg_pool3d(squares, (5, 1, 1), 1).squeeze(1)
        return x / (1 + 1e-4 * around) ** 0.75


class GoogLeNet(nn.Module):
    """GoogLeNet of 2014: local response normalisation, pools that round up, no batch norm."""

    PLAN = (
        (192, 64, 96, 128, 16, 32, 32), (256, 128, 128, 192, 32, 96, 64), None,
        (480, 192, 96, 208, 16, 48, 64), (512, 160, 112, 224, 24, 64, 64),
        (512, 128, 128, 256, 24, 64, 64), (512, 112, 144, 288, 32, 64, 64),
        (528, 256, 160, 320, 32, 128, 128), None,
        (832, 256, 160, 320, 32, 128, 128), (832, 384, 192, 384, 48, 128, 128),
    )  # fmt: skip

    def __init__(self, classes=1000):
        super().__init__()
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        norm = Normalisation()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(), pool, norm,
            nn.Conv2d(64, 64, 1), nn.ReLU(),
            nn.Conv2d(64, 192, 3, padding=1), nn.ReLU(), norm, pool,
        )  # fmt: skip
        self.blocks = nn.Sequential(*(Branches(*each) if each else pool for each in self.PLAN))
        self.classifier = nn.Linear(1024, classes)

    def forward(self, x):
        return self.classifier(self.blocks(self.stem(x)).mean((2, 3)))


class RCNN(nn.Module):
    """The R-CNN of ILSVRC 2013: CaffeNet on a cropped region, with scores for 200 classes."""

    def __init__(self, classes=200):
        super().__init__()
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        norm = Normalisation()
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 11, 4), nn.ReLU(), pool, norm,
            nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), pool, norm,
            nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), pool,
        )  # fmt: skip
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, classes),
        )  # fmt: skip

    def forward(self, x):
        return self.head(self.features(x))
