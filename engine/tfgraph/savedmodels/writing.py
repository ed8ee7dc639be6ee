"""SavedModels from a frozen graph: signatures with the names that the client sees.

They are written in the form that every TensorFlow since 1.0 reads: one MetaGraphDef, with the
weights as constants in the graph. For TensorFlow 2 large weights may be variables (see
`variables`). TensorFlow Serving needs it in a folder whose name is a version number
(`export_dir/1`).
"""

import itertools
import json
import keyword
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphcore.atomic_files import new_folder
from graphcore.errors import GraphError
from graphcore.targets import Target
from graphcore.writing import writing
from tfgraph import framework
from tfgraph.graphs.foreign_ops import check_ops
from tfgraph.graphs.frozen import FrozenGraph, split_weights
from tfgraph.graphs.graphdef import GraphView, TensorInfo, load_graph_def
from tfgraph.graphs.order import full
from tfgraph.graphs.training_switches import check_switches, with_values
from tfgraph.savedmodels import initialisers, variables
from tfgraph.savedmodels.reading import (
    SERVING_DEFAULT,
    SavedModel,
    Signature,
    read_saved_model,
    several,
)

if TYPE_CHECKING:
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

    from tfgraph.conversion import Conversion


def build_saved_model(
    pb_path: "str | Path | Conversion",
    export_dir: str | Path,
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    signature: str = SERVING_DEFAULT,
    tags: str | Sequence[str] = ("serve",),
    more: Mapping[str, Signature] | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> SavedModel:
    """Build a SavedModel from any frozen graph.

    Args:
        pb_path: the frozen graph, or a conversion, for example of a model too large for a file.
        export_dir: the folder to write. A SavedModel that is already there is replaced as a whole.
        inputs: client's name → tensor ("images": "input:0"). The default is all placeholders
            without a default value, under their own names.
        outputs: the same for outputs. The default is all tensors that nothing consumes.
        signature: the name of this signature.
        tags: the tags of the graph. TensorFlow Serving needs "serve". A single text is one tag.
        more: further signatures, by name.
        fixed: placeholder → value, for switches that must not be inputs ("is_training": False).

    Raises:
        UnknownName: a tensor is not in the graph. The message gives the closest names.
        GraphError: the folder is a file or holds something else, there are no outputs, TensorFlow 2
            could not call an input by its name, the graph could not run (a variable without its
            value, an iterator, an input that was left out), no inputs were named and one is a
            switch for training, or the folder cannot be written.
    """
    graph = _graph(pb_path)
    if fixed:
        graph = replace(graph, skeleton=with_values(graph.skeleton, fixed))
    view = GraphView(graph.skeleton)
    if inputs is None:
        inputs = _open_inputs(view, graph)
        if isinstance(pb_path, str | Path):  # what was converted here has the inputs of its model
            check_switches(graph.skeleton, inputs, "every client")
    outputs = {_plain(t.name): t.name for t in view.outputs()} if outputs is None else outputs
    if signature in (more or {}):
        raise GraphError(f"Two signatures are named {signature!r}. Give each its own name.")
    signatures = {signature: Signature(inputs, outputs), **(more or {})}
    for name, each in signatures.items():
        if not each.outputs:
            raise GraphError(f"The signature {name!r} has no outputs. Name at least one tensor.")
        _check_callable(name, each)
        signature_def(view, each)  # reports an unknown name before missing inputs
    first = initialisers.initialisers(graph.skeleton, signatures, graph.weights)
    for each in signatures.values():
        given = {*map(full, each.inputs.values())}
        check_ops(graph.skeleton, ends=[*each.outputs.values(), *first], given=given)
    _check_place(Path(export_dir))
    with writing(export_dir, error=GraphError), new_folder(Path(export_dir)) as folder:
        message = _message(graph, view, signatures, several(tags), folder)
        initialisers.run_first(message.meta_graphs[0], first)
        content = message.SerializeToString(deterministic=True)
        (folder / "saved_model.pb").write_bytes(content)
    return read_saved_model(export_dir, tags=tags)


def _graph(source: "str | Path | Conversion") -> FrozenGraph:
    if isinstance(source, str | Path):
        return split_weights(load_graph_def(source))
    if source.graph.too_large and Target.named(source.target).is_legacy:
        raise GraphError(
            f"The weights take {source.graph.size / 2**30:.1f} GiB and must be variables, which "
            f"only a SavedModel for tf2 may have here. Convert for tf2 instead of {source.target}."
        )
    return source.graph


def _open_inputs(view: GraphView, graph: FrozenGraph) -> dict[str, str]:
    """Return the inputs that must be fed, under their own names.

    A default that is a single value (is_training, keep_prob) is never fed. Another default is fed
    only if the graph has no other input.
    """
    own = [t for t in view.inputs() if t.name.removesuffix(":0") not in graph.weights]
    own = [t for t in own if t.dtype not in ("resource", "variant")]
    plain = [t for t in own if t.op == "Placeholder"]
    chosen = plain or [t for t in own if t.shape != () and t.dtype != "bool"]
    return {_plain(t.name): t.name for t in chosen}


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
    served = set().union(*(each.tensors for each in signatures.values()))
    graph, stored = variables.apart(graph, served)
    if stored:
        meta_graph.CopyFrom(variables.meta_graph(graph, stored))
        (folder / "variables").mkdir()
        variables.write_checkpoint(stored, folder / "variables" / "variables")
    else:
        meta_graph.graph_def.CopyFrom(graph.graph_def)
    meta_graph.meta_info_def.tags.extend(tags)
    for name, signature in signatures.items():
        meta_graph.signature_def[name].CopyFrom(signature_def(view, signature))
    return message


def signature_def(view: GraphView, signature: Signature) -> "meta_graph_pb2.SignatureDef":
    """Return the message that represents a signature in the SavedModel.

    Raises:
        UnknownName: a tensor is not in the graph. The message gives the closest names.
    """
    from tensorflow.core.protobuf import meta_graph_pb2

    definition = meta_graph_pb2.SignatureDef(method_name=signature.method)
    for side, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        for key, tensor in tensors.items():
            _fill(getattr(definition, side)[key], view.tensor(tensor))
    return definition


def _fill(info: "meta_graph_pb2.TensorInfo", tensor: TensorInfo) -> None:
    tf = framework.tensorflow()

    info.name = tensor.name
    info.dtype = tf.as_dtype(tensor.dtype).as_datatype_enum
    if tensor.shape is None:
        info.tensor_shape.unknown_rank = True
        return
    for size in tensor.shape:
        info.tensor_shape.dim.add(size=-1 if size is None else size)


def signature_text(view: GraphView, signature: Signature) -> str:
    """Return that message in protobuf's text form, each tensor in one line.

    Raises:
        UnknownName: a tensor is not in the graph. The message gives the closest names.
    """
    from google.protobuf import text_format

    definition = signature_def(view, signature)
    lines = []
    for side, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        for key in tensors:
            value = text_format.MessageToString(getattr(definition, side)[key], as_one_line=True)
            lines.append(f"{side} {{\n  key: {json.dumps(key)}\n  value {{ {value} }}\n}}")
    return "\n".join([*lines, f'method_name: "{definition.method_name}"'])


def _check_callable(name: str, signature: Signature) -> None:
    """Check that the inputs are valid arguments in Python, which TensorFlow 2 makes of them."""
    for key in signature.inputs:
        if keyword.iskeyword(key) or key == "self":
            raise GraphError(
                f"The signature {name!r} has an input {key!r}, which Python does not allow as an "
                "argument, but TensorFlow 2 makes an argument of a Python function of it. Choose "
                f"another name: inputs={_with_new_key(signature.inputs, key)}."
            )
    arguments: dict[str, str] = {}
    for key in signature.inputs:
        argument = _argument(key)
        if argument in arguments:
            raise GraphError(
                f"The signature {name!r} has the inputs {arguments[argument]!r} and {key!r}: "
                f"TensorFlow 2 makes the argument {argument!r} of both. Choose another name: "
                f"inputs={_with_new_key(signature.inputs, key)}."
            )
        arguments[argument] = key


def _with_new_key(inputs: Mapping[str, str], key: str) -> dict[str, str]:
    """Return the inputs with one renamed, so that its argument differs from all others."""
    taken = {_argument(each) for each in inputs if each != key}
    longer = (key + "_" * count for count in itertools.count(1))
    new = next(name for name in longer if _argument(name) not in taken)
    return {new if each == key else each: tensor for each, tensor in inputs.items()}


def _argument(key: str) -> str:
    """Return the argument that TensorFlow 2 makes from an input, by its own rule."""
    plain = "".join(each if each.isalnum() else "_" for each in key)
    return plain if plain[:1].isalpha() else f"arg_{plain}"


def _check_place(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise GraphError(f"{folder} is a file, but a SavedModel is a folder. Choose another name.")
    if folder.exists() and any(folder.iterdir()) and not (folder / "saved_model.pb").is_file():
        raise GraphError(
            f"{folder} holds something other than a SavedModel. Choose another folder."
        )


def _plain(tensor: str) -> str:
    return tensor.removesuffix(":0")
