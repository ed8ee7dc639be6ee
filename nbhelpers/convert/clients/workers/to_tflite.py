"""TensorFlow's own converter to TensorFlow Lite, in its own process: SavedModel → .tflite.

python -P to_tflite.py request.json
"""

import json
import os
import sys


def main(request_path: str) -> None:
    """Write `request["made"]`, or end with the converter's message as the last line on stderr."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    import tensorflow as tf

    chosen = {"signature_keys": [request["signature"]], "tags": set(request["tags"])}
    try:
        made = tf.lite.TFLiteConverter.from_saved_model(request["model"], **chosen).convert()
    except Exception as error:  # noqa: BLE001 - the converter's error is the answer
        sys.exit(" ".join(str(error).split()))
    with open(request["made"], "wb") as file:
        file.write(made)


if __name__ == "__main__":
    main(sys.argv[1])
