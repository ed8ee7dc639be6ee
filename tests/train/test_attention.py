"""What torch's exporter lacks or freezes: attention, packed sequences and stft, at free lengths."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from graphcore import parity
from graphcore.errors import ModelError
from graphcore.spec import parse_specs
from nbhelpers import onnxgraph, train

WIDTH, HEADS = 8, 2


class Weights(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, x, mask):
        return self.attention(x, x, x, key_padding_mask=mask)


class Rows(nn.Module):
    """Not batch_first, other widths of keys and values, and no weights asked for."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, kdim=3, vdim=5)

    def forward(self, x, keys, values):
        return self.attention(x, keys, values, need_weights=False)


class Imported(nn.Module):
    def forward(self, q, k, v):
        causal = scaled_dot_product_attention(q, k, v, is_causal=True)
        return causal + F.scaled_dot_product_attention(q, k, v, scale=0.3)


class Grouped(nn.Module):
    def forward(self, q, k, v, mask):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)


def layer(**options):
    return nn.TransformerEncoderLayer(WIDTH, HEADS, 16, batch_first=True, **options)


def seeded(build):
    torch.manual_seed(0)
    return build().eval()


def agree(made, module, sizes):
    """Compare at sizes that the export did not try, in a session of onnxruntime's own."""
    feeds = {spec.name: spec.sized(sizes).random(1, seed=7) for spec in made.inputs}
    masks = [value for value in feeds.values() if value.dtype == np.bool_]
    for mask in masks:
        mask[:, 0] = mask.ndim == 4  # a row that sees nothing is NaN
    names = [spec.name for spec in made.outputs]
    expected = train.run_torch(module, feeds, names)
    parity.compare(expected, onnxgraph.run_onnx(made.path, feeds)).check()


SIZES = {"batch": 2, "time": 5, "source": 4, "target": 6}
Q = "q:batch,4,time,3"


@pytest.mark.parametrize("opset", [11, 13, 14, 17])
@pytest.mark.parametrize(
    ("build", "inputs"),
    [
        (lambda: nn.TransformerEncoder(layer(), 2), f"src:batch,time,{WIDTH}"),
        (Weights, f"x:batch,time,{WIDTH} mask:bool:batch,time"),
        (Rows, f"x:target,batch,{WIDTH} keys:source,batch,3 values:source,batch,5"),
        (Imported, f"{Q} k:batch,4,time,3 v:batch,4,time,3"),
        (Grouped, f"{Q} k:batch,2,time,3 v:batch,2,time,3 mask:bool:batch,1,time,time"),
    ],
    ids=["encoder", "weights", "rows", "imported", "grouped"],
)
def test_attention_of_any_length(tmp_path, build, inputs, opset):
    module = seeded(build)
    specs = parse_specs(inputs)
    made = train.export_onnx(module, specs, tmp_path / "m.onnx", opset=opset)
    assert made.inputs == specs
    agree(made, module, SIZES)


def test_a_whole_transformer_has_two_lengths(tmp_path):
    module = seeded(lambda: nn.Transformer(WIDTH, HEADS, 1, 1, 16, batch_first=True))
    specs = parse_specs(f"src:batch,source,{WIDTH} tgt:batch,target,{WIDTH}")
    made = train.export_onnx(module, specs, tmp_path / "m.onnx")
    assert made.outputs[0].shape == ("batch", "target", WIDTH)
    agree(made, module, SIZES)


def test_padding_of_an_encoder_is_the_same_with_and_without_the_fused_kernels(tmp_path):
    module = seeded(lambda: nn.TransformerEncoder(layer(activation="gelu"), 1))
    specs = parse_specs(f"src:batch,time,{WIDTH} src_key_padding_mask:bool:batch,time")
    made = train.export_onnx(module, specs, tmp_path / "m.onnx")
    agree(made, module, SIZES)
    x, mask = torch.randn(2, 5, WIDTH), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    feeds = {"src": x.numpy(), "src_key_padding_mask": mask.numpy()}
    with torch.no_grad():
        fused = module(x, src_key_padding_mask=mask)[~mask]
    seen = onnxgraph.run_onnx(made.path, feeds)["output"][~mask.numpy()]
    np.testing.assert_allclose(seen, fused.numpy(), atol=1e-5)


