"""The form of the kernel train: the parameters of an export are checked and written down."""

import sys

import pytest
import torch
from safetensors.torch import save_file

from graphcore.errors import ModelError
from nbhelpers.train import load_model
from nbhelpers.ui.widgets import model_panel
from nbhelpers.ui.widgets.choosing import command_lines

MODULE = """
from torch import nn

def rows():
    module = nn.Linear(4, 3)
    module.input_specs, module.output_names = (), ("y",)
    return module

def broken():
    raise OSError("no weights here")
"""


@pytest.fixture
def parameters(tmp_path, monkeypatch):
    (tmp_path / "panel_model.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield {
        "NAME": "mine",
        "MODEL": "panel_model:rows",
        "CHECKPOINT": "",
        "INPUTS": "x:float32:batch,4",
        "OUTPUTS": "",
        "SIZES": "",
        "OPSET": 13,
        "DYNAMIC_BATCH": True,
    }
    sys.modules.pop("panel_model", None)


def test_the_form_checks_at_once_and_writes_cell_and_commands(parameters, tmp_path):
    source = load_model(parameters["MODEL"], inputs=parameters["INPUTS"])
    shown = model_panel(source, parameters)
    assert repr(shown) == repr(source)
    panel = shown.panel
    assert panel.parameters == parameters
    save_file({"weight": torch.zeros(3, 4), "bias": torch.zeros(3)}, tmp_path / "my weights.st")
    for name, value, sentence in (
        ("OPSET", 40, "opset 7 to 20, but 40 was asked for"),
        ("OPSET", 11, "float32:batch,4"),
        ("INPUTS", "x:float32:batch,5", "does not run on inputs of torch.float32 (1, 5)"),
        ("INPUTS", "rows:float32:n,4", "rows:float32:n,4"),
        ("OUTPUTS", "a b", "2 output names were given"),
        ("OUTPUTS", "z", "outputs  z"),
        ("CHECKPOINT", str(tmp_path / "nowhere"), "There is no checkpoint"),
        ("CHECKPOINT", "", "as the factory made them"),
        ("MODEL", "panel_model:row", "The closest are &#x27;rows&#x27;"),
        ("MODEL", "panel_model:rows", "Linear from panel_model:rows"),
        ("NAME", "a/b", "A handoff is named with letters"),
        ("NAME", "other", "outputs  z"),
    ):
        panel.fields[name].value = value
        assert sentence in panel.result.value, name
    for line in ("NAME: str = &quot;other&quot;", "OPSET: int = 11", "DYNAMIC_BATCH: bool = True"):
        assert line in panel.lines.value
    make = "make handoff NAME=other MODEL=panel_model:rows INPUTS=rows:float32:n,4 OUTPUTS=z OPSET"
    assert make in panel.lines.value


def test_what_a_shell_would_split_is_quoted_and_make_is_left_out_where_it_cannot(parameters):
    parameters |= {"CHECKPOINT": "my weights.pt", "OUTPUTS": "a b"}
    make, papermill = command_lines(parameters).split("\n\n")
    assert "CHECKPOINT='my weights.pt'" in make and "OUTPUTS='a b'" in make
    assert "-p CHECKPOINT 'my weights.pt'" in papermill and "-p OPSET 13" in papermill
    assert "make" not in command_lines(parameters | {"DYNAMIC_BATCH": False})


def test_a_factory_that_fails_is_seen(parameters):
    source = load_model(parameters["MODEL"], inputs=parameters["INPUTS"])
    panel = model_panel(source, parameters).panel
    with pytest.raises(OSError, match="no weights here"):
        panel.fields["MODEL"].value = "panel_model:broken"
    assert "This failed with OSError: no weights here" in panel.result.value


def test_a_sample_that_trains_itself_is_checked_untrained():
    source = load_model("nbhelpers.train.samples:multitask_resnet18", trained=False)
    assert source.weights == "as the factory made them"
    with pytest.raises(ModelError, match="There is no checkpoint"):
        load_model("nbhelpers.train.samples:multitask_resnet18", checkpoint="x", trained=False)
