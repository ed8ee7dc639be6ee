"""Build the networks of the catalogue and export them: `networks_to_measure.py folder names`.

The script runs in the environment `architectures`. It writes four files for each network:
`name.onnx` (opset 13, dynamic batch), `name.opset11.onnx` for converters without newer opsets, and
`name.batch1.onnx`, `name.batch8.onnx` with a fixed batch for converters that need one.
"""

import contextlib
import io
import logging
import sys
from pathlib import Path

from catalogue import BATCHES, MODELS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "architectures"))

import export
import torch

FACTORIES = {name: factory for name, (factory, _) in export.MODELS.items()} | {
    "vgg16": export.vision("vgg16"),
    "vit": export.vision("VisionTransformer", 224, 16, 6, 6, 384, 1536),
}
OPSET = 13


def example(name):
    """Return a function that maps a batch to the input of a network."""
    model = MODELS[name]
    if model.dtype == "int64":
        return lambda batch: torch.randint(0, 50, (batch, *model.shape))
    return lambda batch: torch.randn(batch, *model.shape)


def module(name):
    """Return a network with seeded weights, in eval mode."""
    return export.build(FACTORIES[name], example(name))


def write(network, name, path, *, opset, batch=None):
    """Export one file. Its batch is dynamic if no batch is given."""
    axes = {"x": {0: "batch"}, "y": {0: "batch"}} if batch is None else None
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with quiet[0], quiet[1]:
        torch.onnx.export(
            network, (example(name)(batch or 2),), path, dynamo=False, opset_version=opset,
            input_names=["x"], output_names=["y"], dynamic_axes=axes,
        )  # fmt: skip


def main():
    logging.disable(logging.CRITICAL)
    folder = Path(sys.argv[1])
    for name in sys.argv[2:]:
        network = module(name)
        opset = export.OPSETS.get(name, OPSET)
        write(network, name, folder / f"{name}.onnx", opset=opset)
        for batch in BATCHES:
            path = folder / f"{name}.batch{batch}.onnx"
            write(network, name, path, opset=opset, batch=batch)
        try:
            write(network, name, folder / f"{name}.opset11.onnx", opset=11)
        except torch.onnx.errors.OnnxExporterError as error:
            print(f"{name}: not at opset 11: {str(error).splitlines()[0][:150]}")
        (folder / f"{name}.done").touch()
        print(name, flush=True)


if __name__ == "__main__":
    main()
