"""A model that computes in half floats inside: one tolerance from the golden cases to a receiver.

The outputs are float32, so nothing but the model says that float32's tolerance is too narrow.
"""

import json

import numpy as np
import pytest

from graphcore import parity
from graphcore.golden import Case, save_golden
from nbhelpers import convert, onnxgraph, ui
from nbhelpers.convert import clients
from nbhelpers.convert.clients import judging
from nbhelpers.convert.proving import artefacts, prove
from nbhelpers.convert.receiver import verify
from tests.convert.models import parse, seeded
from tfgraph.runtimes import runtimes

TEXT = """g (float[N, 64] x) => (float[N, 8] y, float[N, 8] z) {
    h = Cast<to = 10>(x)
    one = MatMul(h, w)
    two = MatMul(one, w)
    y = Cast<to = 1>(two)
    z = MatMul(x, v)
}"""
ALLOWED = parity.COARSE["float16"]


@pytest.fixture(scope="module")
def weights():
    return {"w": seeded(64, 64) / 8, "v": seeded(64, 8)}


@pytest.fixture(scope="module")
def model(weights):
    text = TEXT.replace("two = MatMul(one, w)", "two = MatMul(one, u)")
    w = weights["w"].astype(np.float16)
    return parse(text, w=w, u=w[:, :8].copy(), v=weights["v"])


def added_up(left, right):
    """Return a product whose sums are half floats, too, as some kernels compute it."""
    result = np.zeros((len(left), right.shape[1]), np.float16)
    for column, row in zip(left.T, right, strict=True):
        result += np.outer(column, row).astype(np.float16)
    return result


@pytest.fixture(scope="module")
def cases(weights):
    w = weights["w"].astype(np.float16)
    found = []
    for batch in (1, 3):
        x = seeded(batch, 64, seed=batch)
        y = added_up(added_up(x.astype(np.float16), w), w[:, :8]).astype(np.float32)
        found.append(Case(f"batch{batch}", {"x": x}, {"y": y, "z": x @ weights["v"]}))
    return tuple(found)


def rows(report):
    return {row.name: row for row in report.rows}


def test_golden_cases_have_the_tolerance_of_half_floats_where_they_are(model, cases):
    assert onnxgraph.precisions(model) == {"y": "float16"}
    for report in onnxgraph.check_cases(model, cases):
        found = rows(report.check())
        assert found["y"].relative > parity.TOLERANCE
        assert (found["y"].tolerance, found["z"].tolerance) == (ALLOWED, parity.TOLERANCE)
        kept = {row["name"]: row["tolerance"] for row in report.to_json()["rows"]}
        assert kept == {"y": ALLOWED, "z": parity.TOLERANCE}
    wrong = Case("wrong", cases[0].inputs, {**cases[0].outputs, "z": cases[0].outputs["z"] * 1.001})
    (report,) = onnxgraph.check_cases(model, [wrong])
    with pytest.raises(parity.ParityError, match=r"1 of 2 tensors differ .* more than 0.0001 of"):
        report.check()
    worse = Case("worse", cases[0].inputs, {**cases[0].outputs, "y": cases[0].outputs["y"] * 1.1})
    (report,) = onnxgraph.check_cases(model, [worse])
    with pytest.raises(parity.ParityError, match=r"more than 0.0078125 of its largest value. y"):
        report.check()


@pytest.fixture(scope="module")
def handoff(model, cases, tmp_path_factory):
    """A folder with the graph and its SavedModel, for the oldest target, outputs renamed."""
    home = tmp_path_factory.mktemp("half") / "net"
    renamed = {"y": "half"}
    prepared = onnxgraph.rename(model, renamed).model
    made = convert.onnx2tf(prepared, home / "graph/tf1.4/frozen.pb", target="tf1.4")
    signed = convert.build_saved_model(made.pb_path, home / "savedmodel/tf1.4/1")
    onnxgraph.save(prepared, home / "prepared.onnx")
    save_golden(home / "golden.npz", cases)
    facts = {"tf1.4": json.loads(json.dumps(artefacts.conversion_fact(made)))}
    both = {"tf1.4": artefacts.signature_fact(signed)}
    return home, artefacts.artefacts(facts, both, renamed=renamed)


def test_receivers_compare_with_the_same_tolerance_and_state_it(handoff, legacy):
    home, promises = handoff
    assert [dict(each.precisions) for each in promises] == [{"y": "float16"}] * 2
    here = [each for each in runtimes.runtimes() if each.name in ("tf1.4", "tf2")]
    files = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]
    proofs = prove.prove(home, files, prove.verify_script("net", promises), runtimes=here)
    assert len(proofs) == 8
    assert [proof for proof in proofs if not proof.ok] == []
    assert max(proof.relative for proof in proofs) > parity.TOLERANCE
    assert {proof.tolerance for proof in proofs} == {ALLOWED}
    page = ui.report_html(ui.ReportData("net", proofs=[vars(proof) for proof in proofs]))
    assert "<th>allowed</th>" in page.replace(' class="number"', "")
    assert "7.8e-03" in page
    steps = {"resize": 1, "crop": [1, 1], "mean": [0], "std": [1]}
    assert '"tolerance": 0.0078125' in prove.predict_script(promises, steps)


def test_the_receivers_script_judges_as_the_package_does(capsys):
    assert verify.COARSE == parity.COARSE
    exact = np.array([[1.0, 1.0001, 0.5], [0.1, 0.2, 0.9]], np.float32)
    turned = exact + np.array([[2e-4, 0, 0], [0, 0, 3e-3]], np.float32)
    for seen in (exact, turned, exact * np.float32(1.02), exact[:, ::-1].copy()):
        for kind in ("", "float16", "bfloat16"):
            coarse = verify.COARSE.get(kind, 0.0)
            said = verify.compare(exact, seen, max(parity.TOLERANCE, coarse), coarse)
            (row,) = parity.compare({"y": exact}, {"y": seen}, precisions={"y": kind}).rows
            assert (said[0], said[3]) == (row.status == "ok", row.labels_agree), (seen, kind)


def test_clients_of_other_makers_are_judged_by_the_same_tolerance(handoff, cases, tmp_path):
    home, _ = handoff
    artefact = clients.onnx_artefact(home, renamed={"y": "half"})
    assert artefact.precisions == {"y": "float16"}
    for case in cases:
        np.savez(
            tmp_path / f"{case.name}.npz",
            y=case.outputs["y"] * np.float32(1.002),
            z=case.outputs["z"],
        )
    lines = [{"step": case.name, "outputs": str(tmp_path / f"{case.name}.npz")} for case in cases]
    (tmp_path / "answers").write_text("".join(json.dumps(line) + "\n" for line in lines))
    trial = judging.judged("it", artefact, cases, tmp_path, "", tolerance=parity.TOLERANCE)
    assert trial.state == "agrees", trial


def test_the_dashboard_says_ok(cases):
    given = {"run": {case.name: {"y": case.outputs["y"] * np.float32(1.002)} for case in cases}}
    for precisions, says in (({}, "mismatch"), ({"y": "float16"}, "ok, ")):
        shown = ui.widgets.parity_dashboard(cases, given, precisions=precisions)
        assert says in shown.panel.overview.value
