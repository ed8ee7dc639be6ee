"""What the file system says of a failed write is one sentence, and nothing half-made stays."""

import errno
import os

import numpy as np
import pytest

from graphcore.atomic_files import replacing
from graphcore.errors import GraphError, HandoffError
from graphcore.golden import Case, load_golden, save_golden
from graphcore.writing import writing
from nbhelpers.convert.proving.seal import write_sums


def refused(error, path):
    """Return the sentence that an error becomes while `path` is written."""
    with pytest.raises(GraphError) as caught, writing(path, error=GraphError):
        raise error
    return str(caught.value)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_write_that_fails_says_what_to_do(tmp_path, code):
    path = tmp_path / "net.onnx"
    said = refused(OSError(code, os.strerror(code)), path)
    assert said.startswith(f"{path} cannot be written: ")
    assert said.endswith(" What was there before is unchanged.")


def test_native_code_that_has_words_only_is_understood(tmp_path):
    error = RuntimeError("I/O error: No space left on device (os error 28)")
    assert "the disk is full. Free some space" in refused(error, tmp_path / "net.onnx")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "nowhere" / "net.onnx"
    missing = FileNotFoundError(errno.ENOENT, "none", str(path))
    assert f"there is no folder {path.parent}. Make it first" in refused(missing, path)


def test_a_pipe_is_never_replaced_by_a_file(tmp_path):
    path = tmp_path / "net.onnx"
    os.mkfifo(path)
    said = r"cannot be written: a device or a pipe is where a file must go\. Choose another path"
    refusal = pytest.raises(GraphError, match=said)
    with refusal, writing(path, error=GraphError), replacing(path) as temporary:
        temporary.write_bytes(b"model")
    assert path.is_fifo() and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyError("x"), FileNotFoundError(2, "none", "/other/w.bin")])
def test_an_error_about_something_else_passes(tmp_path, error):
    with pytest.raises(type(error)), writing(tmp_path / "net.onnx", error=GraphError):
        raise error


def test_golden_cases_and_sums_are_written_whole_or_not_at_all(small_disk, snapshot):
    values = np.random.default_rng(0).random((1, 60_000), np.float32)
    case = Case("batch1", {"x": values[:, :9]}, {"y": values[:, :9]})
    save_golden(small_disk / "golden.npz", [case])
    write_sums(small_disk)
    before = snapshot(small_disk)
    with pytest.raises(HandoffError, match=r"golden.npz cannot be written: the disk is full"):
        save_golden(small_disk / "golden.npz", [Case("batch1", {"x": values}, {"y": values})])
    assert snapshot(small_disk) == before
    assert len(load_golden(small_disk / "golden.npz")) == 1
    (small_disk / "rest").write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096))
    with pytest.raises(HandoffError, match=r"SHA256SUMS cannot be written: the disk is full"):
        write_sums(small_disk)
    assert (small_disk / "SHA256SUMS").read_bytes() == before["SHA256SUMS"]


def test_a_stage_tells_of_its_folder_what_a_verb_told_of_its_file(small_disk, handoff):
    handoff.folder = small_disk / "model"
    values = np.random.default_rng(0).random((1, 60_000), np.float32)
    full = pytest.raises(HandoffError, match=r"handoff folder .* the disk is full.*again")
    with full, handoff.stage("export") as stage:
        save_golden(stage.write("golden.npz"), [Case("a", {"x": values}, {"y": values})])
