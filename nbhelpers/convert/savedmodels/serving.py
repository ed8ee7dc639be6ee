"""Files and commands for servers beside a SavedModel: warm-up requests, and lines to copy.

The layout `<name>/1/saved_model.pb` is TensorFlow Serving's (`--model_base_path=<name>`). The
warm-up file is `1/assets.extra/tf_serving_warmup_requests`. For Triton see `triton`.
"""

import json
import keyword
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from shlex import quote

import numpy as np

from graphcore.errors import unknown_name
from graphcore.golden import load_golden
from graphcore.targets import Target
from graphcore.texts import as_bytes, is_text
from nbhelpers.convert.proving.artefacts import Artefact
from nbhelpers.convert.savedmodels.triton import graph_config as graph_config
from nbhelpers.convert.savedmodels.triton import triton_config as triton_config
from tfgraph import framework
from tfgraph.savedmodels.reading import SERVING_DEFAULT, SavedModel, read_saved_model

WARMUP = "assets.extra/tf_serving_warmup_requests"


def write_warmup(
    path: str | Path,
    model: str,
    requests: Iterable[Mapping[str, np.ndarray]],
    *,
    signature: str = SERVING_DEFAULT,
) -> Path:
    """Write the requests that TensorFlow Serving runs itself before it reports that it is ready.

    Args:
        path: `<export_dir>/assets.extra/tf_serving_warmup_requests`.
        model: the model's name in the server.
        requests: signature input → array, one mapping for each request.
        signature: the signature to call.
    """
    tf = framework.tensorflow()
    from tensorflow_serving.apis import prediction_log_pb2

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for feeds in requests:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model
            request.model_spec.signature_name = signature
            for name, value in sorted(feeds.items()):
                given = as_bytes(value) if is_text(value) else value
                request.inputs[name].CopyFrom(tf.make_tensor_proto(given))
            writer.write(log.SerializeToString(deterministic=True))
    return path


def command_lines(
    model: SavedModel,
    *,
    path: str,
    name: str,
    signature: str = SERVING_DEFAULT,
    arrays: Mapping[str, str] | None = None,
) -> str:
    """Return the `saved_model_cli` and TensorFlow Serving lines for a SavedModel at `path`.

    `name` is the model's name in the server. `arrays` maps signature inputs to files, "images.npy"
    or "golden.npz[batch1/input/images]". Names are quoted for a POSIX shell. Quotes do not stop a
    terminal from obeying control characters, so a name that has them gives a comment instead of
    lines.
    """
    if signature not in model.signatures:
        raise unknown_name("signature", signature, model.signatures)
    files = arrays or {}
    keys = model.signatures[signature].inputs
    feeds = ";".join(f"{key}={files.get(key, f'{key}.npy')}" for key in keys)
    tags = ",".join(model.tags)
    if not all(map(str.isprintable, (path, tags, signature, feeds, name))):
        return "# No lines for a shell, because a name contains invisible characters."
    options = f"--dir {quote(path)} --tag_set {quote(tags)} --signature_def {quote(signature)}"
    base = path.rpartition("/")[0]
    base = f'"$PWD/{base}"' if quote(base) == base else f'"$PWD"/{quote(base)}'
    inputs = "'" + feeds.replace("'", "'\"'\"'") + "'"
    return (
        f"saved_model_cli show {options}\n"
        f"saved_model_cli run {options} --inputs {inputs}\n"
        f"tensorflow_model_server --model_name={quote(name)} --model_base_path={base}"
    )


def client_code(
    model: SavedModel, *, path: str, signature: str = SERVING_DEFAULT, old: bool = True
) -> str:
    """Return Python that calls the SavedModel at `path`: in TensorFlow 2 and, if `old`, in 1.

    Each input is a variable of the same name, or of a similar one where Python does not allow the
    name (`input_1` for "input.1").
    """
    if signature not in model.signatures:
        raise unknown_name("signature", signature, model.signatures)
    entry, where = model.signatures[signature], path
    variables = _variables(entry.inputs)
    feed_dict = ", ".join(
        f"signature.inputs[{_quoted(key)}].name: {v}" for key, v in variables.items()
    )
    fetch = ", ".join(f"signature.outputs[{_quoted(key)}].name" for key in entry.outputs)
    new = (
        "# TensorFlow 2\n"
        f"model = tf.saved_model.load({_quoted(where)})\n"
        f"results = model.signatures[{_quoted(signature)}]({_arguments(variables)})\n"
    )
    if not old:
        return new
    return (
        f"{new}\n# TensorFlow 1\n"
        "with tf.Session(graph=tf.Graph()) as session:\n"
        f"    loaded = tf.saved_model.loader.load(session, {list(model.tags)}, {_quoted(where)})\n"
        f"    signature = loaded.signature_def[{_quoted(signature)}]\n"
        f"    results = session.run([{fetch}], {{{feed_dict}}})\n"
    )


def _variables(keys: Iterable[str]) -> dict[str, str]:
    """Return key → the name of a variable, which is the key itself where possible."""
    names = {key: key for key in keys if _is_name(key)}
    for key in keys:
        name = names.get(key) or re.sub(r"^(?=\d)|\W", "_", key, flags=re.ASCII)
        while key not in names and (name in names.values() or not _is_name(name)):
            name += "_"
        names[key] = name
    return {key: names[key] for key in keys}


def _arguments(variables: Mapping[str, str]) -> str:
    """Return the arguments of a call: by keyword, or in a mapping where a key cannot be a
    keyword."""
    named = [f"{key}=tf.constant({v})" for key, v in variables.items() if key == v]
    others = [f"{_quoted(key)}: tf.constant({v})" for key, v in variables.items() if key != v]
    return ", ".join([*named, *([f"**{{{', '.join(others)}}}"] if others else [])])


def _quoted(key: str) -> str:
    """Return a text as a Python literal, with escapes for invisible characters."""
    return json.dumps(key, ensure_ascii=False) if key.isprintable() else ascii(key)


def _is_name(key: str) -> bool:
    return key.isidentifier() and not keyword.iskeyword(key)


def snippets(folder: str | Path, artefacts: Iterable[Artefact]) -> dict[str, str]:
    """Return title → lines for the receiver: commands and a client for each SavedModel.

    They call the default signature of servers if the model has one, on the first inputs of
    `golden.npz`.
    """
    chosen: dict[str, Artefact] = {}
    for each in artefacts:
        first = each.path not in chosen or each.signature == SERVING_DEFAULT
        if each.kind == "savedmodel" and first:
            chosen[each.path] = each
    case = load_golden(Path(folder) / "golden.npz")[0].name
    found: dict[str, str] = {}
    for path, each in chosen.items():
        model = read_saved_model(Path(folder) / path, tags=each.tags)
        arrays = {key: f"golden.npz[{case}/input/{name}]" for name, key in each.inputs.items()}
        called = {"path": path, "signature": each.signature}
        found[f"{path}: commands"] = command_lines(
            model, **called, name=Path(folder).name, arrays=arrays
        )
        found[f"{path}: client"] = client_code(
            model, **called, old=Target.named(each.target).is_legacy
        )
    return found


def read_warmup(path: str | Path) -> list[dict[str, np.ndarray]]:
    """Return the feeds in a warm-up file."""
    tf = framework.tensorflow()
    from tensorflow_serving.apis import prediction_log_pb2

    feeds = []
    for record in tf.compat.v1.io.tf_record_iterator(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record)
        inputs = log.predict_log.request.inputs
        feeds.append({name: tf.make_ndarray(inputs[name]) for name in sorted(inputs)})
    return feeds
