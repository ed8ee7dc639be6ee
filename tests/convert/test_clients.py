"""Other makers' runtimes: what they make of right and of wrong files, and how they end."""

import contextlib
import os
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from graphcore import environments
from graphcore.golden import Case, save_golden
from nbhelpers import convert, onnxgraph
from nbhelpers.convert import clients, try_clients
from nbhelpers.convert.clients import process
from nbhelpers.convert.proving import artefacts
from tests.convert.models import parse, seeded

FORMS = ("frozen", "savedmodel", "onnx")


@pytest.fixture(scope="module")
def others():
    """Every client; a machine without their environment fails in CI."""
    if not environments.python("clients").exists():
        sentence = "The environment of the clients is not installed: run `make clients`."
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return {client.name: client for client in clients.CLIENTS}


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    """A handoff of the small network with two heads: its artefacts, and cases of two sizes."""
    home = tmp_path_factory.mktemp("clients") / "net"
    made = convert.onnx2tf(network, home / "graph/tf1.4/frozen.pb", target="tf1.4")
    model = convert.build_saved_model(
        made.pb_path,
        home / "savedmodel/tf1.4/1",
        inputs={"x": "images"},
        outputs={"y": "scores", "z": "aux/out_0"},
    )
    onnx.save(network, home / "prepared.onnx")
    golden(home, network, [{"images": seeded(n, 3, 9, 11, seed=n)} for n in (1, 3)])
    promises = artefacts.artefacts(
        {"tf1.4": artefacts.conversion_fact(made)}, {"tf1.4": artefacts.signature_fact(model)}
    )
    return home, (*promises, clients.onnx_artefact(home))


def golden(home, model, feeds):
    cases = [
        Case(f"case{place}", fed, onnxgraph.run_onnx(model, fed)) for place, fed in enumerate(feeds)
    ]
    return save_golden(home / "golden.npz", cases)


def test_every_client_agrees_or_says_why_not(folder, others):
    home, files = folder
    trials = try_clients(home, files)
    by_run = {(trial.client.rpartition(" ")[0], trial.artefact): trial for trial in trials}
    assert len(by_run) == sum(f.kind in c.reads for f in files for c in others.values())
    failed = {run: by_run.pop(run).reason for run in list(by_run) if by_run[run].state == "failed"}
    # OpenCV takes a placeholder of four axes for NHWC; nobody else minds the graph.
    assert list(failed) == [("OpenCV DNN", "graph/tf1.4/frozen.pb")]
    assert "permutations are allowed" in failed["OpenCV DNN", "graph/tf1.4/frozen.pb"]
    for run, trial in by_run.items():
        assert trial.state == "agrees", trial
        assert trial.relative < 1e-5, run
        assert trial.labels_agree, run
        assert trial.cases == ("case0", "case1")
        assert trial.latency_ms > 0
        assert re.search(r" \d+\.\d+", trial.client), "each says its version"
    assert trial.run == "prepared.onnx on onnxruntime 1.31.1"


def test_a_changed_weight_is_another_result(folder, others, tmp_path):
    home, files = folder
    artefact = next(file for file in files if file.kind == "onnx")
    wrong = onnx.load(home / "prepared.onnx")
    weight = next(w for w in wrong.graph.initializer if w.name == "w3")
    value = onnx.numpy_helper.to_array(weight).copy()
    value[0, 0] += 1
    weight.CopyFrom(onnx.numpy_helper.from_array(value, "w3"))
    onnx.save(wrong, tmp_path / "prepared.onnx")
    (tmp_path / "golden.npz").write_bytes((home / "golden.npz").read_bytes())
    chosen = [others["OpenVINO"], others["onnxruntime"]]
    trials = try_clients(tmp_path, [artefact], clients=chosen)
    assert [trial.state for trial in trials] == ["DIFFERS"] * 2
    assert all("case0: scores: mismatch off by" in trial.reason for trial in trials)
    assert clients.summary(trials) == (
        f"0 of 2 tries by 2 clients agree. ANOTHER RESULT: {trials[0].run}; {trials[1].run}."
    )


