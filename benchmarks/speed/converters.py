"""One conversion in this process: `python converters.py WHICH model.onnx out`, which prints JSON.

Imports before the conversion are timed separately, as "import". The script runs in the environment
`tf`, and for `onnx2tf` in `peers`.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def ours(verify):
    """Return a function that converts as this project does, to a frozen graph for `tf2`."""
    from nbhelpers import convert
    from tfgraph import handlers  # noqa: F401 (onnx-tf's come with its backend, too)

    return lambda model, out: convert.onnx2tf(model, f"{out}.pb", target="tf2", verify=verify)


def to_saved_model(verify):
    """Return a function that converts as this project does, to a SavedModel."""
    ours(verify)
    from nbhelpers import convert

    def work(model, out):
        made = convert.onnx2tf(model, None, target="tf2", verify=verify)
        convert.build_saved_model(made, out)

    return work


def onnx_tf():
    """Return a function that converts as onnx-tf's own entry points do, to a SavedModel."""
    from nbhelpers.convert import onnxtf_worker

    backend = onnxtf_worker.backend({})
    return lambda model, out: onnxtf_worker.export(backend, model, out)


def onnx2tf():
    """Return a function that converts as onnx2tf does by default, to a SavedModel.

    onnx2tf compares the outputs of each op with onnxruntime's by itself, on pictures that it would
    download. A file of noise replaces these pictures.
    """
    picture = Path("calibration_image_sample_data_20x128x128x3_float32.npy")
    if not picture.exists():
        np.save(picture, np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32))
    import onnx2tf

    return lambda model, out: onnx2tf.convert(
        input_onnx_file_path=model,
        output_folder_path=out,
        output_signaturedefs=True,
        non_verbose=True,
    )


def nothing():
    """Return a function that only imports TensorFlow.

    A second process starts TensorFlow's graph optimiser, as in each of our conversions.
    """
    import tensorflow  # noqa: F401

    worker = Path(__file__).parents[2] / "engine/tfgraph/native/native_worker.py"
    command, pipe = [sys.executable, "-P", str(worker)], subprocess.PIPE

    def work(model, out):
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as held:
            held.stdin.write(bytes(8))  # an empty message, which the worker refuses
            held.stdin.flush()
            held.stdout.read(8)

    return work


CONVERTERS = {
    "ours": lambda: ours(verify=False),
    "ours, verified": lambda: ours(verify=True),
    "ours, to a SavedModel": lambda: to_saved_model(verify=False),
    "ours, verified, to a SavedModel": lambda: to_saved_model(verify=True),
    "onnx-tf": onnx_tf,
    "onnx2tf": onnx2tf,
    "nothing": nothing,
}


def main():
    which, model, out = sys.argv[1:4]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the output of the converters is not the answer
    begin = time.perf_counter()
    convert = CONVERTERS[which]()
    ready = time.perf_counter()
    try:
        convert(model, out)
    except Exception as error:
        said = {"failed": reason(error)}
    else:
        said = {"import": ready - begin, "seconds": time.perf_counter() - ready}
    answers.write(json.dumps(said) + "\n")


def reason(error):
    """Return an exception's message as one line.

    It is the first line, but AutoGraph puts it last.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    said = lines[-1 if "in user code:" in lines[0] else 0]
    name = type(error).__name__
    return (said if said.startswith(name) else f"{name}: {said}")[:300]


if __name__ == "__main__":
    main()
