"""Repair files of other exporters, on evidence alone. Each repair reports its evidence and changes.

Without evidence, or with nothing to repair, the model is returned unchanged together with the
reason.
"""

from onnxgraph.repairs.casts import remove_shape_casts
from onnxgraph.repairs.dropout import remove_dropout
from onnxgraph.repairs.examples import EXAMPLES, Example, example
from onnxgraph.repairs.flatten import repair_missing_flatten
from onnxgraph.repairs.images import take_channels_last, take_images
from onnxgraph.repairs.reshapes import fold_reshapes
from onnxgraph.repairs.spatial import repair_spatial
from onnxgraph.repairs.switches import repair_count_include_pad, repair_fix_gamma, repair_to_golden

__all__ = [
    "EXAMPLES",
    "Example",
    "example",
    "fold_reshapes",
    "remove_dropout",
    "remove_shape_casts",
    "repair_count_include_pad",
    "repair_fix_gamma",
    "repair_missing_flatten",
    "repair_spatial",
    "repair_to_golden",
    "take_channels_last",
    "take_images",
]
