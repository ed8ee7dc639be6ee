#!/usr/bin/env python
"""Classify a picture with a frozen graph of this folder. Needs numpy, PIL and TensorFlow only.

    python predict.py picture.jpg      the enclosed photograph, or one of your own
    python predict.py picture.jpg --check     also compare with PyTorch's results for picture.jpg

Runs on Python 3.6 and TensorFlow 1.4 or later, including 2.x.

The picture is preprocessed with the usual steps for ImageNet models. Ask the sender whether this
model was trained with them. --check shows only that the steps give the same pixels here.
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

import argparse
import io
import json
import os
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np

try:
    from PIL import Image
except ImportError:
    sys.exit("Pillow is needed to read a picture: pip install Pillow.")

FORMATS = ("JPEG", "MPO", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")

HERE = os.path.dirname(os.path.abspath(__file__))

MANIFEST = json.loads("""{}""")  # filled in when this script is copied into a folder
# {"tolerance", "preprocessing": {"resize", "crop", "mean", "std"},
#  "refused": {what ops do besides computing: which ones, a pattern},
#  "graphs": [{"path", "oldest", "inputs", "outputs"}]}


def preprocess(path):
    """Return the pixels after ImageNet's usual steps: RGB, resize, centre crop, mean/std, NCHW."""
    steps = MANIFEST["preprocessing"]
    try:
        opened = Image.open(path)
        if opened.format not in FORMATS:  # Pillow runs a program to read some other formats
            raise ValueError("it is of format %s" % opened.format)
        image = opened.convert("RGB")
    except Exception as error:  # noqa: BLE001 - Pillow raises anything for a broken file
        sys.exit("%s cannot be read as a picture: %s. Give a JPEG or PNG." % (path, error))
    scale = float(steps["resize"]) / min(image.size)
    width, height = [max(steps["resize"], int(side * scale)) for side in image.size]
    image = image.resize((width, height), Image.BILINEAR)  # type: ignore[attr-defined]
    crop_height, crop_width = steps["crop"]
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    image = image.crop((left, top, left + crop_width, top + crop_height))
    pixels = np.array(image).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    mean, std = [np.array(steps[key], np.float32).reshape(3, 1, 1) for key in ("mean", "std")]
    return ((pixels - mean) / std)[np.newaxis]


def newest_graph(version):
    """Return the graph for the newest TensorFlow that is not newer than `version`."""
    here = tuple(int(part) for part in version.split(".")[:2])
    usable = [graph for graph in MANIFEST["graphs"] if tuple(graph["oldest"]) <= here]
    if not usable:
        sys.exit("No graph here can be loaded by TensorFlow %s. Use a newer one." % version)
    return usable[-1]


def check_nodes(graphs, refused, allowed):
    """Raise ValueError if graphs have ops that do more than compute; both scripts have this."""
    scopes = [graph.node for graph in graphs]
    scopes += [each.node_def for graph in graphs for each in graph.library.function]
    ops = {node.op for scope in scopes for node in scope} - set(allowed)
    for does, pattern in sorted(refused.items()):
        for op in sorted(ops):
            if re.match("(?:%s)\\Z" % pattern, op):
                words = "it has the op %s, which %s. If you trust its maker, add --allow-op %s"
                raise ValueError(words % (op, does, op))


def classify(images, allowed=()):
    """Return output name -> scores for a batch of preprocessed pictures."""
    import tensorflow as tf

    v1 = tf if tf.__version__.split(".")[0] == "1" else tf.compat.v1
    graph = newest_graph(tf.__version__)
    graph_def = v1.GraphDef()
    try:
        with open(os.path.join(HERE, graph["path"]), "rb") as file:
            graph_def.ParseFromString(file.read())
        check_nodes([graph_def], MANIFEST["refused"], allowed)
    except Exception as error:  # noqa: BLE001 - protobuf's own error, which old ones name otherwise
        sys.exit("%s is not loaded: %s." % (graph["path"], error))
    with tf.Graph().as_default():
        v1.import_graph_def(graph_def, name="")
        with v1.Session() as session:
            names = sorted(graph["outputs"])
            fetch = [graph["outputs"][name] for name in names]
            values = session.run(fetch, {next(iter(graph["inputs"].values())): images})
    print("TensorFlow %s, %s" % (tf.__version__, graph["path"]))
    return dict(zip(names, values))


def main():
    """Classify and print, compare if requested, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture")
    parser.add_argument("--check", action="store_true", help="compare with PyTorch's results")
    parser.add_argument("--allow-op", action="append", help="an op that may do more than compute")
    options = parser.parse_args()
    if not os.path.isfile(options.picture):
        parser.error("there is no picture %s. Give the path of a file" % options.picture)
    images = preprocess(options.picture)
    results = classify(images, options.allow_op or ())
    for name, scores in sorted(results.items()):
        scores = scores.reshape(-1)
        best = np.argsort(-scores)[:3]
        print("  %s: %s" % (name, ", ".join("class %d (%.3f)" % (i, scores[i]) for i in best)))
    if not options.check:
        return 0
    with np.load(os.path.join(HERE, "golden.npz"), allow_pickle=False) as golden:
        (key,) = [key for key in golden.files if key.startswith("picture/input/")]
        same = np.array_equal(golden[key], images)
        worst = max(
            float(np.abs(results[name] - golden["picture/output/" + name]).max())
            / max(float(np.abs(golden["picture/output/" + name]).max()), 1e-30)
            for name in results
        )
    print("  preprocessed pixels %s PyTorch's" % ("equal" if same else "DIFFER from"))
    print("  outputs differ by %.1e of the largest value" % worst)
    return 0 if same and worst <= MANIFEST["tolerance"] else 1


if __name__ == "__main__":
    # Print letters that the terminal lacks as escapes. With LANG=C, Python 3.6 would stop instead.
    sys.stdout = io.TextIOWrapper(
        sys.stdout.buffer, sys.stdout.encoding, "backslashreplace", line_buffering=True
    )
    sys.exit(main())
