"""Lower the opset of a model, prove the result, and report the changes or the obstacles.

The rules work on a weightless copy, so a large model costs little.
"""

from collections.abc import Iterable
from dataclasses import replace

import onnx
from onnx import inliner

from graphcore.errors import GraphError
from graphcore.progress import stage
from onnxgraph.editing.proof import TOLERANCE
from onnxgraph.editing.result import Edited, edited
from onnxgraph.lowering.proof import proven
from onnxgraph.lowering.reassembly import restored
from onnxgraph.lowering.steps import Log, step
from onnxgraph.model import interface
from onnxgraph.model.entry_check import checked
from onnxgraph.model.nodes import node_name
from onnxgraph.model.obstacles import Obstacle
from onnxgraph.model.sparse import dense_model
from onnxgraph.model.value_info import without_wrong_value_info
from onnxgraph.model.weightless import without_weights

LOWEST = 9
"""The lowest opset.

Below it, too many ops of today have no counterpart.
"""


@checked
@stage("lowering the opset")
def lower_opset(
    model: onnx.ModelProto,
    opset: int,
    *,
    batches: Iterable[int] = (1, 3),
    tolerance: float = TOLERANCE,
) -> Edited:
    """Return the model written in an older opset, with the IR version of that time.

    Both models are run on seeded inputs, and must agree. Function calls are replaced by their
    bodies. Operator sets other than ONNX's own stay as they are.

    Args:
        model: any model whose opset is higher. It is not changed.
        opset: the opset of the result, 9 or higher.
        batches: batch sizes of the proof, where the batch is symbolic.
        tolerance: the largest difference allowed, relative to the largest value of each output.

    Raises:
        GraphError: nodes cannot be lowered (the error names all of them, with the reasons), or the
            result is not valid or cannot be run.
        ParityError: the outputs of the result differ.
    """
    current = interface.opset(model)
    if current == opset:
        return edited(model, model, [])
    after, log = lowered(model, opset)
    changes = [
        f"opset {current} → {opset}",
        f"IR version {model.ir_version} → {after.ir_version}",
        *(f"{count} × {what}" for what, count in sorted(log.rewritten.items())),
    ]
    left = set(map(node_name, after.graph.node))
    names = [name for name in dict.fromkeys(log.nodes) if name in left]
    result = edited(model, after, changes, names)
    reports = proven(model, result.model, batches=batches, tolerance=tolerance)
    return replace(result, reports=reports)


def lowered(model: onnx.ModelProto, opset: int) -> tuple[onnx.ModelProto, Log]:
    """Return the unproven model in an older opset, and a log of the work.

    `lower_opset` describes the arguments.
    """
    current = interface.opset(model)
    if not LOWEST <= opset <= current:
        raise GraphError(
            f"The model is written in opset {current}: it can be lowered to {LOWEST} … {current}, "
            f"but {opset} was asked for."
        )
    model = dense_model(model)
    skeleton, log = without_wrong_value_info(without_weights(model)), Log()
    if skeleton.functions:
        skeleton = inliner.inline_local_functions(skeleton)
    for version in range(current, opset, -1):
        skeleton = step(skeleton, version, log)
    if log.obstacles:
        raise GraphError(_refusal(current, opset, log.obstacles))
    return restored(model, skeleton), log


def _refusal(current: int, opset: int, obstacles: list[Obstacle]) -> str:
    highest = max(each.opset for each in obstacles)
    nodes = f"{len(obstacles)} node{' stands' if len(obstacles) == 1 else 's stand'} in the way"
    free = "" if highest == current else f" Down to opset {highest} nothing stands in the way."
    return (
        f"The model cannot be lowered from opset {current} to {opset}: {nodes}. "
        + ". ".join(f"{each.node!r} ({each.op}-{each.opset}): {each.why}" for each in obstacles)
        + f".{free}"
    )
