"""Load a SavedModel as a client does, and call its signatures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphcore.errors import GraphError, unknown_name
from graphcore.texts import as_bytes, is_text
from tfgraph import framework
from tfgraph.graphs.validity import check_nodes
from tfgraph.savedmodels.checking import check_loading
from tfgraph.savedmodels.reading import (
    SERVING_DEFAULT,
    SavedModel,
    read_saved_model,
    refusals,
)


def load_saved_model(
    export_dir: str | Path, *, tags: str | Sequence[str] = ("serve",)
) -> Callable[..., dict[str, np.ndarray]]:
    """Load a SavedModel as a client does, and return `call(feeds, signature=…)`.

    A call maps the client's input names to arrays, and returns arrays by output name.

    Raises:
        GraphError: there is no such SavedModel, it does more than compute (see `allow_ops`), or its
            variables are missing. Or, when called, an input has no value.
        UnknownName: when called, there is no such signature or input.
    """
    tf = framework.tensorflow()

    read = read_saved_model(export_dir, tags=tags)  # reports errors in our words
    check_nodes(read.graph_def)
    check_loading(read)
    _check_variables(read)
    with refusals(f"{export_dir} cannot be loaded"):
        loaded = tf.saved_model.load(str(export_dir), tags=list(read.tags))

    def tensor(value: np.ndarray) -> Any:
        return tf.constant(as_bytes(value), tf.string) if is_text(value) else tf.constant(value)

    def call(
        feeds: Mapping[str, np.ndarray], signature: str = SERVING_DEFAULT
    ) -> dict[str, np.ndarray]:
        function = signature_function(loaded, signature)
        known = function.structured_input_signature[1]
        for name in feeds:
            if name not in known:
                raise unknown_name(f"input of {signature!r}", name, known)
        left_out = [name for name in known if name not in feeds]
        if left_out:
            raise GraphError(
                f"The signature {signature!r} also takes {', '.join(left_out)}. Feed them too."
            )
        with refusals(f"The signature {signature!r} of {export_dir} failed"):
            results = function(**{name: tensor(value) for name, value in feeds.items()})
        return {name: value.numpy() for name, value in results.items()}

    return call


def signature_function(loaded: Any, name: str) -> Any:
    """Return the concrete function of a signature in an object that TensorFlow 2 loaded.

    Raises:
        UnknownName: there is no such signature.
        GraphError: the file uses the name for something else.
    """
    if name not in loaded.signatures:
        raise unknown_name("signature", name, loaded.signatures)
    function = loaded.signatures[name]
    if not isinstance(function, framework.tensorflow().types.experimental.ConcreteFunction):
        raise GraphError(
            f"The signature {name!r} is not a function in this SavedModel, so its file was "
            "changed or damaged. Copy the whole folder again."
        )
    return function


def call_saved_model(
    export_dir: str | Path,
    feeds: Mapping[str, np.ndarray],
    *,
    signature: str = SERVING_DEFAULT,
    tags: str | Sequence[str] = ("serve",),
) -> dict[str, np.ndarray]:
    """Load a SavedModel and call one signature once (see `load_saved_model`)."""
    return load_saved_model(export_dir, tags=tags)(feeds, signature)


def _check_variables(saved: SavedModel) -> None:
    restored = any(node.op == "RestoreV2" for node in saved.graph_def.node)
    if restored and not (saved.path / "variables" / "variables.index").is_file():
        raise GraphError(
            f"{saved.path} has weights in variables/, but no variables/variables.index. Copy the "
            "whole folder again, not saved_model.pb alone."
        )
