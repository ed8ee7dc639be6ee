"""SavedModels of whoever made them: their signatures, their graph, and a way to call them."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphcore.errors import GraphError, HandoffError, first_line, unknown_name
from graphcore.safe_paths import check_name, is_behind_link
from graphcore.spec import UNKNOWN_RANK, TensorSpec
from graphcore.texts import as_bytes, is_text
from tfgraph import compat
from tfgraph.graphs.foreign_ops import check_import, check_ops
from tfgraph.graphs.form import check_nodes
from tfgraph.graphs.graphdef import GraphView, load_graph_def

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.protobuf import meta_graph_pb2
    from tensorflow.core.protobuf.saved_object_graph_pb2 import SavedObject

PREDICT = "tensorflow/serving/predict"
"""The method name of a signature that takes tensors and gives tensors."""

SERVING_DEFAULT = "serving_default"

_RUN_BY_LOADERS = ("saved_model_main_op", "legacy_init_op")
"""The collections of nodes that a loader runs."""


@dataclass(frozen=True)
class Signature:
    """Receiver's name → TensorFlow tensor, for inputs and outputs."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    method: str = PREDICT

    @property
    def tensors(self) -> set[str]:
        """The tensors on both sides."""
        return {*self.inputs.values(), *self.outputs.values()}


@dataclass(frozen=True)
class SavedModel:
    """A SavedModel on disk: its tags, and per signature the specs of its inputs and outputs."""

    path: Path
    tags: tuple[str, ...]
    signatures: dict[str, Signature]
    specs: dict[str, TensorSpec]
    graph_def: "GraphDef" = field(repr=False)
    meta_graph: "meta_graph_pb2.MetaGraphDef | None" = field(default=None, repr=False)

    def __repr__(self) -> str:
        """Return every signature with its tensors."""
        lines = [f"SavedModel {self.path} · tags {', '.join(self.tags)}"]
        for name, signature in self.signatures.items():
            lines.append(f"  signature {name} ({signature.method})")
            for kind, tensors in (("input", signature.inputs), ("output", signature.outputs)):
                for key, tensor in tensors.items():
                    spec = self.specs[tensor]
                    shape = ",".join(map(str, spec.shape))
                    lines.append(f"    {kind:<6} {key} → {tensor}  {spec.dtype} ({shape})")
        return "\n".join(lines)


def several(tags: str | Sequence[str]) -> tuple[str, ...]:
    """Return the tags; a text alone is one tag."""
    return (tags,) if isinstance(tags, str) else tuple(tags)


def read_saved_model(
    export_dir: str | Path, *, tags: str | Sequence[str] = ("serve",)
) -> SavedModel:
    """Read a SavedModel's signatures and graph, without loading it into a session.

    Args:
        export_dir: its folder.
        tags: the tags of the graph; a text alone is one tag.

    Raises:
        GraphError: there is no SavedModel, it is cut short, or it has no graph with these tags.
    """
    path, tags = Path(export_dir), several(tags)
    meta_graphs = _meta_graphs(path)
    graphs = [g for g in meta_graphs if set(g.meta_info_def.tags) == set(tags)]
    if not graphs:
        seen = "; ".join(", ".join(g.meta_info_def.tags) for g in meta_graphs) or "none"
        raise GraphError(f"{path} has no graph tagged {', '.join(tags)}; its tags are: {seen}.")
    return _saved_model(path, graphs[0])


def _meta_graphs(path: Path) -> "list[meta_graph_pb2.MetaGraphDef]":
    compat.tensorflow()
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    file = path / "saved_model.pb"
    if not file.is_file():
        versions = sorted(p.parent.name for p in path.glob("*/saved_model.pb"))
        hint = f"; it is in {path / versions[-1]}" if versions else ""
        raise GraphError(f"There is no saved_model.pb in {path}{hint}.")
    message = saved_model_pb2.SavedModel()
    try:
        message.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise GraphError(f"{file} is not a whole SavedModel; make it again.") from error
    return list(message.meta_graphs)


def _saved_model(path: Path, meta_graph: "meta_graph_pb2.MetaGraphDef") -> SavedModel:
    signatures: dict[str, Signature] = {}
    specs: dict[str, TensorSpec] = {}
    for name, definition in sorted(meta_graph.signature_def.items()):
        inputs, outputs = definition.inputs, definition.outputs
        signatures[name] = Signature(
            inputs={key: inputs[key].name for key in sorted(inputs)},
            outputs={key: outputs[key].name for key in sorted(outputs)},
            method=definition.method_name,
        )
        for info in (*inputs.values(), *outputs.values()):
            specs[info.name] = _spec(info)
    tags = tuple(meta_graph.meta_info_def.tags)
    return SavedModel(path, tags, signatures, specs, meta_graph.graph_def, meta_graph)


