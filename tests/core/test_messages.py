"""Messages are short enough to be read, and hold nothing that a terminal cannot show."""

import pickle

import pytest

from graphcore.errors import LONGEST, GraphError, Refusal, UnknownName, unknown_name


@pytest.mark.parametrize("kind", [Refusal, GraphError, UnknownName])
def test_the_middle_of_a_long_message_is_left_out_and_its_advice_stays(kind):
    names = ", ".join(f"tensor_{number}" for number in range(10_000))
    error = kind(f"None of {names} is there; write the file again.")
    assert LONGEST < len(str(error)) < 2_000
    assert str(error).startswith("None of tensor_0, tensor_1")
    assert str(error).endswith("tensor_9999 is there; write the file again.")
    assert " … " in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_very_long_name_gives_a_short_message():
    error = unknown_name("tensor", "x" * 100_000, ["y" * 100_000])
    assert len(str(error)) < 2_000


def test_a_message_is_text_that_can_be_written_to_any_file():
    error = Refusal("There is no file a\udcff.onnx.")
    assert str(error).encode() == rb"There is no file a\udcff.onnx."


def test_a_short_message_stays_as_it_is():
    assert str(Refusal("Größe × 2 …")) == "Größe × 2 …"
