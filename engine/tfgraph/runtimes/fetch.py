"""Compute any tensors of a frozen graph, by any TensorFlow from 1.4 on and Python from 3.6 on.

The kernel convert imports it for its own TensorFlow. The other kernels run it as a script:

    python fetch.py frozen.pb

It then answers requests, one JSON text a line, until its input ends. Large weights are taken out of
the graph and fed, so they exist only once, even in many runs.
"""

from __future__ import print_function

import json
import os
import sys

import numpy as np

HEAVY = 4096
"""Constants of more bytes than this are fed."""


class Graph(object):
    """A frozen graph without its large constants, which are kept as arrays."""

    def __init__(self, tf, small, weights):
        """Take a GraphDef whose `weights`, arrays by node, are placeholders (`split_weights`)."""
        self.tf, self.v1 = tf, _version_1_api(tf)
        self.title = "TensorFlow %s" % tf.__version__
        self.small, self.weights = small, weights
        self.nodes = {node.name: node for node in self.small.node}
        self.placeholders = [
            node.name + ":0"
            for node in self.small.node
            if node.op.startswith("Placeholder") and node.name not in self.weights
        ]

    def run(self, fetch, feeds):
        """Return the tensors `fetch` as a list. `feeds` maps tensors, inner ones too, to arrays."""
        part, inputs = self._part(fetch, feeds)
        fed = {here: feeds[name] for name in inputs for here in inputs[name]}
        here = {node.name for node in part.node}
        fed.update({name + ":0": self.weights[name] for name in self.weights if name in here})
        graph = self.tf.Graph()
        with graph.as_default():
            self.v1.import_graph_def(part, name="")
            # One more consumer each, because TensorFlow's fusions may remove a fetched tensor.
            wanted = [self.tf.identity(graph.get_tensor_by_name(name)) for name in fetch]
        with self.v1.Session(graph=graph) as session:
            return session.run(wanted, fed)

    def piece(self, fetch, feeds):
        """Return (GraphDef, inputs): the part between `feeds` and `fetch`, weights included.

        `inputs` maps each fed tensor that is needed to the placeholders that take its value.
        """
        part, inputs = self._part(fetch, feeds)
        whole = self.v1.GraphDef()
        whole.versions.CopyFrom(part.versions)
        for node in part.node:
            constant = node.name in self.weights
            whole.node.extend([self._constant(node) if constant else node])
        return whole, inputs

    def _part(self, fetch, feeds):
        """Return the graph between `feeds` and `fetch` and, for each fed tensor, placeholders."""
        fed = {alias: name for name in feeds for alias in self._aliases(name)}
        part = self.v1.GraphDef()
        part.versions.CopyFrom(self.small.versions)
        part.library.CopyFrom(self.small.library)
        needed, given, waiting = set(), {}, [_node(name) for name in fetch]
        while waiting:
            name = waiting.pop()
            if name in needed:
                continue
            needed.add(name)
            for source in map(_full, self.nodes[name].input):
                if source in fed:
                    given[source] = _standing(source)
                else:
                    waiting.append(_node(source))
        for node in self.small.node:
            if node.name in needed:
                added = part.node.add()
                added.CopyFrom(node)
                del added.input[:]
                added.input.extend(given.get(_full(source), source) for source in node.input)
        inputs = {}  # type: dict
        for source, name in sorted(given.items()):
            self._add_placeholder(part, name, feeds[fed[source]])
            inputs.setdefault(fed[source], []).append(name + ":0")
        return part, inputs

    def _aliases(self, name):
        """Return a tensor and the tensors of which it is only a copy."""
        found = [name]
        while self.nodes[_node(found[-1])].op == "Identity":
            found.append(_full(self.nodes[_node(found[-1])].input[0]))
        return found

    def _add_placeholder(self, part, name, value):
        added = part.node.add(name=name, op="Placeholder")
        added.attr["dtype"].type = self.tf.as_dtype(value.dtype).as_datatype_enum
        for size in value.shape:
            added.attr["shape"].shape.dim.add(size=size)

    def _constant(self, node):
        from tensorflow.python.framework import tensor_util

        result = self.v1.NodeDef(name=node.name, op="Const")
        result.attr["dtype"].CopyFrom(node.attr["dtype"])
        value = tensor_util.make_tensor_proto(self.weights[node.name])
        result.attr["value"].tensor.CopyFrom(value)
        return result


