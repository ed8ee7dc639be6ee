import numpy as np
import pytest
from PIL import Image
from torch import nn

from graphcore import parity
from graphcore.golden import load_golden, save_golden
from graphcore.spec import TensorSpec, parse_specs
from nbhelpers import onnxgraph, train
from nbhelpers.train.picture import Preprocessing, copy_photograph, photograph

SPEC = TensorSpec("images", "float32", ("batch", 3, 7, 5))


def test_cases_are_recorded_in_eval_mode_and_repeat(small, tmp_path):
    held_out = ({"images": SPEC.random(4, seed=9)}, {"label": np.array([0, 1, 2, 3])})
    small.train()
    cases = train.record_golden(small, [SPEC], ["label", "map"], evaluation=held_out)
    assert [(case.name, case.batch) for case in cases] == [
        ("batch1", 1),
        ("batch3", 3),
        ("held_out", 4),
        ("picture", 1),
    ]
    assert small.training
    assert list(cases[2].labels) == ["label"]
    again = train.record_golden(small, [SPEC], ["label", "map"], evaluation=held_out)
    for one, two in zip(cases, again, strict=True):
        assert parity.compare(one.outputs, two.outputs, tolerance=0.0).ok
    save_golden(tmp_path / "golden.npz", cases)
    assert [case.name for case in load_golden(tmp_path / "golden.npz")] == [c.name for c in cases]
    assert not np.array_equal(cases[0].inputs["images"][0], cases[1].inputs["images"][0])


def test_a_fixed_batch_is_recorded_at_three_rows_and_checked_row_by_row(small, tmp_path):
    spec = TensorSpec("images", "float32", (1, 3, 7, 5))
    cases = train.record_golden(small, [spec], ["label", "map"])
    assert [case.batch for case in cases] == [1, 3, 1]
    train.export_onnx(small, [spec], tmp_path / "s.onnx", output_names=["label", "map"])
    reports = onnxgraph.check_cases(onnxgraph.load(tmp_path / "s.onnx"), cases)
    assert [report.check().title for report in reports] == [
        "batch1",
        "batch3 (1 of 3 rows at a time)",
        "picture",
    ]


class Moved(nn.Module):
    def forward(self, points, matrix, anchors):
        return (points @ matrix)[:, None] + anchors


@pytest.mark.parametrize(("batch", "recorded"), [("batch", [1, 3]), (2, [2, 2])])
def test_a_fixed_input_that_is_no_batch_keeps_its_size(tmp_path, batch, recorded):
    specs = parse_specs(f"points:{batch},3 matrix:3,3 anchors:100,3")
    cases = train.record_golden(Moved(), specs, ["output"])
    assert [case.name for case in cases] == ["batch1", "batch3"]
    for case, rows in zip(cases, recorded, strict=True):
        shapes = {name: value.shape for name, value in case.inputs.items()}
        assert shapes == {"points": (rows, 3), "matrix": (3, 3), "anchors": (100, 3)}
    assert not np.array_equal(cases[0].inputs["matrix"], cases[1].inputs["matrix"])
    train.export_onnx(Moved(), specs, tmp_path / "moved.onnx")
    for report in onnxgraph.check_cases(onnxgraph.load(tmp_path / "moved.onnx"), cases):
        assert report.check().ok


def with_numpy(path, steps):
    """The same steps with numpy and PIL alone, as a receiver does them."""
    image = Image.open(path).convert("RGB")
    scale = steps["resize"] / min(image.size)
    size = [max(steps["resize"], int(side * scale)) for side in image.size]
    image = image.resize(size, Image.Resampling.BILINEAR)
    height, width = steps["crop"]
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    pixels = np.asarray(image)[top : top + height, left : left + width]
    mean, std = (np.array(steps[key], np.float32) for key in ("mean", "std"))
    values = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return values.transpose(2, 0, 1)[None]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (224, 224), (7, 5), (99, 180)])
def test_numpy_and_pil_give_the_same_bits(tmp_path, height, width):
    steps = Preprocessing.imagenet(height, width)
    path = copy_photograph(tmp_path / "picture.jpg")
    assert path.read_bytes() == photograph().read_bytes()
    with Image.open(path) as image:
        mine = steps(image).numpy()
    assert mine.shape == (1, 3, height, width) and mine.dtype == np.float32
    np.testing.assert_array_equal(mine, with_numpy(path, steps.to_json()))


@pytest.mark.parametrize(
    "shape", [("batch", 1, 8, 8), ("batch", 3, 8), (1, 3, 8, 8, 8), ("batch", 8, 8, 3)]
)
def test_a_picture_is_for_models_of_three_channels_only(shape):
    assert train.fitting((TensorSpec("images", "float32", shape),)) is None


def test_an_image_of_any_size_is_cropped_to_224():
    spec = TensorSpec("images", "float32", ("batch", 3, "height", "width"))
    assert train.fitting((spec,)) == Preprocessing(256, (224, 224))
