"""What is copied out of a handoff folder, which may come from somebody else."""

import pytest

from graphcore.errors import HandoffError, UnknownName
from nbhelpers.convert.proving import artefacts, prove


@pytest.fixture
def folder(tmp_path):
    """A folder with a program, a picture, and a link that makes `d/..` another place."""
    home = tmp_path / "model"
    (home / "a/b").mkdir(parents=True)
    (home / "d").symlink_to("a/b")
    for file in ("numpy.py", "picture.jpg", "verify.py", "a/verify.py", "x.so", "a/b/x.npz"):
        (home / file).write_text(file)
    return home


def test_data_is_copied_and_so_are_the_folders_own_scripts(folder, tmp_path):
    (tmp_path / "there").mkdir()
    files = ["picture.jpg", "verify.py", "a/b/x.npz"]
    place = prove.copied(folder, files, tmp_path / "there", predict="pass")
    found = sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file())
    assert found == ["a/b/x.npz", "picture.jpg", "predict.py", "verify.py"]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("numpy.py", "is not a file that a handoff may contain"),
        ("a/verify.py", "is not a file that a handoff may contain"),
        ("x.so", "is not a file that a handoff may contain"),
        ("d/../../profile", "relative path"),
        ("d/x.npz", "is a link, and a handoff never follows links"),
        ("/etc/passwd", "relative path"),
    ],
)
def test_nothing_else_is_copied(folder, tmp_path, file, said):
    (tmp_path / "there").mkdir()
    with pytest.raises(HandoffError, match=said):
        prove.copied(folder, [file], tmp_path / "there")
    assert not any((tmp_path / "there").rglob("*.*"))


def test_a_target_that_there_is_none_of_makes_no_path():
    fact = {"inputs": {}, "outputs": {}, "tags": [], "signatures": {}}
    for converted, signed in (({"tf2/../../x": fact}, {}), ({"tf2": fact}, {"tf1.4": fact})):
        with pytest.raises(UnknownName, match="target of the conversion"):
            artefacts.artefacts(converted, signed)
