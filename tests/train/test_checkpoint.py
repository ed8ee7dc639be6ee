import pickle

import pytest
import safetensors.torch
import torch

from graphcore.errors import ModelError
from nbhelpers import train


def other(small):
    return {name: value + 1 for name, value in small.state_dict().items()}


def same(small, state):
    return all(torch.equal(value, state[name]) for name, value in small.state_dict().items())


def test_safetensors_and_torch_files_load(small, tmp_path):
    state = other(small)
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pth")
    for name, kind in (("w.safetensors", "safetensors"), ("w.pth", "torch")):
        loaded = train.load_checkpoint(small, tmp_path / name)
        assert same(small, state)
        assert (loaded.format, loaded.tensors, loaded.notes) == (kind, len(state), ())


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
def test_wrappers_and_prefixes_are_taken_off_and_told(small, tmp_path, wrapper):
    state = other(small)
    wrapped = {wrapper: {f"module.{name}": value for name, value in state.items()}, "epoch": 3}
    torch.save(wrapped, tmp_path / "w.pth")
    loaded = train.load_checkpoint(small, tmp_path / "w.pth")
    assert same(small, state)
    assert f"taken from '{wrapper}'" in repr(loaded)
    assert "the prefix 'module.' was removed" in repr(loaded)


def test_a_prefix_that_is_the_modules_own_stays(small, tmp_path):
    class Holder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = torch.nn.Linear(2, 2)

    state = Holder().state_dict()
    torch.save(state, tmp_path / "own.pth")
    torch.save({f"module._orig_mod.{n}": v for n, v in state.items()}, tmp_path / "wrapped.pth")
    for name, notes in (("own.pth", 0), ("wrapped.pth", 2)):
        module = Holder()
        assert len(train.load_checkpoint(module, tmp_path / name).notes) == notes
        assert same(module, state)


def test_another_dtype_is_cast_and_told(small, tmp_path):
    state = {name: value.double() for name, value in other(small).items()}
    torch.save(state, tmp_path / "w.pth")
    assert "cast from torch.float64 to torch.float32" in repr(
        train.load_checkpoint(small, tmp_path / "w.pth")
    )


def test_keys_that_do_not_fit_are_named_and_nothing_is_loaded(small, tmp_path):
    state = other(small)
    del state["conv.bias"], state["fc.bias"]
    state["head.bias"] = torch.zeros(5)
    state["fc.weight"] = torch.zeros(7, 4)
    before = {name: value.clone() for name, value in small.state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError) as caught:
        train.load_checkpoint(small, tmp_path / "w.safetensors")
    text = str(caught.value)
    assert "2 missing from the file: conv.bias, fc.bias" in text
    assert "1 unknown to the model: head.bias" in text
    assert "1 of another shape: fc.weight (file (7, 4), model (5, 4))" in text
    assert same(small, before)


class Evil:
    def __reduce__(self):
        return (print, ("run by unpickling",))


def test_a_pickle_that_runs_code_is_refused(small, tmp_path, capsys):
    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match=r"evil\.pth is refused: it pickles .*print"):
        train.load_checkpoint(small, tmp_path / "evil.pth")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match=r"plain\.pkl is refused: it is a plain pickle"):
        train.load_checkpoint(small, tmp_path / "plain.pkl")
    assert capsys.readouterr().out == ""


def test_a_whole_pickled_module_is_refused_with_its_class(small, tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
    with pytest.raises(ModelError, match=r"pickles an object of torch\.nn.*Linear"):
        train.load_checkpoint(small, tmp_path / "whole.pth")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_file_cut_short_is_one_sentence(small, tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".pth":
        torch.save(other(small), path)
    else:
        safetensors.torch.save_file(other(small), path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ModelError, match=r"it is cut short or of another kind \(\d+ bytes\)"):
        train.load_checkpoint(small, path)


def test_other_content_is_refused(small, tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="weights by name, but holds a list"):
        train.load_checkpoint(small, tmp_path / "list.pth")
    torch.save({"epoch": 3, "loss": 0.5}, tmp_path / "log.pth")
    with pytest.raises(ModelError, match="'epoch' is a int"):
        train.load_checkpoint(small, tmp_path / "log.pth")
    torch.save({0: torch.zeros(2)}, tmp_path / "numbers.pth")
    with pytest.raises(ModelError, match="tensors by name, but has the key 0, of the type int"):
        train.load_checkpoint(small, tmp_path / "numbers.pth")
    with pytest.raises(ModelError, match="There is no checkpoint"):
        train.load_checkpoint(small, tmp_path / "none.pth")