def test_whole_numbers_keep_their_meaning_and_an_op_too_many_its_name(others, tmp_path):
    model = parse(
        """
        words (int64[N, 5] tokens) => (float[N, 5, 4] found, int64[N, 1] best) {
            rows = Gather(table, tokens)
            found = Relu(rows)
            flat = Flatten(found)
            best = ArgMax<axis = 1, keepdims = 1>(flat)
        }
        """,
        table=seeded(10, 4),
    )
    onnx.save(model, tmp_path / "prepared.onnx")
    golden(tmp_path, model, [{"tokens": np.arange(n * 5).reshape(n, 5) % 10} for n in (2, 3)])
    chosen = [others["MNN"], others["ncnn"], others["OpenVINO"]]
    trials = try_clients(tmp_path, [clients.onnx_artefact(tmp_path)], clients=chosen)
    assert [trial.state for trial in trials] == ["agrees", "failed", "agrees"]
    assert trials[1].reason == "when it loaded: layer ArgMax not exists or registered"


def test_rows_of_numbers_are_taken_by_every_client_as_pictures_are(others, tmp_path):
    model = parse(
        """
        rows (float[N, 16] x) => (float[N, 3] y) {
            wide = Gemm<transB = 1>(x, w1, b1)
            live = Relu(wide)
            y = Gemm<transB = 1>(live, w2, b2)
        }
        """,
        w1=seeded(8, 16),
        b1=seeded(8),
        w2=seeded(3, 8),
        b2=seeded(3),
    )
    onnx.save(model, tmp_path / "prepared.onnx")
    golden(tmp_path, model, [{"x": seeded(n, 16, seed=n)} for n in (1, 3)])
    reading = [client for client in others.values() if "onnx" in client.reads]
    trials = try_clients(tmp_path, [clients.onnx_artefact(tmp_path)], clients=reading)
    assert {trial.state for trial in trials} == {"agrees"}, trials
    assert len(trials) >= 5


def script(tmp_path, body):
    path = tmp_path / "client.py"
    path.write_text(f"import os, time\n\ndef version(request):\n    return '1.0'\n\n{body}")
    return clients.Client("Odd", FORMS, path, separate=False)


LOAD = "def open_model(request):\n"
ENDS = {
    "it crashes": (LOAD + "    os.abort()", "crashed (SIGABRT), when it loaded"),
    "it hangs": (LOAD + "    time.sleep(60)", "gave no answer in 3 s, when it loaded"),
    "it refuses": (
        LOAD + "    raise ValueError('no op Foo in /some/where/file.c')",
        "when it loaded: no op Foo in file.c",
    ),
    "it says it in the log": (
        LOAD + "    print('bad\\nlayer', flush=True)\n    raise RuntimeError",
        "when it loaded: layer",
    ),
    "it ends": (
        LOAD + "    os._exit(3)",
        "ended with status 3: it printed nothing, when it loaded",
    ),
    "it crashes later": (
        LOAD + "    def run(feeds):\n        os.abort()\n    return run",
        "crashed (SIGABRT), when it ran",
    ),
}


@pytest.mark.parametrize("what", ENDS)
def test_a_client_that_ends_badly_is_a_row(folder, tmp_path, what):
    body, reason = ENDS[what]
    home, files = folder
    (trial,) = try_clients(home, files[-1:], clients=[script(tmp_path, body)], timeout=3)
    assert (trial.state, trial.client, trial.reason) == ("failed", "Odd 1.0", reason)


