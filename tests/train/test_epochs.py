"""A training that is cut off goes on from its last whole epoch, and ends with the same weights."""

import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn

from nbhelpers.train import digits

RECIPE = replace(digits.Recipe(), size=8, epochs=4, batch=256, threads=1)


class Small(nn.Module):
    """The two heads behind a batch norm; it stops after `left` calls."""

    def __init__(self, *, left=10**6, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
            self.digit, self.pair = nn.Linear(144, 10), nn.Linear(144, 5)
        self.left = left

    def forward(self, x):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        features = self.body(x)
        return self.digit(features), self.pair(features)


@pytest.fixture(scope="module")
def whole():
    """The weights of a training that was never cut off."""
    return digits.train(Small(), RECIPE).state_dict()


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


def cut_off(file, *, calls):
    with pytest.raises(KeyboardInterrupt):
        digits.train(Small(left=calls), RECIPE, keep=file)


# An epoch has six batches: in the first epoch, after one, in the third, in the last.
@pytest.mark.parametrize(("calls", "left"), [(3, 24), (6, 18), (14, 12), (23, 6)])
def test_what_was_cut_off_goes_on_and_gives_the_same_weights(tmp_path, whole, calls, left):
    file = tmp_path / "epochs"
    cut_off(file, calls=calls)
    again = Small(left=left)
    assert same(digits.train(again, RECIPE, keep=file).state_dict(), whole)
    assert again.left == 0, "the epochs that were whole are not done again"


def test_twice_cut_off_is_the_same(tmp_path, whole):
    for calls in (8, 8):
        cut_off(tmp_path / "epochs", calls=calls)
    assert same(digits.train(Small(), RECIPE, keep=tmp_path / "epochs").state_dict(), whole)


@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "text"])
def test_a_damaged_file_is_left_out_with_a_sentence(tmp_path, whole, harm):
    file = tmp_path / "epochs"
    cut_off(file, calls=14)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    wrong = {"cut": content[:-100], "changed": content, "empty": b"", "text": b"mine\n" * 90}
    file.write_bytes(wrong[harm])
    with pytest.warns(UserWarning, match=r"epochs is damaged or cut short\. The training begins"):
        made = digits.train(Small(), RECIPE, keep=file)
    assert same(made.state_dict(), whole)


def test_the_epochs_of_another_training_are_left_out_with_a_sentence(tmp_path, whole):
    file = tmp_path / "epochs"
    cut_off(file, calls=14)
    for module, recipe in ((Small(seed=1), RECIPE), (Small(), replace(RECIPE, seed=1))):
        with pytest.warns(UserWarning, match=r"epochs belongs to another training\. The training"):
            assert not same(digits.train(module, recipe, keep=file).state_dict(), whole)
        file.unlink()
        cut_off(file, calls=14)


def test_where_nothing_can_be_written_it_trains_all_the_same(tmp_path, whole):
    (tmp_path / "file").write_text("")
    module = Small()
    with pytest.warns(UserWarning, match=r"cannot be written") as said:
        digits.train_or_load(module, RECIPE, cache=tmp_path / "file")
    assert same(module.state_dict(), whole)
    assert [str(each.message)[:20] for each in said] == [
        "The epochs are not k",
        "The weights are not ",
    ]


def test_the_epochs_go_when_the_weights_are_kept_and_a_damaged_file_is_made_again(tmp_path, whole):
    path = digits.train_or_load(Small(), RECIPE, cache=tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    for content in (path.read_bytes()[:-10], b"", path.read_bytes().replace(b"pair", b"pear")):
        path.write_bytes(content)
        module = Small()
        with pytest.warns(UserWarning, match=r"is damaged or of another model\. It is made again"):
            digits.train_or_load(module, RECIPE, cache=tmp_path)
        assert same(module.state_dict(), whole)
    with warnings.catch_warnings(action="error"):
        digits.train_or_load(Small(left=0), RECIPE, cache=tmp_path)
