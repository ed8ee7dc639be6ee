"""What `verify.py` says of SHA256SUMS, and which modules the scripts of a folder take."""

import os
import re
import subprocess
import sys
from importlib import resources

import pytest

from nbhelpers.convert.proving.seal import write_sums
from nbhelpers.convert.receiver import verify as script

ARTEFACTS = [
    {"path": "graph/tf2/frozen.pb", "kind": "frozen"},
    {"path": "savedmodel/tf2/1", "kind": "savedmodel"},
]
FILES = (
    "exported.onnx",
    "golden.npz",
    "graph/tf2/frozen.pb",
    "savedmodel/tf2/1/saved_model.pb",
    "savedmodel/tf2/1/variables/variables.index",
    "verify.py",
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A sealed folder with a file for each line, which `verify.py` is told about."""
    home = tmp_path / "sample"
    for file in FILES:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).write_text(file)
    write_sums(home)
    monkeypatch.setattr(script, "HERE", str(home))
    monkeypatch.setattr(script, "MANIFEST", {"artefacts": ARTEFACTS})
    return home


def lines(folder):
    return (folder / "SHA256SUMS").read_text().splitlines(keepends=True)


def test_a_sealed_folder_is_whole_and_what_is_not_sealed_is_named(folder):
    assert script.check_sums() == ([], [])
    (folder / "notebooks").mkdir()
    for name in ("handoff.json", "numpy.py", "notebooks/01.ipynb", "notebooks/02.ipynb", ".lock"):
        (folder / name).write_text("more")
    (folder / "savedmodel/tf2/2").symlink_to("1")
    (folder / "a\x1b[2J.txt").write_text("it clears the screen")
    more = ["a\\x1b[2J.txt", "handoff.json", "notebooks/ (files: 2)", "numpy.py"]
    assert script.check_sums() == ([], [*more, "savedmodel/tf2/2"])
    (folder / "SHA256SUMS").write_bytes(
        b"".join(s.encode().replace(b"\n", b"\r\n") for s in lines(folder))
    )
    assert script.check_sums()[0] == []


@pytest.mark.parametrize("file", FILES)
def test_a_file_without_its_line_is_named(folder, file):
    kept = [line for line in lines(folder) if not line.endswith(f"  {file}\n")]
    (folder / "SHA256SUMS").write_text("".join(kept))
    assert script.check_sums()[0] == [f"SHA256SUMS has no line for {file}"]


def test_an_empty_seal_lacks_a_line_for_everything(folder):
    (folder / "SHA256SUMS").write_text("")
    assert script.check_sums()[0] == [f"SHA256SUMS has no line for {', '.join(FILES)}"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[:-1], "line 6 of SHA256SUMS"),
        (lambda text: text[:-30], "line 6 of SHA256SUMS"),
        (lambda text: text.replace("  golden", " *golden"), "line 2 of SHA256SUMS"),
        (lambda text: "\n" + text, "line 1 of SHA256SUMS"),
        (lambda text: text.replace("  golden.npz", "  /etc/passwd"), "line 2"),
        (lambda text: text.replace("  golden.npz", "  ../golden.npz"), "line 2"),
        (lambda text: text.replace("  golden.npz", "  graph/../golden.npz"), "line 2"),
        (lambda text: text.replace("  golden.npz", "  ./golden.npz"), "line 2"),
        (lambda text: text.replace("graph/tf2/", "graph\\tf2\\"), "line 3"),
        (lambda text: text.replace("  golden.npz", "  C:golden.npz"), "line 2"),
        (lambda text: text.replace("  golden.npz", "  golden\0.npz"), "line 2"),
        (lambda text: text.replace("  golden.npz", "  \u202egolden.npz"), "line 2"),
        (lambda text: text + text[:79] + "\n", "lists exported.onnx twice"),
        (lambda text: text + text[:64] + "  Golden.npz\n", "lists Golden.npz twice"),
        (lambda text: text[3:], "line 1 of SHA256SUMS"),
        (lambda text: text.upper(), "line 1 of SHA256SUMS"),
    ],
)
def test_a_malformed_seal_is_none(folder, change, said):
    path = folder / "SHA256SUMS"
    path.write_bytes(change("".join(lines(folder))).encode())
    with pytest.raises(script.Unsealed, match=re.escape(said)):
        script.check_sums()


def test_links_are_not_followed(folder, tmp_path):
    elsewhere = (folder / "savedmodel").rename(tmp_path / "elsewhere")
    (folder / "savedmodel").symlink_to(elsewhere)
    wrong, _ = script.check_sums()
    assert wrong[0].startswith("savedmodel/tf2/1/saved_model.pb is behind a link (cp -rL copies")
    (folder / "SHA256SUMS").rename(tmp_path / "sums")
    (folder / "SHA256SUMS").symlink_to(tmp_path / "sums")
    with pytest.raises(script.Unsealed, match="is missing"):
        script.check_sums()


def test_files_that_belong_to_an_artefact_must_be_sealed(folder):
    (folder / "savedmodel/tf2/1/assets").mkdir()
    for name in ("savedmodel/tf2/1/assets/words.txt", "graph/tf2/more.pb"):
        (folder / name).write_text("more")
    files = "graph/tf2/more.pb, savedmodel/tf2/1/assets/words.txt"
    assert script.check_sums()[0] == [f"SHA256SUMS has no line for {files}"]


RECEIVER = "nbhelpers.convert.receiver"


def texts():
    """Return the scripts that are copied into folders for other people."""
    places = {"verify": RECEIVER, "predict": RECEIVER, "reproduce": "tfgraph.comparing"}
    return {
        name: resources.files(place).joinpath(f"{name}.py").read_text()
        for name, place in places.items()
    }


def test_the_scripts_begin_alike():
    parts = {
        re.search(r"^import sys.*?\n(?=import \w+\n)", t, re.S | re.M)[0] for t in texts().values()
    }
    assert len(parts) == 1 and "sys.path" in parts.pop()


BAIT = ["__init__", "__future__", "argparse", "contextlib", "json", "numpy", "PIL", "tensorflow"]


@pytest.fixture(scope="module")
def baited(tmp_path_factory):
    """A folder with modules that a script would import, were the folder on its path."""
    home = tmp_path_factory.mktemp("baited") / "tensorflow"
    for place in (home, home / "lib"):
        place.mkdir()
        for name in BAIT:
            (place / f"{name}.py").write_text(f"raise SystemExit('{name} of the folder ran')")
    for name, text in texts().items():
        (home / f"{name}.py").write_text(text.replace("{}", '{"artefacts": []}', 1))
    return home


@pytest.mark.parametrize("where", [None, "", "lib", ".."])
@pytest.mark.parametrize(
    ("name", "arguments", "inside", "said"),
    [
        ("verify", [], True, "SHA256SUMS is missing"),
        ("reproduce", [], True, "case.json"),
        ("predict", ["none.png"], False, "there is no picture"),
    ],
)
def test_no_module_of_the_folder_runs(baited, where, name, arguments, inside, said, legacy):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if where is not None:
        environment["PYTHONPATH"] = os.pathsep.join([where, "/nowhere"])
    # Python 3.6 itself looks for modules at relative places of PYTHONPATH, before a script begins.
    pythons = [legacy[0].python] if name == "verify" and where in (None, "..") else []
    for python in (sys.executable, *pythons):
        command = [str(python), f"{name}.py" if inside else f"tensorflow/{name}.py", *arguments]
        cwd = baited if inside else baited.parent
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
        seen = done.stdout + done.stderr
        assert done.returncode and "of the folder ran" not in seen and said in seen, seen


def test_an_environment_in_the_folder_may_be_used(tmp_path):
    text = texts()["verify"].partition("import argparse")[0]
    place = tmp_path / "venv/lib/python3/site-packages"
    for folder in (place, tmp_path / "lib"):
        folder.mkdir(parents=True)
    (tmp_path / "verify.py").write_text(
        f"import sys; sys.prefix = {str(tmp_path / 'venv')!r}\n"
        f"sys.path += [{str(place)!r}, {str(tmp_path / 'lib')!r}]\n{text}print(sys.path)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "verify.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert str(place) in done.stdout and str(tmp_path / "lib") not in done.stdout, done.stderr


def test_a_picture_is_of_a_kind_that_pillow_itself_reads(tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "picture.eps")  # for which it would run Ghostscript
    text = texts()["predict"].replace("{}", '{"preprocessing": {}}', 1)
    (tmp_path / "predict.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "predict.py", "picture.eps"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "cannot be read as a picture: it is of format EPS. Give a JPEG" in done.stderr
