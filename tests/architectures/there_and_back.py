"""ONNX → TensorFlow → ONNX for files of a folder: `python there_and_back.py folder`.

`name.onnx` becomes `name.<target>.pb` and then `name.<target>.back.onnx`, for each target. Files
named `light_…` are converted for the oldest target only. Each step is compared before it is
written.
"""

import sys
from pathlib import Path

from nbhelpers import convert


def main(folder):
    for path in sorted(folder.glob("*.onnx")):
        oldest_only = path.stem.startswith("light_")
        for target in convert.TARGETS[:1] if oldest_only else convert.TARGETS:
            graph = folder / f"{path.stem}.{target}.pb"
            there = convert.onnx2tf(path, graph, target=target)
            # Read the file as another user would. The map gives the names.
            convert.tf2onnx(
                graph,
                folder / f"{path.stem}.{target}.back.onnx",
                inputs=there.inputs,
                outputs=there.outputs,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
