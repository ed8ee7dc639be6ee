"""Write which combinations of ops the TensorFlow that runs this script cannot compute on a CPU.

    python dump_forms.py tf2.forms.json

An op may have a kernel for its type but none for its dilations or groups. Also, the graph optimiser
of a default session fuses neighbours into one op, whose kernel supports less than theirs. So each
form (an op, its features, the ops that follow) runs in a default session, and the result is
compared with a session that optimises nothing. TensorFlow 2 runs twice, with oneDNN and without it,
because the processor decides which of them it uses. The script runs on Python 3.6 and on TensorFlow
1.4 and later.
"""

import json
import os
import subprocess
import sys

CONVOLUTIONS = {"Conv2D": 2, "DepthwiseConv2dNative": 2, "Conv3D": 3}
GRADIENTS = {"Conv2DBackpropInput": 2, "Conv3DBackpropInputV2": 3}
"""Op -> its number of spatial axes. Gradients compute transposed convolutions."""

FEATURES = ((), ("dilations",), ("groups",), ("strides",), ("dilations", "groups"))
"""Features that a plain convolution does not have. The strides are unequal ones."""

NORMALISATIONS = {"FusedBatchNorm": "T", "FusedBatchNormV2": "U", "FusedBatchNormV3": "U"}
"""Op -> the attribute with its parameters' type."""

MIDDLES = [(), ("BiasAdd",), ("Squeeze", "BiasAdd"), ("Add",), ("AddV2",)]  # type: list
MIDDLES += [(name,) for name in sorted(NORMALISATIONS)]
ENDS = ((), ("Relu",), ("Relu6",), ("Elu",), ("LeakyRelu",), ("Tanh",), ("Sigmoid",))
TYPES = ("DT_FLOAT", "DT_DOUBLE", "DT_HALF", "DT_BFLOAT16")
CHANNELS = 4
NUMBERS = {3: [7, 6, 5], 2: [7, 6]}


def chains():
    """Yield (op, features, the ops that follow). The beginning of a chain comes before it."""
    heads = [(op, features) for op in sorted(CONVOLUTIONS) for features in FEATURES]
    heads += [(op, ()) for op in sorted(GRADIENTS)] + [("MatMul", ())]
    for op, features in heads:
        for middle in MIDDLES:
            for end in ENDS:
                if "Squeeze" not in middle or op != "MatMul":
                    yield op, features, middle + end


def words(op, features, followers):
    """Return a chain in words: "Conv2D with groups, BiasAdd, Relu"."""
    head = "%s with %s" % (op, " and ".join(features)) if features else op
    return ", ".join((head, *followers))


class Graph(object):
    """A graph that is written node by node, all of one type. `feeds` has its inputs."""

    def __init__(self, tf, dtype):
        import numpy as np
        from tensorflow.core.framework import types_pb2

        self.tf, self.v1 = tf, tf if tf.__version__.split(".")[0] == "1" else tf.compat.v1
        self.definition, self.feeds = self.v1.GraphDef(), {}
        self.dtype = tf.as_dtype(types_pb2.DataType.Value(dtype))
        self.random = np.random.RandomState(0)

    def add(self, name, op, inputs, **attributes):
        node = self.definition.node.add(name=name, op=op, input=inputs)
        attributes.setdefault("T", self.dtype)
        for key, value in attributes.items():
            if isinstance(value, bool):
                node.attr[key].b = value
            elif isinstance(value, bytes):
                node.attr[key].s = value
            elif isinstance(value, list):
                node.attr[key].list.i.extend(value)
            else:
                node.attr[key].type = value.as_datatype_enum
        return name

    def constant(self, name, value):
        from tensorflow.python.framework import tensor_util

        proto = tensor_util.make_tensor_proto(value)
        node = self.definition.node.add(name=name, op="Const")
        node.attr["dtype"].type = proto.dtype
        node.attr["value"].tensor.CopyFrom(proto)
        return name

    def numbers(self, shape, dtype=None):
        return self.random.uniform(0.5, 1.5, shape).astype((dtype or self.dtype).as_numpy_dtype)

    def data(self, shape):
        self.feeds["data:0"] = self.numbers([2, *shape])
        node = self.definition.node.add(name="data", op="Placeholder")
        node.attr["dtype"].type = self.dtype.as_datatype_enum
        for size in [-1, *shape]:
            node.attr["shape"].shape.dim.add(size=size)
        return "data"

    def run(self, optimised):
        """Return the last tensor as floats."""
        config = self.v1.ConfigProto()
        rewriting = config.graph_options.rewrite_options
        if not optimised and hasattr(rewriting, "disable_meta_optimizer"):
            rewriting.disable_meta_optimizer = True
        with self.tf.Graph().as_default() as graph:
            self.v1.import_graph_def(self.definition, name="")
            with self.v1.Session(graph=graph, config=config) as session:
                return session.run("last:0", self.feeds).astype("float64")


