"""The campaign finds a planted fault, shrinks it and writes it down; else it is silent."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx

ROOT = Path(__file__).resolve().parents[2]

PLANTED = """
import onnx, runpy, sys
from nbhelpers import convert
right = convert.onnx2tf

def wrong(model, *given, **named):
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for node in changed.graph.node:
        node.op_type = {"Floor": "Ceil"}.get(node.op_type, node.op_type)
    return right(changed, *given, **named)

convert.onnx2tf = wrong
sys.argv[0] = "benchmarks/campaign"
runpy.run_path("benchmarks/campaign", run_name="__main__")
"""


def campaign(*arguments, code=()):
    command = [sys.executable, *(code or ["benchmarks/campaign"]), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def test_a_planted_fault_is_found_shrunk_and_written(tmp_path):
    options = ("--only", "Floor,Add,Transpose", "--targets", "tf2", "--rounds", 1)
    options += ("--cases", tmp_path, "--slices", tmp_path / "slices")
    done = campaign(*options, code=["-c", PLANTED])
    assert done.returncode == 1, done.stderr
    assert "FOUND onnx2tf tf2 on tf2, oneDNN off: wrong: Floor: floor_0_0" in done.stdout
    (written,) = (tmp_path / "onnx2tf_tf2_on_tf2_onednn_off").iterdir()
    model = onnx.load(written / "model.onnx")
    assert [node.op_type for node in model.graph.node] == ["Floor"]
    assert len(list(written.glob("in*.npz"))) == 4
    assert (written / "seen.txt").read_text().startswith("onnx2tf tf2 on tf2, oneDNN off: wrong")


def test_what_is_right_brings_nothing(tmp_path):
    ops = "Relu,Add,Transpose,Reshape,Concat,Slice,Where,Greater,If,Round,OneHot,Gather"
    options = ("--only", ops, "--targets", "tf2", "--models", 12, "--rounds", 1)
    cases, slices = tmp_path / "cases", tmp_path / "slices"
    done = campaign(*options, "--cases", cases, "--slices", slices)
    assert done.returncode == 0, done.stdout
    assert "12 models, 0 kinds" in done.stdout
    assert not cases.exists()
    assert len(list(slices.iterdir())) == 1


def test_slices_of_other_seeds_are_added_up(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "campaign")
    import page

    kind = {"who": "simplify", "verdict": "wrong", "key": ["simplify", "wrong", ""], "ops": ["Elu"]}
    kind |= {"reason": "1.0 at (0,), not 2.0", "models": 30, "minutes": 2.0}
    wider = kind | {"ops": ["Elu", "Relu"], "models": 5}
    seen = {"code": "abc", "targets": ["tf2"], "processor": "some", "cores": 2, "minutes": 4.0}
    counts = {"drawn": {"models": 40, "no referee": 1}, "simplify": {"right": 39, "wrong": 1}}
    for seed, kinds in ((7, [wider]), (3, [kind])):
        seeds = {"seeds": [seed, seed + 1], "models": 40, "counts": counts, "kinds": kinds}
        page.keep(tmp_path / "slices", seen | seeds)
    page.write(tmp_path / "page.md", tmp_path / "slices")
    text = (tmp_path / "page.md").read_text()
    assert "80 models in 8 minutes, 2 more that no referee runs; 1 kinds of failure." in text
    assert "The last 50 models (6 minutes) brought no new kind." in text
    assert "- seeds 3 to 4, 7 to 8; code abc" in text
    assert "| simplify | 78 | 0 | 0 | 2 | 0 |" in text
    assert "| simplify: wrong | abc | Elu | 1.0 at (0,), not 2.0 |" in text


def test_a_difference_is_stated_only_where_its_value_reaches_its_op(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "campaign")
    import stated

    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[N, 3] x) => (float[N, 3] y) { a = Exp(x) b = Softmax(a) y = Relu(b) }"""
    model = onnx.parser.parse_model(text)
    assert [value.name for value in stated.showing(model).graph.output] == ["y", "a"]
    usual, infinite = np.ones((1, 3), np.float32), np.full((1, 3), np.inf, np.float32)
    assert not stated.excuses(model, {"x": infinite, "a": usual})
    (excuse,) = stated.excuses(model, {"x": usual, "a": infinite})
    assert "Softmax" in excuse.ops and excuse.routes == ("onnx2tf",)


def test_a_difference_is_stated_for_the_nodes_that_show_it_alone(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "campaign")
    import stated

    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[N] x) => (float[N] y, float[N] z) <float half = {-0.5}, float two = {2.0}> {
        y = Pow(x, half) z = Pow(x, two) }"""
    (watched,) = stated.watched(onnx.parser.parse_model(text)).values()
    assert [each.ops for each in watched] == [("Pow",)]
