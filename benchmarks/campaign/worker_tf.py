"""Runs frozen graphs in default sessions on the TensorFlow that runs this script, from 1.4 on.

The folder of a request (`serving.py`) holds graph.pb. `fetch` names the tensors to return.
"""

import os

import tensorflow
from serving import compute, serve

tf = getattr(getattr(tensorflow, "compat", None), "v1", tensorflow)


def run(request):
    """Run the graph on every run of the request and return the fetched tensors."""
    graph_def = tf.GraphDef()
    with open(os.path.join(request["folder"], "graph.pb"), "rb") as file:
        graph_def.ParseFromString(file.read())
    with tf.Graph().as_default():
        tf.import_graph_def(graph_def, name="")
        config = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        with tf.Session(config=config) as session:
            compute(request, lambda fed: session.run(request["fetch"], fed))
    return request["fetch"]


if __name__ == "__main__":
    serve(run)
