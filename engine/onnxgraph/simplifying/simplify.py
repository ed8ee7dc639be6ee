"""Simplify a graph: fold constants and remove nodes that do nothing, until nothing changes.

onnxsim does the work in its own process, which may crash or hang without harm. onnxruntime compares
the result with the original. If they differ in anything, you get the original.
"""

from dataclasses import dataclass

import onnx

from graphcore.errors import GraphError, ParityError
from graphcore.progress import stage
from onnxgraph.editing.finishing import finished
from onnxgraph.editing.proof import TOLERANCE, same
from onnxgraph.editing.result import Edited
from onnxgraph.model import interface
from onnxgraph.model.entry_check import checked
from onnxgraph.model.graphs import graphs
from onnxgraph.model.sparse import dense_model
from onnxgraph.model.value_info import without_wrong_value_info
from onnxgraph.model.weightless import size, without_weights
from onnxgraph.simplifying.simplifier import Round, run_simplifier

TIMEOUT = 300.0
"""Seconds after which the simplifier is stopped."""

HEAVY = 2**22
"""The simplifier does not get weights with more values than this, because they are never folded,
and copying them costs memory and time."""


@dataclass(frozen=True, repr=False)
class Simplified(Edited):
    """The result, and the node counts of every round. The last round changed nothing.

    If the result was rolled back to the original, `reason` says why.
    """

    rounds: tuple[Round, ...] = ()
    reason: str = ""

    @property
    def rolled_back(self) -> bool:
        """Whether the model is the original, because the simpler one was not usable."""
        return bool(self.reason)


@checked
@stage("simplifying")
def simplify(
    model: onnx.ModelProto,
    *,
    timeout: float = TIMEOUT,
    tolerance: float = TOLERANCE,
) -> Simplified:
    """Return a simpler model that computes the same, or the same model and the reason.

    Symbolic dims, and the names and order of inputs and outputs, do not change.

    Args:
        model: the model. It is not changed.
        timeout: seconds that the simplifier may take.
        tolerance: the largest difference allowed, as a share of the largest value of each output.
    """
    model = dense_model(model)
    try:
        small = without_wrong_value_info(without_weights(model, limit=HEAVY))
        small, rounds = run_simplifier(small, timeout=timeout)
        simpler = finished(_restored(small, model))
        _check_interface(model, simpler)
        reports = same(model, simpler, tolerance=tolerance)
    except ParityError as error:
        return _rolled_back(model, f"the simplified model gives other results: {error}")
    except GraphError as error:
        return _rolled_back(model, str(error))
    changes = tuple(f"round {number}: {each}" for number, each in enumerate(rounds, start=1))
    return Simplified(simpler, model, changes, reports=reports, rounds=rounds)


def _rolled_back(model: onnx.ModelProto, reason: str) -> Simplified:
    return Simplified(model, model, (f"rolled back to the original: {reason}",), reason=reason)


def _restored(small: onnx.ModelProto, model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the simplified model with the parts it was not given: large weights, and the
    producer."""
    used = {name for graph in graphs(small.graph) for node in graph.node for name in node.input}
    heavy = {tensor.name: tensor for tensor in model.graph.initializer if size(tensor) > HEAVY}
    listed = {value.name for value in model.graph.input}
    small.graph.initializer.extend(heavy[name] for name in heavy if name in used)
    inputs = [
        onnx.ValueInfoProto.FromString(value.SerializeToString())
        for value in small.graph.input
        if value.name in listed or value.name not in heavy
    ]
    del small.graph.input[:]
    small.graph.input.extend(inputs)
    for name in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
        setattr(small, name, getattr(model, name))
    del small.metadata_props[:]
    small.metadata_props.extend(model.metadata_props)
    return small


def _check_interface(model: onnx.ModelProto, simpler: onnx.ModelProto) -> None:
    for kind, read in (("inputs", interface.inputs), ("outputs", interface.outputs)):
        was, now = read(model), read(simpler)
        if kind == "inputs":
            equal = was == now
        else:  # inference may know more about an output than the file states
            equal = [spec.name for spec in was] == [spec.name for spec in now]
        if not equal:
            raise GraphError(
                f"the simplifier changed the {kind} from {', '.join(map(str, was))} "
                f"to {', '.join(map(str, now))}."
            )
