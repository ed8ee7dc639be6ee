"""Targets: one list, in order of age, and a refusal with the closest name."""

import pytest

from graphcore.errors import UnknownName
from graphcore.targets import LEGACY, NAMES, NEWEST, TARGETS, Target, chosen


def test_they_are_ordered_by_age_and_the_kernels_own_tensorflow_proves_the_newest():
    assert NAMES == ("tf1.4", "tf1.13", "tf1.15", "tf2")
    assert [each.oldest for each in TARGETS] == sorted(each.oldest for each in TARGETS)
    assert (*LEGACY, NEWEST) == TARGETS and not NEWEST.is_legacy


@pytest.mark.parametrize("target", LEGACY)
def test_an_old_runtime_is_the_release_that_its_target_promises(target):
    assert target.version.split(".")[:2] == [str(part) for part in target.oldest]


def test_newer_targets_load_what_was_made_for_older_ones():
    assert [str(each) for each in Target.named("tf1.13").and_newer()] == ["tf1.13", "tf1.15", "tf2"]


@pytest.mark.parametrize("ask", [Target.named, chosen])
def test_an_unknown_name_is_refused_with_the_closest(ask):
    with pytest.raises(UnknownName, match=r"no target named 'tf1\.14'\. The closest are 'tf1\.4'"):
        ask("tf1.14")


@pytest.mark.parametrize(
    ("text", "names"),
    [("", ["tf2"]), ("tf2,tf1.4", ["tf1.4", "tf2"]), (" tf1.15  tf1.15 ", ["tf1.15"])],
)
def test_a_text_names_several(text, names):
    assert chosen(text) == names
