"""Writing a stage: everything or nothing, whatever happens in the middle."""

import contextlib
import errno
import os
import shutil
import signal
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest

from graphcore.errors import HandoffError, ParityError, UnknownName
from graphcore.parity import compare
from nbhelpers import stage as stage_module
from nbhelpers.handoff import Handoff


def state(handoff, stage="export"):
    return next(status.state for status in handoff.status() if status.stage == stage)


def hidden(handoff):
    return sorted(path.name for path in handoff.folder.glob(".*") if path.name != ".lock")


def test_the_same_work_twice_changes_no_byte_and_no_time(handoff, export, surgery, snapshot):
    export(handoff)
    surgery(handoff)
    before = snapshot(handoff.folder)
    times = {name: (handoff.folder / name).stat().st_mtime_ns for name in before}
    export(handoff)
    surgery(handoff)
    assert snapshot(handoff.folder) == before
    assert {name: (handoff.folder / name).stat().st_mtime_ns for name in before} == times


def test_the_last_bits_of_a_measurement_are_not_other_work(handoff, snapshot):
    def run(noise, seconds):
        with handoff.stage("export") as stage:
            stage.write("exported.onnx").write_bytes(b"onnx")
            stage.add_parity(compare({"y": np.ones(3)}, {"y": np.ones(3) + noise}, title="t"))
            stage.timings["seconds"] = seconds

    run(1e-7, 1.0)
    before = snapshot(handoff.folder)
    run(2e-7, 2.0)
    assert snapshot(handoff.folder) == before


def test_a_changed_file_is_mended_by_the_same_work_and_kept_beside_it(handoff, export):
    export(handoff)
    for number, mine in enumerate((b"ONNX", b"longer than before")):
        (handoff.folder / "exported.onnx").write_bytes(mine)
        kept = f"exported.onnx.edited{number or ''}"
        with pytest.warns(
            UserWarning, match=f"exported.onnx .*\\. It is made again, and kept as {kept}"
        ):
            export(handoff)
        assert state(handoff) == "done"
        assert (handoff.folder / kept).read_bytes() == mine
        assert handoff.read("exported.onnx").read_bytes() == b"onnx"
    (handoff.folder / "exported.onnx").unlink()
    export(handoff)
    assert state(handoff) == "done" and len(list(handoff.folder.glob("*.edited*"))) == 2


def test_a_stage_replaces_its_own_files_and_leaves_the_others(handoff, export, surgery):
    export(handoff)
    surgery(handoff)
    for targets in (["tf1.4", "tf2"], ["tf2"]):
        handoff.read("prepared.onnx")
        with handoff.stage("conversion") as stage:
            for target in targets:
                stage.write(f"graph/{target}/frozen.pb").write_text(target)
    (handoff.folder / "notes.txt").write_text("mine")
    assert handoff.files("conversion") == ("graph/tf2/frozen.pb",)
    assert not (handoff.folder / "graph/tf1.4").exists()
    assert (handoff.folder / "notes.txt").read_text() == "mine"
    assert state(handoff, "surgery") == "done"


def test_a_file_of_another_stage_is_not_overwritten(handoff, export):
    export(handoff)
    with (
        pytest.raises(
            HandoffError, match=r"writes golden.npz, but that file belongs to stage 'export'"
        ),
        handoff.stage("surgery") as stage,
    ):
        stage.write("golden.npz").write_bytes(b"mine")
    assert len(handoff.golden()) == 2


def test_the_record_itself_is_no_file_of_a_stage(handoff):
    with (
        pytest.raises(HandoffError, match=r"is the record itself"),
        handoff.stage("export") as stage,
    ):
        stage.write("handoff.json")


def test_an_error_in_the_block_leaves_everything_as_it_was(handoff, export, snapshot):
    export(handoff)
    before = snapshot(handoff.folder)
    with pytest.raises(ZeroDivisionError), handoff.stage("export") as stage:
        stage.write("exported.onnx").write_bytes(b"half")
        _ = 1 / 0
    assert snapshot(handoff.folder) == before


def test_outputs_that_differ_are_never_recorded(handoff, export, snapshot):
    export(handoff)
    before = snapshot(handoff.folder)
    with (
        pytest.raises(ParityError, match=r"1 of 1 tensors differ"),
        handoff.stage("export") as stage,
    ):
        stage.write("exported.onnx").write_bytes(b"wrong")
        stage.add_parity(compare({"y": np.ones(3)}, {"y": np.zeros(3)}))
    assert snapshot(handoff.folder) == before


