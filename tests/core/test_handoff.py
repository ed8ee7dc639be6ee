"""Reading a handoff: what is done, missing, stale or changed, and in which words."""

import hashlib
import json

import pytest

from graphcore.errors import HandoffError, UnknownName
from nbhelpers.handoff import Handoff


def states(handoff):
    return {status.stage: status.state for status in handoff.status() if status.state != "missing"}


def test_what_was_written_is_read_back(handoff, export, surgery):
    export(handoff)
    surgery(handoff)
    fresh = Handoff(handoff.folder)
    assert fresh.read("prepared.onnx").read_bytes() == b"onnx prepared"
    assert fresh.files("export") == ("exported.onnx", "golden.npz")
    assert [case.name for case in fresh.golden()] == ["batch1", "batch3"]
    assert list(fresh.require("surgery")["reads"]) == ["exported.onnx"]
    assert states(fresh) == {"export": "done", "surgery": "done"}


def test_the_later_stage_describes_the_inputs_unless_one_is_named(handoff, export, surgery):
    export(handoff)
    assert handoff.inputs()[0].name == "images"
    surgery(handoff)
    assert handoff.inputs()[0].name == "pictures"
    assert handoff.inputs(after="export")[0].name == "images"
    assert handoff.outputs()[0].name == "y"  # surgery recorded none
    export(handoff, b"another")
    assert handoff.inputs()[0].name == "images"  # surgery is stale now


def test_a_stage_without_specs_says_who_must_record_them(handoff):
    with handoff.stage("export") as stage:
        stage.write("exported.onnx").write_bytes(b"x")
    with pytest.raises(
        HandoffError, match=r"stage 'export' recorded no inputs. Run the notebook 01_"
    ):
        handoff.inputs()


@pytest.mark.parametrize(
    ("file", "notebook"),
    [
        ("exported.onnx", "01_export"),
        ("golden.npz", "01_export"),
        ("prepared.onnx", "02_surgery"),
        ("graph/tf1.4/frozen.pb", "03_conversion"),
        ("graph/tf1.4/names.json", "04_tensor_names"),
        ("savedmodel/tf2/1/saved_model.pb", "05_signature"),
        ("verify.py", "06_handoff"),
    ],
)
def test_a_missing_file_names_the_notebook_that_makes_it(handoff, file, notebook):
    handoff.folder.mkdir()
    with pytest.raises(HandoffError, match=f"is missing. Run the notebook {notebook}"):
        handoff.read(file)


def test_a_handoff_that_does_not_exist_is_a_wrong_name_and_no_missing_stage(handoff, export):
    other, parent = Handoff(handoff.folder.with_name("model2")), handoff.folder.parent
    begin = "run the notebook 01_export to begin it."
    with pytest.raises(HandoffError) as caught:
        other.golden()
    said = f"There is no handoff 'model2' in {parent}, nor any other. {begin.capitalize()}"
    assert str(caught.value) == said
    export(handoff)
    with pytest.raises(HandoffError) as caught:
        other.require("surgery")
    assert str(caught.value) == (
        f"There is no handoff in {parent} named 'model2'. The closest are 'model'. "
        f"Choose another NAME, or {begin}"
    )
    assert not other.folder.exists()


def test_an_unknown_file_names_the_closest(handoff, export):
    export(handoff)
    with pytest.raises(UnknownName, match=r"named 'exportd.onnx'. The closest are 'exported.onnx'"):
        handoff.read("exportd.onnx")


def test_an_unknown_stage_names_the_closest(handoff):
    with pytest.raises(UnknownName, match=r"no stage named 'exprt'. The closest are 'export'"):
        handoff.require("exprt")


def test_an_edited_file_is_named(handoff, export):
    export(handoff)
    (handoff.folder / "exported.onnx").write_bytes(b"ONNX")
    with pytest.raises(HandoffError) as caught:
        handoff.read("exported.onnx")
    assert "stage 'export' is changed: exported.onnx was changed since it was recorded" in str(
        caught.value
    )
    assert str(caught.value).endswith("Run the notebook 01_export.")


def test_a_truncated_file_is_named_with_both_sizes(handoff, export):
    export(handoff)
    (handoff.folder / "exported.onnx").write_bytes(b"on")
    with pytest.raises(
        HandoffError, match=r"exported.onnx has 2 bytes and had 4 when it was recorded"
    ):
        handoff.read("exported.onnx")


def test_a_file_that_is_gone_is_named(handoff, export):
    export(handoff)
    (handoff.folder / "golden.npz").unlink()
    with pytest.raises(HandoffError, match=r"golden.npz is gone. Run the notebook 01_export"):
        handoff.golden()


