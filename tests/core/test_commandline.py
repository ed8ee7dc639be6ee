"""What the command lines share: exit codes, JSON, and no traceback, on a program of our own."""

import os
import signal
import sys
import warnings

import click
import numpy as np
import pytest

from graphcore.command_options import NEW_FILE, named_values, parsed, whole_numbers
from graphcore.commandline import Answer, Program
from graphcore.errors import GraphError
from tests.command_lines import call

PROGRAM = Program("sample", "A program to try.")


@PROGRAM.command(example="sample found")
def found():
    """Print what a library prints, and an answer."""
    print("a library says")
    return Answer("two lines\nof text", {"worst": np.float32("nan"), "path": os, "shape": (1, "b")})


@PROGRAM.command(example="sample no")
def no():
    """Give the answer no."""
    return Answer("they differ", {"rows": []}, ok=False)


@PROGRAM.command(example="sample fail refusal")
@click.argument("how")
def fail(how):
    """Fail in some way."""
    if how == "warning":
        warnings.warn("close other programs", stacklevel=1)
        return Answer("done")
    raise {
        "refusal": GraphError("A sentence."),
        "full": OSError(28, "No space left on device", "out.onnx"),
        "memory": MemoryError(),
        "interrupt": KeyboardInterrupt(),
    }[how]


@PROGRAM.command(example="sample options out.onnx --size time=3")
@click.argument("output", type=NEW_FILE)
@click.option("--size", multiple=True, callback=parsed(whole_numbers))
@click.option("--value", multiple=True, callback=named_values)
def options(output, size, value):
    """Take options of each kind."""
    return Answer(str(output), {"size": size, "value": value})


@PROGRAM.command(example="sample needy", needs={"no_such_module": "tf"})
def needy():
    """Need something."""
    return Answer("never")


def test_text_goes_to_standard_output_and_what_libraries_print_does_not():
    seen = call(PROGRAM, "sample found")
    assert (seen.code, seen.out, seen.err) == (0, "two lines\nof text\n", "a library says\n")


def test_json_is_one_document_with_null_for_nan():
    seen = call(PROGRAM, "sample found --json")
    assert seen.data["ok"] is True
    assert seen.data["result"]["worst"] is None
    assert seen.data["result"]["shape"] == [1, "b"]


def test_the_answer_no_has_exit_code_1():
    assert call(PROGRAM, "sample no").code == 1
    seen = call(PROGRAM, "sample no --json")
    assert (seen.code, seen.data) == (1, {"ok": False, "result": {"rows": []}})


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("refusal", 1, "Error: A sentence.\n"),
        ("full", 1, "Error: out.onnx cannot be written: the disk is full. Free some space.\n"),
        ("memory", 1, "Error: There is not enough memory; close other programs, or use a machine"),
        ("interrupt", 130, ""),
    ],
)
def test_an_error_is_one_sentence_and_an_exit_code(how, code, words):
    seen = call(PROGRAM, f"sample fail {how}")
    assert (seen.code, seen.out) == (code, "")
    assert seen.err.lstrip("\n").startswith(words)
    assert "Traceback" not in seen.err


def test_an_error_is_json_if_that_is_wanted():
    seen = call(PROGRAM, "sample fail refusal --json")
    assert (seen.code, seen.err) == (1, "")
    assert seen.data == {"ok": False, "error": {"kind": "GraphError", "message": "A sentence."}}


def test_a_warning_is_a_sentence_without_its_place_in_the_code():
    assert call(PROGRAM, "sample fail warning").err == "Warning: close other programs\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("options nowhere/out.onnx", "There is no folder nowhere; make it first."),
        ("options .", ". is a folder; give the path of the file to write."),
        ("options /dev/null", "/dev/null is no regular file; give another path."),
        ("options out --size time=x", "A size is a number, as in time=64, but there is 'x'."),
        ("options out --value alpha", "Write NAME=VALUE instead of 'alpha'."),
        ("found --nonsense", "No such option"),
        ("nonsense", "No such command 'nonsense'"),
    ],
)
def test_wrong_usage_has_exit_code_2(line, words):
    seen = call(PROGRAM, f"sample {line}")
    assert (seen.code, seen.out) == (2, "")
    assert words in seen.err
    again = call(PROGRAM, f"sample {line} --json")
    assert (again.code, again.err) == (2, "")
    assert words in again.data["error"]["message"]


def test_an_option_may_be_repeated_or_hold_several():
    line = "sample options out --value alpha=2.0 --value pads=[1,1] --value mode=linear"
    seen = call(PROGRAM, f"{line} --size time=3 --size 'height=4 width=5' --json").data["result"]
    assert seen["size"] == {"time": 3, "height": 4, "width": 5}
    assert seen["value"] == {"alpha": 2.0, "pads": [1, 1], "mode": "linear"}


def test_what_is_not_installed_is_named_with_the_command_that_installs_it():
    seen = call(PROGRAM, "sample needy")
    assert seen.code == 1
    assert f'{sys.executable} -m pip install "./engine[tf]"' in seen.err
    assert call(PROGRAM, "sample needy --help").code == 0


def test_help_shows_exit_codes_and_each_command_an_example():
    assert "Exit codes: 0 done; 1 refused" in " ".join(call(PROGRAM, "sample --help").out.split())
    assert "Example:\n    sample found\n" in call(PROGRAM, "sample found --help").out


LONG = """
import click
from graphcore.commandline import Answer, Program
program = Program("sample", "About.")
@program.command(example="sample long")
def long():
    print("working", flush=True)
    return Answer("line\\n" * 100_000)
@program.command(example="sample wait")
def wait():
    import sys, time
    print("waiting", file=sys.stderr, flush=True)
    time.sleep(60)
program.main()
"""


def test_nobody_who_reads_is_no_error(python):
    process = python(LONG, "long")
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == "working\n"


def test_ctrl_c_ends_quietly(python):
    process = python(LONG, "wait")
    assert process.stderr.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert process.stderr.read().strip() == ""
