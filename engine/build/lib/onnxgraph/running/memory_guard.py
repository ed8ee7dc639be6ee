"""How large a model's tensors get, found without running it.

One wrong number (a scale, a padding) can ask for more memory than the machine has, and the system
then ends the whole process instead of the run.
"""

import math
from collections.abc import Mapping

import onnx

from graphcore.errors import GraphError
from graphcore.memory import largest_tensor
from onnxgraph.model import interface
from onnxgraph.model.inference import InferenceFailed, infer_shapes
from onnxgraph.model.weightless import light


def check_extent(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that no tensor of the main graph takes too much memory, as far as shapes tell.

    Args:
        model: a valid model.
        shapes: input name to shape.

    Raises:
        GraphError: one does; it is named.
    """
    copy = light(model)
    for value in copy.graph.input:
        kind = value.type.tensor_type
        if len(shapes.get(value.name, ())) == len(kind.shape.dim):
            for dim, size in zip(kind.shape.dim, shapes.get(value.name, ()), strict=True):
                dim.dim_value = size
    for value in copy.graph.output:  # as they are for these inputs
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = infer_shapes(copy, data_prop=True).graph
    except InferenceFailed:
        return  # whoever runs the model says what is wrong with it
    limit = largest_tensor()
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        size = _bytes(value)
        if size > limit:
            raise GraphError(
                f"The tensor {value.name!r} {interface.dims(value)} would take "
                f"{size / 2**30:.1f} GiB, and one may take {limit / 2**30:.1f} (a quarter of this "
                "machine's memory); check the sizes, scales and pads before it."
            )


def _bytes(value: onnx.ValueInfoProto) -> int:
    """Return the bytes that a value takes, 0 if its type or shape is not known."""
    sizes, code = interface.dims(value), value.type.tensor_type.elem_type
    known = [size for size in sizes or () if isinstance(size, int)]
    if sizes is None or len(known) < len(sizes) or code == onnx.TensorProto.UNDEFINED:
        return 0
    return math.prod(known) * onnx.helper.tensor_dtype_to_np_dtype(code).itemsize
