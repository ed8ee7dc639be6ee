"""Small networks of the ops whose form changed from opset to opset: `python forms.py folder`.

Each is exported with dynamic batch and sizes: by the TorchScript exporter at several opsets, and by
the dynamo exporter at its lowest and its newest. If an exporter refuses a network at an opset, the
reason is printed.
"""

import contextlib
import io
import logging
import sys
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

OPSETS = (9, 11, 13, 15, 17)
"""The opsets of the TorchScript exporter."""

DYNAMO = (18, 25)
"""The oldest and the newest opset of the dynamo exporter (it labels newer ones 18)."""


class Layers(nn.Module):
    """Pools, normalisations and activations, padding, upsampling, for any size of image."""

    oldest = 9

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norms = nn.ModuleList([nn.GroupNorm(4, 8), nn.InstanceNorm2d(8, affine=True)])
        self.pools = nn.ModuleList(
            [
                nn.MaxPool2d(3, 2, 1, ceil_mode=True),
                nn.AvgPool2d(3, 2, 1, count_include_pad=False),
                nn.AvgPool2d(3, 2, 1),
                nn.LPPool2d(2, 3, 2),
            ]
        )
        self.up = nn.ConvTranspose2d(8, 4, 3, 2, 1, output_padding=1, groups=2)

    def forward(self, x):
        x = F.gelu(self.norms[0](F.hardswish(self.first(x))))
        x = F.dropout(F.mish(self.norms[1](F.pad(x, (1, 2, 0, 1), mode="reflect"))), 0.5, False)
        pooled = [pool(x).mean((2, 3)) for pool in self.pools]
        y = F.interpolate(self.up(x), scale_factor=2.0)
        y = F.pad(F.interpolate(y, scale_factor=1.5, mode="bilinear"), (0, 1, 1, 0), value=2.0)
        y = F.softplus(F.elu(y) + F.selu(y)).clamp(0.1, 3.0).clamp(max=2.5)
        return y, torch.cat(pooled, 1)


class Shapes(nn.Module):
    """Axes as attributes and as inputs: squeeze, split, reduce, slice, softmax of a middle axis."""

    oldest = 9

    def __init__(self):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(6), nn.Linear(6, 6)

    def forward(self, x):
        a, b = self.norm(self.linear(x)).chunk(2, -1)
        c, d, e = x.split([1, 2, 3], dim=2)
        y = torch.stack([a, b], 1).softmax(1) * a.unsqueeze(1).sum(3, keepdim=True)
        z = c.squeeze(2) + d.mean(2) + e.amax(2) - e[:, :, 1:].prod(2) + x.norm(dim=2)
        w = y.permute(0, 2, 1, 3).flatten(2).log_softmax(1)
        v = torch.where(x > 0, x.transpose(1, 2).contiguous().reshape(x.shape), -x.abs().sqrt())
        return y, z.logsumexp(1, keepdim=True), w, v.var(1), x.std(2, unbiased=False)


class Picking(nn.Module):
    """TopK, maxima, gathers, one-hot, masks and scatters."""

    oldest = 9

    def forward(self, x):
        top, where = x.topk(3, dim=2)
        most, least = x.argmax(2), x.argmin(1, keepdim=True)
        picked = x.gather(2, where) + F.one_hot(most % 3, 3).float()
        put = torch.zeros_like(x).scatter(2, where, top)
        masked = x.masked_fill(x < 0, -2.0).expand_as(x) + x[:, :1].repeat(1, 1, 1)
        return top, where, least, picked, put, masked, x[:, :, [3, 0, 1]]


