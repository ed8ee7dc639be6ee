"""A folder from somebody else: which names its record may hold, and links that lead out of it."""

import json

import pytest

from graphcore.errors import HandoffError
from graphcore.safe_paths import check_distinct, check_name, is_data
from nbhelpers import record
from nbhelpers.handoff import Handoff


@pytest.mark.parametrize(
    "name",
    [
        *("", "/a", "../a", "a/../b", "a//b", "a/", "./a", ".hidden", "a/.hidden", "C:a", "a\\b"),
        *("a\0b", "a\nb", "a\rb", "a\x1b[2Jb", "\u202egnp.exe", "a\u200bb", "a\u2028b", "\ud800"),
        *("x" * 300, "a/" + "x" * 300),
    ],
)
def test_names_that_lead_out_or_do_not_show_are_refused(name):
    with pytest.raises(HandoffError, match="is named by a relative path such as") as caught:
        check_name(name)
    assert str(caught.value).isascii() and len(str(caught.value)) < 500


def test_plain_names_are_taken():
    for name in ("graph/tf2/frozen.pb", "Gew\xe4chs/\u6587.npz", "a b'c\".txt", "-x.npz", "a:b/c"):
        if name != "a:b/c":
            assert check_name(name) == name
    check_distinct(["a", "b/a", "b/A2", "a"])


@pytest.mark.parametrize(
    ("one", "other"), [("a/B.npz", "a/b.npz"), ("stra\xdfe", "strasse"), ("\xe9", "e\u0301")]
)
def test_names_that_are_one_file_on_some_machines_are_refused(one, other):
    with pytest.raises(HandoffError, match=r"are one file on some machines\. Use another name"):
        check_distinct([one, other])


def test_models_arrays_and_pictures_are_data_and_programs_are_not():
    home = "savedmodel/tf2/1"
    for name in (
        *("exported.onnx", "exported.onnx.data", "golden.npz", "picture.JPG", "SHA256SUMS"),
        *(f"{home}/saved_model.pb", f"{home}/fingerprint.pb", f"{home}/assets/spiece.model"),
        *(f"{home}/variables/variables.index", f"{home}/variables/variables.data-00000-of-00001"),
        *("savedmodel/tf2/config.pbtxt", f"{home}/assets.extra/tf_serving_warmup_requests"),
    ):
        assert is_data(name), name
    for name in ("numpy.py", "a/numpy.PY", "x.so", "x.pyc", "x.pth", "run.sh", "Makefile", "x.zip"):
        assert not is_data(name), name


def forged(folder, **data):
    """Write a record with a seal that fits: it keeps no secret, so that anybody can make one."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"format": 1, "name": folder.name, "stages": {}, **data}
    data["seal"] = record._seal(data)
    (folder / "handoff.json").write_text(json.dumps(data))
    return Handoff(folder)


@pytest.mark.parametrize("name", ["../thesis.txt", "a\0", "a\nb", "\u202ea", "A.npz"])
def test_a_record_with_such_names_is_not_used(tmp_path, name):
    handoff = forged(tmp_path / "model", unfinished={"names": [name, "a.npz"]})
    with pytest.raises(HandoffError, match=r"handoff.json cannot be used: "):
        handoff.status()
    with pytest.raises(HandoffError, match="cannot be used"), handoff.stage("names") as stage:
        stage.write("names.json").write_text("[]")
    assert sorted(path.name for path in handoff.folder.iterdir()) == [".lock", "handoff.json"]


@pytest.fixture
def home(tmp_path):
    """A folder of the user's, with a file in it, which must stay as it is."""
    folder = tmp_path / "home"
    (folder / "tf2").mkdir(parents=True)
    (folder / "thesis.txt").write_text("mine")
    (folder / "tf2/frozen.pb").write_text("mine too")
    yield folder
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert files == {"thesis.txt", "tf2", "tf2/frozen.pb"}
    assert (folder / "thesis.txt").read_text() == "mine"
    assert (folder / "tf2/frozen.pb").read_text() == "mine too"