def test_facts_come_back_as_plain_data(handoff):
    with handoff.stage("export") as stage:
        stage.facts.update(a=np.float32(0.5), b=np.arange(2), c=(1, 2), d=Path("x/y"), e=None)
    facts = handoff.require("export")["facts"]
    assert facts == {"a": 0.5, "b": [0, 1], "c": [1, 2], "d": "x/y", "e": None}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_facts_that_json_cannot_hold_are_refused(handoff, value):
    with pytest.raises(HandoffError, match=r"must be text, finite numbers, lists and dicts"):  # noqa: SIM117
        with handoff.stage("export") as stage:
            stage.facts["value"] = value
    assert state(handoff) == "missing"


def test_an_unknown_stage_is_refused_before_anything_is_made(handoff):
    with pytest.raises(UnknownName, match=r"The closest are 'surgery'"), handoff.stage("surgry"):
        pass
    assert not handoff.folder.exists()


def test_upstream_written_again_meanwhile_is_noticed(handoff, export):
    export(handoff)
    handoff.read("exported.onnx")
    export(Handoff(handoff.folder), b"another")  # somebody else, between our reading and writing
    with (
        pytest.raises(
            HandoffError, match=r"exported.onnx was written again while stage 'surgery' was"
        ),
        handoff.stage("surgery") as stage,
    ):
        stage.write("prepared.onnx").write_bytes(b"from the old one")
    assert state(handoff, "surgery") == "missing"


# -- killed, and run again --------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from nbhelpers.handoff import Handoff

folder, point = sys.argv[1], int(sys.argv[2])
calls = 0
rename = os.replace

def counted(*paths):
    global calls
    if calls == point:
        os.kill(os.getpid(), signal.SIGKILL)
    calls += 1
    rename(*paths)

