"""The fuzz harness sees every kind of planted fault, and runs a case again by its number."""

import importlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def fuzz(*arguments):
    command = [sys.executable, "benchmarks/fuzz", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def test_every_kind_of_planted_fault_is_seen_and_written(tmp_path):
    done = fuzz("--planted", "--cases", 20, "--limit", 2, "--findings", tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    for verdict in ("foreign", "long", "wrong", "dead", "memory", "hang"):
        (folder,) = tmp_path.glob(f"planted_{verdict}_{verdict}_*")
        assert (folder / "model.onnx").is_file()
        assert f"planted {verdict}: {verdict}" in (folder / "seen.txt").read_text()
    assert "calls_planted.py" in done.stdout
    number = folder.name.rpartition("_")[2]
    again = fuzz("--planted", "--case", number, "--limit", 2, "--findings", tmp_path)
    assert "verdict='hang'" in again.stdout
    assert (tmp_path / number / "model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()


def test_a_journal_adds_parts_up_and_failed_cases_are_run_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "fuzz")
    record = importlib.import_module("record")
    journal = tmp_path / "journal"

    def seen(number, verdict):
        return record.Seen(number, "load", tmp_path / "case", verdict, "", "", "", "", "")

    (tmp_path / "case").mkdir()
    for part in (
        ((1, "right"), (2, "foreign")),
        ((1, "right"), (3, "refused"), (4, "right")),
    ):  # side by side
        one = record.Record(tmp_path, seed=0, numbers=range(4))
        one.journal = journal
        for number, verdict in part:
            one.add(seen(number, verdict))
    again = record.Record(tmp_path, seed=0, numbers=range(4), journal=journal)
    assert again.done == {1, 3}
    again.add(seen(2, "refused"))
    for whole in again, record.Record(tmp_path, seed=0, numbers=range(4), journal=journal):
        assert "| **all** | 3 | 1 | 2 | 0 |" in whole.table()
        assert whole.table().endswith("1 failed until the code was mended.")


ONNX = "load,save,cost,infer_shapes,anatomy,inputs,rename,cut,fix_dims,make_batch_dynamic"
TENSORFLOW = "load_graph_def,open_graph,run_tf,read_saved_model,open_graph (checkpoint)"


def test_damaged_files_are_right_or_refused(tmp_path):
    done = fuzz("--only", f"{ONNX},{TENSORFLOW}", "--cases", 250, "--findings", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| **all** | 250 |" in done.stdout
    assert not list(tmp_path.iterdir())
