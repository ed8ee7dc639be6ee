#!/usr/bin/env python
"""Reproduce a difference: run the smallest graph that has it, on the inputs that show it.

    python reproduce.py

The exit status is 1 if the judged graph still differs, 0 if it agrees now, and 2 if it cannot be
run here. You need numpy, and TensorFlow (1.4 or later) or onnxruntime, whichever runs the judged
graph.
"""

import sys

if __name__ == "__main__":
    # Do not import modules from this folder: a numpy.py beside this script must not run.
    PLACES, sys.path[:] = list(sys.path), []
    import os  # Python has already loaded it, so no folder is searched

    def _real(path):
        return os.path.normcase(os.path.realpath(path)) + os.sep

    def _may_be_searched(place, here):
        """Whether a folder is an environment, or not this folder, its parent or inside it."""
        own = _real(sys.prefix)
        environment = own.startswith(here) and place.startswith(own) and place != here
        return environment or not (place.startswith(here) or place == _real(here + os.pardir))

    HERES = {_real(os.path.dirname(path)) for path in (__file__, os.path.realpath(__file__))}
    for PLACE in PLACES:
        if all(_may_be_searched(_real(PLACE), here) for here in HERES):
            sys.path.append(PLACE)

import io
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np

HALF = 8 * 2.0**-10
"""The least tolerance of float16: eight units in the last place."""

HERE = os.path.dirname(os.path.abspath(__file__))


def run_onnx(piece, feeds):
    """Run an ONNX file, and return (the runtime, the output)."""
    import onnxruntime

    path = os.path.join(HERE, piece["file"])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return "onnxruntime " + onnxruntime.__version__, session.run([piece["output"]], feeds)[0]


def run_tensorflow(piece, feeds):
    """Run a frozen graph, and return (the runtime, the output)."""
    import tensorflow as tf

    v1 = tf if tf.__version__.split(".")[0] == "1" else tf.compat.v1
    graph_def = v1.GraphDef()
    with open(os.path.join(HERE, piece["file"]), "rb") as file:
        graph_def.ParseFromString(file.read())
    with tf.Graph().as_default():
        v1.import_graph_def(graph_def, name="")
        with v1.Session() as session:
            value = session.run(piece["output"], feeds)
    return "TensorFlow " + tf.__version__, value


def axes(layout):
    """Return a layout such as "0,2,3,1" as numbers."""
    return [int(axis) for axis in layout.split(",")]


def run(piece, arrays):
    """Run one piece, and return (the runtime, the output with ONNX's axes)."""
    feeds = {}
    for name, tensors in piece["inputs"].items():
        value = arrays["input/" + name]
        if name in piece["layouts"]:
            value = value.transpose(axes(piece["layouts"][name]))
        feeds.update(dict.fromkeys(tensors, value))
    work = run_onnx if piece["file"].endswith(".onnx") else run_tensorflow
    who, value = work(piece, feeds)
    if piece["name"] in piece["layouts"]:
        value = value.transpose(np.argsort(axes(piece["layouts"][piece["name"]])))
    return who, value


def verdict(expected, value, tolerance):
    """Return (whether two outputs agree, the comparison in words)."""
    if expected.shape != value.shape or expected.dtype != value.dtype:
        words = "%s %s, not %s %s" % (value.dtype, value.shape, expected.dtype, expected.shape)
        return False, words
    if expected.dtype.kind not in "fc":
        wrong = int(np.sum(expected != value))
        return not wrong, "%d of %d values differ" % (wrong, expected.size)
    kind = "complex128" if np.iscomplexobj(expected) else "float64"
    exact, seen = expected.astype(kind), value.astype(kind)
    same = (exact == seen) | (np.isnan(exact) & np.isnan(seen))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0, np.abs(seen - exact))
    largest = float(difference.max()) if difference.size else 0.0
    finite = np.abs(exact[np.isfinite(exact)])
    scale = float(finite.max()) if finite.size else 0.0
    if expected.dtype == np.float16:
        tolerance = max(tolerance, HALF)
    limit = tolerance * scale if scale else 1e-6
    return largest <= limit, "largest difference %.3g, largest value %.3g" % (largest, scale)


def main():
    """Run every piece, print a line for each, and return the exit status."""
    with open(os.path.join(HERE, "case.json")) as file:
        case = json.load(file)
    with np.load(os.path.join(HERE, "tensors.npz"), allow_pickle=False) as stored:
        arrays = dict(stored)
    print("%s: tensor %s, made by %s" % (case["title"], case["output"], ", ".join(case["nodes"])))
    good, words = verdict(arrays["expected"], arrays["seen"], case["tolerance"])
    print("  %-8s when it was found: %s" % ("agrees" if good else "DIFFERS", words))
    status = 2
    for piece in case["pieces"]:
        what = "%s (%s)" % (piece["file"], piece["side"] or "for comparison")
        try:
            who, value = run(piece, arrays)
        except ImportError as error:
            print("  left out %s, which is for %s: %s" % (what, piece["runtime"], error))
            continue
        good, words = verdict(arrays["expected"], np.asarray(value), case["tolerance"])
        print("  %-8s %s on %s: %s" % ("agrees" if good else "DIFFERS", what, who, words))
        if piece["side"] == "judged":
            status = 0 if good else 1
            if who != piece["runtime"] and "TensorFlow" in who:
                print("           (it was found on %s)" % piece["runtime"])
    if status == 2:
        print("What was judged cannot be run here; use a Python that has it.")
    return status


if __name__ == "__main__":
    # Letters that the terminal lacks become escapes, because with LANG=C Python 3.6 would stop.
    sys.stdout = io.TextIOWrapper(
        sys.stdout.buffer, sys.stdout.encoding, "backslashreplace", line_buffering=True
    )
    sys.exit(main())
