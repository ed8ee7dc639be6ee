"""Open a TensorFlow graph in any stored form, to look into it."""

from pathlib import Path
from typing import TYPE_CHECKING

from tfgraph.graphs.foreign_ops import check_import
from tfgraph.graphs.graphdef import GraphView, load_graph_def
from tfgraph.savedmodels import checkpoint
from tfgraph.savedmodels.reading import read_saved_model

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef


def open_graph(path: str | Path) -> GraphView:
    """Open a frozen graph (`.pb`, `.pbtxt`), a SavedModel folder or a checkpoint, to look into it.

    Functions in which a TensorFlow 2 SavedModel hides its graph are inlined first. A checkpoint is
    given by its prefix, one of its files or its folder, and its graph is in the `.meta` file.

    Raises:
        GraphError: it is none of these, or this TensorFlow refuses it.
    """
    path = Path(path)
    if prefix := checkpoint.prefix(path):
        return GraphView(checkpoint.training_graph(prefix))
    if path.is_dir() or path.name == "saved_model.pb":
        return GraphView(
            _inlined(read_saved_model(path.parent if path.is_file() else path).graph_def)
        )
    return GraphView(load_graph_def(path))


def _inlined(graph_def: "GraphDef") -> "GraphDef":
    """Return the graph with its function calls inlined and its outputs kept."""
    if not graph_def.library.function:
        return graph_def
    from tfgraph.optimising.optimise import inline

    check_import(graph_def)
    return inline(graph_def)
