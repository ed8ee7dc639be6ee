"""onnx's own backend suite, on every target and its own runtime: right or refused."""

import collections

import measure
import pytest
from cases import load_cases

from nbhelpers.convert import TARGETS

pytestmark = [pytest.mark.slow, pytest.mark.legacy, pytest.mark.timeout(1200)]

TO_REACH = {"tf1.4": 0.80, "tf1.13": 0.90, "tf1.15": 0.90, "tf2": 0.95}
"""The share of the node cases that must pass."""


@pytest.fixture(scope="module")
def cases():
    return load_cases()


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_wrong_and_most_of_it_converts(target, cases, legacy):
    verdicts = measure.measure(cases, [target], progress=lambda *said, **_: None)[target]
    assert len(verdicts) == len(cases)
    bad = [each for each in verdicts if each.verdict in (measure.WRONG, measure.FAILED)]
    assert not bad
    counts = collections.defaultdict(collections.Counter)
    for each in verdicts:
        counts[each.case.suite][each.verdict] += 1
    for suite, seen in counts.items():
        asked = sum(seen.values()) - seen[measure.EXCLUDED]
        wanted = TO_REACH[target] if suite == "node" else 1.0
        assert seen[measure.GOOD] >= wanted * asked > 0, (suite, seen)
