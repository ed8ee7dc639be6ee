"""Freeze functions of TensorFlow 2, of Keras models and of SavedModels' signatures."""

from typing import TYPE_CHECKING, Any

from graphcore.errors import GraphError, first_line
from tfgraph.graphs.cut import check_size, named
from tfgraph.graphs.order import every_node
from tfgraph.toonnx import tables
from tfgraph.toonnx.variable_writes import writers

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

_SIGNATURES = (
    "Save it with several signatures, each with some of the layers, convert each with signature=, "
    "and put them together with onnxgraph.join."
)


def frozen(function: Any, title: str) -> tuple["GraphDef", list[Any], list[Any]]:
    """Return a concrete function's graph with its weights and tables, its inputs and its outputs.

    Args:
        function: a ConcreteFunction.
        title: its name in messages.

    Raises:
        GraphError: the function writes variables, is too large, or cannot be frozen by TensorFlow.
            The error names the nodes that write.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    _check_reads_only(function.graph.as_graph_def(), title)
    size = sum(
        variable.shape.num_elements() * variable.dtype.size for variable in function.variables
    )
    check_size(title, size, advice=_SIGNATURES)
    try:
        constant = convert_variables_to_constants_v2(function, lower_control_flow=False)
    except Exception as error:
        raise GraphError(f"{title} cannot be frozen: {first_line(error)}") from error
    graph_def = constant.graph.as_graph_def(add_shapes=True)
    handles = {inner.op.name: outer for outer, inner in function.graph.captures}
    tables.captured(graph_def, handles, constant.graph)
    inputs = [tensor for tensor in constant.inputs if tensor.op.name not in handles]
    return graph_def, inputs, list(constant.outputs)


def _check_reads_only(graph_def: "GraphDef", title: str) -> None:
    """Check that no node writes a variable, here or in the functions that are called."""
    found = writers(every_node(graph_def))
    if found:
        raise GraphError(
            f"{title} writes variables when it is called, at {named(found)}, and an ONNX model "
            "keeps no state. Save a signature that only reads them."
        )
