"""Checkpoints that are damaged, or that claim what cannot be: refused in one sentence each."""

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from graphcore import archives
from graphcore.errors import ModelError
from torchgraph.checkpoints.loading import load_checkpoint

LEGACY = {"_use_new_zipfile_serialization": False}


def small():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def content_of(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def refused(tmp_path, content, said="", name="w.pth"):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_checkpoint(small(), tmp_path / name)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize("options", [{}, LEGACY], ids=["zip", "legacy"])
def test_wherever_it_is_cut_it_is_refused(tmp_path, options):
    content = content_of(small().state_dict(), **options)
    for length in range(0, len(content), len(content) // 32):
        refused(tmp_path, content[:length])


@pytest.mark.parametrize("options", [{}, LEGACY], ids=["zip", "legacy"])
def test_whatever_bit_flips_it_is_refused_or_read(tmp_path, options):
    content = content_of(small().state_dict(), **options)
    for place in np.random.default_rng(0).integers(0, len(content) * 8, 60):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << (place % 8)
        (tmp_path / "w.pth").write_bytes(flipped)
        try:
            load_checkpoint(small(), tmp_path / "w.pth")
        except ModelError as error:
            assert len(str(error)) < 2_000


def test_a_flipped_bit_in_a_weight_is_noticed(tmp_path):
    content = bytearray(content_of({"w": torch.ones(1000)}))
    content[content.index(np.ones(500, np.float32).tobytes()) + 2000] ^= 4
    refused(tmp_path, bytes(content), "Bad CRC-32 for file 'archive/data/0'")


def test_a_file_that_was_written_without_sums_is_read(tmp_path):
    module = small()
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(module.state_dict(), tmp_path / "w.pth")
    finally:
        torch.serialization.set_crc32_options(before)
    assert load_checkpoint(small(), tmp_path / "w.pth").tensors == 7


def test_an_archive_that_would_fill_the_memory_is_refused_before_it_is_unpacked(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(archives, "ALWAYS", 4 << 20)
    file = io.BytesIO(content_of(small().state_dict()))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/99", bytes(8 << 20))
    refused(tmp_path, file.getvalue(), "kB and would take 8 MB of memory")


PICKLES = {
    "nested lists": b"\x80\x02" + b"(" * 5_000 + b"l" * 5_000 + b".",
    "an empty stack": b"\x80\x02.",
    "a text that is none": b"\x80\x02X\x02\0\0\0\xff\xfe.",
    "a huge text": b"\x80\x02X" + struct.pack("<I", 2**31) + b"x.",
    "a memo that is not there": b"\x80\x02h\x05.",
    "a tensor of nothing": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtR.",
    "a storage that is not there": b"\x80\x02(X\x07\0\0\0storagectorch\nFloatStorage\n"
    b"X\x01\0\0\x009X\x03\0\0\0cpuK\x01tQ.",
    "something that is not allowed": b'\x80\x02cos\nsystem\n(S"true"\ntR.',
}


@pytest.mark.parametrize("pickled", PICKLES.values(), ids=PICKLES)
def test_a_pickle_that_is_none_is_refused(tmp_path, pickled):
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    refused(tmp_path, b"".join(pickle.dumps(each, 2) for each in head) + pickled)
    with zipfile.ZipFile(io.BytesIO(content_of({}))) as good:
        files = {name: good.read(name) for name in good.namelist()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, pickled if name.endswith("data.pkl") else content)
    refused(tmp_path, file.getvalue())


def test_a_checkpoint_that_holds_itself_is_searched_once(tmp_path):
    held: dict = {"epoch": 1}
    held["self"] = held
    refused(tmp_path, content_of(held), "was expected to hold tensors by name")
    held["weights"] = small().state_dict()
    torch.save(held, tmp_path / "w.pth")
    assert load_checkpoint(small(), tmp_path / "w.pth").tensors == 7


def test_a_checkpoint_of_shared_parts_does_not_take_for_ever(tmp_path):
    held: dict = {"epoch": 1}
    for _ in range(40):
        held = {"a": held, "b": held}
    refused(tmp_path, content_of(held), "was expected to hold tensors by name")


def test_names_of_thousands_of_parts_are_refused(tmp_path):
    state = {"a." * 3000 + name: value for name, value in small().state_dict().items()}
    refused(tmp_path, content_of(state), "does not fit Sequential")


def test_a_tensor_that_claims_terabytes_is_only_of_another_shape(tmp_path):
    huge = {name: torch.zeros(1).expand(2**40) for name in small().state_dict()}
    refused(tmp_path, content_of(huge), "of another shape")


SAFE = {
    "a head of 2^63 bytes": struct.pack("<Q", 2**63) + bytes(100),
    "an empty head": struct.pack("<Q", 0) + bytes(100),
    "a deep head": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "a head that is no object": struct.pack("<Q", 2) + b"[]",
}


@pytest.mark.parametrize("content", SAFE.values(), ids=SAFE)
def test_a_safetensors_head_that_is_none_is_refused(tmp_path, content):
    refused(tmp_path, content, "cannot be read as a safetensors file", name="w.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "X"},
        {"dtype": "F4"},
        {"dtype": 1},
        {"shape": [2**62, 4]},
        {"shape": [-1]},
        {"shape": "3"},
        {"data_offsets": [0, 2**62]},
        {"data_offsets": [48, 0]},
        {"data_offsets": None},
    ],
    ids=str,
)
def test_a_safetensors_entry_that_claims_what_cannot_be_is_refused(tmp_path, change):
    content = safetensors.torch.save(small().state_dict())
    length = struct.unpack("<Q", content[:8])[0]
    head = json.loads(content[8 : 8 + length])
    head["0.weight"] |= change
    text = json.dumps(head).encode()
    changed = struct.pack("<Q", len(text)) + text + content[8 + length :]
    refused(tmp_path, changed, "cannot be read as a safetensors file", name="w.safetensors")
