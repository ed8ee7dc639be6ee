"""Read any source of `tf2onnx` into one form: a frozen graph, and its ends by ONNX name.

A source is a frozen graph, an unfrozen one with its checkpoint, a training checkpoint of TensorFlow
1, a SavedModel of any TensorFlow, a Keras model or its file, or the result of `onnx2tf`.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphcore.errors import GraphError
from tfgraph import framework
from tfgraph.conversion import Conversion
from tfgraph.graphs.constants import variables
from tfgraph.graphs.cut import check_known, cut
from tfgraph.graphs.foreign_ops import check_ops
from tfgraph.graphs.graphdef import GraphView, load_graph_def
from tfgraph.graphs.order import full
from tfgraph.graphs.training_switches import check_switches, decided
from tfgraph.graphs.validity import check_form
from tfgraph.savedmodels import checkpoint as checkpoints
from tfgraph.savedmodels.reading import read_saved_model
from tfgraph.toonnx import keras_model, saved_model
from tfgraph.toonnx.tables import with_filled_tables
from tfgraph.toonnx.variable_writes import check_reads_only

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

Names = Mapping[str, str] | Iterable[str]
"""ONNX name → TensorFlow tensor, or TensorFlow tensors alone."""


@dataclass(frozen=True)
class Asked:
    """The caller's choices: the input and output tensors, the fixed ones, and what to read."""

    inputs: Names | None = None
    outputs: Names | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    signature: str | None = None
    tags: tuple[str, ...] = ("serve",)
    checkpoint: str | Path | None = None


@dataclass(frozen=True)
class Source:
    """A frozen graph, and ONNX name → tensor ("x:0") for its inputs and outputs.

    `fixed` maps the tensors that get a value to the placeholders that replace them.
    """

    title: str
    graph_def: "GraphDef" = field(repr=False)
    inputs: dict[str, str]
    outputs: dict[str, str]
    fixed: dict[str, str]

    @functools.cached_property
    def view(self) -> GraphView:
        """The tensors of the graph."""
        return GraphView(self.graph_def)


def read(source: Any, asked: Asked) -> Source:
    """Read a source of any kind.

    Raises:
        GraphError: it is not a source, is cut short, or does not say what its inputs and outputs
            are.
        UnknownName: a tensor or signature does not exist in it.
        ConversionError: it needs ops that this TensorFlow does not know.
    """
    framework.tensorflow()
    if isinstance(source, Conversion):
        named = source.inputs, source.outputs
        return _source(f"the graph for {source.target}", source.graph_def, asked, *named)
    if isinstance(source, str | Path):
        return _from_path(Path(source), asked)
    if hasattr(source, "node") and hasattr(source, "library"):
        return _source("the GraphDef", source, asked)
    return _source(f"the model {getattr(source, 'name', '')!r}", *_keras(source, asked))


def _from_path(path: Path, asked: Asked) -> Source:
    if keras_model.is_file(path):
        return _source(path.name, *_keras(keras_model.load(path), asked))
    if prefix := checkpoints.prefix(path):
        meta = checkpoints.meta_graph(prefix)
        restore = _restore(meta.graph_def, prefix)
        return _source(path.name, meta.graph_def, asked, restore=restore)
    if path.is_dir() or path.name == "saved_model.pb":
        return _from_saved_model(path.parent if path.is_file() else path, asked)
    if asked.checkpoint is None:
        return _source(path.name, load_graph_def(path), asked)
    prefix = checkpoints.prefix(asked.checkpoint)
    if prefix is None:
        raise GraphError(
            f"There is no checkpoint {asked.checkpoint}; name it without the end of its files: "
            "model.ckpt-100 for model.ckpt-100.index."
        )
    graph_def = load_graph_def(path)
    return _source(path.name, graph_def, asked, restore=_restore(graph_def, prefix))


def _from_saved_model(folder: Path, asked: Asked) -> Source:
    both = asked.inputs is not None and asked.outputs is not None
    saved = read_saved_model(folder, tags=asked.tags)
    inputs, outputs, name = saved_model.ends(saved, asked.signature, needed=not both)
    title = folder.absolute().name  # "." has no name
    stored = checkpoints.prefix(folder / "variables" / "variables")
    graph_def = saved.graph_def
    if stored and not graph_def.library.function and not checkpoints.has_objects(stored):
        # Cut it before loading, because gradients, which no output needs, can make the loader fail.
        restore = _restore(graph_def, stored)
        return _source(title, graph_def, asked, inputs, outputs, restore=restore)
    chosen = {**(_chosen(asked.inputs, inputs) or {}), **(_chosen(asked.outputs, outputs) or {})}
    kept = {*inputs.values(), *outputs.values(), *chosen.values()}
    if name is None:  # the first signature that has these tensors, if any
        every = saved.signatures.items()
        name = next((each for each, its in every if kept <= set(its.tensors)), None)
    return _source(title, saved_model.frozen(saved, kept, name), asked, inputs, outputs)


