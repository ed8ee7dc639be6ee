"""`python -m nbhelpers.workbook`: hand off one model."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from graphcore.errors import Refusal
from graphcore.targets import NAMES
from nbhelpers.workbook.plan import SAMPLE, Settings
from nbhelpers.workbook.progress import Progress
from nbhelpers.workbook.run import run
from nbhelpers.workbook.summary import summary

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the workbook; return 0, 1 (refused) or 130 (interrupted)."""
    given = _parser().parse_args(arguments)
    again = given.__dict__.pop("again")
    # `make handoff CHECKPOINT=` passes an empty text, which means no checkpoint.
    settings = Settings(**{name: value for name, value in vars(given).items() if value})
    try:
        handoff = run(settings, progress=Progress(sys.stdout), again=again)
        print("\n" + summary(handoff))
    except Refusal as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. Finished stages stay: run the same command to go on.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nbhelpers.workbook",
        description="Run the notebooks 01 to 06 for one model, and print a summary.",
    )
    parser.add_argument("--model", help=f"package.module:factory ({SAMPLE})")
    parser.add_argument("--checkpoint", metavar="FILE", help="weights, or FILE:key in it")
    parser.add_argument("--name", help="the handoff's name (the factory's)")
    parser.add_argument("--targets", help=f"from {' '.join(NAMES)} ('tf1.4 tf2')")
    parser.add_argument("--inputs", help="such as 'images:float32:batch,3,64,64'")
    parser.add_argument("--outputs", help="names, separated by spaces")
    parser.add_argument("--sizes", help="such as 'time=48,96', if the model accepts few sizes")
    parser.add_argument("--opset", type=_opset, help="ONNX opset to export (the notebook's)")
    parser.add_argument("--handoffs", type=_path, metavar="DIR", help="where handoff folders go")
    parser.add_argument("--notebooks", type=_path, metavar="DIR", help="where the notebooks are")
    parser.add_argument("--again", action="store_true", help="also run up-to-date notebooks")
    return parser


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _opset(text: str) -> int:
    return int(text) if text else 0


if __name__ == "__main__":
    sys.exit(main())
