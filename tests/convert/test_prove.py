"""Proof by the receiver's script: what it finds, in every runtime, and what it refuses."""

import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from graphcore import environments
from graphcore.errors import ConversionError
from graphcore.golden import Case, save_golden
from nbhelpers import convert, onnxgraph
from nbhelpers.convert.proving import artefacts, prove, seal
from nbhelpers.convert.receiver import verify as script
from nbhelpers.convert.savedmodels import serving
from tests.convert.models import seeded
from tfgraph.runtimes import runtimes


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    """A folder as a handoff has it: two graphs, their SavedModels, golden cases with labels."""
    home = tmp_path_factory.mktemp("proof") / "net"
    converted, signed = {}, {}
    for target in ("tf1.4", "tf2"):
        made = convert.onnx2tf(network, home / f"graph/{target}/frozen.pb", target=target)
        converted[target] = artefacts.conversion_fact(made)
        place = home / f"savedmodel/{target}/1"
        model = convert.build_saved_model(
            made.pb_path, place, inputs={"x": "images"}, outputs={"y": "scores", "z": "aux/out_0"}
        )
        signed[target] = artefacts.signature_fact(model)
    cases = []
    for batch in (1, 3):
        feeds = {"images": seeded(batch, 3, 9, 11, seed=batch)}
        outputs = onnxgraph.run_onnx(network, feeds)
        labels = {"scores": outputs["scores"].argmax(axis=1)}
        cases.append(Case(f"batch{batch}", feeds, outputs, labels))
    save_golden(home / "golden.npz", cases)
    return home, artefacts.artefacts(converted, signed)


def files(home):
    return [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]


def test_every_runtime_proves_what_it_can_load(folder, legacy):
    home, promises = folder
    here = runtimes.provers()
    proofs = prove.prove(home, files(home), prove.verify_script("net", promises), runtimes=here)
    assert all(proof.ok for proof in proofs), proofs
    by_runtime = {
        str(each): {p.artefact for p in proofs if p.runtime == str(each)} for each in here
    }
    old = {"graph/tf1.4/frozen.pb", "savedmodel/tf1.4/1"}
    new = {"graph/tf2/frozen.pb", "savedmodel/tf2/1"}
    for each in here:
        assert by_runtime[str(each)] == (old | new if each.name == "tf2" else old)
    newest = str(runtimes.runtimes()[-1])
    both = [f"{newest} without oneDNN", f"{newest} with oneDNN"]
    assert [str(each) for each in here if each.name == "tf2"] == both
    assert all(list(row)[-2:] == both for row in prove.grid(proofs))
    assert {proof.case for proof in proofs} == {"batch1", "batch3"}
    assert all(proof.labels_agree and proof.accuracy == {"scores": 1.0} for proof in proofs)
    assert all(proof.relative < 1e-5 for proof in proofs)


