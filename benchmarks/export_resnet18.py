"""Export a ResNet-18 of 224×224 with 1000 classes and seeded weights, for the benchmarks.

`make bench` runs it in the kernel train; the argument is where to write the file.
"""

import sys
from pathlib import Path

import torch

from nbhelpers import onnxgraph
from nbhelpers.spec import TensorSpec
from nbhelpers.train import export_onnx
from nbhelpers.train.resnet import ResNet18


def main(path: Path) -> None:
    """Write the model, simplified, with a dynamic batch."""
    torch.manual_seed(0)
    module = ResNet18({"scores": 1000}).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    export_onnx(
        module,
        [TensorSpec("images", "float32", ("batch", 3, 224, 224))],
        path,
        output_names=["scores"],
    )
    onnxgraph.save(onnxgraph.simplify(onnxgraph.load(path)).model, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
