"""The report of `make bench`: the limits stand beside what was measured, and nothing is hidden."""

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def speed(monkeypatch, tmp_path):
    """The modules of benchmarks/speed, with results in an empty folder."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "speed")
    import results

    monkeypatch.setattr(results, "OUT", tmp_path)
    yield results
    for name in set(sys.modules) - before:
        if (ROOT / "benchmarks" / "speed" / f"{name}.py").exists():
            del sys.modules[name]


def run(seconds, megabytes=900, **more):
    return {"import": 2.0, "seconds": seconds, "megabytes": megabytes, "runs": 3, **more}


def test_conversion_says_what_is_met_and_what_failed(speed):
    import report_conversion

    speed.store("conversion", "", {"megabytes": 600})
    runs = {"ours": run(1), "ours, verified": run(2), "onnx2tf": run(50, 6000)}
    vit = {"onnx-tf": {"failed": "vit.onnx: no Gelu"}}
    resnet = {"onnx-tf": run(4, file="resnet18.opset11.onnx")}
    speed.store("conversion", "vit", {"weights": 50, "runs": runs | vit})
    speed.store("conversion", "resnet18", {"weights": 80, "runs": runs | resnet})
    lines = report_conversion.conversion_lines()
    assert "| resnet18 | 1.00 | 2.00 | 4.00 | 4.0 | 50.00 | 50.0 |" in lines
    assert "| vit | 1.00 | 2.00 | failed | – | 50.00 | 50.0 |" in lines
    said = "\n".join(lines)
    assert "onnx-tf takes 4.0× as long as ours, in geometric mean of 1, and 4.0× at least" in said
    assert "(limit: 5×, and never below 1): **not met**" in said
    assert "onnx2tf takes 50.0× as long as ours, in geometric mean of 2" in said
    assert "- resnet18: onnx-tf takes only the file of opset 11" in lines
    assert "- vit: onnx-tf failed: vit.onnx: no Gelu" in lines
    assert "| vit | 50 | 800 | 900 | 900 | – | 6000 |" in lines
    assert "- ours, above at vit (by 100 MB): **not met**" in lines


def test_latency_leaves_out_what_is_wrong(speed):
    import report_graphs

    good = {"ms": 10.0, "each": [9.0, 10.0, 12.0], "difference": 1e-6}
    row = {
        "ours": good,
        "onnx-tf": {"ms": 20.0, "difference": 0.3},
        "onnx2tf": {"ms": 8.0, "each": [8.0, 10.0, 8.0], "difference": 2e-6},
        "keras": {"failed": "not converted"},
        "onnxruntime": {"ms": 5.0, "difference": 0.0},
        "torch": {"ms": 7.0, "difference": 1e-6},
    }
    speed.store("latency", "resnet50", {"1": row, "8": row})
    lines = report_graphs.latency_lines()
    assert (
        "| resnet50 | 10.0 | 20.0, wrong | 8.0 (1.25) | failed | 5.0 (2.00) | 7.0 (1.43) |" in lines
    )
    assert "- onnx-tf: nothing to compare with." in lines
    said = "\n".join(lines)
    spread = "resnet50 (1.25; its processes 1.00 to 1.50)"
    assert f"1.25 at worst (limit: 1.0 on every one): **not met**, above on {spread}" in said
    assert "resnet50, batch 1, resnet50, batch 8: onnx-tf is wrong: 0.3 of the largest" in said
    assert "version 1.5" in said  # where the twin is another network


def test_latency_without_onednn_has_its_own_results_and_tables(speed, monkeypatch):
    import latency
    import report_graphs

    monkeypatch.setattr(latency, "graphs_for", lambda name, batch: ({"ours": ("tf",)}, {}))
    monkeypatch.setattr(latency, "inputs", lambda name, batch: {})
    good = {"ms": 10.0, "each": [9.0, 10.0, 12.0], "difference": 1e-6}
    asked = []

    def measured(graphs, arrays, *, onednn):
        asked.append(onednn)
        return {batch: {"ours": {**good, "ms": 10.0 if onednn else 15.5}} for batch in graphs}

    monkeypatch.setattr(latency, "measured", measured)
    latency.measure("resnet50")
    latency.measure("resnet50", onednn=False)
    assert asked == [True, False]
    assert "| resnet50 | 10.0 | – | – | – | – | – |" in report_graphs.latency_lines()
    lines = report_graphs.without_onednn_lines()
    assert "#### Batch 1" in lines and "| resnet50 | 15.5 | – | – | – | – | – |" in lines


def test_the_first_answer_stands_beside_others(speed):
    import report_graphs

    row = {
        "ours": {"seconds": 5.04, "megabytes": 2200},
        "constants": {"seconds": 70.1, "megabytes": 11_000},
        "onnx-tf": {"failed": "killed"},
    }
    speed.store("answer", "vgg16", row)
    lines = report_graphs.answer_lines()
    assert "| vgg16 | 5.0 s, 2200 MB | 70.1 s, 11000 MB | failed | – |" in lines
    assert "- vgg16: onnx-tf failed: killed" in lines


def test_a_contender_that_ends_amid_its_rounds_has_failed(speed, monkeypatch, tmp_path):
    import latency

    class Held:
        channels_last = False

        def __init__(self, milliseconds, lives):
            self.milliseconds, self.lives = milliseconds, lives

        def send(self, input, save):
            np.save(save, np.ones(3))

        def receive(self):
            return []

        def ask(self, input, calls):
            self.lives -= 1
            return [self.milliseconds] * calls if self.lives > 0 else {"error": "killed"}

    monkeypatch.setattr(latency, "OUT", tmp_path)
    contenders = {"ours": Held(20.0, 99), "onnxruntime": Held(10.0, 99), "torch": Held(30.0, 3)}
    row = latency.compared(contenders, {False: "input.npy"}, random.Random(0))
    assert row == {
        "ours": {"ms": 20.0, "difference": 0.0},
        "onnxruntime": {"ms": 10.0, "difference": 0.0},
        "torch": {"failed": "killed"},
    }


def test_growth_is_the_slope_of_the_larger_sizes(speed):
    import growth
    import report_growth

    speed.store("conversion", "", {"megabytes": 600})
    for nodes in (100, 1000, 10_000):
        each = run(2 + (nodes / 1000) ** 2)
        speed.store("growth", f"nodes {nodes}", {"ours": each, "ours, verified": run(nodes / 1000)})
    for size, peak in ((100, 900), (2500, 20_000)):
        refused = {"refused": "too large"} if size == 2500 else {}
        both = {"ours": run(1, peak), "ours, verified": run(2, peak)}
        speed.store("growth", f"weights {size}", both | refused)
    assert growth.exponent([1, 10, 100], [3, 30, 300]) == pytest.approx(1)
    said = "\n".join(report_growth.growth_lines())
    assert "ours: from 1,000 nodes on, seconds grow with the power 1.53" in said
    assert "ours, verified: from 1,000 nodes on, seconds grow with the power 1.00" in said
    assert "**not met**, above at 2500 MB" in said
    assert "a frozen graph is refused: too large" in said


def test_results_are_kept_when_a_part_is_measured_again(speed, tmp_path):
    speed.store("latency", "vit", {"1": 2})
    speed.store("latency", "bert", {"1": 3})
    assert json.loads((tmp_path / "latency.json").read_text()) == {
        "vit": {"1": 2},
        "bert": {"1": 3},
    }
    speed.forget()
    assert speed.load("latency") == {}
