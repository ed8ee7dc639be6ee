"""What a refused checkpoint or signature advises is done to the letter, and gets through."""

import re

import pytest
import safetensors.torch
import torch
from torch import nn

from graphcore.errors import ModelError, Refusal
from graphcore.spec import parse_checkpoint, parse_specs
from nbhelpers import train


def refused(path, words):
    with pytest.raises(ModelError, match=words) as no:
        train.load_checkpoint(nn.Linear(2, 3), path)
    return str(no.value)


def check_taken(path, module):
    fresh = nn.Linear(2, 3)
    train.load_checkpoint(fresh, path)
    assert all(torch.equal(fresh.state_dict()[k], v) for k, v in module.state_dict().items())


def test_a_pickled_module_is_saved_as_the_call_says(tmp_path, monkeypatch):
    module = nn.Linear(2, 3)
    torch.save(module, tmp_path / "whole.pth")
    said = refused(tmp_path / "whole.pth", "If you trust the file, save only")
    call = re.search(r"safetensors\.torch\.save_file\(.*\)(?=\.$)", said).group()
    monkeypatch.chdir(tmp_path)
    trusted = torch.load(tmp_path / "whole.pth", weights_only=False)
    eval(call, {"safetensors": safetensors, "module": trusted})
    check_taken(tmp_path / "weights.safetensors", module)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_only_the_state_dict_is_saved(tmp_path):
    module = nn.Linear(2, 3)
    path = tmp_path / "w.pth"
    torch.jit.script(module).save(path)
    refused(path, r"TorchScript archive.* Save the state_dict\(\) of the module instead")
    torch.save(torch.jit.load(path).state_dict(), path)
    check_taken(path, module)
    torch.save(list(module.state_dict().values()), path)
    refused(path, r"holds a list\. Save the state_dict\(\) of the module")
    torch.save(module.state_dict(), path)
    check_taken(path, module)


@pytest.mark.filterwarnings("ignore:.*quantize.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*uantiz.*:UserWarning")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda v: v.to_sparse(), "save its to_dense()"),
        (lambda v: torch.quantize_per_tensor(v, 0.25, 0, torch.qint8), "save its dequantize()"),
    ],
)
def test_a_tensor_is_saved_as_the_model_holds_it(tmp_path, make, words):
    module = nn.Linear(2, 3)
    module.weight.data = torch.tensor([[0.5, 1], [0, -2], [3, 4]])
    state = dict(module.state_dict())
    state["weight"] = make(state["weight"])
    path = tmp_path / "w.pth"
    torch.save(state, path)
    said = refused(path, re.escape(words))
    verb = re.search(r"save its (\w+)\(\)", said).group(1)
    torch.save(state | {"weight": getattr(state["weight"], verb)()}, path)
    check_taken(path, module)


def test_one_of_several_sets_is_chosen(tmp_path):
    one, two = nn.Linear(2, 3), nn.Linear(2, 3)
    path = tmp_path / "w.pth"
    torch.save({"model": one.state_dict(), "ema": two.state_dict()}, path)
    said = refused(path, "Choose one: CHECKPOINT=")
    key = re.search(r"key='(\w+)'\)", said).group(1)
    notebook = parse_checkpoint(re.search(r"CHECKPOINT='(.*?)'", said).group(1))
    for chosen, name in ((path, key), notebook):
        fresh = nn.Linear(2, 3)
        train.load_checkpoint(fresh, chosen, key=name)
        assert torch.equal(fresh.weight, {"model": one, "ema": two}[key].weight)


@pytest.mark.parametrize(
    ("text", "words", "right"),
    [
        ("x:float:batch,3", "Write float64", "x:float64:batch,3"),
        ("i:int64[5..2]:batch", "Write the smaller one first", "i:int64[2..5]:batch"),
        ("x:float32:2 x:float32:3", "Give each its own name", "x:float32:2 z:float32:3"),
    ],
)
def test_specs_are_written_as_the_message_says(text, words, right):
    with pytest.raises(Refusal, match=words):
        parse_specs(text)
    assert [str(spec) for spec in parse_specs(right)] == right.split()


def test_a_module_without_specs_is_given_inputs(tmp_path, monkeypatch):
    (tmp_path / "my_net.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Conv2d(3, 2, 3)\n"
    )
    with pytest.raises(ModelError, match=r"Put the file beside the folder nbhelpers, or name its"):
        train.load_model("my_net:build", inputs="images:float32:batch,3,224,224")
    monkeypatch.syspath_prepend(tmp_path)  # as PYTHONPATH does
    with pytest.raises(ModelError, match="Give INPUTS as name:dtype:dims") as no:
        train.load_model("my_net:build")
    inputs = re.search(r"such as '(.*?)'", str(no.value)).group(1)
    source = train.load_model("my_net:build", inputs=inputs)
    with pytest.raises(ModelError, match=r"Give OUTPUTS one name for each"):
        train.load_model("my_net:build", inputs=inputs, outputs="a b")
    assert train.load_model("my_net:build", inputs=inputs, outputs="a").module is not source.module