os.replace = counted
with Handoff(folder).stage("export") as stage:
    for name in ("exported.onnx", "golden.npz", "late/third.bin"):
        stage.write(name).write_bytes(b"new")
    if point < 0:
        os.kill(os.getpid(), signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("point", [-1, 0, 1, 2, 3, 4, 5])
def test_killed_at_any_point_it_is_as_before_or_missing_or_done(handoff, export, python, point):
    """The renames are: the record without the stage, three files, the record with it."""
    export(handoff)
    killed = python(KILLED, handoff.folder, point)
    assert killed.wait(60) == -signal.SIGKILL, killed.stderr.read()
    expected = "done" if point <= 0 or point >= 5 else "missing"
    assert state(handoff) == expected
    content = (handoff.folder / "exported.onnx").read_bytes() if expected == "done" else None
    assert content in ((b"onnx",) if point <= 0 else (b"new", None))
    if expected == "missing":
        with pytest.raises(
            HandoffError, match=r"stage 'export' is missing. Run the notebook 01_exp"
        ):
            handoff.read("exported.onnx")
    export(handoff)
    assert state(handoff) == "done"
    assert hidden(handoff) == []  # nothing of the killed run is left
    assert not list(handoff.folder.glob("late/*"))


def test_killed_on_the_first_run_the_folder_is_clean_after_the_second(handoff, export, python):
    killed = python(KILLED, handoff.folder, 3)
    assert killed.wait(60) == -signal.SIGKILL
    assert state(handoff) == "missing"
    export(handoff)
    assert sorted(path.name for path in handoff.folder.iterdir()) == [
        ".lock",
        "exported.onnx",
        "golden.npz",
        "handoff.json",
    ]


def test_leftover_files_and_folders_of_any_kind_are_removed(handoff, export):
    (handoff.folder / ".stage-dir/files").mkdir(parents=True)
    (handoff.folder / ".stage-file").write_text("cut off")
    (handoff.folder / ".stage-link").symlink_to(handoff.folder)
    export(handoff)
    assert hidden(handoff) == []


# -- a second writer --------------------------------------------------------------------------

HOLD = """
import sys
from nbhelpers.handoff import Handoff
with Handoff(sys.argv[1]).stage("export") as stage:
    stage.write("exported.onnx").write_bytes(b"theirs")
    print("writing", flush=True)
    sys.stdin.readline()
"""


def test_a_second_writer_is_refused_and_harms_nothing(handoff, export, python):
    first = python(HOLD, handoff.folder)
    assert first.stdout.readline() == "writing\n"
    with pytest.raises(HandoffError, match=r"Another run is writing .* Wait until it is done"):
        export(handoff)
    first.communicate("\n", timeout=60)
    assert first.returncode == 0
    assert handoff.read("exported.onnx").read_bytes() == b"theirs"
    export(handoff)
    assert handoff.read("exported.onnx").read_bytes() == b"onnx"


def test_a_killed_writer_frees_the_lock(handoff, export, python):
    first = python(HOLD, handoff.folder)
    assert first.stdout.readline() == "writing\n"
    first.kill()
    first.wait(60)
    export(handoff)
    assert state(handoff) == "done"


# -- a disk that says no ----------------------------------------------------------------------


@pytest.fixture
def powerless():
    """A folder that everybody may enter, and a switch to being a user without root's powers."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder), as_nobody if os.geteuid() == 0 else contextlib.nullcontext


@contextlib.contextmanager
def as_nobody():
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.parametrize("which", ["parent", "folder", "subfolder"])
def test_a_folder_without_the_right_to_write_is_one_sentence(powerless, snapshot, which):
    parent, powers = powerless
    folder = parent / "handoffs" / "model"
    shut = {"parent": folder.parent, "folder": folder, "subfolder": folder / "graph"}[which]
    shut.mkdir(parents=True)
    for path in (folder.parent, folder, shut):
        if path.exists():
            path.chmod(0o555 if path == shut else 0o777)
    said = f"handoff folder {folder} cannot be written: you may not write there. .* is unchanged"
    with (
        powers(),
        pytest.raises(HandoffError, match=said),
        Handoff(folder).stage("export") as stage,
    ):
        stage.write("graph/exported.onnx").write_bytes(b"x")
    shut.chmod(0o755)
    assert snapshot(parent) == {}


def test_a_path_through_a_file_is_one_sentence(tmp_path, export):
    (tmp_path / "file").write_text("")
    with pytest.raises(HandoffError, match=r"a part of the path is a file"):
        export(Handoff(tmp_path / "file" / "model"))
    with pytest.raises(
        HandoffError, match=r"a file of that name already exists. Choose another NAME"
    ):
        export(Handoff(tmp_path / "file"))


def test_a_folder_in_the_place_of_a_file_is_one_sentence(handoff, export):
    (handoff.folder / "exported.onnx").mkdir(parents=True)
    with pytest.raises(HandoffError, match=r"a folder is where a file must go"):
        export(handoff)


def test_a_full_disk_is_one_sentence_and_nothing_is_lost(small_disk, export, snapshot):
    handoff = Handoff(small_disk / "model")
    export(handoff)
    before = snapshot(handoff.folder)
    with pytest.raises(HandoffError, match=r"the disk is full. Free some space"):
        export(handoff, bytes(1 << 20))
    assert snapshot(handoff.folder) == before
    assert hidden(handoff) == []
    with pytest.raises(HandoffError, match=r"What was there before is unchanged"):
        export(handoff, bytes(235_000))  # the files fit, the record may not
        export(handoff, bytes(235_001))
    assert state(handoff) == "done"


@pytest.mark.parametrize("allowed", range(6))
def test_a_disk_that_fills_while_renaming_says_what_is_not_done(
    handoff, export, monkeypatch, allowed
):
    export(handoff)
    rename, calls = os.replace, []

    def counted(*paths):
        if not str(paths[0]).endswith(".part"):  # golden.npz, which is written into the new folder
            calls.append(paths)
        if len(calls) > allowed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(paths[1]))
        rename(*paths)

    monkeypatch.setattr(stage_module.os, "replace", counted)
    if allowed >= 4:  # the record, two files, the record
        export(handoff, b"new")
        assert state(handoff) == "done"
        return
    with pytest.raises(HandoffError, match=r"disk is full.*Stage 'export' is not done now"):
        export(handoff, b"new")
    monkeypatch.undo()
    # Had the very first rename failed, nothing would have happened; after it, the stage is missing.
    assert state(handoff) == ("done" if allowed == 0 else "missing")
    export(handoff)
    assert state(handoff) == "done"


def test_an_error_about_something_else_is_not_blamed_on_the_folder(handoff, tmp_path):
    with pytest.raises(FileNotFoundError), handoff.stage("export"):
        (tmp_path / "weights.pth").read_bytes()
    denied = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "weights.pth"))
    with pytest.raises(PermissionError), handoff.stage("export"):
        raise denied


def test_files_have_ordinary_rights(handoff, export):
    export(handoff)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((handoff.folder / "exported.onnx").stat().st_mode) == 0o666 & ~mask


def test_a_copy_elsewhere_is_the_same_handoff(handoff, export, surgery, tmp_path):
    export(handoff)
    surgery(handoff)
    shutil.copytree(handoff.folder, tmp_path / "copy")
    assert state(Handoff(tmp_path / "copy"), "surgery") == "done"