class Newer(nn.Module):
    """New ops of opset 11 and 12: cumulative sums, sorting, scattering, einsum, resizing."""

    oldest = 13

    def forward(self, x):
        so_far, (ordered, _) = x.cumsum(2), x.sort(2, descending=True)
        put = x.clone()
        put[:, :, 1:5:2] = 1.5
        put[:, :, 0] += so_far[:, :, -1]
        products = torch.einsum("bij,bkj->bik", x, ordered)
        rolled = x.roll(1, 2).flip(1)
        image = x.unsqueeze(1)
        modes = [
            F.interpolate(image, scale_factor=1.5, mode="bicubic"),
            F.interpolate(image, scale_factor=1.5, mode="bilinear", align_corners=True),
            F.interpolate(image, size=(7, 5), mode="bilinear"),
            F.interpolate(image, size=(5, 7), mode="nearest"),
        ]
        padded = F.pad(image, (1, 1, 2, 0), mode="replicate")
        return put, products, rolled, torch.atan2(x, ordered), padded, *modes


class Recurrent(nn.Module):
    """An LSTM and a GRU in both directions, and an RNN, with their states."""

    oldest = 9

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 4, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(8, 4, 2, batch_first=True)
        self.rnn = nn.RNN(4, 3, nonlinearity="relu", batch_first=True)

    def forward(self, x):
        y, (hidden, cell) = self.lstm(x)
        y, last = self.gru(y)
        return self.rnn(y)[0], hidden, cell, last


class Attention(nn.Module):
    """Scaled products with a mask, and an image sampled at computed places."""

    oldest = 17

    def __init__(self):
        super().__init__()
        self.attend = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        y, weights = self.attend(x, x, x)
        image = F.scaled_dot_product_attention(*(t.unsqueeze(1) for t in (x, y, x)), is_causal=True)
        z = image.squeeze(1)
        grid = torch.stack([y, z], -1).tanh()
        sampled = F.grid_sample(image, grid, mode="bilinear", align_corners=False)
        mirrored = F.grid_sample(image, grid, "nearest", "reflection", align_corners=True)
        return y, weights, sampled, mirrored, z.tril(), F.gelu(z, approximate="tanh")


IMAGE = (torch.linspace(-2, 2, 2 * 3 * 10 * 12).reshape(2, 3, 10, 12), {2: "height", 3: "width"})
ROWS = (torch.linspace(-2, 2, 2 * 8 * 6).reshape(2, 8, 6).sin(), {1: "length"})

NETWORKS = {
    "layers": (Layers, *IMAGE),
    "shapes": (Shapes, *ROWS),
    "picking": (Picking, *ROWS),
    "newer": (Newer, ROWS[0], {}),
    "recurrent": (Recurrent, *ROWS),
    "attention": (Attention, *ROWS),
}


def script(module, x, axes, path, opset):
    """Export by tracing."""
    torch.onnx.export(
        module, (x,), path, dynamo=False, opset_version=opset, input_names=["x"],
        dynamic_axes={"x": axes},
    )  # fmt: skip


def dynamo(module, x, axes, path, opset):
    """Export the program that torch.export captures."""
    shapes = {axis: torch.export.Dim(symbol, min=2) for axis, symbol in axes.items()}
    torch.onnx.export(
        module, (x,), path, dynamo=True, opset_version=opset, input_names=["x"],
        dynamic_shapes=(shapes,), external_data=False, verbose=False,
    )  # fmt: skip


def main():
    """Write every file that the exporters can write."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    torch.backends.mha.set_fastpath_enabled(False)  # its fused op has no ONNX counterpart
    folder = Path(sys.argv[1])
    for name, (factory, x, axes) in NETWORKS.items():
        torch.manual_seed(0)
        module = factory().eval()
        jobs = [(script, opset) for opset in OPSETS if opset >= factory.oldest]
        for export, opset in jobs + [(dynamo, opset) for opset in DYNAMO]:
            path = folder / f"{name}.{export.__name__}{opset}.onnx"
            quiet = io.StringIO()
            try:
                with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
                    # At opset 9 a pool with ceil_mode needs known sizes.
                    export(module, x, {0: "batch", **(axes if opset > 9 else {})}, path, opset)
            except Exception as error:  # noqa: BLE001 (the exporters raise what they like)
                said = (str(error).splitlines() or [""])[0]
                print(f"{path.name}: {type(error).__name__}: {said[:300]}", flush=True)


if __name__ == "__main__":
    main()
