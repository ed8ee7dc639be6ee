"""The limit of a process counts what the machine gave it."""

import os
import subprocess
import sys

import pytest

from graphcore import time_limits
from graphcore.errors import Refusal
from graphcore.machine import usage
from graphcore.time_limits import Patience


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""
    now = [100.0]
    monkeypatch.setattr(time_limits.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("passed", "computed", "over"),
    [
        (899, 899, False),
        (900, 900, True),  # it had the machine for itself, and is not done
        (900, 300, False),  # others had the machine
        (2700, 900, True),
        (900, 10, True),  # it waits for something that does not come
        (20000, 899, True),  # in the end nothing is waited for
    ],
)
def test_a_process_has_the_seconds_that_it_computes(clock, passed, computed, over):
    waits = Patience(900)
    clock[0] += passed
    assert waits.is_over(computed) == over


def test_one_that_computed_and_then_hangs_is_over_a_limit_later(clock):
    waits = Patience(900)
    for computed, over in ((400, False), (400, False), (400, False), (400, True)):
        clock[0] += 400
        assert waits.is_over(computed) == over


def test_a_sign_of_progress_begins_the_limit_anew(clock):
    waits = Patience(900)
    for _ in range(5):
        clock[0] += 890
        assert not waits.is_over(1)
        waits.moved(1)
    clock[0] += 900
    assert waits.is_over(2)


@pytest.mark.parametrize(("text", "limit"), [("", 900), ("2", 1800), ("0.5", 450)])
def test_a_variable_multiplies_every_limit(monkeypatch, text, limit):
    monkeypatch.setenv(time_limits.VARIABLE, text)
    assert Patience(900).limit == limit
    assert f"NBHELPERS_PATIENCE={limit / 450:g} to wait twice" in time_limits.advice()


@pytest.mark.parametrize("text", ["long", "0", "-1", "nan", "inf"])
def test_a_variable_that_is_no_number_above_0_is_refused(monkeypatch, text):
    monkeypatch.setenv(time_limits.VARIABLE, text)
    with pytest.raises(Refusal, match=f"NBHELPERS_PATIENCE must be a number above 0.*'{text}'"):
        Patience(900)


def test_what_a_process_started_is_counted_with_it_and_one_that_is_gone_is_nothing():
    begin = "import subprocess, sys; held = bytearray(30_000_000); print(1, flush=True);"
    inner = f"{begin} sys.stdin.read()"
    outer = f"{begin} subprocess.run([sys.executable, '-c', {inner!r}])"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", outer], stdin=pipe, stdout=pipe) as process:
        assert process.stdout.readline() and process.stdout.readline()
        seen = usage(process.pid)
        process.stdin.close()
        process.wait()
    assert seen.memory > 60_000_000 and seen.seconds > 0
    assert usage(process.pid).memory == 0
    assert usage(os.getpid()).seconds > 0