def load_saved_model(
    export_dir: str | Path, *, tags: str | Sequence[str] = ("serve",)
) -> Callable[..., dict[str, np.ndarray]]:
    """Load a SavedModel as a client does; return `call(feeds, signature=…)`.

    A call maps the receiver's input names to arrays and gives his output names with theirs.

    Raises:
        GraphError: there is no such SavedModel, it does more than compute (see `allow_ops`), or its
            variables are missing; or, when called, an input was not fed.
        UnknownName: when called, there is no such signature or input.
    """
    tf = compat.tensorflow()

    read = read_saved_model(export_dir, tags=tags)  # says what is wrong with it in our words
    check_nodes(read.graph_def)
    check_loading(read)
    _check_variables(read)
    with _refusals(f"{export_dir} cannot be loaded"):
        loaded = tf.saved_model.load(str(export_dir), tags=list(read.tags))

    def tensor(value: np.ndarray) -> Any:
        return tf.constant(as_bytes(value), tf.string) if is_text(value) else tf.constant(value)

    def call(
        feeds: Mapping[str, np.ndarray], signature: str = SERVING_DEFAULT
    ) -> dict[str, np.ndarray]:
        if signature not in loaded.signatures:
            raise unknown_name("signature", signature, loaded.signatures)
        function = loaded.signatures[signature]
        known = function.structured_input_signature[1]
        for name in feeds:
            if name not in known:
                raise unknown_name(f"input of {signature!r}", name, known)
        left_out = [name for name in known if name not in feeds]
        if left_out:
            raise GraphError(
                f"The signature {signature!r} also takes {', '.join(left_out)}; feed them too."
            )
        with _refusals(f"The signature {signature!r} of {export_dir} failed"):
            results = function(**{name: tensor(value) for name, value in feeds.items()})
        return {name: value.numpy() for name, value in results.items()}

    return call


def check_artefact(path: Path) -> None:
    """Check that a frozen graph, or a SavedModel's folder, only computes; other files pass.

    Raises:
        GraphError: it does more; the nodes are named, and how to allow them.
    """
    if path.is_dir():
        for meta_graph in _meta_graphs(path):
            check_loading(_saved_model(path, meta_graph))
    elif path.suffix == ".pb":
        check_ops(load_graph_def(path), f"The graph {path}")


def check_loading(saved: SavedModel) -> None:
    """Check that loading a SavedModel only computes: a loader runs what the file tells it to.

    Raises:
        GraphError: it does more, or an asset of it is not in its folder.
    """
    meta_graph = saved.meta_graph
    if meta_graph is None:
        return
    assets = _assets(meta_graph)
    for name in assets.values():
        if not _is_inside(saved.path, f"assets/{name}"):
            raise GraphError(
                f"{saved.path} names {name[:200]!a} as a file of its assets/, which is none of the "
                "files there; copy the whole folder again, without links (cp -rL)."
            )
    saver = meta_graph.saver_def
    run = [saver.restore_op_name] if saver.restore_op_name else []
    for collection in _RUN_BY_LOADERS:
        if collection in meta_graph.collection_def:  # asking for a missing one would add it
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
    """Return the functions of TensorFlow 2's objects that are run → the arguments that are assets.

    A loader runs what makes, fills and restores an object; a client calls the signatures.
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


def _check_variables(saved: SavedModel) -> None:
    restored = any(node.op == "RestoreV2" for node in saved.graph_def.node)
    if restored and not (saved.path / "variables" / "variables.index").is_file():
        raise GraphError(
            f"{saved.path} has weights in variables/, and there is no variables/variables.index; "
            "copy the whole folder again, not saved_model.pb alone."
        )


def call_saved_model(
    export_dir: str | Path,
    feeds: Mapping[str, np.ndarray],
    *,
    signature: str = SERVING_DEFAULT,
    tags: str | Sequence[str] = ("serve",),
) -> dict[str, np.ndarray]:
    """Load a SavedModel and call one signature once; see `load_saved_model`."""
    return load_saved_model(export_dir, tags=tags)(feeds, signature)


def open_graph(path: str | Path) -> GraphView:
    """Look into a frozen graph (`.pb`, `.pbtxt`), a SavedModel folder or a checkpoint.

    Functions that a TensorFlow 2 SavedModel hides the graph in are inlined first. A checkpoint is
    given by its prefix, one of its files or its folder; its graph is in the `.meta` file.

    Raises:
        GraphError: it is none of them, or this TensorFlow refuses it.
    """
    from tfgraph.savedmodels import checkpoint

    path = Path(path)
    if prefix := checkpoint.prefix(path):
        return GraphView(checkpoint.training_graph(prefix))
    if path.is_dir() or path.name == "saved_model.pb":
        return GraphView(
            _inlined(read_saved_model(path.parent if path.is_file() else path).graph_def)
        )
    return GraphView(load_graph_def(path))


def _inlined(graph_def: "GraphDef") -> "GraphDef":
    """Return the graph with its function calls replaced by what they call, outputs kept."""
    if not graph_def.library.function:
        return graph_def
    from tfgraph.optimising.optimise import inline

    check_import(graph_def)
    return inline(graph_def)


def _spec(info: "meta_graph_pb2.TensorInfo") -> TensorSpec:
    tf = compat.tensorflow()

    shape = info.tensor_shape
    dims = [
        d.size if d.size >= 0 else ("batch" if i == 0 else f"dim{i}")
        for i, d in enumerate(shape.dim)
    ]
    # An initialisation op of TensorFlow 2 stands among the signatures with no dtype at all.
    with _refusals(f"The signature's tensor {info.name!r} has no type that TensorFlow knows"):
        dtype = tf.as_dtype(info.dtype).name if info.dtype else ""
    return TensorSpec(info.name, dtype, UNKNOWN_RANK if shape.unknown_rank else tuple(dims))


@contextlib.contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Say in one sentence what TensorFlow raises, which may be anything."""
    try:
        yield
    except Exception as error:
        raise GraphError(f"{what}: {first_line(error)}.") from error
