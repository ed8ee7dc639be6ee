"""Inputs and outputs without dims through the whole handoff: graph, signature, servers, proofs."""

import os

import numpy as np
import onnx
import pytest

from graphcore import environments, parity
from graphcore.golden import Case, save_golden
from nbhelpers import convert, onnxgraph
from nbhelpers.convert import clients
from nbhelpers.convert.proving import artefacts, prove
from nbhelpers.convert.savedmodels import serving, triton
from tests.convert.models import parse

TARGETS = ("tf1.4", "tf2")


def network():
    """Inputs and outputs of rank 0 of three types, one of which is handed on as it is."""
    return parse(
        """
        net (float[N, 4] x, float scale, bool flag, int64 count)
            => (float[N, 4] y, float total, bool off, float twice, int64 same) {
            y = Mul(x, scale)
            total = ReduceSum<keepdims = 0>(y)
            off = Not(flag)
            twice = Add(scale, scale)
            same = Identity(count)
        }
        """
    )


@pytest.fixture(scope="module")
def handoff(tmp_path_factory):
    """A folder as the notebooks write it, with golden cases of two batches."""
    home, model = tmp_path_factory.mktemp("scalars") / "net", network()
    fed = [
        {
            "x": np.full((n, 4), 0.5, np.float32),
            "scale": np.array(n + 0.5, np.float32),
            "flag": np.array(n > 1),
            "count": np.array(n),
        }
        for n in (1, 3)
    ]
    cases = [Case(f"batch{len(f['x'])}", f, onnxgraph.run_onnx(model, f)) for f in fed]
    made = {t: convert.onnx2tf(model, home / f"graph/{t}/frozen.pb", target=t) for t in TARGETS}
    signed = {
        t: convert.build_saved_model(each.pb_path, home / f"savedmodel/{t}/1")
        for t, each in made.items()
    }
    onnx.save(model, home / "prepared.onnx")
    save_golden(home / "golden.npz", cases)
    promises = artefacts.artefacts(
        {t: artefacts.conversion_fact(each) for t, each in made.items()},
        {t: artefacts.signature_fact(each) for t, each in signed.items()},
    )
    return home, cases, signed, promises


def test_the_signature_the_call_and_the_warm_up_keep_the_rank(handoff, tmp_path):
    _, cases, signed, _ = handoff
    for model in signed.values():
        shapes = {spec.name: spec.shape for spec in model.specs.values()}
        assert [shapes[f"{name}:0"] for name in ("scale", "flag", "count", "total")] == [()] * 4
        for case in cases:
            found = convert.call_saved_model(model.path, case.inputs)
            parity.compare(case.outputs, found).check()
    path = serving.write_warmup(tmp_path / "warm", "net", [cases[0].inputs])
    (read,) = serving.read_warmup(path)
    assert {k: v.shape for k, v in read.items()} == {
        "x": (1, 4),
        "scale": (),
        "flag": (),
        "count": (),
    }


def test_triton_is_not_offered_what_it_refuses(handoff):
    _, _, signed, _ = handoff
    texts, refused = triton.triton_files("net", signed)
    assert not texts
    assert len(refused) == 4
    assert all("its input 'count' is a scalar" in why for why in refused.values())


def test_verify_agrees_on_every_runtime(handoff):
    home, _, _, promises = handoff
    files = [p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file()]
    proofs = prove.prove(home, files, prove.verify_script("net", promises))
    assert len({proof.artefact for proof in proofs}) == 4
    assert [proof.run for proof in proofs if not proof.ok] == []


def test_clients_of_other_makers_get_the_rank_too(handoff):
    home, _, _, promises = handoff
    if not environments.python("clients").exists():
        absent = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        absent("The environment of the clients is not installed: run `make clients`.")
    chosen = [c for c in clients.CLIENTS if c.name in ("TensorFlow C API", "onnxruntime")]
    tried = [*promises, clients.onnx_artefact(home)]
    trials = clients.try_clients(home, tried, clients=chosen)
    assert len(trials) == 5
    assert [trial for trial in trials if trial.state != "agrees"] == []
