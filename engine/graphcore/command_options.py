"""Types of options that the command lines share: files, and texts that parsers of specs read."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from graphcore.errors import Refusal
from graphcore.spec import parse_pairs

Read = TypeVar("Read")

FILE = click.Path(path_type=Path)
"""A path that is read.

The verb itself reports what is wrong with it.
"""


class _NewFile(click.ParamType):
    """The path of a file to write, in a folder that exists."""

    name = "file"

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        path = Path(value)
        if path.is_dir():
            self.fail(f"{path} is a folder; give the path of the file to write.", param, ctx)
        if path.exists() and not path.is_file():  # root would replace /dev/null
            self.fail(f"{path} is no regular file; give another path.", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"There is no folder {path.parent}; make it first.", param, ctx)
        return path


NEW_FILE = _NewFile()


def parsed(parse: Callable[[str], Read]) -> Callable[..., Read | None]:
    """Return a callback for an option.

    The option may be given several times, each with one value or several.

    Args:
        parse: reads the texts, joined by spaces. A refusal by it counts as wrong usage.
    """

    def callback(ctx: click.Context, param: click.Parameter, value: Sequence[str]) -> Read | None:
        try:
            return parse(" ".join(value)) if value else None
        except Refusal as error:
            raise click.BadParameter(str(error), ctx, param) from error

    return callback


def whole_numbers(text: str) -> dict[str, int]:
    """Read pairs such as "height=64 width=96".

    Raises:
        Refusal: one of them does not have that form.
    """
    pairs = parse_pairs(text)
    for name, number in pairs.items():
        if not number.isdecimal() or len(number) > 18:
            raise Refusal(f"A size is a number, as in {name}=64, but there is {number!r}.")
    return {name: int(number) for name, number in pairs.items()}


def named_values(
    ctx: click.Context, param: click.Parameter, given: Sequence[str]
) -> dict[str, Any]:
    """Return a callback that reads name → value from texts such as alpha=2.0 or mode=linear.

    A value that is not valid JSON is used as text.
    """
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"Write NAME=VALUE instead of {text!r}.", ctx, param)
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