def run(home, name, *options):
    """Run a script of the folder in a terminal that knows plain letters only."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, f"{name}.py", *options]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)


def verify(home, *options):
    done = run(home, "verify", *options)
    return done.returncode, done.stdout


@pytest.fixture
def received(folder, tmp_path):
    """What a receiver has: the folder, verify.py and SHA256SUMS, somewhere else."""
    home, promises = folder
    place = prove.copied(home, files(home), tmp_path, verify=prove.verify_script("net", promises))
    seal.write_sums(place)
    return place


def test_the_script_alone_says_ok(received):
    status, text = verify(received)
    assert status == 0, text
    assert re.search(
        r"ok    graph/tf2/frozen.pb .* batch3 .*labels identical, accuracy of scores 1.0000", text
    )
    assert "runs agree, and every sealed file is unchanged." in text


def test_a_changed_file_is_named_before_anything_is_loaded(received):
    path = received / "graph/tf2/frozen.pb"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert verify(received) == (
        1,
        "The folder is not as it was sealed: graph/tf2/frozen.pb was changed.\n",
    )
    path.unlink()
    assert "graph/tf2/frozen.pb is missing" in verify(received)[1]


def test_wrong_numbers_fail(received):
    with np.load(received / "golden.npz") as arrays:
        golden = {name: arrays[name] for name in arrays.files}
    golden["batch3/output/scores"] = golden["batch3/output/scores"] * np.float32(1.001)
    np.savez(received / "golden.npz", **golden)
    status, text = verify(received, "--unsealed", "--only", "graph/tf2/frozen.pb")
    assert status == 1
    assert "FAIL  graph/tf2/frozen.pb  batch3" in text
    assert "ok    graph/tf2/frozen.pb  batch1" in text


def test_an_artefact_that_does_not_load_fails_and_says_why(received):
    (received / "graph/tf2/frozen.pb").write_bytes(b"not a graph")
    status, text = verify(received, "--unsealed", "--json", "rows.json")
    assert status == 1
    assert "FAIL  graph/tf2/frozen.pb" in text
    rows = json.loads((received / "rows.json").read_text())["rows"]
    assert [row["case"] for row in rows if not row["ok"]] == ["load"]


def test_an_error_without_words_is_a_row_and_sessions_are_closed(folder, monkeypatch):
    home, promises = folder
    entries = [each.to_json() for each in promises]

    def judge(*_):
        raise MemoryError

    manifest = {"tolerance": 1e-4, "artefacts": entries}
    for name, value in {"HERE": str(home), "MANIFEST": manifest, "judge": judge}.items():
        monkeypatch.setattr(script, name, value)
    assert [row["error"] for row in script.verify(None)[1]] == ["MemoryError"] * 4
    feeds = {"images": seeded(1, 3, 9, 11)}
    with script.frozen_graph(convert.tensorflow(), entries[0]) as run:
        assert run(feeds)["scores"].shape == (1, 4)
    with pytest.raises(RuntimeError, match="closed Session"):
        run(feeds)


def test_names_that_the_terminal_lacks_and_a_place_that_cannot_be_written(received):
    with np.load(received / "golden.npz") as arrays:
        golden = {f"gro\xdf {name}": arrays[name] for name in arrays.files}
    np.savez(received / "golden.npz", **golden)
    options = ("--unsealed", "--only", "graph/tf2/frozen.pb", "--json", "nowhere/rows.json")
    done = run(received, "verify", *options)
    assert done.returncode == 1
    assert r"gro\xdf batch3" in done.stdout and "2 of 2 runs agree" in done.stdout
    last = done.stderr.splitlines()[-1]
    assert re.match(r"The rows cannot be written: .*rows.json'. Choose another place.$", last)


def test_files_that_cannot_be_read_are_named_in_one_sentence(received, folder):
    (received / "golden.npz").unlink()
    done = run(received, "verify", "--unsealed")
    assert done.returncode == 1
    assert re.match(r"golden.npz cannot be read: .*\. Get the folder again\.\n$", done.stderr)
    (received / "predict.py").write_text(prove.predict_script(folder[1], {}))
    done = run(received, "predict", "verify.py")
    assert done.returncode == 1
    assert re.match(r"verify.py cannot be read as a picture: .*\. Give a JPEG", done.stderr)
    assert "\n" not in done.stderr.strip()


def test_an_old_runtime_that_takes_too_long_is_ended_and_the_limit_can_be_changed(
    folder, legacy, monkeypatch
):
    home, promises = folder
    monkeypatch.setattr(prove, "TIMEOUT", 0.3)
    with pytest.raises(
        ConversionError,
        match=r"TensorFlow 1\.4\.1 gave no answer in 0\.3 s.*slow, set .* NBHELPERS_PATIENCE=2",
    ):
        prove.prove(home, files(home), prove.verify_script("net", promises), runtimes=legacy[:1])


def test_a_runtime_that_crashes_is_reported_with_its_last_words(folder):
    home, _ = folder
    runtime = runtimes.Runtime("tf2", runtimes.runtimes()[-1].python, "9.9")
    with pytest.raises(ConversionError, match=r"TensorFlow 9.9 ended with status 7: out of luck\."):
        prove.prove(
            home,
            ["golden.npz"],
            "import sys; print('out of luck'); sys.exit(7)",
            runtimes=[runtime],
        )


@pytest.mark.parametrize("onednn", [False, True])
def test_a_proof_is_made_with_the_switch_that_it_names(onednn):
    runtime = dataclasses.replace(runtimes.runtimes()[-1], onednn=onednn)
    code = (
        "import tensorflow; from tensorflow.python.util import _pywrap_util_port as port;"
        "print(port.IsMklEnabled())"
    )
    done = subprocess.run(
        [str(runtime.python), "-c", code], env=runtime.environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(onednn), done.stderr


def test_an_environment_without_tensorflow_is_named(tmp_path, monkeypatch):
    place = tmp_path / "tf1.4" / "bin"
    place.mkdir(parents=True)
    (place / "python").write_text("#!/bin/sh\necho 'no tensorflow here' >&2\nexit 1\n")
    (place / "python").chmod(0o755)
    monkeypatch.setenv("NBHELPERS_ENVS", str(tmp_path))
    with pytest.raises(
        ValueError,
        match=r"expected to hold .* it ended with status 1: no tensorflow here.*make legacy",
    ):
        runtimes.runtimes()


def test_runtimes_that_are_not_installed_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("NBHELPERS_ENVS", str(tmp_path))
    assert runtimes.missing() == ("tf1.4", "tf1.13", "tf1.15")
    assert [each.name for each in runtimes.runtimes()] == ["tf2"]


def test_a_runtime_is_found_where_windows_has_it(tmp_path, monkeypatch):
    monkeypatch.setenv("NBHELPERS_ENVS", str(tmp_path))
    monkeypatch.setattr(environments, "_EXECUTABLE", "Scripts/python.exe")
    python = tmp_path / "tf1.13" / "Scripts" / "python.exe"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho '\"1.13.2\"'\n")
    python.chmod(0o755)
    assert runtimes.missing() == ("tf1.4", "tf1.15")
    assert str(runtimes.runtimes()[0]) == "TensorFlow 1.13.2"


def test_proofs_that_say_the_same_keep_their_latency():
    proof = prove.Proof("graph/tf2/frozen.pb", "TensorFlow 2", "batch1", True, latency_ms=5.0)
    entry = {"facts": {"proofs": [proof.to_json()]}, "timings": {"latency_ms": {proof.run: 3.0}}}
    assert prove.stable([proof], entry)[0].latency_ms == 3.0
    entry["facts"]["proofs"][0]["relative"] = 0.5
    assert prove.stable([proof], entry)[0].latency_ms == 5.0
    assert prove.stable([proof], None) == (proof,)


def test_the_lines_for_the_receiver_run_as_they_are(folder):
    home, promises = folder
    lines = serving.snippets(home, promises)
    assert list(lines) == [
        f"savedmodel/{target}/1: {what}"
        for target in ("tf1.4", "tf2")
        for what in ("commands", "client")
    ]
    assert "# TensorFlow 1" in lines["savedmodel/tf1.4/1: client"]
    assert "# TensorFlow 1" not in lines["savedmodel/tf2/1: client"]
    command = lines["savedmodel/tf2/1: commands"].splitlines()[1]
    assert "--signature_def serving_default" in command
    cli = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
    words = shlex.split(command)[1:]
    done = subprocess.run([*cli, *words], cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Result for output key y" in done.stdout
