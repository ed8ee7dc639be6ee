"""Hold one graph in one runtime and time it on request: `python contender.py KIND WHAT THREADS`.

Each line of standard input is a request in JSON. The answer to {"input": file.npy, "calls": n} is a
list of milliseconds. {"input": file.npy, "save": file.npy} writes the first output. The script also
runs on Python 3.6 and TensorFlow 1.4, because it imports only the runtime that it uses.
"""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np


def saved_model(folder, threads):
    """Return a function that calls the signature of a SavedModel (TensorFlow 2)."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    loaded = tf.saved_model.load(folder)
    signature = loaded.signatures["serving_default"]
    ((name, spec),) = signature.structured_input_signature[1].items()

    def call(array):
        given = {name: tf.constant(array.astype(spec.dtype.as_numpy_dtype, copy=False))}
        return [output.numpy() for output in signature(**given).values()]

    call.loaded = loaded  # keeps its variables alive
    return call


def frozen(path, threads):
    """Return a function that runs a frozen graph in a session (TensorFlow 1)."""
    import tensorflow as tf

    graph_def = tf.GraphDef()
    with open(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    session = tf.Session(graph=graph, config=tf.ConfigProto(intra_op_parallelism_threads=threads))
    read = {source.split(":")[0] for node in graph_def.node for source in node.input}
    (fed,) = [node.name for node in graph_def.node if node.op == "Placeholder"]
    fetched = [node.name + ":0" for node in graph_def.node if node.name not in read]
    fetched = [name for name in fetched if graph.get_operation_by_name(name[:-2]).type != "NoOp"]
    dtype = graph.get_tensor_by_name(fed + ":0").dtype.as_numpy_dtype
    return lambda array: session.run(fetched, {fed + ":0": array.astype(dtype, copy=False)})


def onnxruntime(path, threads):
    """Return a function that runs an ONNX file."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda array: session.run(None, {name: array})


def torch(name, threads):
    """Return a function that calls the PyTorch network from which the files were exported."""
    import networks_to_measure
    import torch

    torch.set_num_threads(threads)
    module = networks_to_measure.module(name)

    def call(array):
        with torch.inference_mode():
            outputs = module(torch.from_numpy(array))
        return [each.numpy() for each in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return call


def timed(call, array, calls):
    """Return the milliseconds of each of several calls."""
    seen = []
    for _ in range(calls):
        begin = time.perf_counter()
        call(array)
        seen.append(1000 * (time.perf_counter() - begin))
    return seen


def answer(call, request):
    """Return the answer to a request."""
    array = np.load(request["input"])
    if "save" in request:
        np.save(request["save"], call(array)[0])
        return []
    return timed(call, array, request["calls"])


def main():
    kind, what, threads = sys.argv[1:4]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the output of native code is not an answer
    call = None
    for line in sys.stdin:
        try:
            if call is None:
                call = globals()[kind](what, int(threads))
            said = answer(call, json.loads(line))
        except Exception as error:
            first = str(error).split("\n")[0][:300]
            said = {"error": f"{type(error).__name__}: {first}"}
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
