"""The scenes in which a process is killed: stages, ONNX files, folders and SavedModels.

Each scene writes in a folder of its own, and then finds the old state, the new one, or none.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from graphcore import atomic_files
from graphcore.errors import HandoffError
from graphcore.golden import Case, save_golden
from nbhelpers import convert, onnxgraph
from nbhelpers.handoff import Handoff

OLD, NEW, NONE = "old", "new", "none"


@dataclass(frozen=True)
class Scene:
    """A scene: `write(room, OLD or NEW)` writes, and `look(room)` returns the state.

    `look` raises an error about an incomplete state.
    """

    title: str
    write: Callable[[Path, str], None]
    look: Callable[[Path], str]
    over_older: bool


def scenes(home):
    """Return the scenes. Their sources are prepared in the folder `home`."""
    external = {state: _in_two_files(home / state, state) for state in (OLD, NEW)}
    graphs = {state: _graph(home, state) for state in (OLD, NEW)}

    def saved_model(room, state):
        convert.build_saved_model(graphs[state], room / "model" / "1")

    whole = {}
    for state in (OLD, NEW):
        saved_model(home / f"whole-{state}", state)
        whole[_digest(home / f"whole-{state}" / "model" / "1")] = state
    look_saved = _looking(whole, "model/1")
    whole_folders = {}
    for state in (OLD, NEW):
        _folder(home / f"folder-{state}", state)
        whole_folders[_digest(home / f"folder-{state}" / "made")] = state
    look_folder = _looking(whole_folders, "made")

    def two_files(room, state):
        onnxgraph.save(external[state], room / "m.onnx")

    def one_file(room, state):
        onnxgraph.save(_model(state), room / "m.onnx")

    return [
        Scene("stage of a handoff, first run", _stage, _look_at_stage, False),
        Scene("stage of a handoff, over an older one", _stage, _look_at_stage, True),
        Scene("`onnxgraph.save`, one file", one_file, _look_at_model, True),
        Scene("`onnxgraph.save`, weights in a second file", two_files, _look_at_model, True),
        Scene("`new_folder`, over an older one", _folder, look_folder, True),
        Scene("`new_folder`, where folders cannot change places", _moved, look_folder, True),
        Scene("`build_saved_model`, first run", saved_model, look_saved, False),
        Scene("`build_saved_model`, over an older one", saved_model, look_saved, True),
    ]


def _value(state):
    return {OLD: 1.0, NEW: 2.0}[state]


def _stage(room, state):
    cases = [Case("batch1", {"x": np.full((1, 2), _value(state))}, {"y": np.ones(1)})]
    with Handoff(room / "model").stage("export") as stage:
        stage.write("exported.onnx").write_text(state)
        save_golden(stage.write("golden.npz"), cases)
        for number in range(3):
            stage.write(f"graph/tf{number}/frozen.pb").write_text(state)


def _look_at_stage(room):
    handoff = Handoff(room / "model")
    if handoff.status()[0].state != "done":
        try:
            handoff.read("exported.onnx")
        except HandoffError:
            return NONE
        raise AssertionError("a stage that is not done gave a file")
    state = handoff.read("exported.onnx").read_text()
    assert handoff.golden()[0].inputs["x"][0, 0] == _value(state)
    for number in range(3):
        assert handoff.read(f"graph/tf{number}/frozen.pb").read_text() == state
    return state


def _model(state):
    body = {OLD: "y = MatMul(x, w)", NEW: "t = MatMul(x, w) y = Neg(t)"}[state]
    head = '<ir_version: 7, opset_import: ["" : 13]> g (float[N, 80] x) => (float[N, 90] y)'
    model = onnx.parser.parse_model(f"{head} {{{body}}}")
    weight = np.full((80, 90), _value(state), np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    return model


def _in_two_files(folder, state):
    folder.mkdir()
    onnx.save(_model(state), folder / "m.onnx", save_as_external_data=True, location="w.bin")
    return onnxgraph.load(folder / "m.onnx", keep_external=True)


def _look_at_model(room):
    if not (room / "m.onnx").exists():
        return NONE
    model = onnxgraph.load(room / "m.onnx")
    state = OLD if len(model.graph.node) == 1 else NEW
    assert np.all(onnx.numpy_helper.to_array(model.graph.initializer[0]) == _value(state))
    return state


def _folder(room, state):
    with atomic_files.new_folder(room / "made") as new:
        for number in range(3):
            (new / f"part{number}").mkdir()
            (new / f"part{number}" / "a.txt").write_text(state)


def _moved(room, state):
    exchange = atomic_files._exchange
    atomic_files._exchange = lambda one, other: False
    try:
        _folder(room, state)
    finally:
        atomic_files._exchange = exchange


def _graph(home, state):
    return convert.onnx2tf(_model(state), home / f"{state}.pb", target="tf2").pb_path


def _looking(whole, name):
    def look(room):
        atomic_files.recover(room / name)  # as in the next process that opens it
        if not (room / name).exists():
            return NONE
        state = whole.get(_digest(room / name))
        assert state, "a folder is neither the old one nor the new one"
        return state

    return look


def _digest(folder):
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        found.update(str(path.relative_to(folder)).encode())
        found.update(path.read_bytes() if path.is_file() else b"")
    return found.hexdigest()
