"""Make the artefacts to run from converted files: `python artefacts.py WHAT arguments`, in `tf`.

The commands are:

    saved_model frozen.pb folder
    constants frozen.pb folder         no variables
    twin ResNet50 folder C H W         of keras.applications
    ours model.onnx target out.pb
    old folder target out.pb           onnx-tf's SavedModel, retargeted by our rules only
    ops folder-or-pb                   prints op → number of nodes
"""

import json
import os
import sys

from graphcore.errors import Refusal
from nbhelpers import convert


def saved_model(pb, folder):
    convert.build_saved_model(pb, folder)


def constants(pb, folder):
    from tfgraph.savedmodels import variables

    variables.LEAST = 2**62
    convert.build_saved_model(pb, folder)


def twin(name, folder, *size):
    import keras

    channels, height, width = map(int, size)
    keras.utils.set_random_seed(0)
    options = {"weights": None, "input_shape": (height, width, channels)}
    getattr(keras.applications, name)(**options).export(folder, verbose=False)


def ours(model, target, out):
    convert.onnx2tf(model, out, target=target, verify=False)


def old(folder, target, out):
    from nbhelpers.convert import onnxtf

    if not os.path.isdir(folder):
        return {"failed": "not converted"}
    made = onnxtf.frozen(folder)
    fitted = convert.retarget(made.graph, target, outputs=made.outputs.values())
    convert.save_graph_def(fitted.graph_def, out)
    return {}


def ops(path):
    counts = convert.op_histogram(convert.open_graph(path).graph.as_graph_def())
    return {op: count for op, count in counts.items() if op != "Const"}


def main():
    what, *arguments = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the output of TensorFlow is not the answer
    try:
        said = globals()[what](*arguments) or {}
    except Refusal as error:
        said = {"failed": str(error)[:300]}
    answers.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
