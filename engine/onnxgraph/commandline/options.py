"""Options that several commands take, and files that several commands read or write."""

import functools
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
import onnx
from numpy.lib import format as npy

import onnxgraph
from graphcore.arrays import ArrayFile
from graphcore.atomic_files import replacing
from graphcore.command_options import FILE, NEW_FILE, named_values
from graphcore.errors import GraphError
from graphcore.reading import check_regular, reading
from graphcore.spec import Feeds
from graphcore.texts import as_unicode, is_text
from graphcore.writing import writing

Command = TypeVar("Command", bound=Callable[..., Any])

_ARRAYS = "write it with numpy.savez(path, **arrays), an array for each input"

model_file = click.argument("model", type=FILE)

output_file = click.option(
    "-o", "--output", type=NEW_FILE, required=True, metavar="FILE", help="The file to write."
)

batches = click.option(
    "--batch",
    "batches",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 3),
    metavar="ROWS",
    help="A batch size to compare at, where the batch is symbolic; may be repeated.",
)

attributes = click.option(
    "--attribute",
    "attributes",
    multiple=True,
    callback=named_values,
    metavar="NAME=VALUE",
    help="An attribute, its value in JSON or a plain text; may be repeated.",
)


def tolerance(default: float) -> Callable[[Command], Command]:
    """Return the option for how far results may be apart."""
    return click.option(
        "--tolerance",
        type=click.FloatRange(min=0),
        default=default,
        metavar="SHARE",
        help="Largest difference allowed, as a share of the largest value of each output.",
    )


def examples(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command run models on inputs that the user gives."""

    @click.option(
        "--examples",
        "example_file",
        type=FILE,
        metavar="FILE",
        help="Inputs to run on: an .npz with an array for each input. Left out, they are drawn.",
    )
    @click.option(
        "--size",
        "symbol_sizes",
        multiple=True,
        metavar="SYMBOL=SIZE",
        help="Size of a symbolic dim of drawn inputs, a number or a sum such as total=past+new; "
        "may be repeated.",
    )
    @functools.wraps(command)
    def call(example_file: Path | None, symbol_sizes: tuple[str, ...], **options: Any) -> Any:
        with onnxgraph.use_examples(example_file, symbols=" ".join(symbol_sizes)):
            return command(**options)

    return call


def proof(default: bool) -> Callable[[Command], Command]:
    """Return the switch for the comparison of an edited model with the one before."""
    return click.option(
        "--prove/--no-prove",
        "prove",
        default=default,
        help="Run the model before and the new one, and refuse if an output changed.",
    )


def load(path: Path) -> onnx.ModelProto:
    """Return the model in a file; weights that lie in other files stay there."""
    return onnxgraph.load(path, keep_external=True)


def read_arrays(path: Path) -> Feeds:
    """Return the arrays in an .npz by name.

    Raises:
        GraphError: it cannot be read.
    """
    wrong = "cannot be read as inputs"
    with ArrayFile(path, wrong, error=GraphError, advice=_ARRAYS) as arrays:
        return dict(arrays)


def read_array(path: Path) -> np.ndarray:
    """Return the array in an .npy file.

    Raises:
        GraphError: it cannot be read.
    """
    advice = "write it with numpy.save(path, array)"
    with reading(path, "is no array", error=GraphError, advice=advice):
        check_regular(path)
        with path.open("rb") as file:
            return npy.read_array(file, allow_pickle=False)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write arrays of any names to an .npz; the same arrays give the same bytes.

    Raises:
        GraphError: it cannot be written.
    """
    with (
        writing(path, error=GraphError),
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
    ):
        for name, value in arrays.items():
            array = as_unicode(value) if is_text(value) else np.asarray(value)
            member = zipfile.ZipInfo(f"{name}.npy")  # without the time
            with archive.open(member, "w", force_zip64=True) as file:
                npy.write_array(file, array, allow_pickle=False)
    return path
