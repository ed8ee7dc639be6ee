"""Check that loading a SavedModel or a frozen graph only computes, because a loader runs its ops.

A loader runs the graph's init op, fills tables from files and restores variables.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graphcore.errors import GraphError, HandoffError
from graphcore.safe_paths import check_name, is_behind_link
from tfgraph.graphs.foreign_ops import check_ops
from tfgraph.graphs.graphdef import load_graph_def
from tfgraph.savedmodels.reading import SavedModel, from_meta_graph, meta_graphs

if TYPE_CHECKING:
    from tensorflow.core.protobuf import meta_graph_pb2
    from tensorflow.core.protobuf.saved_object_graph_pb2 import SavedObject

_RUN_BY_LOADERS = ("saved_model_main_op", "legacy_init_op")
"""The collections of nodes that a loader runs."""


def check_artefact(path: Path) -> None:
    """Check that a frozen graph, or a SavedModel's folder, only computes. Other files pass.

    Raises:
        GraphError: it does more. The message names the nodes, and how to allow them.
    """
    if path.is_dir():
        for meta_graph in meta_graphs(path):
            check_loading(from_meta_graph(path, meta_graph))
    elif path.suffix == ".pb":
        check_ops(load_graph_def(path), f"The graph {path}")


def check_loading(saved: SavedModel) -> None:
    """Check that loading a SavedModel only computes, because a loader runs ops from the file.

    Raises:
        GraphError: it does more, or one of its assets is not in its folder.
    """
    meta_graph = saved.meta_graph
    if meta_graph is None:
        return
    assets = _assets(meta_graph)
    for name in assets.values():
        if not _is_inside(saved.path, f"assets/{name}"):
            raise GraphError(
                f"{saved.path} names {name[:200]!a} as a file of its assets/, but no such file is "
                "there. Copy the whole folder again, without links (cp -rL)."
            )
    saver = meta_graph.saver_def
    run = [saver.restore_op_name] if saver.restore_op_name else []
    for collection in _RUN_BY_LOADERS:
        if collection in meta_graph.collection_def:  # a look-up of a missing one would add it
            run += meta_graph.collection_def[collection].node_list.value
    served = (tensor for each in saved.signatures.values() for tensor in each.tensors)
    check_ops(
        saved.graph_def,
        f"The SavedModel {saved.path}",
        ends=[*run, *filter(None, served)],
        files=[saver.filename_tensor_name, *assets],
        functions=_functions(meta_graph),
    )


def _assets(meta_graph: "meta_graph_pb2.MetaGraphDef") -> dict[str, str]:
    """Return tensor → the name of the file in `assets/` that a loader gives it."""
    from tensorflow.core.protobuf import meta_graph_pb2

    found = list(meta_graph.asset_file_def)
    known = "saved_model_assets" in meta_graph.collection_def
    for packed in meta_graph.collection_def["saved_model_assets"].any_list.value if known else ():
        found.append(meta_graph_pb2.AssetFileDef())
        packed.Unpack(found[-1])
    return {each.tensor_info.name or each.filename: each.filename for each in found}


def _is_inside(folder: Path, file: str) -> bool:
    try:
        return not is_behind_link(folder, check_name(file)) and (folder / file).is_file()
    except HandoffError:
        return False


def _functions(meta_graph: "meta_graph_pb2.MetaGraphDef") -> dict[str, set[str]]:
    """Return the functions of TensorFlow 2's objects that run → their arguments that are assets.

    A loader runs the functions that make, fill and restore an object. A client calls the
    signatures.
    """
    objects = meta_graph.object_graph_def
    arguments = {
        each.signature.name: [argument.name for argument in each.signature.input_arg]
        for each in meta_graph.graph_def.library.function
    }
    found = {}
    for name in _run_functions(objects.nodes):
        if name not in arguments or name not in objects.concrete_functions:
            continue
        bound = objects.concrete_functions[name].bound_inputs
        pairs = zip(reversed(arguments[name]), reversed(bound), strict=False)
        found[name] = {
            argument
            for argument, place in pairs
            if 0 <= place < len(objects.nodes)
            and objects.nodes[place].WhichOneof("kind") == "asset"
        }
    return found


def _run_functions(nodes: "Sequence[SavedObject]") -> set[str]:
    places: set[int] = set()
    for node in nodes:
        children = (*node.children, *node.dependencies)
        places |= {each.node_id for each in children if each.local_name.startswith("_")}
        for saveable in node.saveable_objects.values():
            places |= {saveable.save_function, saveable.restore_function}
        for child in node.children:
            if child.local_name == "signatures" and 0 <= child.node_id < len(nodes):
                places |= {each.node_id for each in nodes[child.node_id].children}
    found: set[str] = set()
    for node in (nodes[place] for place in places if 0 <= place < len(nodes)):
        found |= {
            *node.function.concrete_functions,
            node.bare_concrete_function.concrete_function_name,
        }
    return found
