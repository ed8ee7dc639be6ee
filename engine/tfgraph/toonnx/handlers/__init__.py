"""Our own ways to write TensorFlow ops as ONNX, where tf2onnx is approximate or has no way.

`own` returns the table that `tf2onnx.tfonnx.process_tf_graph` takes as `custom_op_handlers`. Each
module registers the ops of one concept with `@handler`.
"""

from tfgraph.toonnx.handlers import (  # noqa: F401 (they register themselves)
    arrangement,
    comparison,
    division,
    indices,
    integers,
    lookups,
    pictures,
    products,
    reductions,
    rounding,
    segments,
    selection,
    special_functions,
)
from tfgraph.toonnx.handlers.writer import HANDLERS, ML, ML_OPSET, own

__all__ = ["HANDLERS", "ML", "ML_OPSET", "own"]
