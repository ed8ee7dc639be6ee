"""The parameters of an export as a form: checked at once, and written as a cell and a command.

The calls behind it are `load_model(…, trained=False)` and `check_opset`. They need the kernel
`train`, so they are imported when they are used.
"""

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ipywidgets

from nbhelpers.handoff import check_handoff_name
from nbhelpers.ui.widgets.display import Handlers, Shown, answer, stacked, text_block

if TYPE_CHECKING:
    from nbhelpers.train.source import ModelSource

HINTS = {
    "NAME": "the handoff folder's name",
    "MODEL": "package.module:factory",
    "CHECKPOINT": "weights, or empty for the module's own",
    "INPUTS": "name:dtype:dims, or empty if the module gives them",
    "OUTPUTS": "space-separated names, or empty if the module gives them",
    "SIZES": "such as time=48,96, or empty to try the usual ones",
    "OPSET": "version of ONNX's operators",
    "DYNAMIC_BATCH": "the batch is a symbol",
}
"""The parameters of notebook 01, in the order of its cell."""


def model_panel(source: "ModelSource", parameters: Mapping[str, Any]) -> Shown["ModelPanel"]:
    """Return a form for the parameters of an export. Without a browser it shows the loaded model.

    Args:
        source: the model that the parameters describe.
        parameters: the value of each of NAME, MODEL, CHECKPOINT, INPUTS, OUTPUTS, SIZES, OPSET
            and DYNAMIC_BATCH.
    """
    return Shown(source, lambda: ModelPanel(source, parameters))


def checked(parameters: Mapping[str, Any]) -> "ModelSource":
    """Return the model that the parameters describe, untrained.

    Raises:
        Refusal: one of them is invalid. The message says which, and what to write.
    """
    from nbhelpers.train.source import load_model
    from torchgraph.exporting.export import check_opset

    check_handoff_name(parameters["NAME"])
    check_opset(parameters["OPSET"])
    given = ("CHECKPOINT", "INPUTS", "OUTPUTS", "SIZES")
    names = {name.lower(): parameters[name] for name in given}
    return load_model(parameters["MODEL"], **names, trained=False)


def parameter_cell(parameters: Mapping[str, Any]) -> str:
    """Return the text of the parameters cell."""
    written = {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
        for name, value in parameters.items()
    }
    return "\n".join(
        f"{name}: {type(parameters[name]).__name__} = {text}" for name, text in written.items()
    )


def command_lines(parameters: Mapping[str, Any]) -> str:
    """Return the shell commands that do the same: the whole handoff, or notebook 01 alone."""
    given = {name: value for name, value in parameters.items() if value != ""}
    make = [f"{name}={shlex.quote(str(given[name]))}" for name in given if name != "DYNAMIC_BATCH"]
    options = [f"-p {name} {shlex.quote(str(value))}" for name, value in given.items()]
    folder = f"handoffs/{given['NAME']}"
    executed = f"notebooks/01_export.ipynb {folder}/01_export.ipynb"
    lines = [f"mkdir -p {folder}\npapermill --cwd notebooks {executed} {' '.join(options)}"]
    if given["DYNAMIC_BATCH"]:  # `make` has no variable for this one
        lines.insert(0, "make handoff " + " ".join(make))
    return "\n\n".join(lines)


class ModelPanel:
    """The widgets of `model_panel`. `parameters` are the current values of the form."""

    def __init__(self, source: "ModelSource", parameters: Mapping[str, Any]) -> None:
        """Make a field for each parameter, and show the model they describe."""
        self.fields = {name: _field(name, parameters[name]) for name in HINTS}
        self.result, self.lines = ipywidgets.HTML(), ipywidgets.HTML()
        self.box = stacked(
            *(
                ipywidgets.HBox([field, ipywidgets.HTML(f"<small>{HINTS[name]}</small>")])
                for name, field in self.fields.items()
            ),
            *(self.result, self.lines),
        )
        for style in ("nbh-model", "nbh-mono", "nbh-pre"):
            self.box.add_class(style)
        handlers = Handlers()
        handlers.on_change(lambda new: self._check(), *self.fields.values())
        self.result.value = self._meaning(source)

    @property
    def parameters(self) -> dict[str, Any]:
        """The values of the form, as in the `parameters` cell."""
        return {name: field.value for name, field in self.fields.items()}

    def _check(self) -> None:
        self.lines.value = ""
        answer(self.result, lambda: self._meaning(checked(self.parameters)))

    def _meaning(self, source: "ModelSource") -> str:
        cell, commands = parameter_cell(self.parameters), command_lines(self.parameters)
        self.lines.value = (
            f"the parameters cell{text_block(cell)}the same from a shell, at the top of the "
            f"checkout (papermill is in the environment th){text_block(commands)}"
        )
        return text_block(repr(source))


def _field(name: str, value: Any) -> ipywidgets.Widget:
    """Return a field for a value of this type. A text is read on Enter, or when the field is
    left."""
    options = {"description": name, "style": {"description_width": "120px"}}
    wide, narrow = ipywidgets.Layout(width="480px"), ipywidgets.Layout(width="280px")
    if isinstance(value, bool):
        return ipywidgets.Checkbox(value, layout=narrow, **options)
    if isinstance(value, int):
        return ipywidgets.IntText(value, layout=narrow, continuous_update=False, **options)
    return ipywidgets.Text(str(value), layout=wide, continuous_update=False, **options)
