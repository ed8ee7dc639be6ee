"""What was written stays: kills at every step, errors of the disk, and what is flushed when."""

import errno
import os
import signal
import sys
from pathlib import Path

import pytest

from graphcore import atomic_files
from graphcore.atomic_files import new_folder, replacing, write_text
from graphcore.errors import HandoffError
from nbhelpers.handoff import Handoff

STEPS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "ctypes.dlsym")


def killed_at(point, work, room):
    """Do `work` in a child that is killed before its step of that number inside `room`."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    seen = 0

    def count(event, arguments):
        nonlocal seen
        if event in STEPS and (event == "ctypes.dlsym" or str(room) in str(arguments[0])):
            seen += 1
            if seen == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    try:
        work()
    finally:
        os._exit(0)


def fill(folder, text):
    with new_folder(folder) as new:
        (new / "a.txt").write_text(text)
        (new / "inner").mkdir()
        (new / "inner" / "b.txt").write_text(text)


def content(folder):
    return [path.read_text() for path in sorted(folder.rglob("*.txt"))]


def test_a_folder_is_whole_at_every_step_of_its_replacement(tmp_path):
    folder = tmp_path / "made"
    fill(folder, "old")
    point = 0
    while killed_at(point := point + 1, lambda: fill(folder, "new"), tmp_path):
        assert content(folder) in (["old"] * 2, ["new"] * 2)
    assert point > 12
    fill(folder, "newest")
    assert content(folder) == ["newest"] * 2
    assert not list(tmp_path.glob(".*/*"))  # nothing of the killed ones takes room


def test_without_an_exchange_the_next_start_finds_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_files, "_exchange", lambda one, other: False)
    folder = tmp_path / "made"
    fill(folder, "old")
    point, gone = 0, 0
    while killed_at(point := point + 1, lambda: fill(folder, "new"), tmp_path):
        gone += not folder.exists()
        atomic_files.recover(folder)
        assert content(folder) in (["old"] * 2, ["new"] * 2)
        fill(folder, "old")
    assert gone == 1


def test_a_folder_that_waits_for_its_next_start_is_no_leftover_of_another(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_files, "_exchange", lambda one, other: False)
    folder = tmp_path / "made.too"
    fill(folder, "old")
    point = 0
    while killed_at(point := point + 1, lambda: fill(folder, "new"), tmp_path) and folder.exists():
        fill(folder, "old")
    assert not folder.exists()
    fill(tmp_path / "made", "another")
    atomic_files.recover(folder)
    assert content(folder) == ["old"] * 2


def test_a_folder_whose_place_cannot_be_taken_stays_as_it_was(tmp_path, monkeypatch):
    folder = tmp_path / "made"
    fill(folder, "old")
    replace = os.replace

    def full(source, target):
        if Path(source).parent.name == "new":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(atomic_files, "_exchange", lambda one, other: False)
    monkeypatch.setattr("graphcore.atomic_files.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        fill(folder, "new")
    assert content(folder) == ["old"] * 2
    assert list(tmp_path.iterdir()) == [folder]


def test_what_another_process_is_filling_is_left_alone(tmp_path):
    folder = tmp_path / "made"
    with new_folder(folder) as first:
        (first / "a.txt").write_text("first")
        fill(folder, "second")
        assert content(folder) == ["second"] * 2
    assert content(folder) == ["first"]


def test_content_and_name_are_on_the_disk_before_the_file_has_its_name(tmp_path, monkeypatch):
    said, flush, replace = [], atomic_files.flush, os.replace
    monkeypatch.setattr(atomic_files, "flush", lambda *p: (said.append(p[0].name), flush(*p)))
    monkeypatch.setattr(
        atomic_files.os, "replace", lambda *p: (said.append("renamed"), replace(*p))
    )
    write_text(tmp_path / "a.txt", "new")
    assert said == [f".a.txt.{os.getpid()}.part", "renamed", tmp_path.name]


def test_a_stage_is_flushed_before_the_record_says_that_it_is_done(handoff, export, monkeypatch):
    export(handoff)
    synced, fsync = [], os.fsync
    monkeypatch.setattr(
        atomic_files.os, "fsync", lambda fd: (synced.append(name_of(fd)), fsync(fd))
    )
    export(handoff, b"new")
    assert {"half.json", "whole.json", "exported.onnx", "golden.npz"} <= set(synced[:-3])
    assert synced[-3:] == [handoff.folder.name] * 3  # the record before, the files, the record


def name_of(opened):
    return Path(os.readlink(f"/proc/self/fd/{opened}")).name


def test_a_folder_that_cannot_be_flushed_is_written_all_the_same(tmp_path, monkeypatch):
    cannot = OSError(errno.EINVAL, "Invalid argument")
    monkeypatch.setattr(atomic_files.os, "fsync", raising(cannot))
    with replacing(tmp_path / "a") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


SAID = {
    errno.ENOLCK: "its file system has no locks, like some network drives. Choose another",
    errno.EOPNOTSUPP: "its file system has no locks",
    errno.EIO: "the disk or the network drive failed. Check it and run the notebook again",
    errno.ESTALE: "the disk or the network drive failed",
    errno.EFBIG: "a file is larger than the file system or your limits allow",
    errno.EDQUOT: "your disk quota is used up. Free some space",
    errno.ELOOP: "a part of the path is a link that leads nowhere",
    errno.EMFILE: "this process has too many files open. Restart the kernel",
    errno.ETXTBSY: "a file to be replaced is a running program. End that",
}


def raising(error):
    def fails(*arguments, **options):
        raise error

    return fails


@pytest.mark.parametrize("call", ["filelock.FileLock.acquire", "graphcore.atomic_files.os.replace"])
def test_each_error_of_a_file_system_is_one_sentence(handoff, export, monkeypatch, call):
    export(handoff)
    for code, said in SAID.items():
        error = OSError(code, os.strerror(code), str(handoff.folder / "x"))
        with monkeypatch.context() as patch:
            patch.setattr(call, raising(error))
            with pytest.raises(HandoffError, match=f"cannot be written: {said}"):
                export(handoff, b"new")
    export(handoff, b"new")
    assert handoff.read("exported.onnx").read_bytes() == b"new"


def test_a_write_that_fails_in_the_middle_of_a_stage_is_one_sentence(handoff, export, snapshot):
    export(handoff)
    before = snapshot(handoff.folder)
    for code in (errno.EIO, errno.EFBIG, errno.ESTALE, errno.EDQUOT):
        with (
            pytest.raises(HandoffError, match=r"cannot be written: .* there before is unchanged"),
            handoff.stage("export"),
        ):
            raise OSError(code, os.strerror(code))
    assert snapshot(handoff.folder) == before


def test_a_path_of_links_without_end_is_one_sentence(tmp_path, export):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(HandoffError, match=r"a part of the path is a link that leads nowhere"):
        export(Handoff(tmp_path / "a" / "model"))
