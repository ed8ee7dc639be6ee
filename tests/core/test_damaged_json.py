"""JSON that somebody else may have damaged: one sentence for each bad form, or what it says."""

import errno
import json
import os

import pytest

from graphcore.errors import GraphError, HandoffError
from graphcore.reading import read_json
from nbhelpers.handoff import Handoff
from nbhelpers.record import RECORD, Record

BAD = {
    "empty": b"",
    "cut": b'[{"a": 1}, {"b',
    "no UTF-8": b'["\xe9"]',
    "UTF-16": '["a"]'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf[]",
    "NaN": b"[NaN]",
    "infinite": b"[-Infinity]",
    "too large a number": b"[1e999]",
    "too long a number": b"[1" + b"0" * 30 + b"]",
    "thousands of digits": b"[" + b"1" * 5000 + b"]",
    "a key twice": b'{"a": 1, "a": 2}',
    "half a character": b'["\\ud800"]',
    "half a character in a key": b'{"\\udfff": 1}',
    "deep": b"[" * 60 + b"]" * 60,
    "deeper than Python goes": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "two values": b"[][]",
    "zeros": bytes(100),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_each_bad_form_is_one_sentence(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=r"a.json is no map \(.+\)\. Make it again\.$") as caught:
        read_json(path, "is no map", error=GraphError, advice="Make it again")
    assert len(str(caught.value)) < 500


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b" " * (2 << 20))
    with pytest.raises(GraphError, match="it is larger than 1 MB"):
        read_json(path, "is no map", error=GraphError, advice="-", largest=1 << 20)


def test_a_folder_is_no_json_and_a_missing_file_is_missing(tmp_path):
    with pytest.raises(GraphError, match=r"is no map \(it is a folder\)"):
        read_json(tmp_path, "is no map", error=GraphError, advice="-")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GraphError, match="it is not a regular file"):
        read_json(tmp_path / "pipe", "is no map", error=GraphError, advice="-")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json", "is no map", error=GraphError, advice="-")


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.EACCES, "Change its rights"),
        (errno.EIO, "Check the disk or the network drive"),
        (errno.ESTALE, "Check the disk or the network drive"),
        (errno.ELOOP, "Put the file itself in the place of the link"),
        (errno.EMFILE, "Restart the kernel, or raise `ulimit -n`"),
    ],
)
def test_a_record_that_cannot_be_read_is_not_called_damaged(
    handoff, export, monkeypatch, code, advice
):
    export(handoff)

    def fails(*arguments, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("pathlib.Path.open", fails)
    with pytest.raises(HandoffError) as caught:
        handoff.status()
    assert str(caught.value).endswith(f"cannot be read ({os.strerror(code)}). {advice}.")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "it should be an object, but is a list"),
        ({"name": 1}, "name should be text, but is 1"),
        ({}, "it lacks 'name'"),
        ({"name": "a", "shape": [1, None]}, "shape[1] should be a whole number or text, but is"),
        ({"name": "a", "shape": [True]}, "shape[0] should be a whole number or text, but is True"),
        ({"name": "a", "ok": {"x": 0}}, "ok.x should be true or false, but is 0"),
        ({"name": "a", "ok": None}, ""),
        ({"name": "a", "more": [{}]}, ""),
    ],
)
def test_a_value_of_another_form_is_named_with_its_place(tmp_path, value, said):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value))
    form = {"name": str, "shape?": [(int, str)], "ok?": ({str: bool}, None)}
    if not said:
        assert read_json(path, "is no map", error=GraphError, advice="-", form=form) == value
        return
    with pytest.raises(GraphError) as caught:
        read_json(path, "is no map", error=GraphError, advice="-", form=form)
    assert said in str(caught.value)


# -- the record -------------------------------------------------------------------------------


def forged(handoff, *, change):
    """Change the record as somebody would who also seals it anew."""
    data = json.loads((handoff.folder / RECORD).read_text())
    del data["seal"]
    change(data)
    (handoff.folder / RECORD).write_text(Record(handoff.folder, data).text())


def in_export(**values):
    return lambda data: data["stages"]["export"].update(values)


def in_facts(**values):
    return lambda data: data["stages"]["export"]["facts"].update(values)


TENSOR = {"name": "x", "dtype": "float32", "shape": [1]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.update(stages=[]), "stages should be an object, but is a list"),
        (lambda data: data.pop("name"), "it lacks 'name'"),
        (lambda data: data["stages"].update(later={}), "'later' is not a stage"),
        (lambda data: data.update(unfinished={"later": []}), "'later' is not a stage"),
        (lambda data: data.update(unfinished=[]), "unfinished should be an object"),
        (lambda data: data["stages"].update(export=1), "stages.export should be an object, but"),
        (lambda data: data["stages"]["export"].pop("parity"), "stages.export lacks 'parity'"),
        (in_export(files={"a.onnx": {"sha256": 1, "bytes": 2}}), "a.onnx.sha256 should be text"),
        (in_export(files={"a.onnx": {"sha256": "", "bytes": "2"}}), "bytes should be a whole num"),
        (in_export(versions={"torch": 2}), "versions.torch should be text, but is 2"),
        (in_export(parity=[{"title": "a", "ok": 1, "rows": []}]), "parity[0].ok should be true"),
        (in_export(timings={"latency_ms": []}), "timings.latency_ms should be an object"),
        (in_facts(inputs=5), "facts.inputs should be a list, but is 5"),
        (in_facts(inputs=[{**TENSOR, "name": 7}]), "facts.inputs[0].name should be text"),
        (in_facts(inputs=[{**TENSOR, "dtype": "nonsense"}]), "expected to have a dtype such as"),
        (in_facts(inputs=[{**TENSOR, "shape": [-1]}]), "expected to have a dtype such as"),
        (in_facts(inputs=[{**TENSOR, "shape": [2**63, 2**63]}]), "the sizes of an array"),
        (in_facts(inputs=[{**TENSOR, "bounds": [1]}]), "and either two bounds or none"),
        (in_facts(picture=[]), "facts.picture should be an object or nothing (null)"),
    ],
)
def test_a_forged_record_says_what_is_wrong_in_it(handoff, export, change, said):
    export(handoff)
    forged(handoff, change=change)
    for use in (handoff.inputs, handoff.golden, handoff.status):
        with pytest.raises(HandoffError, match="Restore it, or delete the folder") as caught:
            use()
        assert said in str(caught.value)


def test_stages_that_were_made_from_each_other_are_stale(handoff, export, surgery):
    export(handoff)
    surgery(handoff)
    digest = handoff.record()["stages"]["surgery"]["files"]["prepared.onnx"]["sha256"]
    forged(handoff, change=in_export(reads={"prepared.onnx": digest}))
    assert {each.state for each in handoff.status()} == {"stale", "missing"}


def test_a_fact_that_was_not_recorded_names_the_notebook(handoff, export):
    export(handoff)
    facts = Handoff(handoff.folder).require("export")["facts"]
    with pytest.raises(HandoffError, match=r"'export' recorded no 'opset'. Run the notebook 01_e"):
        facts["opset"]
    assert facts.get("opset") is None


@pytest.mark.parametrize("facts", [{"inputs": [{"name": 1}]}, {"a": "\ud800"}, {"renamed": []}])
def test_facts_that_could_not_be_read_back_are_not_recorded(handoff, facts):
    with pytest.raises(HandoffError, match=r"What stage 'surgery' records must be"):  # noqa: SIM117
        with handoff.stage("surgery") as stage:
            stage.facts.update(facts)
    assert handoff.record()["stages"] == {}
