import sys

import pytest
import torch

from graphcore.errors import ModelError, Refusal
from nbhelpers import train

CODE = """
import torch

class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 2)
        self.drop = torch.nn.Dropout()

    def forward(self, rows):
        return {"low": self.drop(self.fc(rows)), "high": rows.sum(1)}

def build():
    torch.manual_seed(0)
    return Own()

def nothing():
    return 3

number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user in the current folder, which knows nothing of the protocol."""
    (tmp_path / "own_model.py").write_text(CODE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield "own_model"
    sys.modules.pop("own_model", None)


def test_a_module_of_the_user_needs_only_inputs(own):
    before = list(sys.path)
    source = train.load_model(f"{own}:build", inputs="rows:float32:batch,4")
    assert source.outputs == ("low", "high")
    assert not any(part.training for part in source.module.modules())
    assert source.weights == "as the factory made them"
    assert sys.path == before
    named = train.load_model(f"{own}:build", inputs="rows:batch,4", outputs="a, b")
    assert named.outputs == ("a", "b")


def test_a_checkpoint_is_loaded(own, tmp_path):
    state = {"fc.weight": torch.ones(2, 4), "fc.bias": torch.zeros(2)}
    torch.save(state, tmp_path / "w.pth")
    source = train.load_model(f"{own}:build", checkpoint="w.pth", inputs="rows:batch,4")
    assert torch.equal(source.module.fc.weight, torch.ones(2, 4))
    assert "2 tensors, all fit" in repr(source)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("own_model", "written package.module:factory, but this is 'own_model'"),
        ("nowhere.at_all:build", "nowhere.at_all .* cannot be imported"),
        ("own_model:biuld", "no function in own_model named 'biuld'.*'build'"),
        ("own_model:number", "must be a function or a class that builds the model"),
        ("own_model:nothing", "must return a torch.nn.Module, but it returned a int"),
        ("own_model:build", "are not known. Give INPUTS as name:dtype:dims"),
    ],
)
def test_what_cannot_be_used_says_what_to_write(own, model, words):
    with pytest.raises(ModelError, match=words):
        train.load_model(model)


def test_inputs_and_outputs_that_do_not_fit_are_refused(own):
    with pytest.raises(ModelError, match=r"does not run on inputs of torch\.float32 \(1, 5\)"):
        train.load_model("own_model:build", inputs="rows:batch,5")
    with pytest.raises(ModelError, match="returns 2 tensors, but 3 output names"):
        train.load_model("own_model:build", inputs="rows:batch,4", outputs="a b c")
    with pytest.raises(Refusal, match="written name:dtype:dims"):
        train.load_model("own_model:build", inputs="rows")
