"""Shared parts of the three command lines: exit codes, JSON, and refusals in a sentence.

The function of a command returns an `Answer`, and only `Program` prints. Progress goes to standard
error, and only if that is a terminal.
"""

import contextlib
import dataclasses
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

import click

from graphcore import packages
from graphcore.errors import Refusal
from graphcore.system_errors import unwritable

DONE, REFUSED, USAGE, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141

EXIT_CODES = (
    "Exit codes: 0 done; 1 refused, or the answer is no; 2 wrong usage; 130 interrupted with "
    "Ctrl-C; 141 nobody reads the output."
)

PACKAGE = "nbhelpers-engine"


@dataclass(frozen=True)
class Answer:
    """The result of a command: `text` for a person, `data` for `--json`.

    `ok` is False where the answer is no, for example because two models differ.
    """

    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    ok: bool = True


class Verb(click.Command):
    """A command that returns an `Answer`. Every such command takes `--json`."""

    def __init__(
        self, *, example: str, needs: Mapping[str, str] | None = None, **options: Any
    ) -> None:
        """Take the options of click, and two more.

        Args:
            example: a command line that works, for the help.
            needs: module → the extra of the engine that installs it.
            options: see `click.Command`.
        """
        super().__init__(epilog=f"\b\nExample:\n  {example}", **options)
        self.example, self._needs = example, dict(needs or {})
        about = "Print one JSON document instead of text; errors too."
        self.params.append(click.Option(["--json"], is_flag=True, expose_value=False, help=about))

    def invoke(self, ctx: click.Context) -> Any:
        """Return the answer.

        Anything that a library prints meanwhile goes to standard error.
        """
        for module, extra in self._needs.items():
            require(module, extra)
        with contextlib.redirect_stdout(sys.stderr):
            return super().invoke(ctx)


class Program(click.Group):
    """One command line, which prints the answers of its verbs and turns errors into exit codes."""

    command_class = Verb

    def __init__(self, name: str, about: str) -> None:
        """Take the program's name, and a description of one or two sentences."""
        settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        text = f"{about}\n\n{EXIT_CODES}\n\nCOMMAND --help shows an example and every option."
        super().__init__(name, help=text, context_settings={**settings, "show_default": True})
        click.version_option(packages.version(PACKAGE), prog_name=name)(self)

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **options: Any
    ) -> None:
        """Run one command and leave with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        with warnings.catch_warnings():
            warnings.showwarning = _warn  # type: ignore[assignment]
            code = _ended(lambda: super(Program, self).main(given, self.name, **options), given)
        sys.exit(code)


def _ended(run: Callable[[], Any], given: Sequence[str]) -> int:
    """Run a command, print its answer or its error, and return the exit code."""
    as_json = "--json" in given
    try:
        answer = run()
        if not isinstance(answer, Answer):  # --help and --version print their text themselves
            return int(answer or DONE)
        _print(_document(ok=answer.ok, result=answer.data) if as_json else answer.text)
        return DONE if answer.ok else REFUSED
    except BrokenPipeError:
        return UNREAD
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.ClickException as error:
        if as_json:
            _print(_error(error, error.format_message()))
        else:
            error.show()
        return USAGE
    except (Refusal, OSError, MemoryError) as error:
        if as_json:
            _print(_error(error, sentence(error)))
        else:
            click.echo(f"Error: {sentence(error)}", err=True)
        return REFUSED


def sentence(error: BaseException) -> str:
    """Return the message of a refusal or of a system error for a person."""
    if isinstance(error, MemoryError):
        return "There is not enough memory; close other programs, or use a machine with more."
    if not isinstance(error, OSError) or isinstance(error, Refusal):
        return str(error)
    said = unwritable(error) or error.strerror or str(error)
    return f"{error.filename or 'The output'} cannot be written: {said}."


def require(module: str, extra: str) -> None:
    """Refuse to continue without a module.

    Args:
        module: the name of the module ("tensorflow").
        extra: the extra of the engine that installs it ("tf").

    Raises:
        Refusal: the module is not installed.
    """
    if not packages.has(module):
        raise Refusal(
            f"This needs {module}, which {sys.executable} does not have. Go to the checkout that "
            f'holds the folder engine, and run: {sys.executable} -m pip install "./engine[{extra}]"'
        )


def _document(**content: Any) -> str:
    return json.dumps(_plain(content), indent=1, allow_nan=False)


def _error(error: BaseException, message: str) -> str:
    """Return the JSON document for an error, with a list of the nodes that are obstacles."""
    about = {"kind": type(error).__name__, "message": message}
    found = [dataclasses.asdict(each) for each in getattr(error, "obstacles", ())]
    return _document(ok=False, error={**about, **({"obstacles": found} if found else {})})


def _plain(value: Any) -> Any:
    """Return a value in the form of JSON: NaN and infinity become null, paths become texts."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def _print(text: str) -> None:
    """Write to standard output.

    Raises:
        OSError: no program reads the output, or the disk is full.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # some terminals lack characters
    try:
        click.echo(text)
    except OSError:
        with contextlib.suppress(OSError, ValueError):  # else Python tries again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning for the user, without the place in the code."""
    if category is UserWarning:
        click.echo(f"Warning: {message}", err=True)