def test_a_client_that_gives_other_outputs_differs(folder, tmp_path):
    home, files = folder
    body = "def open_model(request):\n    import numpy\n"
    body += "    return lambda feeds: {'scores': numpy.zeros((1, 9), 'float32')}"
    (trial,) = try_clients(home, files[-1:], clients=[script(tmp_path, body)])
    assert trial.state == "DIFFERS"
    assert trial.reason.startswith("case0: aux/out:0: missing no such output")
    some = replace(files[-1], outputs={"scores": "scores"})
    body = "def open_model(request):\n    import numpy\n"
    body += (
        "    return lambda feeds: {'scores': numpy.load(request['golden'])['case0/output/scores']}"
    )
    (trial,) = try_clients(home, [some], clients=[script(tmp_path, body)])
    assert trial.reason == "case1: scores: shape expected (3, 4), got (1, 4)"
    absent = replace(script(tmp_path, "import nobody_has_this"), name="Absent")
    (trial,) = try_clients(home, files[-1:], clients=[absent])
    assert (trial.state, trial.reason) == ("not installed", "No module named 'nobody_has_this'")


def test_without_their_environment_the_clients_are_named(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("NBHELPERS_ENVS", str(tmp_path))
    home, files = folder
    separate = [client for client in clients.CLIENTS if client.separate]
    trials = try_clients(home, files, clients=separate)
    assert [trial.client for trial in trials] == [client.name for client in separate]
    assert {(trial.state, trial.reason) for trial in trials} == {("not installed", "make clients")}
    assert clients.summary(trials) == "No other client has tried the artefacts."


def test_a_second_try_that_says_the_same_changes_nothing():
    trial = clients.Trial(
        "prepared.onnx", "MNN 3", "agrees", cases=("a",), relative=1e-7, latency_ms=2.0
    )
    earlier = {
        "facts": {"clients": [trial.to_json()]},
        "timings": {"client_latency_ms": {trial.run: 2.0}},
    }
    again = replace(trial, relative=2e-7, latency_ms=3.0)
    assert clients.stable_trials([again], earlier) == (trial,)
    worse = replace(again, state="DIFFERS")
    assert clients.stable_trials([worse], earlier) == (worse,)
    assert clients.stable_trials([again], None) == (again,)


def test_what_a_stopped_program_had_started_is_stopped_too(tmp_path):
    child = tmp_path / "child"
    command = ["sh", "-c", f"sleep 60 & echo $! > {child}; wait"]
    said = process.ended(command, log=tmp_path / "log", timeout=2, threads=1)
    assert said == "gave no answer in 2 s"
    state = Path(f"/proc/{child.read_text().strip()}/stat")

    def runs():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return state.read_text().split()[2] != "Z"
        return False

    end = time.monotonic() + 10  # a signal takes its time on a busy machine
    while runs() and time.monotonic() < end:
        time.sleep(0.1)
    assert not runs()


def test_every_consumer_of_the_onnx_file_that_is_tried_here_is_a_client():
    tried = {row["consumer"] for row in clients.NEEDS if row["tried here"].startswith("yes")}
    assert tried == {client.name for client in clients.CLIENTS if "onnx" in client.reads}


@pytest.mark.parametrize("name", [row["consumer"] for row in clients.NEEDS[:-1]])
def test_the_first_and_the_last_opset_of_the_table_are_read(name, others, tmp_path):
    (row,) = [each for each in clients.NEEDS if each["consumer"] == name]
    for opset in row["opset"].split(" to "):
        model = parse(
            """
            net (float[N, 3, 17, 22] images) => (float[N, 5] scores) {
                wide = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(images, w1, b1)
                half = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(wide)
                live = Relu(half)
                mean = GlobalAveragePool(live)
                flat = Flatten(mean)
                scores = Gemm<transB = 1>(flat, w2, b2)
            }
            """,
            opset=int(opset),
            w1=seeded(8, 3, 3, 3),
            b1=seeded(8),
            w2=seeded(5, 8),
            b2=seeded(5),
        )
        model.ir_version = max(4, onnx.helper.find_min_ir_version_for(model.opset_import))
        onnx.save(model, tmp_path / "prepared.onnx")
        if opset == row["opset"].split(" to ")[0]:
            golden(tmp_path, model, [{"images": seeded(n, 3, 17, 22, seed=n)} for n in (1, 3)])
        artefact = clients.onnx_artefact(tmp_path)
        (trial,) = try_clients(tmp_path, [artefact], clients=[others[name]])
        assert trial.state == "agrees", (opset, trial)
