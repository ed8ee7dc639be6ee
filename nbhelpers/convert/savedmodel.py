"""SavedModels from a frozen graph: signatures with the names that the receiver sees.

Written in the form that every TensorFlow since 1.0 reads: one MetaGraphDef, no variables, constants
in the graph. Weights of 2 GB and more are variables, for no graph can hold them. TensorFlow Serving
wants it in a folder whose name is a version number (`export_dir/1`).
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nbhelpers.convert import compat, variables
from nbhelpers.convert.frozen import FrozenGraph, hollowed
from nbhelpers.convert.graphdef import GraphView, TensorInfo, load_graph_def
from nbhelpers.convert.order import check_nodes
from nbhelpers.errors import GraphError, unknown_name
from nbhelpers.spec import TensorSpec

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

    from nbhelpers.convert.conversion import Conversion

PREDICT = "tensorflow/serving/predict"
"""The method name of a signature that takes tensors and gives tensors."""

SERVING_DEFAULT = "serving_default"


@dataclass(frozen=True)
class Signature:
    """Receiver's name → TensorFlow tensor, for inputs and outputs."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    method: str = PREDICT


@dataclass(frozen=True)
class SavedModel:
    """A SavedModel on disk: its tags, and per signature the specs of its inputs and outputs."""

    path: Path
    tags: tuple[str, ...]
    signatures: dict[str, Signature]
    specs: dict[str, TensorSpec]
    graph_def: "GraphDef" = field(repr=False)

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


def build_saved_model(
    pb_path: "str | Path | Conversion",
    export_dir: str | Path,
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    signature: str = SERVING_DEFAULT,
    tags: Sequence[str] = ("serve",),
    more: Mapping[str, Signature] | None = None,
) -> SavedModel:
    """Build a SavedModel from any frozen graph.

    Args:
        pb_path: the frozen graph, or a conversion (of a model that is too large for a file, say).
        export_dir: the folder to write; one that holds a SavedModel already is replaced as a whole.
        inputs: receiver's name → tensor ("images": "input:0"); all placeholders under their own
            names if left out.
        outputs: likewise for outputs; all tensors that nothing consumes if left out.
        signature: the name of this signature.
        tags: the tags of the graph; TensorFlow Serving asks for "serve".
        more: further signatures, by name.

    Raises:
        UnknownName: a tensor is not in the graph; the closest names are given.
        GraphError: the folder holds something else, or nothing is to go in or out.
    """
    graph = _graph(pb_path)
    view = GraphView(graph.hollow)
    weights = {f"{name}:0" for name in graph.weights}
    own = [tensor for tensor in view.inputs() if tensor.name not in weights]
    inputs = {_plain(t.name): t.name for t in own} if inputs is None else inputs
    outputs = {_plain(t.name): t.name for t in view.outputs()} if outputs is None else outputs
    signatures = {signature: Signature(inputs, outputs), **(more or {})}
    for name, each in signatures.items():
        if not each.outputs:
            raise GraphError(f"The signature {name!r} has no outputs; name at least one tensor.")
    with _new_folder(Path(export_dir)) as folder:
        message = _message(graph, view, signatures, tags, folder)
        content = message.SerializeToString(deterministic=True)
        (folder / "saved_model.pb").write_bytes(content)
    return read_saved_model(export_dir, tags=tags)


def read_saved_model(export_dir: str | Path, *, tags: Sequence[str] = ("serve",)) -> SavedModel:
    """Read a SavedModel's signatures and graph, without loading it into a session.

    Raises:
        GraphError: there is no SavedModel, it is cut short, or it has no graph with these tags.
    """
    compat.tensorflow()
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    path = Path(export_dir)
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
    graphs = [g for g in message.meta_graphs if set(g.meta_info_def.tags) == set(tags)]
    if not graphs:
        seen = "; ".join(", ".join(g.meta_info_def.tags) for g in message.meta_graphs) or "none"
        raise GraphError(f"{path} has no graph tagged {', '.join(tags)}; its tags are: {seen}.")
    signatures: dict[str, Signature] = {}
    specs: dict[str, TensorSpec] = {}
    for name, definition in sorted(graphs[0].signature_def.items()):
        inputs, outputs = definition.inputs, definition.outputs
        signatures[name] = Signature(
            inputs={key: inputs[key].name for key in sorted(inputs)},
            outputs={key: outputs[key].name for key in sorted(outputs)},
            method=definition.method_name,
        )
        for info in (*inputs.values(), *outputs.values()):
            specs[info.name] = _spec(info)
    return SavedModel(path, tuple(tags), signatures, specs, graphs[0].graph_def)


