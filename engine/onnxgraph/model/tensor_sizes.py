"""The bytes that tensors of a main graph take for inputs of given shapes, without a run."""

import math
from collections.abc import Iterator, Mapping, Sequence

import onnx

from onnxgraph.model import interface
from onnxgraph.model.inference import InferenceFailed, infer_shapes


def sized_tensors(
    copy: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]
) -> Iterator[tuple[onnx.ValueInfoProto, int]]:
    """Yield each tensor whose size ONNX's inference knows, and its bytes.

    Args:
        copy: a private copy of a model, which is changed. It may be without large weights.
        shapes: input name to shape.
    """
    for value in copy.graph.input:
        if value.name in shapes:
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, shapes[value.name]))
    for value in copy.graph.output:  # the shapes for these inputs
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = infer_shapes(copy, data_prop=True).graph
    except InferenceFailed:
        return  # a run of the model reports what is wrong with it
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        sizes, kind = interface.dims(value), value.type.tensor_type.elem_type
        known = [size for size in sizes or () if isinstance(size, int)]
        if sizes is not None and kind and len(known) == len(sizes):
            yield value, math.prod(known) * onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize
