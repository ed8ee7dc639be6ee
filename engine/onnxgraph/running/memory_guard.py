"""How large a model's tensors get, found without running it.

One wrong number (a scale, a padding) can ask for more memory than the machine has, and the system
then ends the whole process instead of the run.
"""

from collections.abc import Mapping

import onnx

from graphcore.errors import GraphError
from graphcore.memory import largest_tensor
from onnxgraph.model import interface
from onnxgraph.model.tensor_sizes import sized_tensors
from onnxgraph.model.weightless import without_weights


def check_memory(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that no tensor of the main graph takes too much memory, as far as shapes tell.

    Args:
        model: a valid model.
        shapes: input name to shape.

    Raises:
        GraphError: one does; it is named.
    """
    limit = largest_tensor()
    for value, size in sized_tensors(without_weights(model), shapes):
        if size > limit:
            raise GraphError(
                f"The tensor {value.name!r} {interface.dims(value)} would take "
                f"{size / 2**30:.1f} GiB, and one may take {limit / 2**30:.1f} (a quarter of this "
                "machine's memory); check the sizes, scales and pads before it."
            )