def load_saved_model(
    export_dir: str | Path, *, tags: Sequence[str] = ("serve",)
) -> Callable[..., dict[str, np.ndarray]]:
    """Load a SavedModel as a client does; return `call(feeds, signature=…)`.

    A call maps the receiver's input names to arrays and gives his output names with theirs.

    Raises:
        GraphError: there is no such SavedModel; or, when called, an input was not fed.
        UnknownName: when called, there is no such signature or input.
    """
    tf = compat.tensorflow()

    read = read_saved_model(export_dir, tags=tags)  # says what is wrong with it in our words
    check_nodes(read.graph_def)
    with _refusals(f"{export_dir} cannot be loaded"):
        loaded = tf.saved_model.load(str(export_dir), tags=list(tags))

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
            results = function(**{name: tf.constant(value) for name, value in feeds.items()})
        return {name: value.numpy() for name, value in results.items()}

    return call


def call_saved_model(
    export_dir: str | Path,
    feeds: Mapping[str, np.ndarray],
    *,
    signature: str = SERVING_DEFAULT,
    tags: Sequence[str] = ("serve",),
) -> dict[str, np.ndarray]:
    """Load a SavedModel and call one signature once; see `load_saved_model`."""
    return load_saved_model(export_dir, tags=tags)(feeds, signature)


def open_graph(path: str | Path) -> GraphView:
    """Look into a frozen graph (`.pb`) or a SavedModel folder, whoever made it.

    Functions that a TensorFlow 2 SavedModel hides the graph in are inlined first.

    Raises:
        GraphError: it is neither, or this TensorFlow refuses it.
    """
    path = Path(path)
    if path.is_dir() or path.name == "saved_model.pb":
        return GraphView(
            _inlined(read_saved_model(path.parent if path.is_file() else path).graph_def)
        )
    return GraphView(load_graph_def(path))


def _inlined(graph_def: "GraphDef") -> "GraphDef":
    """Return the graph with its function calls replaced by what they call, outputs kept."""
    if not graph_def.library.function:
        return graph_def
    from nbhelpers.convert.optimise import inline

    return inline(graph_def)


def _graph(source: "str | Path | Conversion") -> FrozenGraph:
    if isinstance(source, str | Path):
        return hollowed(load_graph_def(source))
    if source.graph.too_large and source.target != "tf2":
        raise GraphError(
            f"The weights take {source.graph.size / 2**30:.1f} GiB and must be variables, which "
            f"only a SavedModel for tf2 may have here; convert for tf2 instead of {source.target}."
        )
    return source.graph


def _message(
    graph: FrozenGraph,
    view: GraphView,
    signatures: Mapping[str, Signature],
    tags: Sequence[str],
    folder: Path,
) -> "saved_model_pb2.SavedModel":
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta_graph = message.meta_graphs.add()
    if graph.too_large:
        meta_graph.CopyFrom(variables.meta_graph(graph))
        (folder / "variables").mkdir()
        variables.write_checkpoint(graph.weights, folder / "variables" / "variables")
    else:
        meta_graph.graph_def.CopyFrom(graph.graph_def)
    meta_graph.meta_info_def.tags.extend(tags)
    for name, signature in signatures.items():
        definition = meta_graph.signature_def[name]
        definition.method_name = signature.method
        for side, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
            for key, tensor in tensors.items():
                _fill(getattr(definition, side)[key], view.tensor(tensor))
    return message


def _fill(info: "meta_graph_pb2.TensorInfo", tensor: TensorInfo) -> None:
    tf = compat.tensorflow()

    info.name = tensor.name
    info.dtype = tf.as_dtype(tensor.dtype).as_datatype_enum
    if tensor.shape is None:
        info.tensor_shape.unknown_rank = True
        return
    for size in tensor.shape:
        info.tensor_shape.dim.add(size=-1 if size is None else size)


def _spec(info: "meta_graph_pb2.TensorInfo") -> TensorSpec:
    tf = compat.tensorflow()

    dims = [
        d.size if d.size >= 0 else ("batch" if i == 0 else f"dim{i}")
        for i, d in enumerate(info.tensor_shape.dim)
    ]
    # An initialisation op of TensorFlow 2 stands among the signatures with no dtype at all.
    with _refusals(f"The signature's tensor {info.name!r} has no type that TensorFlow knows"):
        dtype = tf.as_dtype(info.dtype).name if info.dtype else ""
    return TensorSpec(info.name, dtype, tuple(dims))


@contextlib.contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Say in one sentence what TensorFlow raises, which may be anything."""
    try:
        yield
    except Exception as error:
        said = str(getattr(error, "message", error)).strip() or type(error).__name__
        raise GraphError(f"{what}: {said.splitlines()[0]}") from error


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to write to, and put it in place as a whole."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "saved_model.pb").is_file():
        raise GraphError(
            f"{folder} holds something other than a SavedModel; choose another folder."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _plain(tensor: str) -> str:
    return tensor.removesuffix(":0")