def written(handoff, file="graph/tf2/frozen.pb"):
    with handoff.stage("conversion") as stage:
        stage.write(file).write_text("new")


LINK = "is a link, and a handoff never follows links"


@pytest.mark.parametrize("place", ["", "graph", "graph/tf2", ".lock", "handoff.json"])
@pytest.mark.parametrize("dangling", [False, True])
def test_no_link_leads_a_stage_outside(tmp_path, home, place, dangling):
    folder = tmp_path / "handoffs/model"
    link = folder / place if place else folder
    link.parent.mkdir(parents=True)
    target = {".lock": home / "thesis.txt", "handoff.json": home / "thesis.txt"}.get(place, home)
    link.symlink_to(tmp_path / "nowhere" if dangling else target)
    with pytest.raises(HandoffError, match=LINK):
        written(Handoff(folder))
    assert link.is_symlink() and not (tmp_path / "nowhere").exists()


def test_a_link_in_the_place_of_a_file_is_replaced_and_what_it_leads_to_stays(tmp_path, home):
    handoff = Handoff(tmp_path / "model")
    (handoff.folder / "graph/tf2").mkdir(parents=True)
    file = handoff.folder / "graph/tf2/frozen.pb"
    file.symlink_to(home / "tf2/frozen.pb")
    written(handoff)
    assert not file.is_symlink() and file.read_text() == "new"


def test_nothing_is_deleted_behind_a_link(tmp_path, home):
    folder = tmp_path / "model"
    handoff = forged(folder, unfinished={"conversion": ["graph/thesis.txt", "old.npz"]})
    (folder / "graph").symlink_to(home)
    (folder / "old.npz").symlink_to(home / "thesis.txt")
    with pytest.raises(HandoffError, match=LINK):
        written(handoff, "other.pb")
    (folder / "graph").unlink()
    written(handoff, "other.pb")
    assert not (folder / "old.npz").is_symlink()


@pytest.mark.parametrize("behind", ["file", "folder"])
def test_a_recorded_file_behind_a_link_is_changed(tmp_path, home, behind):
    handoff = Handoff(tmp_path / "model")
    with handoff.stage("conversion") as stage:
        stage.write("graph/tf2/frozen.pb").write_text("mine too")
    place = handoff.folder / ("graph/tf2/frozen.pb" if behind == "file" else "graph/tf2")
    place.rename(tmp_path / "away")
    place.symlink_to(home / "tf2/frozen.pb" if behind == "file" else home / "tf2")
    with pytest.raises(HandoffError, match=r"graph/tf2/frozen.pb is behind a link"):
        handoff.read("graph/tf2/frozen.pb")


def test_a_place_that_no_stage_writes_is_checked_too(tmp_path, home):
    handoff = Handoff(tmp_path / "model")
    assert handoff.unrecorded("debug/x.npz") == handoff.folder / "debug/x.npz"
    handoff.folder.mkdir()
    (handoff.folder / "debug").symlink_to(home)
    with pytest.raises(HandoffError, match=LINK):
        handoff.unrecorded("debug/x.npz")
    with pytest.raises(HandoffError, match="relative path"):
        handoff.unrecorded("../x.npz")


def test_a_stage_that_makes_links_or_names_of_two_kinds_is_refused(tmp_path, home):
    handoff = Handoff(tmp_path / "model")
    with pytest.raises(HandoffError, match=LINK), handoff.stage("conversion") as stage:
        stage.write("graph.pb").symlink_to(home / "thesis.txt")
    with pytest.raises(HandoffError, match="are one file"), handoff.stage("conversion") as stage:
        stage.write("graph.pb").write_text("a")
        stage.write("Graph.pb").write_text("b")


def test_a_record_that_is_no_file_does_not_hang(tmp_path):
    (tmp_path / "model/handoff.json").mkdir(parents=True)
    with pytest.raises(HandoffError, match="is not a handoff record"):
        Handoff(tmp_path / "model").status()