def split_weights(v1, graph_def):
    """Return (the graph with placeholders for its large constants, the constants by node name)."""
    from tensorflow.python.framework import tensor_util

    small, weights = v1.GraphDef(), {}
    small.versions.CopyFrom(graph_def.versions)
    small.library.CopyFrom(graph_def.library)
    for node in graph_def.node:
        constant = node.op == "Const" and not node.input  # a constant with inputs belongs to a loop
        if not constant or len(node.attr["value"].tensor.tensor_content) <= HEAVY:
            small.node.extend([node])
            continue
        weights[node.name] = tensor_util.MakeNdarray(node.attr["value"].tensor)
        placeholder = small.node.add(name=node.name, op="Placeholder")
        placeholder.attr["dtype"].CopyFrom(node.attr["dtype"])
        placeholder.attr["shape"].shape.CopyFrom(node.attr["value"].tensor.tensor_shape)
    return small, weights


def packed(arrays):
    """Return key -> array for a list of arrays, without pickles: strings as bytes and lengths."""
    found = {}
    for place, array in enumerate(arrays):
        # TensorFlow returns plain bytes for a string of rank 0, and NumPy would cut its zeros off.
        array = np.array(array, object) if isinstance(array, bytes) else np.asarray(array)
        if array.dtype == object:
            texts = list(array.ravel())
            found["%d/lengths" % place] = np.array(list(map(len, texts)), int).reshape(array.shape)
            array = np.frombuffer(b"".join(texts), np.uint8)
        found[str(place)] = array
    return found


def unpacked(stored):
    """Return the list of arrays from a file that `packed` made."""
    arrays = []
    for place in range(sum("/" not in key for key in stored.files)):
        array, key = stored[str(place)], "%d/lengths" % place
        if key in stored.files:
            lengths = stored[key]
            ends, content = np.cumsum(lengths.ravel()), array.tobytes()
            array = np.empty(lengths.shape, object)
            for index, end, length in zip(np.ndindex(lengths.shape), ends, lengths.ravel()):
                array[index] = content[end - length : end]
        arrays.append(array)
    return arrays


def _node(name):
    return name.lstrip("^").partition(":")[0]


def _full(name):
    return name if ":" in name or name.startswith("^") else name + ":0"


def _standing(name):
    """Return the name of the placeholder that replaces a tensor."""
    node, _, port = name.partition(":")
    return "%s__fed%s" % (node, "" if port == "0" else "_" + port)


def _load(tf, path):
    graph_def = _version_1_api(tf).GraphDef()
    with open(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    small, weights = split_weights(_version_1_api(tf), graph_def)
    return Graph(tf, small, weights)


def _version_1_api(tf):
    return tf if tf.__version__.split(".")[0] == "1" else tf.compat.v1


def _answer(graph, request):
    if "fetch" not in request:
        return {"nodes": list(graph.nodes), "placeholders": graph.placeholders}
    with np.load(request["feeds"], allow_pickle=False) as stored:
        feeds = dict(zip(request["fed"], unpacked(stored)))
    if "piece" in request:
        graph_def, inputs = graph.piece(request["fetch"], feeds)
        with open(request["piece"], "wb") as file:
            file.write(graph_def.SerializeToString())
        return {"inputs": inputs}
    values = graph.run(request["fetch"], feeds)
    with open(request["values"], "wb") as file:
        np.savez(file, **packed(values))
    return {}


def serve(path):
    """Answer requests, one per line. TensorFlow's own output goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import tensorflow as tf

    graph = _load(tf, path)
    for line in iter(sys.stdin.readline, ""):
        try:
            answer = _answer(graph, json.loads(line))
        except Exception as error:  # noqa: BLE001 - what TensorFlow raises is the answer here
            answer = {"error": (str(error).splitlines() or [type(error).__name__])[0][:300]}
        print(json.dumps(answer), file=answers)
        answers.flush()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    serve(sys.argv[1])
