"""Write the op table of the TensorFlow that runs this script: `python dump.py tf1.4.json`.

It runs on Python 3.6, and on TensorFlow 1.4 and later 1.x. Stateful ops are left out, except for
the arrays that a loop reads and writes, because a frozen graph has no others.
"""

import json
import sys


def attributes(op):
    """Return an OpDef's attribute name -> allowed values, or None (types by their enum's name)."""
    from tensorflow.core.framework import types_pb2

    allowed = {}
    for attribute in op.attr:
        values = attribute.allowed_values.list
        names = [types_pb2.DataType.Name(code) for code in values.type]
        names += [text.decode("utf-8") for text in values.s]
        allowed[attribute.name] = names or None
    return allowed


def fits_frozen_graph(op):
    """Whether a frozen graph may hold an op (an OpDef): it has no state beyond one run."""
    of_a_loop = op.name.startswith("TensorArray") and op.name.endswith("V3")
    return of_a_loop or not op.is_stateful


def main(path):
    """Write the table of the running TensorFlow to `path`, one op per line."""
    import tensorflow as tf
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python import pywrap_tensorflow

    ops = op_def_pb2.OpList()
    ops.ParseFromString(pywrap_tensorflow.TF_GetBuffer(pywrap_tensorflow.TF_GetAllOpList()))
    known = sorted((op.name, attributes(op)) for op in ops.op if fits_frozen_graph(op))
    version = getattr(tf, "GRAPH_DEF_VERSION", None) or tf.compat.v1.GRAPH_DEF_VERSION
    lines = ['"%s": %s' % (name, json.dumps(attrs, sort_keys=True)) for name, attrs in known]
    with open(path, "w") as file:
        file.write('{"version": "%s", "producer": %d, "ops": {\n' % (tf.__version__, version))
        file.write(",\n".join(lines) + "\n}}\n")


if __name__ == "__main__":
    main(sys.argv[1])
