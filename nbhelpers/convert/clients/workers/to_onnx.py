"""TensorFlow → ONNX by tf2onnx, in its own process: frozen graph → .onnx.

    python -P to_onnx.py request.json

The tensors keep TensorFlow's names, so the same request works for the graph and for the file.
"""

import json
import sys


def main(request_path: str) -> None:
    """Write `request["made"]`, or end with the refusal as the last line on stderr."""
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    from graphcore.errors import Refusal
    from nbhelpers.convert import tf2onnx

    inputs, outputs = (list(request[side].values()) for side in ("inputs", "outputs"))
    try:
        # The worker compares with the golden outputs, so no comparison with TensorFlow is needed
        # here.
        tf2onnx(
            request["model"],
            request["made"],
            inputs=dict(zip(inputs, inputs, strict=True)),
            outputs=dict(zip(outputs, outputs, strict=True)),
            verify=False,
        )
    except Refusal as error:
        sys.exit(" ".join(str(error).split()))


if __name__ == "__main__":
    main(sys.argv[1])
