"""TensorFlow's optimiser may crash, fail or hang: the kernel lives, and says what happened."""

import os
import signal

import pytest

from graphcore import worker_messages
from graphcore.errors import ConversionError
from nbhelpers import convert
from tests.convert.models import parse, seeded
from tfgraph.native import native
from tfgraph.optimising import grappler


@pytest.fixture
def worker(monkeypatch, tmp_path):
    """Replace the worker by a script."""

    def write(body):
        script = tmp_path / "worker.py"
        script.write_text(f"import os, signal, sys, time\n{body}\n")
        replacement = native.Worker(onednn=False, script=script)
        monkeypatch.setattr(grappler, "worker", replacement)

    return write


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"crashed \(SIGSEGV\)"),
        ("sys.stdin.buffer.read(9); os.abort()", r"crashed \(SIGABRT\)"),
        ("sys.exit(3)", r"crashed \(status 3\)"),
    ],
)
def test_a_crash_is_reported_and_the_next_conversion_works(
    worker, body, words, network, tmp_path, monkeypatch
):
    own = grappler.worker
    worker(body)
    with pytest.raises(ConversionError, match=rf"graph optimiser {words}.*nothing was written"):
        convert.onnx2tf(network, tmp_path / "net.pb")
    assert not (tmp_path / "net.pb").exists()
    monkeypatch.setattr(grappler, "worker", own)
    assert convert.onnx2tf(network, tmp_path / "net.pb").proven


def test_a_hang_is_ended(worker, network, monkeypatch):
    worker("time.sleep(600)")
    monkeypatch.setattr(grappler, "TIMEOUT", 0.5)
    with pytest.raises(ConversionError, match=r"gave no result in 0\.5 s"):
        convert.onnx2tf(network, None)


def test_an_interrupt_leaves_no_answer_for_the_next_request(network, monkeypatch):
    first = convert.onnx2tf(network, None)

    def interrupted(stream):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(worker_messages, "receive", interrupted)
        grappler.run(first.graph_def, ["scores:0"], ["constfold"])
    again = convert.onnx2tf(network, None)
    assert again.proven and again.graph_def == first.graph_def


def test_what_grappler_says_no_with_is_passed_on(network):
    graph_def = convert.onnx2tf(network, None).graph_def
    with pytest.raises(ConversionError, match="optimiser failed; it said: Failed to import"):
        grappler.run(graph_def, ["missing:0"], ["constfold"])


def test_one_process_serves_all_and_is_replaced_when_it_is_gone(network):
    convert.onnx2tf(network, None)
    first = grappler.start()
    assert convert.onnx2tf(network, None).proven
    assert grappler.start() is first
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    result = convert.onnx2tf(network, None)
    assert grappler.start().pid != first.pid
    assert result.proven
    assert convert.run_conversion(result, {"images": seeded(2, 3, 9, 11)})["scores"].shape == (2, 4)


def test_the_first_worker_gives_way_to_the_comparison_and_the_next_is_kept(network, monkeypatch):
    monkeypatch.setattr(grappler, "worker", native.Worker(onednn=False))
    first = grappler.start()
    assert convert.onnx2tf(network, None).proven
    assert first.poll() is not None
    assert convert.onnx2tf(network, None).proven
    second = grappler.start()
    assert convert.onnx2tf(network, None).proven
    assert grappler.start() is second and second.poll() is None


def test_weights_of_one_shape_stay_apart_though_the_optimiser_does_not_see_them():
    model = parse(
        "g (float[N,64] x) => (float[N,64] y) "
        "{ a = MatMul(x, v) b = MatMul(x, w) c = MatMul(x, u) d = Mul(a, b) y = Add(c, d) }",
        **{name: seeded(64, 64, seed=seed) for seed, name in enumerate("uvw")},
    )
    made = convert.onnx2tf(model, None)
    assert made.proven and len(made.graph.weights) == 3
    assert {node.op for node in made.graph.skeleton.node} <= {
        *("Placeholder", "MatMul", "Mul", "AddV2", "Identity")
    }
