"""Specs, comparisons, golden cases, names that do not exist, and kernels: the small parts."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest

from graphcore import dims, packages
from graphcore.atomic_files import describe, new_folder, write_text
from graphcore.errors import (
    HandoffError,
    ParityError,
    Refusal,
    UnknownName,
    WrongKernel,
    unknown_name,
)
from graphcore.golden import Case, load_golden, save_golden
from graphcore.parity import compare
from graphcore.spec import TensorSpec, parse_axes, parse_specs
from nbhelpers import kernel
from tests.checkout import PYTHONPATH

# -- specs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("images:float32:batch,3,64,64", ("images", "float32", ("batch", 3, 64, 64))),
        ("images:1x3x64x64", ("images", "float32", (1, 3, 64, 64))),
        ("x:float16:max", ("x", "float16", ("max",))),
        ("ids:i8:batch,5", ("ids", "int64", ("batch", 5))),
        ("scale:float32:", ("scale", "float32", ())),
        ("a/b:0:float32:1,2", ("a/b:0", "float32", (1, 2))),
    ],
)
def test_a_spec_is_read_and_written_in_one_form(text, spec):
    found = TensorSpec.parse(text)
    assert (found.name, found.dtype, found.shape) == spec
    assert TensorSpec.parse(str(found)) == found == TensorSpec.from_json(found.to_json())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("images", "An input is written name:dtype:dims"),
        (":float32:1", "An input is written name:dtype:dims"),
        ("x:float33:1", "'float33' in 'x:float33:1' is not a numpy dtype"),
        ("x:object:1", "'object' in 'x:object:1' is not a numpy dtype"),
        ("x:f4,f4:1", "is not a numpy dtype"),
        ("x:float:1", "how many bits it has, and numpy would read it as float64. Write"),
        ("x:float32:0", "'0' in 'x:float32:0' is not a dim"),
        ("x:float32:-1,3", "'-1' in 'x:float32:-1,3' is not a dim"),
        ("x:float32:1,,3", "'' in 'x:float32:1,,3' is not a dim"),
        ("x:float32:²", "'²' in 'x:float32:²' is not a dim"),
    ],
)
def test_what_is_no_spec_is_refused(text, sentence):
    with pytest.raises(Refusal) as caught:
        TensorSpec.parse(text)
    assert sentence in str(caught.value)


def test_a_dim_may_be_a_sum_and_integers_may_have_bounds():
    mask = TensorSpec.parse("mask:int64:batch,past+new+1")
    assert mask.sized({"batch": 2, "past": 5, "new": 3}).shape == (2, 9)
    assert mask.concrete(4) == (4, 9)
    assert dims.names("past_sequence_length + 1") == ("past_sequence_length",)
    assert dims.names("floor(time/2)") == ("time",) and dims.names(3) == ()
    lengths = TensorSpec.parse("lengths:int64[1..time]:batch")
    assert TensorSpec.parse(str(lengths)) == lengths == TensorSpec.from_json(lengths.to_json())
    assert lengths.sized({"batch": 2, "time": 9}).bounds == (1, 9)
    assert set(TensorSpec.parse("ids:int32[-2..1]:99").random(1)) == {-2, -1, 0, 1}
    assert set(lengths.random(99)) <= set(range(1, 100)) and max(lengths.random(99)) > 2
    with pytest.raises(Refusal, match=r"\[5\.\.2\] in .* holds no integer"):
        TensorSpec.parse("x:int64[5..2]:3")
    with pytest.raises(Refusal, match="is not a numpy dtype"):
        TensorSpec.parse("x:float32[0..1]:3")


def test_two_tensors_of_one_name_are_refused():
    assert [spec.name for spec in parse_specs("a:1,2 b:3")] == ["a", "b"]
    with pytest.raises(Refusal, match=r"Two tensors are named 'a'"):
        parse_specs(["a:1,2", "a:3"])


def test_axes_are_numbers():
    assert parse_axes("images=0, state=1") == {"images": 0, "state": 1}
    assert parse_axes("") == {}
    with pytest.raises(Refusal, match="An axis is a number from 0 on, as in x=0, but this is '-1'"):
        parse_axes("x=-1")


def test_examples_are_seeded_and_of_the_right_kind():
    spec = TensorSpec.parse("x:float32:batch,2")
    assert spec.random(3).shape == (3, 2) and spec.random(3).dtype == np.float32
    np.testing.assert_array_equal(spec.random(2, seed=1), spec.random(2, seed=1))
    assert set(TensorSpec.parse("i:int64:50").random(1)) == {0, 1}
    assert TensorSpec.parse("b:bool:50").random(1).dtype == np.bool_


# -- parity ------------------------------------------------------------------------------------


def statuses(report):
    return [(row.name, row.status) for row in report.rows]


def test_every_row_is_reported_worst_first():
    expected = {name: np.ones((2, 3), np.float32) for name in ("a", "b", "c", "d", "e", "f")}
    actual = {
        "a": expected["a"],
        "b": expected["b"] * 1.5,
        "c": np.ones((3, 2), np.float32),
        "d": expected["d"].astype(np.float64),
        "e": expected["e"] * np.nan,
        "g": expected["a"],
    }
    report = compare(expected, actual)
    assert statuses(report) == [
        ("f", "missing"),
        ("g", "unexpected"),
        ("c", "shape"),
        ("d", "dtype"),
        ("e", "nan"),
        ("b", "mismatch"),
        ("a", "ok"),
    ]
    with pytest.raises(ParityError, match=r"6 of 7 tensors differ .* and 3 more"):
        report.check()


def test_the_difference_is_judged_by_the_largest_reference_value():
    big = np.array([1000.0, 0.0], np.float32)
    assert compare({"y": big}, {"y": big + np.float32(0.05)}).ok
    assert not compare({"y": big / 1000}, {"y": big / 1000 + np.float32(0.05)}).ok
    assert compare({"y": np.zeros(3)}, {"y": np.full(3, 1e-7)}).ok
    assert not compare({"y": np.zeros(3)}, {"y": np.full(3, 1e-5)}).ok


def test_a_nan_or_an_infinity_agrees_only_with_its_like():
    odd = np.array([np.nan, np.inf, -np.inf, 1.0])
    assert compare({"y": odd}, {"y": odd.copy()}).ok
    assert statuses(compare({"y": odd}, {"y": -odd})) == [("y", "nan")]


def test_another_label_is_a_difference_however_small():
    close = np.array([[1.0, 1.0 + 1e-6]])
    report = compare({"y": close}, {"y": close[:, ::-1].copy()})
    assert statuses(report) == [("y", "mismatch")]
    assert "labels differ" in report.rows[0].note


def test_whole_numbers_must_be_equal():
    labels = np.array([100_000, 5], np.int64)
    report = compare({"y": labels}, {"y": labels + np.array([0, 1])})
    assert statuses(report) == [("y", "mismatch")]
    assert "1 of 2 values differ, the first at (1,)" in report.rows[0].note
    large = np.array([2**53], np.int64)
    assert not compare({"y": large}, {"y": large + 1}).ok  # equal as float64
    assert compare({"y": np.array([True, False])}, {"y": np.array([True, False])}).ok
    assert not compare({"y": np.array([True, False])}, {"y": np.array([True, True])}).ok
    wraps = np.array([0], np.uint8)
    assert compare({"y": wraps}, {"y": wraps + np.uint8(255)}).rows[0].largest_difference == 255


def test_texts_scalars_and_empty_arrays_are_compared():
    assert compare({"y": np.array(["a", "b"])}, {"y": np.array(["a", "b"])}).ok
    assert not compare({"y": np.array(["a", "b"])}, {"y": np.array(["a", "c"])}).ok
    assert compare({"y": np.float32(2)}, {"y": np.float32(2)}).ok
    assert compare({"y": np.zeros((0, 3))}, {"y": np.zeros((0, 3))}).ok


def test_nothing_compared_is_not_agreement():
    report = compare({}, {})
    assert not report.ok
    with pytest.raises(ParityError, match=r"nothing was compared"):
        report.check()


def test_a_report_is_shown_and_escaped():
    report = compare({"<b>": np.ones((1, 2))}, {"<b>": np.ones((1, 2))}, title="a & b")
    assert "labels identical" in repr(report)
    assert "&lt;b&gt;" in report._repr_html_() and "a &amp; b" in report._repr_html_()
    assert report.to_json()["rows"][0]["relative"] == 0.0
    missing = compare({"y": np.ones(1)}, {}).to_json()
    assert missing["rows"][0]["relative"] is None and missing["ok"] is False


# -- golden cases ------------------------------------------------------------------------------


def cases():
    one = Case("batch1", {"x": np.ones((1, 2))}, {"a/b": np.ones(1)}, {"a/b": np.array([3])})
    return [one, Case("batch3", {"x": np.ones((3, 2))}, {"a/b": np.ones(3)})]


def test_golden_cases_come_back_and_have_the_same_bytes(tmp_path):
    first = save_golden(tmp_path / "a.npz", cases()).read_bytes()
    assert save_golden(tmp_path / "b.npz", cases()).read_bytes() == first
    found = load_golden(tmp_path / "a.npz")
    assert [(case.name, case.batch) for case in found] == [("batch1", 1), ("batch3", 3)]
    assert found[0].labels["a/b"] == [3] and dict(found[1].labels) == {}


def test_a_scalar_stays_a_scalar(tmp_path):
    case = Case("batch1", {"scale": np.float32(2)}, {"total": np.array(3.0)})
    (back,) = load_golden(save_golden(tmp_path / "golden.npz", [case]))
    assert back.inputs["scale"].shape == () == back.outputs["total"].shape
    assert back.inputs["scale"].dtype == np.float32 and back.batch == 1


def test_case_names_must_tell_the_cases_apart(tmp_path):
    for names in (("a", "a"), ("a/b",)):
        with pytest.raises(HandoffError, match=r"needs a name of its own without '/'"):
            save_golden(tmp_path / "x.npz", [Case(name, {"x": np.ones(1)}, {}) for name in names])


def array_file():
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


def foreign_file():
    buffer = io.BytesIO()
    np.savez(buffer, plain=np.ones(3))
    return buffer.getvalue()


@pytest.mark.parametrize("content", [b"", b"not a zip", array_file(), foreign_file()])
def test_what_is_no_golden_file_names_the_notebook(tmp_path, content):
    (tmp_path / "golden.npz").write_bytes(content)
    with pytest.raises(HandoffError, match=r"cannot be read as golden cases .* notebook 01_export"):
        load_golden(tmp_path / "golden.npz")


def test_a_cut_or_damaged_golden_file_is_refused(tmp_path):
    path = save_golden(tmp_path / "golden.npz", cases())
    whole = path.read_bytes()
    damaged = whole.replace(whole[60:90], bytes(30), 1)
    for content in (whole[:-40], whole[: len(whole) // 2], damaged):
        path.write_bytes(content)
        with pytest.raises(HandoffError, match=r"cannot be read as golden cases"):
            load_golden(path)


# -- names, kernels, files ---------------------------------------------------------------------


def test_an_unknown_name_comes_with_the_closest():
    error = unknown_name("tensor", "conv1_wieght", ["conv1_weight", "fc_bias"])
    assert str(error) == (
        "There is no tensor named 'conv1_wieght'. The closest are 'conv1_weight'."
    )
    assert isinstance(error, KeyError) and isinstance(error, ValueError)
    assert "There are 'b', 'c'." in str(unknown_name("tensor", "xyz", ["b", "c"]))
    assert "There are none." in str(unknown_name("tensor", "xyz", []))
    many = [f"layer{number}" for number in range(40)]
    assert "None of the 40 names is close." in str(unknown_name("tensor", "???", many))
    assert isinstance(error, UnknownName)


def test_this_kernel_is_known_and_the_other_is_refused():
    here = kernel.current()
    other = {"train": "convert", "convert": "train"}[here]
    assert repr(kernel.require(here)).startswith(f"kernel {here} · Python 3.")
    with pytest.raises(WrongKernel) as caught:
        kernel.require(other)
    said = str(caught.value)
    assert f"This needs the kernel '{other}'" in said and f"this is the kernel '{here}'" in said
    assert f"Kernel > Change Kernel > {other}" in said and "`make setup`" in said


def test_an_incomplete_kernel_says_what_it_lacks(monkeypatch):
    here = kernel.current()
    first = kernel.KERNELS[here][0]
    monkeypatch.setattr(kernel, "has", lambda module: module == first)
    with pytest.raises(WrongKernel, match=f"The kernel '{here}' .* lacks onnx.*complete it"):
        kernel.require(here)


def test_a_kernel_that_does_not_exist_is_refused():
    with pytest.raises(WrongKernel, match=r"two kernels, 'train' and 'convert', but 'gpu' was"):
        kernel.require("gpu")


def test_versions_are_found_without_importing():
    code = (
        "import sys; from nbhelpers import dims, kernel; print(sorted(kernel.versions()), "
        "[m for m in ('torch', 'tensorflow', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith("[]")
    assert "'nbhelpers'" in done.stdout and "'numpy'" in done.stdout


def test_a_text_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def full(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("graphcore.atomic_files.os.replace", full)
    with pytest.raises(OSError, match=r"No space"):
        write_text(path, "new")
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = tmp_path / "inner" / "made"
    for text in ("old", "newer"):
        with new_folder(folder) as new:
            (new / "a.txt").write_text(text)
    assert (folder / "a.txt").read_text() == "newer"
    with pytest.raises(ValueError, match="half-way"), new_folder(folder) as new:
        raise ValueError("half-way")
    assert (folder / "a.txt").read_text() == "newer"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_digest_that_was_remembered_is_forgotten_with_the_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    os.utime(path, (1, 1))
    first = describe(path)["sha256"]
    path.write_bytes(b"two")
    os.utime(path, (1, 1))  # a forged time does not hide the change
    assert describe(path)["sha256"] != first


@pytest.mark.parametrize(("error", "ok"), [(2.0**-10, True), (2.0**-6, False)])
def test_half_precision_is_judged_by_its_own_last_places(error, ok):
    want = np.linspace(0.1, 1, 8).astype(np.float16)
    seen = (want.astype(np.float32) + error).astype(np.float16)
    assert compare({"y": want}, {"y": seen}).ok is ok
    assert not compare({"y": want.astype("f4")}, {"y": seen.astype("f4")}).ok


def test_a_verb_that_needs_another_kernel_names_it():
    with pytest.raises(
        WrongKernel, match=r"needs tensorflox, which the Python in .* Kernel > convert"
    ):
        packages.require("numpy", "tensorflox", kernel="convert")
