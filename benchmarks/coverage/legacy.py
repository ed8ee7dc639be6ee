"""Run frozen graphs on the TensorFlow that runs this script: `python legacy.py jobs.json`.

Each job is a folder with frozen.pb, in<N>.npz, in<N>.json and fetch.json. The outputs are written
to the same folder. The script runs on Python 3.6 and TensorFlow 1.4, and on later ones, in default
sessions.
"""

import glob
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tensorflow as tf

tf1 = getattr(getattr(tf, "compat", None), "v1", tf)


def typed(array):
    """Return an array in the form for TensorFlow: numpy's files hold bfloat16 as two bytes each."""
    if array.dtype.kind == "V":
        return array.view(tf.bfloat16.as_numpy_dtype)
    return array


def run(home):
    """Run one job and return what went wrong, or an empty text."""
    graph_def = tf1.GraphDef()
    with open(os.path.join(home, "frozen.pb"), "rb") as file:
        graph_def.ParseFromString(file.read())
    with open(os.path.join(home, "fetch.json")) as file:
        fetch = json.load(file)
    try:
        with tf.Graph().as_default():
            tf1.import_graph_def(graph_def, name="")
            with tf1.Session() as session:
                for number in range(len(glob.glob(os.path.join(home, "in*.npz")))):
                    with open(os.path.join(home, "in%d.json" % number)) as file:
                        names = json.load(file)
                    with np.load(os.path.join(home, "in%d.npz" % number)) as arrays:
                        fed = {name: typed(arrays[str(i)]) for i, name in enumerate(names)}
                    values = session.run(fetch, fed)
                    outputs = {str(i): value for i, value in enumerate(values)}
                    np.savez(os.path.join(home, "out%d.npz" % number), **outputs)
    except Exception as error:
        return "%s: %s" % (type(error).__name__, str(error).splitlines()[0][:200])
    return ""


def main():
    with open(sys.argv[1]) as file:
        jobs = json.load(file)
    for home in jobs:
        said = run(home)
        with open(os.path.join(home, "done.json"), "w") as file:
            json.dump(said, file)


if __name__ == "__main__":
    main()
