"""Build real architectures with seeded weights and export them: `python export.py folder [names]`.

Every network runs a few seeded batches, which give its normalisation layers sensible statistics.
Then it is exported twice with a dynamic batch: by the TorchScript exporter at opset 13
(`name.onnx`) and by the dynamo exporter (`name.dynamo.onnx`). `networks.py` has the networks that
no package builds. The tests use these, and `names` = "own" selects them. The others need
torchvision and transformers, which the environment `architectures` has.
"""

import contextlib
import functools
import io
import json
import logging
import os
import re
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import networks
import torch
from torch import nn

torch.backends.mha.set_fastpath_enabled(False)  # its fused op has no ONNX counterpart


@functools.cache
def torchvision():
    """Import torchvision's models with a torch for which its compiled ops were not built."""
    library = torch.library.Library("torchvision", "DEF")
    for _ in range(50):
        try:
            import torchvision.models as models
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if not missing:
                raise
            library.define(f"{missing[1]}(Tensor x) -> Tensor")
            for name in [name for name in sys.modules if name.startswith("torchvision")]:
                del sys.modules[name]
        else:
            return models, library  # the ops disappear with the library
    raise RuntimeError("torchvision cannot be imported")


def vision(name, *arguments, **options):
    """Return a function that builds a model of torchvision."""
    return lambda: getattr(torchvision()[0], name)(*arguments, **options)


def segmentation(name):
    """Return a function that builds a segmentation model of torchvision and selects its output."""

    def build():
        models = torchvision()[0]
        return First(getattr(models.segmentation, name)(weights_backbone=None), "out")

    return build


def transformer(kind, **options):
    """Return a model of transformers, built from a configuration, that returns one tensor."""
    torchvision()  # transformers imports it by itself, if it is installed
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        attn_implementation="eager",
        **options,
    )
    return First(getattr(transformers, f"{kind}Model")(config))


class First(nn.Module):
    """The first output of a model that returns several by name."""

    def __init__(self, model, key=None):
        super().__init__()
        self.model, self.key = model, key

    def forward(self, x):
        result = self.model(x)
        if self.key:
            return result[self.key]
        return result[0] if isinstance(result, tuple) else result.last_hidden_state


def image(size, channels=3):
    return lambda batch: torch.randn(batch, channels, size, size)


def words(length, count=50):
    return lambda batch: torch.randint(0, count, (batch, length))


MODELS = {
    "resnet18": (vision("resnet18"), image(64)),
    "resnet50": (vision("resnet50"), image(64)),
    "resnext50": (vision("resnext50_32x4d"), image(64)),
    "densenet121": (vision("densenet121"), image(64)),
    "mobilenet_v2": (vision("mobilenet_v2"), image(64)),
    "mobilenet_v3": (vision("mobilenet_v3_small"), image(64)),
    "efficientnet_b0": (vision("efficientnet_b0"), image(64)),
    "shufflenet_v2": (vision("shufflenet_v2_x1_0"), image(64)),
    "squeezenet": (vision("squeezenet1_1"), image(65)),
    "inception_v3": (
        vision("inception_v3", aux_logits=False, init_weights=False),
        image(107),
    ),
    "convnext": (vision("convnext_tiny"), image(64)),
    "swin": (vision("swin_t"), image(64)),
    "vit": (vision("VisionTransformer", 64, 16, 2, 4, 64, 128), image(64)),
    "deeplab": (
        segmentation("deeplabv3_mobilenet_v3_large"),
        image(65),
    ),
    "bert": (lambda: transformer("Bert", vocab_size=50), words(7)),
    "gpt2": (
        lambda: transformer("GPT2", vocab_size=50, n_positions=32, use_cache=False),
        words(9),
    ),
    "detector": (networks.Detector, image(64)),
    "pyramid_detector": (networks.FeaturePyramidDetector, image(97)),
    "unet": (networks.UNet, image(44)),
    "unet_aligned": (lambda: networks.UNet(align=True), image(36)),
    "unet_nearest": (lambda: networks.UNet(up="nearest"), image(36)),
    "unet_transposed": (lambda: networks.UNet(up="transposed"), image(36)),
    "unet_3d": (
        lambda: networks.UNet(dims=3, up="trilinear"),
        lambda batch: torch.randn(batch, 1, 12, 16, 20),
    ),
    "lstm": (networks.Tagger, words(11)),
    "gru": (lambda: networks.Tagger(nn.GRU), words(11)),
    "super_resolution": (networks.SuperResolution, image(23, 1)),
    "decoder": (networks.Decoder, image(9, 8)),
    "spatial_transformer": (networks.SpatialTransformer, image(33)),
}


OWN = list(MODELS)[list(MODELS).index("detector") :]
"""The names of the networks of `networks.py`."""

NOT_EXPORTED = "not_exported.json"
"""The name of the file with the refusals of the exporters, beside the exported files."""

OPSETS = {"spatial_transformer": 20, "vit": 14}
"""The oldest opset that supports the network, where 13 does not."""


def build(factory, example):
    """Return the module of a factory, seeded and in eval mode. `example` is batch → input."""
    torch.manual_seed(0)
    module = factory()
    for parameter in module.parameters():
        if not parameter.any():  # else a head would give zeros, and biases would vanish
            nn.init.normal_(parameter, std=0.1)
    calibrate(module, example)
    return module.eval()


def calibrate(module, example, rounds=3):
    """Run seeded batches through normalisation layers, so that no layer vanishes or explodes."""
    norms = [
        layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)
    ]
    if not norms:
        return
    module.eval()
    for layer in norms:
        layer.train()
        layer.momentum = 0.5
    with torch.no_grad():
        for _ in range(rounds):
            module(example(4))


def export(name, folder):
    """Write both files of one network, and return the errors by file."""
    factory, example = MODELS[name]
    module = build(factory, example)
    failed = {}
    x = example(2)
    dims = {"recurrent": {0: "batch", 1: "length"}} if name in ("lstm", "gru") else {}
    axes = dims.get("recurrent", {0: "batch"})
    opset = OPSETS.get(name, 13)
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with quiet[0], quiet[1]:
        try:
            torch.onnx.export(
                module, (x,), folder / f"{name}.onnx", dynamo=False, opset_version=opset,
                input_names=["x"], dynamic_axes={"x": axes},
            )  # fmt: skip
        except Exception as error:
            failed[f"{name}.onnx"] = error
        try:
            shapes = {axis: torch.export.Dim(symbol, min=1) for axis, symbol in axes.items()}
            torch.onnx.export(
                module, (x,), folder / f"{name}.dynamo.onnx", dynamo=True, opset_version=18,
                input_names=["x"], dynamic_shapes=(shapes,), external_data=False, verbose=False,
            )  # fmt: skip
        except Exception as error:
            failed[f"{name}.dynamo.onnx"] = error
    return failed


def main():
    logging.disable(logging.CRITICAL)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    names = sys.argv[2:] or MODELS
    failed = {}
    for name in OWN if names == ["own"] else names:
        for file, error in export(name, folder).items():
            failed[file] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
            print(f"{file}: {failed[file]}")
        print(name, flush=True)
    (folder / NOT_EXPORTED).write_text(json.dumps(failed, indent=1) + "\n")


if __name__ == "__main__":
    main()
