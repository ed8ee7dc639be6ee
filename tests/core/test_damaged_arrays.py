"""Golden cases that somebody else may have damaged: refused before anything is unpacked."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from graphcore import archives
from graphcore.errors import HandoffError
from graphcore.golden import Case, load_golden, save_golden


def saved(value):
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


ONE = saved(np.ones((1, 2)))


def archive(*more, method=zipfile.ZIP_DEFLATED):
    """Return an archive of two good arrays and more members, name and content."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in (("a/input/x.npy", ONE), ("a/output/y.npy", ONE), *more):
            made.writestr(name, content)
    return file.getvalue()


def headed(descr, shape, *, version=1):
    """Return an array of 16 bytes whose head says what it likes."""
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(head)) + head + bytes(16)


def refused(tmp_path, content, said):
    path = tmp_path / "golden.npz"
    path.write_bytes(content)
    with pytest.raises(HandoffError, match=r"golden cases \(.*\)\. Run the notebook 01") as caught:
        load_golden(path)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x.npy", "an array is named 'x', not case/input/name"),
        ("a/input/.npy", "an array is named 'a/input/'"),
        ("/input/x.npy", "an array is named '/input/x'"),
        ("a/what/x.npy", "an array is named 'a/what/x'"),
        ("a/input/x", "two arrays have the same name"),
        ("a/input/z", "its member 'a/input/z' is not an array"),
        ("b/input/x.npy", "not every case has the same inputs and outputs"),
    ],
)
def test_a_member_of_another_name_is_refused(tmp_path, name, said):
    refused(tmp_path, archive((name, ONE)), said)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path):
    refused(tmp_path, archive(("a/input/x.npy", ONE)), "it contains 'a/input/x.npy' twice")


@pytest.mark.parametrize(
    ("descr", "shape"),
    [
        ("'|O'", "(2,)"),
        ("'<U0'", "(1099511627776,)"),
        ("'<f99999999999999'", "(2,)"),
        ("[('a', '<f8')]", "(2,)"),
        ("'<M8[99999999999999999999ns]'", "(2,)"),
        ("'<f8'", "(1099511627776,)"),
        ("'<f8'", "(4294967296, 4294967296)"),
        ("'<f8'", "(0, 99999999999999999999999)"),
        ("'<f8'", "(-1, -2)"),
        ("'<f8'", "(1,) * 2"),
        ("'<f8'", "(" * 300),
        ("9", "None"),
    ],
)
def test_a_head_that_claims_what_cannot_be_is_refused(tmp_path, descr, shape):
    for version in (1, 4):
        refused(tmp_path, archive(("a/input/z.npy", headed(descr, shape, version=version))), "")


def test_a_small_file_that_would_fill_the_memory_is_refused_before_it_is_unpacked(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(archives, "ALWAYS", 20 << 20)
    size = 40 << 20
    head = headed("'|u1'", f"({size},)")[:-16]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a/output/y.npy", ONE)
        with made.open("a/input/x.npy", "w") as member:
            member.write(head)
            for _ in range(size >> 20):
                member.write(bytes(1 << 20))
    tracemalloc.start()
    refused(tmp_path, file.getvalue(), "kB and would take 40 MB of memory")
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_what_is_saved_can_be_read_also_where_it_is_mostly_zeros(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ALWAYS", 1 << 20)
    cases = [Case("a", {"x": np.zeros(1 << 20)}, {"y": np.zeros(1)})]
    assert load_golden(save_golden(tmp_path / "golden.npz", cases))[0].inputs["x"].size == 1 << 20


def changed(content, mark, offset, value):
    """Return an archive with two bytes of its directory (or of its end) set to `value`."""
    place = content.index(mark) + offset
    return content[:place] + struct.pack("<H", value) + content[place + 2 :]


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [
        (8, 0x1, "its member 'a/input/x.npy' is encrypted"),
        (10, 12, "is compressed in a rare way"),
        (10, 99, "is compressed in a rare way"),
        (16, 0, "Bad CRC-32"),
        (28, 0xFFFF, ""),
        (42, 0x7FFF, ""),
    ],
)
def test_a_directory_that_says_something_else_is_refused(tmp_path, offset, value, said):
    refused(tmp_path, changed(archive(), b"PK\1\2", offset, value), said)


def test_members_that_share_their_bytes_are_refused(tmp_path):
    content = archive()
    second = content.index(b"PK\1\2", content.index(b"PK\1\2") + 4)
    content = content[: second + 42] + bytes(4) + content[second + 46 :]
    refused(tmp_path, content, "overlaps another")


def test_wherever_it_is_cut_it_is_refused(tmp_path):
    content = archive()
    for length in range(0, len(content), 7):
        refused(tmp_path, content[:length], "")


def test_whatever_bit_flips_it_is_refused_or_read(tmp_path):
    content, random = archive(), np.random.default_rng(0)
    path = tmp_path / "golden.npz"
    for place in random.integers(0, len(content) * 8, 300):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        try:
            load_golden(path)
        except HandoffError as error:
            assert "Run the notebook 01_export" in str(error)


def test_an_archive_without_cases_is_refused(tmp_path):
    file = io.BytesIO()
    zipfile.ZipFile(file, "w").close()
    refused(tmp_path, file.getvalue(), "not every case has the same inputs and outputs")
