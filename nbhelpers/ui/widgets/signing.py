"""A signature made by hand: pick tensors, name them, see the result, build it, call it.

The calls behind it are `signature_text`, `client_code`, `build_saved_model` and `call_saved_model`.
They need the kernel `convert`, so they are imported when they are used.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np

from graphcore import parity
from graphcore.errors import GraphError, Refusal
from nbhelpers.ui.tables import Table, table
from nbhelpers.ui.widgets.display import Handlers, Shown, answer, said, stacked, text_block
from nbhelpers.ui.widgets.signature_lines import Line, named_tensors

if TYPE_CHECKING:
    from tfgraph.savedmodels.reading import Signature

EXPORT = "export/1"
"""The path of the SavedModel in the client code that is shown."""

Arrays = Mapping[str, np.ndarray]


def signature_builder(
    path: str | Path,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    *,
    feeds: Arrays | None = None,
    expected: Arrays | None = None,
    signature: str = "serving_default",
) -> Shown["Builder"]:
    """Return a signature to edit. Its SavedModel is built in a temporary folder.

    Args:
        path: the frozen graph.
        inputs: client's name → tensor, to start with.
        outputs: the same for outputs. Other tensors of the graph can be added.
        feeds: input tensor name to array, to call the signature with.
        expected: output tensor name to its expected value, as far as known.
        signature: the name of the signature.
    """
    static = signature_table(inputs, outputs)
    arrays = (feeds or {}, expected or {})
    return Shown(static, lambda: Builder(Path(path), inputs, outputs, arrays, signature))


def signature_table(inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Table:
    """Return a table of the client's names and their tensors."""
    return table(
        {"side": side, "client says": client, "tensor": tensor}
        for side, tensors in (("input", inputs), ("output", outputs))
        for client, tensor in tensors.items()
    )


class Builder:
    """The widgets of `signature_builder`. `inputs` and `outputs` are the current choice."""

    def __init__(
        self,
        path: Path,
        inputs: Mapping[str, str],
        outputs: Mapping[str, str],
        arrays: tuple[Arrays, Arrays],
        signature: str,
    ) -> None:
        """Make the widgets, one line for each tensor."""
        from tfgraph.graphs.graphdef import GraphView, load_graph_def

        self._path, self._feeds, self._expected = path, *arrays
        self._view = GraphView(load_graph_def(path))
        self._folder = tempfile.TemporaryDirectory(prefix="signature-")
        self._handlers = Handlers()
        self.lines = {
            "input": [Line(tensor, client) for client, tensor in inputs.items()],
            "output": [Line(tensor, client) for client, tensor in outputs.items()],
        }
        self.name = ipywidgets.Text(signature, description="signature")
        self.more = ipywidgets.Text(placeholder="name of a tensor", description="one more")
        self.add = ipywidgets.Button(description="Add output", icon="plus")
        self.definition, self.client, self.refusal, self.result = (
            ipywidgets.HTML() for _ in range(4)
        )
        self.build = ipywidgets.Button(description="Build", icon="cubes")
        self.call = ipywidgets.Button(description="Call", icon="play")
        self.sides = {side: ipywidgets.VBox() for side in self.lines}
        self.box = self._arranged()
        for line in (*self.lines["input"], *self.lines["output"]):
            self._handlers.on_change(lambda new: self._show(), line.chosen, line.client)
        self._handlers.on_change(lambda new: self._show(), self.name)
        self.add.on_click(lambda button: answer(self.result, self._add))
        self.build.on_click(lambda button: answer(self.result, self._build))
        self.call.on_click(lambda button: answer(self.result, self._call))
        self._show()

    @property
    def signature(self) -> "Signature":
        """The currently chosen signature.

        Raises:
            GraphError: a name is missing or given twice, or there is no output.
        """
        from tfgraph.savedmodels.reading import Signature

        if not self.name.value.strip():
            raise GraphError("The signature has no name. TensorFlow Serving needs one.")
        inputs, outputs = (named_tensors(side, lines) for side, lines in self.lines.items())
        return Signature(inputs, outputs)

    def _arranged(self) -> ipywidgets.Box:
        half = ipywidgets.Layout(width="49%")
        shown = ipywidgets.HBox(
            [ipywidgets.VBox([each], layout=half) for each in (self.definition, self.client)]
        )
        box = stacked(
            self.name,
            *(ipywidgets.HTML("<b>inputs</b>"), self.sides["input"]),
            *(ipywidgets.HTML("<b>outputs</b>"), self.sides["output"]),
            ipywidgets.HBox([self.more, self.add]),
            self.refusal,
            shown,
            ipywidgets.HBox([self.build, self.call]),
            self.result,
        )
        for style in ("nbh-signature", "nbh-mono", "nbh-pre"):
            box.add_class(style)
        return box

    def _show(self) -> None:
        from nbhelpers.convert.savedmodels import serving
        from tfgraph.savedmodels import writing
        from tfgraph.savedmodels.reading import SavedModel

        for side, lines in self.lines.items():
            self.sides[side].children = tuple(line.box for line in lines)
        self.result.value = self.refusal.value = ""
        try:
            signature = self.signature
            text = writing.signature_text(self._view, signature)
        except Refusal as error:
            self.refusal.value = said(error)
            return
        self.definition.value = text_block(text)
        name = self.name.value
        model = SavedModel(Path(EXPORT), ("serve",), {name: signature}, {}, self._view.graph_def)
        code = serving.client_code(model, signature=name, path=EXPORT)
        self.client.value = text_block(f"{_build_line(signature, name)}\n\n{code}")

    def _add(self) -> str:
        tensor = self._view.tensor(self.more.value.strip()).name
        if tensor in (line.tensor for line in self.lines["output"]):
            raise GraphError(f"{tensor} is an output already. Add another tensor.")
        line = Line(tensor, tensor.removesuffix(":0").rpartition("/")[2])
        self.lines["output"].append(line)
        self._handlers.on_change(lambda new: self._show(), line.chosen, line.client)
        self._show()
        return ""

    def _build(self) -> str:
        from nbhelpers.convert import build_saved_model

        signature = self.signature
        folder = Path(self._folder.name) / "1"
        model = build_saved_model(
            self._path,
            folder,
            inputs=signature.inputs,
            outputs=signature.outputs,
            signature=self.name.value,
        )
        return text_block(str(model).replace(str(folder), EXPORT))

    def _call(self) -> str:
        from nbhelpers.convert import call_saved_model

        self._build()
        signature = self.signature
        fed = {client: self._fed(tensor) for client, tensor in signature.inputs.items()}
        folder = Path(self._folder.name) / "1"
        given = call_saved_model(folder, fed, signature=self.name.value)
        known = {
            client: self._expected[tensor]
            for client, tensor in signature.outputs.items()
            if tensor in self._expected
        }
        shown = table({"output": name, "shape": value.shape} for name, value in given.items())
        seen = {client: given[client] for client in known}
        report = parity.compare(known, seen, title="compared with the reference")
        return shown._repr_html_() + (report._repr_html_() if known else "")

    def _fed(self, tensor: str) -> np.ndarray:
        if tensor not in self._feeds:
            raise GraphError(f"There is no array for {tensor}. Leave it out, or call it yourself.")
        return self._feeds[tensor]


def _build_line(signature: "Signature", name: str) -> str:
    """Return the call that does the same without a click."""
    return (
        f'# the same without a click\nbuild_saved_model(\n    "frozen.pb", "{EXPORT}",\n'
        f"    signature={name!r},\n    inputs={dict(signature.inputs)},\n"
        f"    outputs={dict(signature.outputs)},\n)"
    )
