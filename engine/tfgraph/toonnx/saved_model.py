"""Freeze SavedModels of TensorFlow 1 and 2: inline functions, and make weights constants."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from graphcore.errors import GraphError, first_line, unknown_name
from tfgraph import framework
from tfgraph.graphs.cut import SHAPES, check_known
from tfgraph.graphs.order import every_node, maker
from tfgraph.graphs.validity import check_nodes
from tfgraph.optimising.optimise import inline
from tfgraph.savedmodels.checking import check_loading
from tfgraph.savedmodels.loading import signature_function
from tfgraph.savedmodels.reading import SERVING_DEFAULT, SavedModel
from tfgraph.toonnx import tf2_functions
from tfgraph.toonnx.tables import with_filled_tables

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef


_SAVERS = {"saver_filename"}
"""The input that TensorFlow 2 feeds when it reads variables."""


def frozen(saved: SavedModel, tensors: Iterable[str], signature: str | None = None) -> "GraphDef":
    """Return a SavedModel's graph with its functions inlined and its weights as constants.

    Args:
        saved: a SavedModel of TensorFlow 2, or one without variables.
        tensors: what to keep ("y:0"). Nodes inside functions get the names that `open_graph` shows,
            and are kept without being named.
        signature: the signature whose graph is taken if it has the tensors to keep. If left out,
            the whole graph is taken.

    Raises:
        GraphError: it cannot be read completely, or writes variables.
        ConversionError: it has ops that this TensorFlow does not know.
    """
    check_known(saved.graph_def)
    check_nodes(saved.graph_def)
    check_loading(saved)
    wanted = {maker(tensor) for tensor in tensors}
    if signature is None or not saved.graph_def.library.function:  # written by TensorFlow 1
        return _all_signatures(saved, wanted)
    graph_def = _signature(saved, signature)
    if wanted <= {node.name for node in graph_def.node}:
        return graph_def
    with contextlib.suppress(GraphError):  # for example, the tensors belong to another signature
        return _all_signatures(saved, wanted)
    return graph_def


def _all_signatures(saved: SavedModel, nodes: set[str]) -> "GraphDef":
    """Return the graph of all signatures as TensorFlow 1 loads it."""
    here = {node.name for node in saved.graph_def.node}
    graph_def = _frozen(saved, sorted(nodes & here or here))
    _call_in_place(graph_def)
    return inline(graph_def) if graph_def.library.function else graph_def


def _signature(saved: SavedModel, signature: str) -> "GraphDef":
    """Return the graph of a signature as TensorFlow 2 loads it."""
    tf = framework.tensorflow()
    try:
        loaded = tf.saved_model.load(str(saved.path), tags=list(saved.tags))
    except Exception as error:
        raise GraphError(
            f"The variables of {saved.path} cannot be read: {first_line(error)}. Copy the whole "
            "folder again, variables/ too."
        ) from error
    function = signature_function(loaded, signature)  # its variables live as long as `loaded`
    graph_def, fed, made = tf2_functions.frozen(function, f"The signature {signature!r}")
    named = saved.signatures[signature]
    keys = zip(function._arg_keywords, fed, strict=True)
    _rename(graph_def, {tensor.op.name: maker(named.inputs[key]) for key, tensor in keys})
    keys = zip(sorted(function.structured_outputs), made, strict=True)
    _add_ends(graph_def, {named.outputs[key]: tensor for key, tensor in keys})
    _call_in_place(graph_def)
    return graph_def


def _rename(graph_def: "GraphDef", names: Mapping[str, str]) -> None:
    """Rename placeholders in place to their names in the SavedModel."""
    for node in graph_def.node:
        node.name = names.get(node.name, node.name)
        node.input[:] = [names.get(maker(each), each) for each in node.input]


def _add_ends(graph_def: "GraphDef", tensors: Mapping[str, Any]) -> None:
    """Add nodes that return tensors under the SavedModel's names, such as "call:1", in place.

    The SavedModels of TensorFlow 1 already have these names.
    """
    missing = {name: tensor for name, tensor in tensors.items() if tensor.name != name}
    for name in dict.fromkeys(map(maker, missing)):
        found = {int(t.partition(":")[2] or 0): o for t, o in tensors.items() if maker(t) == name}
        some = next(iter(found.values()))
        sources = [found.get(number, some) for number in range(max(found) + 1)]
        node = graph_def.node.add(name=name, op="IdentityN")
        node.input[:] = [tensor.name for tensor in sources]
        node.attr["T"].list.type.extend(tensor.dtype.as_datatype_enum for tensor in sources)


def ends(
    saved: SavedModel, signature: str | None, *, needed: bool
) -> tuple[Mapping[str, str], Mapping[str, str], str | None]:
    """Return the inputs and outputs of a signature by name, and the signature's name.

    Args:
        saved: the SavedModel.
        signature: the signature. If left out, "serving_default" or the only one is taken.
        needed: whether it must have a signature.

    Raises:
        GraphError: it has no signature, or several and none was chosen.
        UnknownName: it does not have the signature. The error suggests the closest names.
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
        return {}, {}, None
    if not known:
        feedable = {n.name for n in saved.graph_def.node if n.op.startswith("Placeholder")}
        named = ", or name the tensors with inputs= and outputs=" if feedable - _SAVERS else ""
        raise GraphError(
            f"{saved.path} has no signature, so it does not say what goes in and out. Save it with "
            f"signatures={named}."
        )
    if not choice:
        raise GraphError(
            f"{saved.path} has several signatures, {', '.join(map(repr, known))}; choose one with "
            "signature=."
        )
    first = SERVING_DEFAULT if SERVING_DEFAULT in known else next(iter(known))
    name = signature or first
    return known[name].inputs, known[name].outputs, name


def _frozen(saved: SavedModel, nodes: list[str]) -> "GraphDef":
    tf = framework.tensorflow()
    try:
        with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
            tf.compat.v1.saved_model.load(session, list(saved.tags), str(saved.path))
            return tf.compat.v1.graph_util.convert_variables_to_constants(
                session, with_filled_tables(graph.as_graph_def(add_shapes=True)), nodes
            )
    except Exception as error:
        raise GraphError(
            f"The variables of {saved.path} cannot be read: {first_line(error)}. Choose a "
            "signature; if that does not help, copy the whole folder again, variables/ too."
        ) from error


def _call_in_place(graph_def: "GraphDef") -> None:
    """Keep conditions and loops of TensorFlow 2, because tf2onnx supports those better."""
    for node in every_node(graph_def):
        node.attr.pop("_lower_using_switch_merge", None)
        node.attr.pop(SHAPES, None)