def _restore(graph_def: "GraphDef", prefix: Path) -> Callable[["GraphDef"], "GraphDef"]:
    """Return a function that puts a checkpoint's values into a part of the graph."""
    places = checkpoints.saved_as(graph_def)
    return functools.partial(checkpoints.frozen, checkpoint=prefix, places=places)


def _source(
    title: str,
    graph_def: "GraphDef",
    asked: Asked,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    *,
    restore: Callable[["GraphDef"], "GraphDef"] | None = None,
) -> Source:
    """Cut out the chosen part. `inputs` and `outputs` are those that the source itself names."""
    check_form(graph_def)
    fixed = [full((inputs or {}).get(name, name)) for name in asked.fixed]
    values = dict(zip(fixed, asked.fixed.values(), strict=True))
    graph_def = with_filled_tables(graph_def)
    graph_def = decided(graph_def, {name: bool(v) for name, v in values.items() if np.ndim(v) == 0})
    given = _chosen(asked.outputs, outputs)
    if given is None:
        given = _last_tensors(title, graph_def)
    fed = _chosen(asked.inputs, inputs)
    part, places = cut(graph_def, [*(fed or {}).values(), *fixed], given.values())
    check_reads_only(part)
    check_ops(part, title)
    still_open = _open_placeholders(part, set(places.values()))
    if fed is None:
        fed = {plain(name): name for name in still_open}
        # Unknown ranks are checked later, because shapes= may set them.
        check_switches(part, fed, "whoever runs the ONNX model", any_rank=False)
    elif still_open:
        raise GraphError(
            f"The outputs also need {', '.join(map(repr, still_open))}: name them among the "
            'inputs, or give them a value with fixed={"name": value}.'
        )
    _check_apart(fed, given)
    _take_defaults(part, set(fed.values()))
    ends = {name: places.get(tensor, tensor) for name, tensor in given.items()}
    if names := [node.name for node in variables(part)]:
        if restore is None:
            raise GraphError(
                f"{title} is not frozen: it has {len(names)} variables without values, the first "
                f'is {names[0]!r}. Give their values too: checkpoint="model.ckpt-100".'
            )
        part = restore(part)
    return Source(
        title=title,
        graph_def=part,
        inputs={
            name: places.get(tensor, tensor) for name, tensor in fed.items() if tensor not in fixed
        },
        outputs=ends,
        fixed={name: places[tensor] for name, tensor in zip(asked.fixed, fixed, strict=True)},
    )


def _check_apart(inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Check that no input has the name of an output, because ONNX has one namespace for both."""
    for name in outputs:
        if name in inputs:
            chosen = {f"{key}_out" if key == name else key: key for key in outputs}
            raise GraphError(
                f"An input and an output are both named {name!r}, which ONNX does not allow. Name "
                f"the outputs: outputs={chosen}."
            )


def _chosen(asked: Names | None, own: Mapping[str, str] | None) -> dict[str, str] | None:
    """Return ONNX name → tensor as chosen, where the source's own names count as well."""
    own = own or {}
    if asked is None:
        return {name: full(tensor) for name, tensor in own.items()} or None
    names = [asked] if isinstance(asked, str) else asked
    if not isinstance(names, Mapping):
        names = {plain(name): name for name in names}
    return {name: full(own.get(tensor, tensor)) for name, tensor in names.items()}


def plain(tensor: str) -> str:
    """Return a TensorFlow tensor's name as an ONNX name: "x" for "x:0", "split_1" for "split:1"."""
    return tensor.removesuffix(":0").replace(":", "_")


def _last_tensors(title: str, graph_def: "GraphDef") -> dict[str, str]:
    """Return the unread tensors of a frozen graph. A training graph is refused: it has too many."""
    if variables(graph_def):
        raise GraphError(
            f"{title} is a graph for training, in which many tensors are read by nothing; name "
            'those that you want: outputs=["logits"].'
        )
    check_known(graph_def)
    found = GraphView(graph_def).outputs()
    # One of a switch's two outputs has no value.
    return {plain(each.name): each.name for each in found if each.op != "Switch"}


def _open_placeholders(part: "GraphDef", taken: set[str]) -> list[str]:
    """Return the placeholders that must be fed.

    Those with a default count only if there are no others.
    """
    found = [f"{node.name}:0" for node in part.node if node.op == "Placeholder"]
    found = [name for name in found if name not in taken]
    if found or taken:
        return found
    return [f"{node.name}:0" for node in part.node if node.op == "PlaceholderWithDefault"]


def _take_defaults(part: "GraphDef", fed: set[str]) -> None:
    """Replace the placeholders that are not fed by their defaults, in place."""
    for node in part.node:
        if node.op == "PlaceholderWithDefault" and f"{node.name}:0" not in fed:
            node.op = "Identity"
            node.attr["T"].CopyFrom(node.attr["dtype"])
            del node.attr["dtype"], node.attr["shape"]


def _keras(model: Any, asked: Asked) -> tuple["GraphDef", Asked, dict[str, str], dict[str, str]]:
    graph_def, inputs, outputs = keras_model.frozen(model)
    return graph_def, asked, inputs, outputs
