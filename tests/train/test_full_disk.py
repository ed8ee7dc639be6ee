"""Exported and imported modules on a full disk: one sentence, and nothing half-made."""

import pytest
import torch

from graphcore.errors import GraphError, ModelError
from nbhelpers.train import export_onnx, import_onnx, save_imported


@pytest.fixture
def large():
    """A module with a weight of 1 MB."""
    return torch.nn.Linear(512, 512).eval()


def test_an_export_that_does_not_fit_leaves_nothing(small_disk, large):
    with pytest.raises(GraphError, match=r"net.onnx cannot be written: the disk is full. Free"):
        export_onnx(large, {"x": torch.ones(2, 512)}, small_disk / "net.onnx")
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("width", [160, 512])
def test_an_imported_module_that_does_not_fit_leaves_the_old_one(small_disk, tmp_path, width):
    """With a width of 160, the model and its weights fit and the program does not."""
    folder = small_disk / "model"
    for size in (4, width):
        module = torch.nn.Linear(size, size).eval()
        export_onnx(module, {"x": torch.ones(2, size)}, tmp_path / "net.onnx")
        imported = import_onnx(tmp_path / "net.onnx")
        if size == 4:
            save_imported(imported, folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ModelError, match=r"model cannot be written: the disk is full. Free some"):
        save_imported(imported, folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert list(small_disk.iterdir()) == [folder]
