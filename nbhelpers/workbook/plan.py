"""The settings of a run (`Settings`), and the notebooks to run (`Notebook`).

Everything that can be refused before the first kernel starts is refused here.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from traitlets import TraitError

from graphcore.errors import Refusal
from graphcore.reading import reading, reason
from graphcore.spec import parse_checkpoint, parse_sizes, parse_specs
from graphcore.targets import NAMES, chosen
from nbhelpers import places
from nbhelpers.handoff import NOTEBOOKS, check_handoff_name
from nbhelpers.workbook.notebook_files import read_book

ROOT = places.CHECKOUT
"""The checkout, which contains the notebooks."""

SAMPLE = "nbhelpers.train.samples:multitask_resnet18"


@dataclass(frozen=True)
class Settings:
    """What to hand off, and where. An empty setting means the notebook's own default.

    Args:
        model: the function that makes the PyTorch module, as `package.module:factory`.
        checkpoint: a file of weights for it, or `file:key`.
        name: the handoff's name. If it is empty, the factory's name.
        targets: the oldest TensorFlow versions that must load the artefacts, separated by spaces.
        inputs: specs as `TensorSpec.parse` reads them, separated by spaces.
        outputs: names, separated by spaces.
        sizes: sizes of symbols such as "time=48,96", separated by spaces, if the model accepts few.
        opset: the ONNX opset to export, or 0 for the notebook's own.
        handoffs: the folder that contains the handoff folders.
        notebooks: the folder that contains the notebooks.
    """

    model: str = SAMPLE
    checkpoint: str = ""
    name: str = ""
    targets: str = "tf1.4 tf2"
    inputs: str = ""
    outputs: str = ""
    sizes: str = ""
    opset: int = 0
    handoffs: Path = ROOT / "handoffs"
    notebooks: Path = ROOT / "notebooks"

    def checked(self) -> "Settings":
        """Return the settings with the name filled in and with absolute paths.

        Raises:
            Refusal: a setting is invalid.
        """
        if not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", self.model):
            raise Refusal(f"MODEL is written package.module:factory, but this is {self.model!r}.")
        if not self.targets.split():
            raise Refusal(f"TARGETS is empty. Choose from {' '.join(NAMES)}.")
        chosen(self.targets)
        parse_specs(self.inputs)
        parse_sizes(self.sizes)
        checkpoint, key = parse_checkpoint(self.checkpoint)
        if self.checkpoint and not checkpoint.is_file():
            raise Refusal(
                f"The checkpoint {checkpoint.absolute()} does not exist. Give the path of a file."
            )
        return Settings(
            model=self.model,
            checkpoint=f"{checkpoint.absolute()}{key and ':' + key}" if self.checkpoint else "",
            name=check_handoff_name(self.name or re.split(r"[:.]", self.model)[-1]),
            targets=self.targets,
            inputs=self.inputs,
            outputs=self.outputs,
            sizes=self.sizes,
            opset=self.opset,
            handoffs=Path(self.handoffs).absolute(),
            notebooks=Path(self.notebooks).absolute(),
        )

    @property
    def folder(self) -> Path:
        """The handoff folder."""
        return self.handoffs / self.name

    def parameters(self) -> dict[str, object]:
        """Return the values for the notebooks' parameter cells, without the empty ones."""
        values = {
            "MODEL": self.model,
            "CHECKPOINT": self.checkpoint,
            "NAME": self.name,
            "TARGETS": self.targets,
            "INPUTS": self.inputs,
            "OUTPUTS": self.outputs,
            "SIZES": self.sizes,
            "OPSET": self.opset,
            "HANDOFFS": str(self.handoffs),
        }
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True)
class Notebook:
    """One notebook of the workbook: its stage, its kernel and the defaults of its parameters."""

    stage: str
    path: Path
    kernel: str
    defaults: Mapping[str, object]

    @property
    def title(self) -> str:
        """The file's name without its suffix, such as `01_export`."""
        return self.path.stem

    def parameters(self, settings: Settings) -> dict[str, object]:
        """Return the values in `settings` for the parameters that the notebook declares."""
        return {
            name: _like(self.defaults[name], value)
            for name, value in settings.parameters().items()
            if name in self.defaults
        }


def find_notebooks(folder: Path) -> tuple[Notebook, ...]:
    """Return the six notebooks in order.

    Raises:
        Refusal: one is missing or unreadable, or its kernel is not installed.
    """
    return tuple(_read(stage, folder / f"{title}.ipynb") for stage, title in NOTEBOOKS.items())


def interpreter(kernel: str) -> Path:
    """Return the Python of an installed kernel.

    Raises:
        Refusal: it is not installed, or its Python does not exist any more.
    """
    try:
        spec = KernelSpecManager().get_kernel_spec(kernel)
        python = Path(spec.argv[0])
    except NoSuchKernel as error:
        raise Refusal(f"The kernel {kernel!r} is not installed. Run `make setup`.") from error
    except (OSError, ValueError, LookupError, TypeError, RecursionError, TraitError) as error:
        raise Refusal(
            f"The kernelspec of the kernel {kernel!r} is damaged ({reason(error)}). Run `make "
            "setup`."
        ) from error
    if python.is_absolute() and not python.exists():
        raise Refusal(f"The Python of the kernel {kernel!r} is gone ({python}). Run `make setup`.")
    return python


def _read(stage: str, path: Path) -> Notebook:
    if not path.exists():
        raise Refusal(f"There is no notebook {path}. Restore it, or name the folder that has it.")
    wrong = "is not a notebook that names its kernel"
    book = read_book(path, wrong=wrong)
    with reading(path, wrong, error=Refusal, advice="Get it again, as it was committed"):
        kernel = book["metadata"]["kernelspec"]["name"]
        defaults = _defaults(book["cells"])
    interpreter(kernel)
    return Notebook(stage, path, kernel, defaults)


def _defaults(cells: Iterable[dict]) -> dict[str, object]:
    """Return the names that the cell tagged `parameters` assigns, with their literal values."""
    found: dict[str, object] = {}
    for cell in cells:
        if "parameters" not in cell["metadata"].get("tags", ()):
            continue
        for statement in ast.parse("".join(cell["source"])).body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                found[statement.target.id] = _literal(statement.value)
            elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                found[statement.targets[0].id] = _literal(statement.value)
    return found


def _literal(value: ast.expr | None) -> object:
    try:
        return ast.literal_eval(value) if value is not None else None
    except ValueError:  # an expression, whose type is most likely text
        return None


def _like(default: object, value: object) -> object:
    """Return `value`, split into a list if the notebook's default is a list."""
    return value.split() if isinstance(default, list | tuple) and isinstance(value, str) else value
