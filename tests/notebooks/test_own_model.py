"""A person's own model through the six notebooks: nothing of the samples, everything awkward."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nbhelpers.train.source import load_model
from nbhelpers.workbook import NotebookFailed, Settings, run
from nbhelpers.workbook.plan import ROOT, interpreter
from nbhelpers.workbook.progress import Progress

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

MODULE = '''
import torch
from torch import nn


class Fusion(nn.Module):
    """A volume of odd sizes and a table beside it; two outputs of different rank."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(2, 6, (3, 2, 3), stride=(2, 1, 1), padding=(1, 0, 2))
        self.norm = nn.BatchNorm3d(6)
        self.pool = nn.MaxPool3d(3, stride=2, padding=1, ceil_mode=True)
        self.mean = nn.AvgPool3d(2, padding=1, count_include_pad=False)
        self.table = nn.Linear(5, 6)
        self.head = nn.Linear(6, 4)

    def forward(self, volume, table):
        deep = self.mean(self.pool(torch.relu(self.norm(self.stem(volume)))))
        deep = deep * torch.sigmoid(self.table(table))[:, :, None, None, None]
        return self.head(deep.mean(dim=(2, 3, 4))), deep


def fusion():
    return Fusion()
'''
INPUTS = "volume:float32:batch,2,9,11,7 table:float32:batch,5"
PARAMETERS = {
    "02_surgery": ('RENAME: str = ""', 'RENAME: str = "deep=features"'),
    "05_signature": ('INPUT_NAMES: str = ""', 'INPUT_NAMES: str = "scan=volume table=table"'),
}
"""What a person changes by hand, in the cell of parameters, because no option of make says it."""


def changed_by_hand(folder: Path) -> Path:
    """Copy the notebooks and change their parameters."""
    shutil.copytree(ROOT / "notebooks", folder)
    for title, (before, after) in PARAMETERS.items():
        path = folder / f"{title}.ipynb"
        cells = json.loads(path.read_text())
        (cell,) = [c for c in cells["cells"] if "parameters" in c["metadata"].get("tags", ())]
        text = "".join(cell["source"])
        assert before in text
        cell["source"] = text.replace(before, after)
        path.write_text(json.dumps(cells))
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Hand the model off, from a folder that holds its module and its weights and nothing else."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "fusion_net.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        torch.manual_seed(7)
        module = load_model("fusion_net:fusion", inputs=INPUTS, outputs="scores deep").module
        for name, value in module.named_buffers():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
        save_file(module.state_dict(), folder / "fusion.safetensors")
        settings = Settings(
            model="fusion_net:fusion",
            checkpoint="fusion.safetensors",
            name="fusion",
            targets="tf1.4 tf1.15 tf2",
            inputs=INPUTS,
            outputs="scores deep",
            opset=11,
            handoffs=folder / "handoffs",
            notebooks=changed_by_hand(folder / "notebooks"),
        )
        return run(settings, progress=Progress(io.StringIO()))


def test_it_is_proven_on_every_runtime_for_all_three_targets(own):
    proofs = own.require("handoff")["facts"]["proofs"]
    assert all(proof["ok"] and proof["relative"] <= 1e-4 for proof in proofs)
    loaded = {(proof["artefact"].split("/")[1], proof["runtime"].split()[-1]) for proof in proofs}
    for target, versions in {
        "tf1.4": {"1.4.1", "1.13.2", "1.15.5"},
        "tf1.15": {"1.15.5"},
    }.items():
        assert versions <= {version for found, version in loaded if found == target}
    assert ("tf1.15", "1.4.1") not in loaded
    assert {case.batch for case in own.golden()} >= {1, 3}


def test_the_names_the_opset_and_the_order_are_the_ones_that_were_asked_for(own):
    model = onnx.load(own.read("prepared.onnx"))
    assert [value.name for value in model.graph.input] == ["volume", "table"]
    assert [value.name for value in model.graph.output] == ["scores", "features"]
    assert own.require("export")["facts"]["opset"] == 11
    for target in ("tf1.4", "tf1.15", "tf2"):
        fact = own.require("conversion")["facts"]["targets"][target]
        assert fact["inputs"] == {"volume": "volume:0", "table": "table:0"}
        assert list(fact["outputs"]) == ["scores", "features"]
    saved = own.require("signature")["facts"]["savedmodels"]["tf1.4"]
    assert set(saved["signatures"]["serving_default"]["inputs"]) == {"scan", "table"}


def test_a_receiver_verifies_it(own):
    done = subprocess.run(
        [interpreter("convert"), "verify.py", "--json", "seen.json"],
        cwd=own.folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads((own.folder / "seen.json").read_text())
    (own.folder / "seen.json").unlink()
    assert seen


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (
            lambda state, path: torch.save({"stem.weight": state["stem.weight"]}, path),
            "(?s)does not fit.*norm.weight",
        ),
        (lambda state, path: torch.save(nn.Linear(2, 2), path), "is refused"),
        (lambda state, path: path.write_bytes(b"PK\x03\x04 cut off"), "cut short"),
    ],
    ids=["does not fit", "unsafe pickle", "truncated"],
)
def test_a_checkpoint_that_cannot_be_used_stops_the_first_notebook(
    own, tmp_path, monkeypatch, save, said
):
    (tmp_path / "fusion_net.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    module = load_model("fusion_net:fusion", inputs=INPUTS).module
    save(module.state_dict(), tmp_path / "weights.pth")
    settings = Settings(
        model="fusion_net:fusion",
        checkpoint="weights.pth",
        name="fusion",
        inputs=INPUTS,
        handoffs=tmp_path / "handoffs",
    )
    with pytest.raises(NotebookFailed, match=said):
        run(settings, progress=Progress(io.StringIO()))


def test_a_module_that_cannot_be_traced_stops_the_first_notebook(tmp_path, monkeypatch):
    (tmp_path / "untraceable.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n"
        "    def forward(self, x):\n        return x.numpy() and x\n\n\n"
        "def net():\n    return Net()\n"
    )
    monkeypatch.chdir(tmp_path)
    settings = Settings(
        model="untraceable:net", name="no", inputs="x:float32:batch,3", handoffs=tmp_path / "h"
    )
    with pytest.raises(NotebookFailed, match=r"ModelError|ExportError"):
        run(settings, progress=Progress(io.StringIO()))