def test_an_edit_upstream_makes_what_follows_stale(handoff, export, surgery):
    export(handoff)
    surgery(handoff)
    (handoff.folder / "exported.onnx").write_bytes(b"ONNX")
    with pytest.raises(HandoffError) as caught:
        handoff.read("prepared.onnx")
    message = str(caught.value)
    assert "stage 'surgery' is stale: it was made from exported.onnx, and stage 'export'" in message
    assert message.endswith("Run the notebook 01_export.")


def test_a_stage_done_again_makes_what_follows_stale(handoff, export, surgery):
    export(handoff)
    surgery(handoff)
    export(handoff, b"another")
    assert states(handoff) == {"export": "done", "surgery": "stale"}
    with pytest.raises(HandoffError, match=r"exported.onnx was made again since. Run .* 02_"):
        handoff.read("prepared.onnx")
    surgery(handoff)
    assert states(handoff) == {"export": "done", "surgery": "done"}


def test_the_same_work_again_leaves_what_follows_done(handoff, export, surgery):
    export(handoff)
    surgery(handoff)
    export(handoff)
    assert states(handoff) == {"export": "done", "surgery": "done"}


def test_a_file_edited_just_after_it_was_read_is_noticed(handoff, export):
    export(handoff)
    path = handoff.read("exported.onnx")
    path.write_bytes(b"ONNX")  # same size, maybe the same tick of the clock
    with pytest.raises(HandoffError, match=r"its sha256 differs"):
        handoff.read("exported.onnx")


def record_of(handoff):
    return handoff.folder / "handoff.json"


def test_an_edited_record_is_noticed(handoff, export):
    export(handoff)
    text = record_of(handoff).read_text()
    record_of(handoff).write_text(text.replace('"dtype": "float32"', '"dtype": "float64"'))
    with pytest.raises(HandoffError, match=r"handoff.json was edited since it was written"):
        handoff.inputs()


def test_a_record_in_another_layout_is_the_same_record(handoff, export):
    export(handoff)
    record_of(handoff).write_text(json.dumps(json.loads(record_of(handoff).read_text())))
    assert states(handoff) == {"export": "done"}


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00"])
def test_a_truncated_record_says_what_to_do(handoff, export, text):
    export(handoff)
    record_of(handoff).write_text(text)
    with pytest.raises(
        HandoffError, match=r"not a handoff record .* Restore it, or delete the folder"
    ):
        handoff.read("exported.onnx")


def test_a_record_of_another_format_says_so(handoff, export):
    export(handoff)
    record_of(handoff).write_text('{"format": 99}')
    with pytest.raises(HandoffError, match=r"expected to have format 1, but has 99"):
        handoff.status()


def test_a_record_that_points_out_of_the_folder_is_refused(handoff, export, tmp_path):
    export(handoff)
    (tmp_path / "exported.onnx").write_bytes(b"onnx")
    data = json.loads(record_of(handoff).read_text())
    files = data["stages"]["export"]["files"]
    files["../exported.onnx"] = files.pop("exported.onnx")
    del data["seal"]
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    data["seal"] = hashlib.sha256(canonical.encode()).hexdigest()  # a forged seal that fits
    record_of(handoff).write_text(json.dumps(data))
    with pytest.raises(HandoffError, match=r"cannot be used: .*, but this is '../exported.onnx'"):
        handoff.read("golden.npz")


@pytest.mark.parametrize("name", ["..", "", ".hidden", "a b", "-rf", "x\n", "é"])
def test_a_name_that_is_no_name_is_refused(tmp_path, name):
    with pytest.raises(HandoffError, match=r"Choose another NAME"):
        Handoff(tmp_path / name if name else "")


@pytest.mark.parametrize(
    "file", ["../x", "a/../../x", "/etc/passwd", "", "a//b", "./a", "a\\b", "C:/x"]
)
def test_a_file_outside_the_folder_is_neither_read_nor_written(handoff, export, file):
    export(handoff)
    with pytest.raises(HandoffError, match=r"named by a relative path"):
        handoff.read(file)
    with (
        pytest.raises(HandoffError, match=r"named by a relative path"),
        handoff.stage("surgery") as s,
    ):
        s.write(file)


def test_reading_leaves_no_trace(tmp_path):
    handoff = Handoff(tmp_path / "model")
    assert "export      missing" in repr(handoff)
    assert not handoff.folder.exists()


def test_the_repr_of_a_broken_record_is_its_sentence(handoff, export):
    export(handoff)
    record_of(handoff).write_text("{")
    assert "is not a handoff record" in repr(handoff)
