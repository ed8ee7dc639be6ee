"""SavedModels of TensorFlow 1 and 2, frozen: functions inlined, weights as constants."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from nbhelpers.convert import compat
from nbhelpers.convert.graphs.order import check_nodes, maker
from nbhelpers.convert.optimising.optimise import inline
from nbhelpers.convert.savedmodels.reading import SERVING_DEFAULT, SavedModel
from nbhelpers.convert.toonnx.parts import SHAPES, check_known
from nbhelpers.errors import GraphError, first_line, unknown_name

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef


def frozen(saved: SavedModel, tensors: Iterable[str]) -> "GraphDef":
    """Return a SavedModel's graph with its functions inlined and its weights as constants.

    Args:
        saved: a SavedModel of TensorFlow 2, or one without variables.
        tensors: what to keep ("y:0"). What stands in functions gets the names that `open_graph`
            shows, and needs not be named.

    Raises:
        GraphError: it cannot be read to its end.
        ConversionError: it has ops that this TensorFlow does not know.
    """
    check_known(saved.graph_def)
    check_nodes(saved.graph_def)
    here = {node.name for node in saved.graph_def.node}
    wanted = {maker(name) for name in tensors} & here
    graph_def = _frozen(saved, sorted(wanted or here))
    _call_in_place(graph_def)
    return inline(graph_def) if graph_def.library.function else graph_def


def ends(
    saved: SavedModel, signature: str | None, *, needed: bool
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the inputs and outputs of a signature, by name.

    Args:
        saved: the SavedModel.
        signature: its signature; "serving_default", or the only one, if left out.
        needed: whether there must be one.

    Raises:
        GraphError: it has no signature, or several and none was chosen.
        UnknownName: it has no such signature; the closest are given.
    """
    known = {
        name: each
        for name, each in saved.signatures.items()
        if each.outputs and not name.startswith("__saved_model_")
    }
    if signature is not None and signature not in known:
        raise unknown_name("signature", signature, known)
    choice = len(known) == 1 or SERVING_DEFAULT in known or signature is not None
    if not choice and not needed:
        return {}, {}
    if not known:
        raise GraphError(
            f"{saved.path} has no signature, so it does not say what goes in and out. Save it with "
            "signatures=, or name the tensors with inputs= and outputs=."
        )
    if not choice:
        raise GraphError(
            f"{saved.path} has several signatures, {', '.join(map(repr, known))}; choose one with "
            "signature=."
        )
    first = SERVING_DEFAULT if SERVING_DEFAULT in known else next(iter(known))
    chosen = known[signature or first]
    return chosen.inputs, chosen.outputs


def _frozen(saved: SavedModel, nodes: list[str]) -> "GraphDef":
    tf = compat.tensorflow()
    try:
        with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
            tf.compat.v1.saved_model.load(session, list(saved.tags), str(saved.path))
            return tf.compat.v1.graph_util.convert_variables_to_constants(
                session, graph.as_graph_def(add_shapes=True), nodes
            )
    except Exception as error:
        raise GraphError(
            f"The variables of {saved.path} cannot be read: {first_line(error)}. Copy the whole "
            "folder again, variables/ too."
        ) from error


def _call_in_place(graph_def: "GraphDef") -> None:
    """Keep conditions and loops of TensorFlow 2 as they are, for tf2onnx knows those better."""
    inner = (node for function in graph_def.library.function for node in function.node_def)
    for node in (*graph_def.node, *inner):
        node.attr.pop("_lower_using_switch_merge", None)
        node.attr.pop(SHAPES, None)
