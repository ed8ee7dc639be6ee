"""The first items of a list, and how many more there are."""

from graphcore.enumeration import listed


def test_no_more_are_named_than_wanted():
    assert listed("ab", most=2) == "a, b"
    assert listed("abcde", most=2) == "a, b and 3 more"
    assert listed("abc", most=1, separator="; ") == "a; and 2 more"
    assert listed("abcd", most=2, separator=". ") == "a. b and 2 more"
    assert listed([], most=2) == ""