def graph_of(tf, chain, dtype):
    """Return the `Graph` that computes a chain."""
    op, features, followers = chain
    graph = Graph(tf, dtype)
    width = _head(graph, op, features, 1 if "Squeeze" in followers else None)
    last = "head"
    for place, follower in enumerate(followers):
        inputs, more = [last], {}  # type: list, dict
        if follower == "Squeeze":
            more["squeeze_dims"] = [1]
        elif follower in ("BiasAdd", "Add", "AddV2"):
            inputs.append(graph.constant("bias", graph.numbers([width])))
        elif follower in NORMALISATIONS:
            more = {NORMALISATIONS[follower]: tf.float32, "is_training": False}
            inputs += [
                graph.constant("parameter_%d" % i, graph.numbers([width], tf.float32))
                for i in range(4)
            ]
        last = graph.add("follower_%d" % place, follower, inputs, **more)
    graph.add("last", "Identity", [last])
    return graph


def _head(graph, op, features, rows):
    """Add the first op and return the number of channels that it makes."""
    import numpy as np

    if op == "MatMul":
        factor = graph.constant("factor", graph.numbers([CHANNELS, CHANNELS]))
        graph.add("head", op, [graph.data([CHANNELS]), factor])
        return CHANNELS
    axes = CONVOLUTIONS.get(op) or GRADIENTS[op]
    sizes = [rows or NUMBERS[axes][0], *NUMBERS[axes][1:]]
    depthwise, groups = op == "DepthwiseConv2dNative", "groups" in features
    shape = [1 if rows else 2] * axes
    shape += [CHANNELS // 2, CHANNELS] if groups and not depthwise else [CHANNELS, CHANNELS]
    shape[-1] = 1 + groups if depthwise else shape[-1]
    inputs = [graph.data([*sizes, CHANNELS]), graph.constant("filters", graph.numbers(shape))]
    strides = [1] * (axes + 2)
    strides[2] += "strides" in features
    attributes = {"padding": b"SAME", "strides": strides}  # type: dict
    if "dilations" in features:
        attributes["dilations"] = [1] + [2] * axes + [1]
    if op in GRADIENTS:
        whole = np.array([2, *sizes, CHANNELS], np.int32)
        inputs = [graph.constant("sizes", whole), inputs[1], inputs[0]]
    graph.add("head", op, inputs, **attributes)
    return CHANNELS * shape[-1] if depthwise else CHANNELS


def fails(tf, chain, dtype):
    """Whether a default session cannot compute a chain, or computes something else.

    Unknown attributes and types do not count, because the tables of ops and kernels list them.
    """
    import numpy as np

    op, features, followers = chain
    graph = graph_of(tf, chain, dtype)
    try:
        expected = graph.run(optimised=False)
    except (tf.errors.OpError, ValueError) as error:
        known = not any(text in str(error) for text in ("NodeDef mentions attr", "No attr named"))
        plain = (op, (), ())
        return bool(features and not followers and known and not fails_at_all(tf, plain, dtype))
    try:
        seen = graph.run(optimised=True)
    except tf.errors.OpError:
        return True
    return bool(np.abs(seen - expected).max() > 0.05 * np.abs(expected).max())


def fails_at_all(tf, chain, dtype):
    """Whether a session that optimises nothing cannot compute a chain."""
    try:
        graph_of(tf, chain, dtype).run(optimised=False)
    except (tf.errors.OpError, ValueError):
        return True
    return False


def found(tf):
    """Return chain in words -> the types that fail, without chains whose beginning fails."""
    result = {}  # type: dict
    for op, features, followers in chains():
        for dtype in TYPES if len(followers) < 2 else TYPES[:2]:
            whole = [words(op, features, followers[:n]) for n in range(len(followers))]
            if any(dtype in result.get(each, ()) for each in whole):
                continue
            if fails(tf, (op, features, followers), dtype):
                result.setdefault(words(op, features, followers), []).append(dtype)
    return result


def main(path):
    """Run with oneDNN and without it, in separate processes, and write what fails in either."""
    both = {}  # type: dict
    for switch in "01":
        command = [sys.executable, os.path.abspath(__file__), "--ask"]
        environment = dict(os.environ, TF_ENABLE_ONEDNN_OPTS=switch, TF_CPP_MIN_LOG_LEVEL="3")
        for chain, types in json.loads(subprocess.check_output(command, env=environment)).items():
            both[chain] = sorted(set(both.get(chain, [])) | set(types))
    lines = ['"%s": %s' % (chain, json.dumps(both[chain])) for chain in sorted(both)]
    with open(path, "w") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    if sys.argv[1] == "--ask":
        import tensorflow

        print(json.dumps(found(tensorflow)))
    else:
        main(sys.argv[1])
