"""ONNX → TensorFlow → ONNX for files of a folder: `python there_and_back.py folder`.

`name.onnx` becomes `name.<target>.pb` and then `name.<target>.back.onnx`, for each target; files of
`light_…` for the oldest only. Each step is compared before it is written.
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
            # From the file, as somebody else would have it; the names are what the map says.
            convert.tf2onnx(
                graph,
                folder / f"{path.stem}.{target}.back.onnx",
                inputs=there.inputs,
                outputs=there.outputs,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
