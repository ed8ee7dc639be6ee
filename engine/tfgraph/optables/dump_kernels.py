"""Write which types the ops of the TensorFlow that runs this script have no CPU kernel for.

    python dump_kernels.py tf1.4.kernels.json

An op may be registered for a type without a kernel for it. Then the graph loads, but fails when it
is run. So each op is tried with each type of each of its type attributes, while the others are
float (or another allowed type). The script runs on Python 3.6, and on TensorFlow 1.4 and later 1.x.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from dump import fits_frozen_graph
from tensorflow.core.framework import op_def_pb2, types_pb2
from tensorflow.python import pywrap_tensorflow

NAMES = """
    FLOAT HALF DOUBLE BFLOAT16 INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 BOOL
    COMPLEX64 COMPLEX128
"""
KNOWN = dict(types_pb2.DataType.items())
TYPES = [KNOWN["DT_" + name] for name in NAMES.split() if "DT_" + name in KNOWN]
FAMILIAR = [types_pb2.DT_FLOAT, types_pb2.DT_INT32, types_pb2.DT_BOOL]


def choices(attribute):
    """Return the types that a type attribute may take, familiar ones first."""
    allowed = list(attribute.allowed_values.list.type) or TYPES
    return sorted(
        (code for code in TYPES if code in allowed),
        key=lambda code: FAMILIAR.index(code) if code in FAMILIAR else len(FAMILIAR),
    )


def node_of(op, types):
    """Return (graph, NodeDef) of an op with placeholders for inputs, or None if it cannot be made.

    `types` maps its type attributes to types. Other attributes get their default, or a small value.
    """
    graph = tf.GraphDef()
    node = tf.NodeDef(name="node", op=op.name)
    numbers = {}
    for attribute in op.attr:
        value = node.attr[attribute.name]
        if attribute.name in types:
            value.type = types[attribute.name]
        elif attribute.HasField("default_value"):
            value.CopyFrom(attribute.default_value)
        elif attribute.type == "int":
            value.i = numbers[attribute.name] = max(attribute.minimum, 1)
        elif attribute.type == "list(type)":
            value.list.type.append(types_pb2.DT_FLOAT)
        elif attribute.type == "list(int)":
            value.list.i.extend([1] * max(attribute.minimum, 4))
        elif attribute.type == "string" and attribute.allowed_values.list.s:
            value.s = attribute.allowed_values.list.s[0]
        elif attribute.type == "bool":
            value.b = False
        elif attribute.type == "float":
            value.f = 1.0
        elif attribute.type == "shape":
            value.shape.unknown_rank = True
        else:
            return None
    for argument in op.input_arg:
        if argument.type_list_attr or argument.is_ref:
            return None
        count = node.attr[argument.number_attr].i if argument.number_attr else 1
        code = argument.type or types[argument.type_attr]
        for _ in range(count):
            name = "in%d" % len(graph.node)
            holder = graph.node.add(name=name, op="Placeholder")
            holder.attr["dtype"].type = code
            holder.attr["shape"].shape.unknown_rank = True
            node.input.append(name)
    graph.node.extend([node])
    return graph


def has_kernel(graph_def):
    """Whether the node gets a kernel. Other errors do not count."""
    try:
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(graph_def, name="")
            with tf.Session(graph=graph) as session:
                session.run(graph.get_operation_by_name("node"))
    except Exception as error:
        text = str(error)
        return "No OpKernel was registered" not in text and "no supported kernel" not in text
    return True


def missing(op):
    """Return type attribute -> names of the types without a kernel."""
    attributes = [a for a in op.attr if a.type == "type"]
    usual = {a.name: (choices(a) or [types_pb2.DT_FLOAT])[0] for a in attributes}
    found = {}  # type: dict
    for attribute in attributes:
        for code in choices(attribute):
            graph = node_of(op, dict(usual, **{attribute.name: code}))
            if graph is not None and not has_kernel(graph):
                found.setdefault(attribute.name, []).append(types_pb2.DataType.Name(code))
    return found


def apart(op):
    """Return `missing(op)` from a separate process, because making some kernels crashes it."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        with os.fdopen(writer, "w") as pipe:
            json.dump(missing(op), pipe)
            pipe.flush()
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else {}


def main(path):
    ops = op_def_pb2.OpList()
    ops.ParseFromString(pywrap_tensorflow.TF_GetBuffer(pywrap_tensorflow.TF_GetAllOpList()))
    lines = []
    for op in sorted(ops.op, key=lambda op: op.name):
        found = apart(op) if fits_frozen_graph(op) else {}
        if found:
            lines.append('"%s": %s' % (op.name, json.dumps(found, sort_keys=True)))
    with open(path, "w") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1])
