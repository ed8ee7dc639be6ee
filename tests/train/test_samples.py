import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from graphcore import parity
from nbhelpers import onnxgraph, train
from nbhelpers.train import digits, samples
from nbhelpers.train.resnet import ResNet18
from nbhelpers.train.resnet3d import ResNet34For3d, shortcut_a


def test_resnet18_has_torchvisions_names_and_sizes():
    names = dict(ResNet18({"fc": 1000}).named_parameters())
    assert names["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)
    assert names["layer4.1.conv2.weight"].shape == (512, 512, 3, 3)
    # torchvision's resnet18 has 11,689,512 parameters.
    assert sum(value.numel() for value in names.values()) == 11_689_512


def test_shortcut_a_takes_every_second_value_and_adds_zeros():
    x = torch.randn(2, 3, 5, 4, 6)
    out = shortcut_a(x, planes=7, stride=2)
    assert torch.equal(out[:, :3], x[:, :, ::2, ::2, ::2])
    assert out.shape == (2, 7, 3, 2, 3) and not out[:, 3:].any()


@pytest.mark.parametrize(("shortcut", "weights"), [("A", 63_298_886), ("B", 63_472_710)])
def test_the_3d_resnet34_has_the_expected_size(shortcut, weights):
    model = ResNet34For3d(6, shortcut=shortcut)
    assert sum(value.numel() for value in model.parameters()) == weights
    with pytest.raises(ValueError, match="'A' or 'B', not 'C'"):
        ResNet34For3d(6, shortcut="C")


@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.slow
def test_a_3d_resnet_of_either_type_goes_dynamic(tmp_path, shortcut):
    model = samples.ct_resnet34(shortcut=shortcut)
    example = np.random.default_rng(0).standard_normal((1, 1, 32, 32, 32)).astype(np.float32)
    path = tmp_path / "ct.onnx"
    train.export_onnx(model, [example], path, output_names=["result"], dynamic_batch=False)
    opened = onnxgraph.make_batch_dynamic(onnxgraph.load(path)).model
    feeds = {"images": np.concatenate([example, -example, example * 0.5])}
    expected = train.run_torch(model, feeds, ["result"])
    parity.compare(expected, onnxgraph.run_onnx(opened, feeds)).check()
    assert not {"Shape", "Concat"} & set(onnxgraph.op_histogram(opened))
    scale = np.abs(expected["result"]).max()
    assert 0.01 < scale < 100


def test_the_ct_model_is_the_same_each_time_and_leaves_the_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two = (samples.ct_resnet34().state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_digits_are_split_the_same_way_each_time():
    training, held_out = digits.load_digits()
    assert (len(training.images), len(held_out.images)) == (1437, 360)
    assert held_out.images.shape[1:] == (3, 32, 32) and held_out.images.dtype == np.float32
    assert np.bincount(held_out.digits, minlength=10).min() >= 20
    assert (held_out.labels["pair"] == held_out.digits // 2).all()
    kept = {image.tobytes() for image in training.images}
    assert not kept & {image.tobytes() for image in held_out.images}


def test_the_sample_model_learns_the_digits():
    model = samples.multitask_resnet18()
    model.train_in_place()
    inputs, labels = model.evaluation()
    outputs = train.run_torch(model, inputs, model.output_names)
    scores = {name: (outputs[name].argmax(1) == truth).mean() for name, truth in labels.items()}
    assert scores["digit"] >= 0.98
    assert scores["pair"] >= 0.98


def test_the_same_recipe_gives_the_same_bytes_and_settings_are_put_back(tmp_path):
    recipe = replace(digits.Recipe(), size=16, epochs=1, threads=1)
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    digests, paths = set(), []
    for cache in ("one", "two"):
        path = digits.train_or_load(samples.multitask_resnet18(), recipe, cache=tmp_path / cache)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
        paths.append(path)
    assert len(digests) == 1 and paths[0].name == paths[1].name
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
    other = replace(recipe, seed=1)
    assert other.key != recipe.key
    # The second time the file is read, not made.
    stamp = path.stat().st_mtime_ns
    again = digits.train_or_load(samples.multitask_resnet18(), recipe, cache=tmp_path / "two")
    assert again.stat().st_mtime_ns == stamp