class Packed(nn.Module):
    def __init__(self, cell, total, ordered):
        super().__init__()
        self.cell = cell(3, 4, batch_first=True, bidirectional=True)
        self.total, self.ordered = total, ordered

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=self.ordered)
        y, state = self.cell(packed)
        total = x.shape[1] if self.total else None
        return pad_packed_sequence(y, batch_first=True, total_length=total)[0], state


@pytest.mark.parametrize("total", [False, True], ids=["longest", "total"])
@pytest.mark.parametrize("ordered", [False, True], ids=["any order", "sorted"])
@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM])
def test_packed_sequences_whose_lengths_have_bounds(tmp_path, cell, total, ordered):
    module = seeded(lambda: Packed(cell, total, ordered))
    specs = parse_specs("x:batch,time,3 lengths:int64[1..time]:batch")
    made = train.export_onnx(module, specs, tmp_path / "m.onnx")
    x = np.random.default_rng(0).standard_normal((3, 9, 3)).astype("f")
    names = [spec.name for spec in made.outputs]
    for lengths in ([9, 4, 1], [6, 6, 2], [2, 1, 1]):
        feeds = {"x": x, "lengths": np.array(lengths)}
        expected = train.run_torch(module, feeds, names)
        assert expected[names[0]].shape[1] == (9 if total else lengths[0])
        parity.compare(expected, onnxgraph.run_onnx(made.path, feeds)).check()
    cases = train.record_golden(module, specs, names)
    assert all(case.inputs["lengths"].min() >= 1 for case in cases)
    assert {case.batch for case in cases} == {1, 3}
    for report in onnxgraph.check_cases(onnxgraph.load(made.path), cases):
        report.check()


class Spectrum(nn.Module):
    def __init__(self, read):
        super().__init__()
        self.read = read
        self.register_buffer("window", torch.hann_window(16))

    def forward(self, x):
        return self.read(torch.stft(x, 16, 5, window=self.window, return_complex=True))


@pytest.mark.parametrize(
    "read",
    [
        lambda z: torch.view_as_real(z),
        lambda z: torch.abs(z),
        lambda z: z.abs() ** 2,
        lambda z: torch.cat([z.real, z.imag], 1),
    ],
    ids=["pairs", "abs", "power", "parts"],
)
def test_stft_of_rows_of_samples(tmp_path, read):
    module = Spectrum(read)
    with pytest.raises(ModelError, match=r"opset version 13 is not supported\. OPSET=17 has what"):
        train.export_onnx(module, parse_specs("x:batch,samples"), tmp_path / "m.onnx")
    made = train.export_onnx(module, parse_specs("x:batch,samples"), tmp_path / "m.onnx", opset=17)
    agree(made, module, {"batch": 3, "samples": 50})


def test_torch_is_as_before_afterwards(tmp_path):
    known = (torch.stft, torch.abs, torch.Tensor.abs, torch.Tensor.real, torch.Tensor.unflatten)
    known += (F.scaled_dot_product_attention, nn.utils.rnn.pad_packed_sequence, torch.Tensor.mT)
    module = seeded(Weights)
    train.export_onnx(
        module, parse_specs(f"x:batch,time,{WIDTH} mask:bool:batch,time"), tmp_path / "m.onnx"
    )
    with pytest.raises(ModelError):
        train.export_onnx(
            Spectrum(torch.angle), parse_specs("x:batch,samples"), tmp_path / "n.onnx"
        )
    after = (torch.stft, torch.abs, torch.Tensor.abs, torch.Tensor.real, torch.Tensor.unflatten)
    after += (F.scaled_dot_product_attention, nn.utils.rnn.pad_packed_sequence, torch.Tensor.mT)
    assert all(one is two for one, two in zip(known, after, strict=True))
    assert not {"abs", "unflatten"} & set(vars(torch.Tensor)) - {"unflatten"}
