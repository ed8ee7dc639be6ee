"""Where in a file the weights are: keys, prefixes, wrappers, and several sets that fit."""

import argparse

import pytest
import torch
from torch import nn

from graphcore.errors import ModelError, UnknownName
from nbhelpers import train


class Net(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.backbone(x).mean((2, 3)))


STATE = Net(seed=1).state_dict()
OTHER = Net(seed=2).state_dict()


def below(prefix, state=STATE):
    return {prefix + name: value for name, value in state.items()}


def loaded(tmp_path, content, **options):
    module = Net()
    torch.save(content, tmp_path / "m.pth")
    found = train.load_checkpoint(module, tmp_path / "m.pth", **options)
    return module.state_dict(), repr(found)


def same(seen, state=STATE):
    return all(torch.equal(seen[name], value) for name, value in state.items())


@pytest.mark.parametrize(
    "key",
    [
        *("state_dict", "model", "ema", "state_dict_ema", "params_ema", "params", "net", "weights"),
        *("model_state_dict", "model_ema", "ema_state_dict", "generator", "student", "module"),
    ],
)
def test_the_key_is_found_and_told_whatever_the_script_called_it(tmp_path, key):
    optimiser = torch.optim.Adam(nn.Linear(2, 2).parameters()).state_dict()
    content = {"epoch": 3, key: STATE, "optimizer": optimiser, "args": argparse.Namespace(lr=0.1)}
    seen, told = loaded(tmp_path, content)
    assert same(seen)
    assert f"taken from {key!r}" in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"ema": {"module": STATE, "decay": 0.9}}, "taken from 'ema.module'"),
        ({"checkpoint": {"model": {"state_dict": below("module.")}}}, "'checkpoint.model.state_di"),
        ({"state_dict": below("model.")}, "the prefix 'model.' was removed"),
        (below("module.module."), "the prefix 'module.' was removed"),
        (below("_orig_mod.module."), "'_orig_mod.' was removed"),
        (below("module._orig_mod."), "'_orig_mod.' was removed"),
        (below("model._orig_mod."), "the prefix 'model.' was removed"),
        ({"state_dict": below("lit.model.module.")}, "the prefix 'lit.' was removed"),
        ({n.replace("ne.", "ne.module."): v for n, v in STATE.items()}, "'module.' was removed"),
        ({n.replace(".1.", "._orig_mod.1._orig_mod."): v for n, v in STATE.items()}, "'_orig_mod."),
        (
            {"state_dict": {**below("model."), "criterion.weight": torch.ones(2)}},
            "taken from 'state_dict.model'; 1 other keys were left out (criterion.weight)",
        ),
    ],
)
def test_prefixes_and_wrappers_come_off_in_any_nesting(tmp_path, content, told):
    seen, said = loaded(tmp_path, content)
    assert same(seen)
    assert told in said


def test_the_versions_of_modules_go_with_their_names(tmp_path):
    """torch keeps them beside the names; without them a BatchNorm takes its file for an old one."""
    seen = []

    class Watching(nn.Linear):
        _version = 7

        def _load_from_state_dict(self, state, prefix, metadata, *rest):
            seen.append(metadata.get("version"))
            super()._load_from_state_dict(state, prefix, metadata, *rest)

    inner = nn.Sequential(Watching(2, 2))
    for outer in (inner, nn.DataParallel(inner), nn.ModuleDict({"model": inner})):
        torch.save(outer.state_dict(), tmp_path / "m.pth")
        seen.clear()
        train.load_checkpoint(nn.Sequential(Watching(2, 2)), tmp_path / "m.pth")
        assert seen[-1] == 7


@pytest.mark.parametrize(
    ("content", "places"),
    [
        ({"model": STATE, "model_ema": OTHER}, ["model", "model_ema"]),
        ({"sd": {**below("model."), **below("ema.", OTHER)}}, ["sd.model", "sd.ema"]),
        ({"params": below("module."), "params_ema": OTHER}, ["params", "params_ema"]),
        ({"model": STATE, "half": {n: v.half() for n, v in STATE.items()}}, ["model", "half"]),
    ],
)
def test_where_several_sets_fit_and_differ_the_user_chooses(tmp_path, content, places):
    with pytest.raises(ModelError) as caught:
        loaded(tmp_path, content)
    text = str(caught.value)
    assert "holds several sets of weights that fit Net, and they differ" in text
    assert ", ".join(map(repr, places)) in text
    for place in places:
        _, told = loaded(tmp_path, content, key=place)
        assert f"taken from {place!r}" in told
    advice = text.partition("CHECKPOINT='")[2].partition("'")[0]
    assert advice == f"{tmp_path / 'm.pth'}:{places[1]}"
    source = train.load_model(f"{__name__}:Net", checkpoint=advice, inputs="x:float32:batch,3,8,8")
    assert f"taken from {places[1]!r}" in source.weights


def test_equal_sets_need_no_choice_and_a_wrong_one_is_named(tmp_path):
    seen, told = loaded(tmp_path, {"model": STATE, "model_ema": below("module.")})
    assert same(seen)
    assert "taken from 'model'" in told
    with pytest.raises(UnknownName, match=r"no set of weights named 'mdel'. .*'model'"):
        loaded(tmp_path, {"model": STATE, "ema": OTHER}, key="mdel")
    with pytest.raises(ModelError, match=r"at 'half', does not fit Net: 6 missing from the file"):
        half = {name: value for name, value in STATE.items() if name.startswith("head")}
        loaded(tmp_path, {"model": STATE, "half": half}, key="half")


def test_the_closest_set_is_the_one_whose_misfit_is_told(tmp_path):
    wrong = {**below("module."), "module.head.bias": torch.zeros(7)}
    with pytest.raises(ModelError) as caught:
        loaded(tmp_path, {"optimizer": {"x": torch.zeros(3)}, "state_dict": wrong})
    text = str(caught.value)
    assert "at 'state_dict', does not fit Net: 1 of another shape: head.bias (file (7,), " in text
