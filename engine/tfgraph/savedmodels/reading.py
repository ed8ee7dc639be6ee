"""SavedModels from any source: their tags, their signatures and their graph.

`checking` tells whether loading one is safe, `loading` calls it.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from graphcore.errors import GraphError, first_line
from graphcore.spec import UNKNOWN_RANK, TensorSpec
from tfgraph import framework

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.protobuf import meta_graph_pb2

PREDICT = "tensorflow/serving/predict"
"""The method name of a signature that takes tensors and gives tensors."""

SERVING_DEFAULT = "serving_default"


@dataclass(frozen=True)
class Signature:
    """Client's name → TensorFlow tensor, for inputs and outputs."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    method: str = PREDICT

    @property
    def tensors(self) -> set[str]:
        """The tensors on both sides."""
        return {*self.inputs.values(), *self.outputs.values()}


@dataclass(frozen=True)
class SavedModel:
    """A SavedModel on disk: its tags, and for each signature the specs of inputs and outputs."""

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
    """Return the tags as a tuple. A single text is one tag."""
    return (tags,) if isinstance(tags, str) else tuple(tags)


def read_saved_model(
    export_dir: str | Path, *, tags: str | Sequence[str] = ("serve",)
) -> SavedModel:
    """Read a SavedModel's signatures and graph, without loading it into a session.

    Args:
        export_dir: its folder.
        tags: the tags of the graph. A single text is one tag.

    Raises:
        GraphError: there is no SavedModel, it is cut short, or it has no graph with these tags.
    """
    path, tags = Path(export_dir), several(tags)
    known = meta_graphs(path)
    graphs = [g for g in known if set(g.meta_info_def.tags) == set(tags)]
    if not graphs:
        seen = "; ".join(", ".join(g.meta_info_def.tags) for g in known) or "none"
        raise GraphError(f"{path} has no graph tagged {', '.join(tags)}. Its tags are: {seen}.")
    return from_meta_graph(path, graphs[0])


def meta_graphs(path: Path) -> "list[meta_graph_pb2.MetaGraphDef]":
    """Return the graphs in a SavedModel's folder. Each has its own tags.

    Raises:
        GraphError: there is no SavedModel, or it is cut short.
    """
    framework.tensorflow()
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    file = path / "saved_model.pb"
    if not file.is_file():
        versions = sorted(p.parent.name for p in path.glob("*/saved_model.pb"))
        hint = f", but there is one in {path / versions[-1]}" if versions else ""
        raise GraphError(f"There is no saved_model.pb in {path}{hint}.")
    message = saved_model_pb2.SavedModel()
    try:
        message.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise GraphError(f"{file} is not a whole SavedModel. Make it again.") from error
    return list(message.meta_graphs)


def from_meta_graph(path: Path, meta_graph: "meta_graph_pb2.MetaGraphDef") -> SavedModel:
    """Return the description of one of the graphs of a folder.

    Raises:
        GraphError: a tensor of a signature has no type.
    """
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


def _spec(info: "meta_graph_pb2.TensorInfo") -> TensorSpec:
    tf = framework.tensorflow()

    shape = info.tensor_shape
    dims = [
        d.size if d.size >= 0 else ("batch" if i == 0 else f"dim{i}")
        for i, d in enumerate(shape.dim)
    ]
    # An initialisation op of TensorFlow 2 is among the signatures, without any dtype.
    with refusals(f"The signature's tensor {info.name!r} has no type that TensorFlow knows"):
        dtype = tf.as_dtype(info.dtype).name if info.dtype else ""
    return TensorSpec(info.name, dtype, UNKNOWN_RANK if shape.unknown_rank else tuple(dims))


@contextlib.contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turn any error of TensorFlow into one clear message."""
    try:
        yield
    except Exception as error:
        raise GraphError(f"{what}: {first_line(error)}.") from error
