"""SHA256SUMS of a handoff, when somebody has changed it and the record with it."""

import pytest

from graphcore.errors import HandoffError
from nbhelpers.convert.proving.seal import SUMS, sealed_files
from nbhelpers.handoff import Handoff

DIGEST = "0" * 64


def sealed(tmp_path, text):
    handoff = Handoff(tmp_path / "model")
    with handoff.stage("handoff") as stage:
        stage.write(SUMS).write_bytes(text)
    return sealed_files(handoff)


def test_the_files_of_a_good_list_are_returned_with_the_list_itself(tmp_path):
    text = f"{DIGEST}  golden.npz\n{DIGEST}  graph/tf2/a name.pb\n".encode()
    assert sealed(tmp_path, text) == ("golden.npz", "graph/tf2/a name.pb", SUMS)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        f"{DIGEST}  golden.npz".encode(),
        f"{DIGEST}  golden.npz\n\n".encode(),
        f"{DIGEST[:-1]}  golden.npz\n".encode(),
        f"{DIGEST} golden.npz\n".encode(),
        f"{DIGEST}  \n".encode(),
        f"{DIGEST}  \xff\n".encode("latin-1"),
        "\ufeff".encode() + f"{DIGEST}  golden.npz\n".encode(),
    ],
)
def test_a_list_that_is_cut_or_of_another_form_is_one_sentence(tmp_path, text):
    with pytest.raises(HandoffError, match=r"does not list the files .* notebook 06_handoff again"):
        sealed(tmp_path, text)


@pytest.mark.parametrize("name", ["../golden.npz", "/etc/passwd", "a\0b", "\u202enpz"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(HandoffError, match="is named by a relative path"):
        sealed(tmp_path, f"{DIGEST}  {name}\n".encode())
