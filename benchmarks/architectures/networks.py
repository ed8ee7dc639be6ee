"""Small networks of kinds that no package here builds, written plainly for the benchmarks."""

import torch
from torch import nn
from torch.nn import functional as F


def conv(inputs, outputs, kernel=3, stride=1, groups=1):
    """Return convolution, batch normalisation and SiLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(),
    )


class CrossStage(nn.Module):
    """Half of the channels go through residual blocks, and half bypass them."""

    def __init__(self, inputs, outputs, depth=1, residual=True):
        super().__init__()
        half = outputs // 2
        self.through, self.around = conv(inputs, half, 1), conv(inputs, half, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(conv(half, half, 1), conv(half, half)) for _ in range(depth)
        )
        self.residual, self.join = residual, conv(2 * half, outputs, 1)

    def forward(self, x):
        y = self.through(x)
        for block in self.blocks:
            y = y + block(y) if self.residual else block(y)
        return self.join(torch.cat([y, self.around(x)], 1))


class PoolPyramid(nn.Module):
    """Parallel max pools of several sizes, with padding and stride one."""

    def __init__(self, channels, sizes=(5, 9, 13)):
        super().__init__()
        self.first = conv(channels, channels // 2, 1)
        self.pools = nn.ModuleList(nn.MaxPool2d(size, 1, size // 2) for size in sizes)
        self.last = conv(channels // 2 * (len(sizes) + 1), channels, 1)

    def forward(self, x):
        x = self.first(x)
        return self.last(torch.cat([x, *(pool(x) for pool in self.pools)], 1))


class Detector(nn.Module):
    """A one-stage detector: pixel slices, cross stages, pool pyramid, three scales."""

    def __init__(self, width=16, classes=4, anchors=3):
        super().__init__()
        w, self.per_anchor = width, classes + 5
        self.anchors = anchors
        self.stem = conv(12, w)
        self.down = nn.ModuleList(
            nn.Sequential(
                conv(w * 2**i, w * 2 ** (i + 1), 3, 2),
                CrossStage(w * 2 ** (i + 1), w * 2 ** (i + 1)),
            )
            for i in range(4)
        )
        self.pyramid = PoolPyramid(16 * w)
        self.lateral = nn.ModuleList([conv(16 * w, 8 * w, 1), conv(8 * w, 4 * w, 1)])
        self.up = nn.ModuleList(
            [CrossStage(16 * w, 8 * w, residual=False), CrossStage(8 * w, 4 * w, residual=False)]
        )
        self.bottom = nn.ModuleList([conv(4 * w, 4 * w, 3, 2), conv(8 * w, 8 * w, 3, 2)])
        self.out = nn.ModuleList(
            [CrossStage(8 * w, 8 * w, residual=False), CrossStage(16 * w, 16 * w, residual=False)]
        )
        self.heads = nn.ModuleList(
            nn.Conv2d(size * w, anchors * self.per_anchor, 1) for size in (4, 8, 16)
        )

    def forward(self, x):
        corners = [x[..., i::2, j::2] for j in (0, 1) for i in (0, 1)]
        x = self.stem(torch.cat(corners, 1))
        levels = []
        for stage in self.down:
            x = stage(x)
            levels.append(x)
        _, small, middle, _ = levels
        a = self.lateral[0](self.pyramid(x))
        b = self.lateral[1](self.up[0](torch.cat([F.interpolate(a, scale_factor=2), middle], 1)))
        scales = [self.up[1](torch.cat([F.interpolate(b, scale_factor=2), small], 1))]
        for down, out, side in zip(self.bottom, self.out, (b, a)):
            scales.append(out(torch.cat([down(scales[-1]), side], 1)))
        return torch.cat([self.boxes(head(s)) for head, s in zip(self.heads, scales)], 1)

    def boxes(self, x):
        """Return (batch, cells times anchors, values)."""
        n, _, h, w = x.shape
        x = x.view(n, self.anchors, self.per_anchor, h, w).permute(0, 1, 3, 4, 2)
        return x.sigmoid().reshape(n, -1, self.per_anchor)


class FeaturePyramidDetector(nn.Module):
    """A detector for two classes, with a feature pyramid and heads that all levels share."""

    def __init__(self, width=16, classes=2, anchors=3):
        super().__init__()
        self.stem = nn.Sequential(conv(3, width, 7, 2), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.ModuleList(
            conv(width * 2**i, width * 2 ** (i + 1), 3, 2) for i in range(3)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(width * 2 ** (i + 1), width, 1) for i in range(3))
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(3))
        self.extra = nn.Conv2d(width, width, 3, 2, 1)
        self.classify = nn.Sequential(
            conv(width, width), nn.Conv2d(width, classes * anchors, 3, padding=1)
        )
        self.locate = nn.Sequential(conv(width, width), nn.Conv2d(width, 4 * anchors, 3, padding=1))
        self.classes = classes

    def forward(self, x):
        x = self.stem(x)
        levels = []
        for stage, lateral in zip(self.stages, self.lateral):
            x = stage(x)
            levels.append(lateral(x))
        for i in (1, 0):
            levels[i] = levels[i] + F.interpolate(levels[i + 1], size=levels[i].shape[-2:])
        levels = [smooth(level) for smooth, level in zip(self.smooth, levels)]
        levels.append(self.extra(F.relu(levels[-1])))
        flat = [
            torch.cat([self.flat(head(level), size) for level in levels], 1)
            for head, size in ((self.classify, self.classes), (self.locate, 4))
        ]
        return flat[0].sigmoid(), flat[1]

    def flat(self, x, size):
        """Return (batch, cells times anchors, `size`)."""
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, size)


class UNet(nn.Module):
    """A U-Net in two or three dimensions, upsampling by interpolation or transposed convolution."""

    def __init__(self, dims=2, width=8, up="bilinear", align=False):
        super().__init__()
        self.conv = getattr(nn, f"Conv{dims}d")
        self.norm = getattr(nn, f"BatchNorm{dims}d")
        self.pool = getattr(F, f"max_pool{dims}d")
        self.up, self.align = up, align
        widths = [width * 2**i for i in range(3)]
        self.down = nn.ModuleList(
            self.block(i, o) for i, o in zip([1 if dims == 3 else 3, *widths], widths)
        )
        self.rise = (
            nn.ModuleList(
                getattr(nn, f"ConvTranspose{dims}d")(2 * w, 2 * w, 2, 2) for w in widths[1::-1]
            )
            if up == "transposed"
            else None
        )
        self.merge = nn.ModuleList(self.block(3 * w, w) for w in widths[1::-1])
        self.last = self.conv(width, 2, 1)

    def block(self, inputs, outputs):
        """Return two convolutions."""
        layers = []
        for width in (inputs, outputs):
            layers += [self.conv(width, outputs, 3, padding=1), self.norm(outputs), nn.ReLU()]
        return nn.Sequential(*layers)

    def forward(self, x):
        skips = []
        for index, block in enumerate(self.down):
            x = block(x if index == 0 else self.pool(x, 2))
            skips.append(x)
        for index, merge in enumerate(self.merge):
            skip = skips[-2 - index]
            if self.rise is not None:
                x = self.rise[index](x)
            elif self.up == "nearest":
                x = F.interpolate(x, scale_factor=2.0)
            else:
                x = F.interpolate(x, scale_factor=2.0, mode=self.up, align_corners=self.align)
            x = merge(torch.cat([x, skip], 1))
        return self.last(x)


class Tagger(nn.Module):
    """Words to tags through a recurrent layer, for any number of words."""

    def __init__(self, layer=nn.LSTM, words=50, width=16, tags=5):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.layer = layer(width, width, num_layers=2, batch_first=True, bidirectional=True)
        self.tag = nn.Linear(2 * width, tags)

    def forward(self, words):
        return self.tag(self.layer(self.embed(words))[0]).log_softmax(-1)


class SuperResolution(nn.Module):
    """Convolutions, followed by a step from channels to pixels."""

    def __init__(self, factor=3):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(),
            nn.Conv2d(32, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, factor**2, 3, padding=1), nn.PixelShuffle(factor),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


class Decoder(nn.Module):
    """Transposed convolutions with output padding, groups, dilation, and odd strides."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(8, 12, 3, stride=2, padding=1, output_padding=1), nn.ReLU(),
            nn.ConvTranspose2d(12, 8, 4, stride=3, padding=2, groups=4), nn.BatchNorm2d(8),
            nn.ConvTranspose2d(8, 4, 3, dilation=2, padding=1), nn.Hardtanh(-1, 1),
            nn.ConvTranspose2d(4, 1, (5, 2), stride=(1, 2), bias=False),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


class SpatialTransformer(nn.Module):
    """A predicted affine map, and the image sampled through this map."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(5))
        self.map = nn.Linear(200, 6)

    def forward(self, x):
        theta = self.map(self.features(x).flatten(1)).view(-1, 2, 3)
        theta = theta + torch.tensor([[1.0, 0, 0], [0, 1, 0]])
        grid = F.affine_grid(theta, [x.shape[0], 3, 20, 24], align_corners=False)
        return F.grid_sample(x, grid, padding_mode="zeros", align_corners=False)
