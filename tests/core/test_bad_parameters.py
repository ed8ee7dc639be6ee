"""Parameters of the notebooks that cannot be meant: one sentence each, whatever was typed."""

import pytest

from graphcore.errors import Refusal
from graphcore.spec import parse_axes, parse_checkpoint, parse_path, parse_sizes, parse_specs

DIGITS = "9" * 5000


@pytest.mark.parametrize(
    "text",
    [
        f"x:float32:{DIGITS}",
        f"x:int64[1..{DIGITS}]:1",
        f"x:int64[{DIGITS}..b]:1",
        "x:,f4:1",
        "x:(2,)f4:1",
        "x:V8:1",
        "x:float32:" + "+" * 300,
    ],
)
def test_an_input_that_cannot_be_is_refused(text):
    with pytest.raises(Refusal) as caught:
        parse_specs(text)
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize("parse", [parse_sizes, parse_axes])
def test_a_number_of_thousands_of_digits_is_refused(parse):
    with pytest.raises(Refusal):
        parse(f"time={DIGITS}")


@pytest.mark.parametrize("text", ["~nobody-of-this-name/w.pth", "~\0", "a" * 5000, "~\ud800"])
def test_a_path_that_no_file_can_have_is_refused(text):
    for parse in (parse_path, parse_checkpoint):
        with pytest.raises(Refusal, match="is not the path of a file: "):
            parse(text)


def test_a_path_that_does_not_exist_is_still_a_path(tmp_path):
    assert parse_checkpoint(f"{tmp_path}/w.pth:key") == (tmp_path / "w.pth:key", "")
