"""Runs frozen graphs in default sessions on the TensorFlow that runs this script, from 1.4 on.

A request is a line of JSON on standard input: a folder with graph.pb, in<N>.npz and the names of
the tensors to feed and to fetch. The outputs go beside them, and one line answers.
"""

import json
import os
import sys

import numpy as np
import tensorflow

tf = getattr(getattr(tensorflow, "compat", None), "v1", tensorflow)
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def run(request):
    graph_def = tf.GraphDef()
    with open(os.path.join(request["folder"], "graph.pb"), "rb") as file:
        graph_def.ParseFromString(file.read())
    with tf.Graph().as_default():
        tf.import_graph_def(graph_def, name="")
        config = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        with tf.Session(config=config) as session:
            for number, names in enumerate(request["names"]):
                with np.load(os.path.join(request["folder"], "in%d.npz" % number)) as arrays:
                    fed = {name: arrays[str(place)] for place, name in enumerate(names)}
                values = session.run(request["fetch"], fed)
                outputs = {str(place): value for place, value in enumerate(values)}
                np.savez(os.path.join(request["folder"], "out%d.npz" % number), **outputs)
    return request["fetch"]


def main():
    for line in sys.stdin:
        answer = {"error": "", "outputs": []}
        try:
            answer["outputs"] = run(json.loads(line))
        except Exception as error:
            said = str(error).splitlines() or [""]
            answer["error"] = "%s: %s" % (type(error).__name__, said[0][:300])
        ANSWERS.write(json.dumps(answer) + "\n")
        ANSWERS.flush()


if __name__ == "__main__":
    main()
