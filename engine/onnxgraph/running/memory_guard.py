"""The size of a model's tensors, found without running it.

One wrong number (a scale, a padding) can ask for more memory than the machine has. The system then
kills the whole process instead of only the run.
"""

from collections.abc import Mapping

import onnx

from graphcore.errors import GraphError
from graphcore.tensor_limit import largest_tensor
from onnxgraph.model import interface
from onnxgraph.model.tensor_sizes import sized_tensors
from onnxgraph.model.weightless import without_weights


def check_memory(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that no tensor of the main graph takes too much memory, as far as shapes tell.

    Args:
        model: a valid model.
        shapes: input name to shape.

    Raises:
        GraphError: a tensor does. The message names it.
    """
    limit = largest_tensor()
    for value, size in sized_tensors(without_weights(model), shapes):
        if size > limit:
            raise GraphError(
                f"The tensor {value.name!r} {interface.dims(value)} would take {size / 2**30:.1f} "
                f"GiB, but one tensor may take {limit / 2**30:.1f} (a quarter of this machine's "
                "memory). Check the sizes, scales and pads before it."
            )
