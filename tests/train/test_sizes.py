"""A symbol in INPUTS promises any size: the file is compared with torch at several."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from graphcore import parity
from graphcore.errors import GraphError, ModelError, Refusal
from graphcore.spec import parse_sizes, parse_specs
from nbhelpers import onnxgraph, train


class Mean(nn.Module):
    def forward(self, x):
        return x.sum(1) / float(x.shape[1])


class Attention(nn.Module):
    def forward(self, x):
        length = int(x.shape[1])
        hidden = torch.triu(torch.ones(length, length), 1).bool()
        return (x @ x.mT).masked_fill(hidden, -1e9).softmax(-1) @ x


class Steps(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.cell = nn.GRUCell(4, 5)

    def forward(self, x):
        state = torch.zeros(x.shape[0], 5)
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        return state


class Larger(nn.Module):
    def forward(self, x):
        return F.interpolate(x, size=(int(x.shape[2]) * 2, int(x.shape[3]) * 2))


class Rows(nn.Module):
    def forward(self, x):
        return x.reshape(len(x), -1, 2, 2).sum(0) / float(len(x))


class Positions(nn.Module):
    def __init__(self, longest):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Parameter(torch.randn(1, longest, 4))

    def forward(self, x):
        return x + self.table[:, : int(x.shape[1])]


class Table(Positions):
    def __init__(self):
        super().__init__(99)

    def forward(self, x):
        return x + self.table[:, : x.shape[1]]


class Pooled(nn.Module):
    def forward(self, x):
        return F.avg_pool1d(x, x.shape[2] // 8)


class Blocks(nn.Module):
    """Looks at few rows alike, and at many otherwise."""

    def forward(self, x):
        return x * (1 + int(x.shape[0]) // 16)


class Points(nn.Module):
    def forward(self, x):
        if x.shape[0] < 12:
            raise ValueError("too few points")
        return (x @ x.T).topk(8).values


@pytest.mark.parametrize(
    ("module", "inputs", "symbol", "seen"),
    [
        (Mean(), "x:batch,time,4", "time", r"test_sizes\.py:17: Converting a tensor to a Python f"),
        (Attention(), "x:batch,time,4", "time", r"test_sizes\.py:22: Converting"),
        (Steps(), "x:batch,time,4", "time", "first tensor that differs is 'output'"),
        (Larger(), "x:batch,3,height,width", "height", r"shape: expected \(2, 3, 134, 64\)"),
        (Rows(), "x:batch,4,4", "batch", "at batch = 3"),
        (Positions(99), "x:batch,time,4", "time", "at time = 67"),
        (Pooled(), "x:batch,4,time", "time", "at time = 67"),
        (Blocks(), "x:time,4", "time", "at time = 33"),
    ],
    ids=["mean", "mask", "loop", "interpolate", "rows", "positions", "pool", "blocks"],
)
def test_a_size_that_was_frozen_is_refused_with_its_symbol(tmp_path, module, inputs, symbol, seen):
    path = tmp_path / "m.onnx"
    with pytest.raises(ModelError, match=rf"is right only where '{symbol}' is \d+, .*{seen}"):
        train.export_onnx(module, parse_specs(inputs), path)
    assert not path.exists()


def test_the_advice_gets_through(tmp_path):
    with pytest.raises(ModelError, match=r"write 32 in place of 'time' in INPUTS"):
        train.export_onnx(Mean(), parse_specs("x:batch,time,4"), tmp_path / "m.onnx")
    made = train.export_onnx(Mean(), parse_specs("x:batch,32,4"), tmp_path / "m.onnx")
    assert made.inputs[0].shape == ("batch", 32, 4)

    class True_(nn.Module):
        def forward(self, x):
            return x.sum(1) / x.shape[1]

    train.export_onnx(True_(), parse_specs("x:batch,time,4"), tmp_path / "m.onnx")
    seen = onnxgraph.run_onnx(tmp_path / "m.onnx", {"x": np.ones((3, 11, 4), np.float32)})
    np.testing.assert_allclose(seen["output"], 1, rtol=1e-6)


def test_a_part_of_the_network_is_named_where_it_is_the_first_to_differ(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.last(torch.relu(self.first(x) / float(x.shape[1])))

    with pytest.raises(ModelError, match=r"first tensor that differs is '/last/Add_output_0|outp"):
        train.export_onnx(Net(), parse_specs("x:batch,time,4"), tmp_path / "m.onnx")


class Picky(nn.Module):
    """Takes what the function says."""

    def __init__(self, takes):
        super().__init__()
        self.takes = takes

    def forward(self, x):
        if not self.takes(int(x.shape[1])):
            raise ValueError("not this length")
        return x * 2


@pytest.mark.parametrize(
    ("takes", "sizes"),
    [
        (lambda length: length % 32 == 0, {64, 96}),
        (lambda length: length % 2 == 1, {69, 19}),
        (lambda length: length <= 40, {19, 35}),
        (lambda length: length >= 300, {803, 403}),
        (lambda length: length in (48, 96), {96}),
    ],
    ids=["multiples", "odd", "at most", "at least", "two"],
)
def test_sizes_that_a_module_takes_are_found_and_recorded(tmp_path, takes, sizes):
    specs = parse_specs("x:batch,time,3")
    made = train.export_onnx(Picky(takes), specs, tmp_path / "m.onnx")
    assert made.inputs == specs and made.outputs[0].shape == ("batch", "time", 3)
    assert made.sizes["batch"] == (2, 3, 1, 33) and sizes <= set(made.sizes["time"])
    assert "compared with torch at batch 2, 3, 1, 33; time " in repr(made)
    cases = train.record_golden(Picky(takes), specs, ["output"])
    recorded = {case.inputs["x"].shape[1] for case in cases}
    assert recorded >= sizes and len(recorded) > 1
    assert {case.batch for case in cases} >= {1, 3}
    for report in onnxgraph.check_cases(onnxgraph.load(made.path), cases):
        report.check()


def test_a_first_axis_may_want_more_rows_than_a_batch(tmp_path):
    specs = parse_specs("x:points,3")
    made = train.export_onnx(Points(), specs, tmp_path / "m.onnx")
    assert made.outputs[0].shape[0] == "points" and len(made.sizes["points"]) > 2
    cases = train.record_golden(Points(), specs, ["output"])
    assert len({case.batch for case in cases}) > 1
    for report in onnxgraph.check_cases(onnxgraph.load(made.path), cases):
        report.check()


def test_the_user_says_the_sizes_where_trying_does_not_find_them(tmp_path):
    module = Picky(lambda length: length in (37, 41, 55))
    specs = parse_specs("x:batch,time,3")
    with pytest.raises(ModelError, match=r"does not run on inputs .*: not this length"):
        train.export_onnx(module, specs, tmp_path / "m.onnx")
    sizes = parse_sizes("time=37,41,55")
    made = train.export_onnx(module, specs, tmp_path / "m.onnx", sizes=sizes)
    assert not any("was run only at" in warning for warning in made.warnings)
    cases = train.record_golden(module, specs, ["output"], sizes=sizes)
    assert {case.inputs["x"].shape for case in cases} == {(1, 41, 3), (3, 55, 3)}
    with pytest.raises(ModelError, match="SIZES names 'length', but the symbols of the inputs are"):
        train.export_onnx(module, specs, tmp_path / "m.onnx", sizes={"length": (3,)})
    with pytest.raises(Refusal, match="Sizes are written symbol=size,size"):
        parse_sizes("time:3")


def test_cases_of_one_size_go_through_a_file_whose_sizes_are_fixed(tmp_path):
    specs = parse_specs("x:batch,time,4")
    free = train.export_onnx(Table(), specs, tmp_path / "b.onnx", sizes={"time": (16,)})
    assert not free.warnings
    fixed = onnxgraph.fix_dims(onnxgraph.load(free.path), {"time": 16}).model
    several = train.record_golden(Table(), specs, ["output"])
    with pytest.raises(GraphError, match=r"'batch1' has the shape \(1, 67, 4\).*01 with SIZES"):
        onnxgraph.check_cases(fixed, several)
    cases = train.record_golden(Table(), specs, ["output"], sizes={"time": (16,)})
    assert [case.inputs["x"].shape for case in cases] == [(1, 16, 4), (3, 16, 4)]
    for report in onnxgraph.check_cases(fixed, cases):
        report.check()


def test_a_symbol_of_which_one_size_was_seen_is_told(tmp_path):
    module = Picky(lambda length: length == 32)
    made = train.export_onnx(module, parse_specs("x:batch,time,3"), tmp_path / "m.onnx")
    assert any("'time' was run only at 32" in warning for warning in made.warnings)


def test_each_case_differs_in_every_symbol():
    class Both(nn.Module):
        def forward(self, x, y):
            return x.mean((2, 3)) + y.mean(1)

    specs = parse_specs("x:batch,3,height,width y:batch,time,3")
    cases = train.record_golden(Both(), specs, ["output"])
    sizes = [{n for v in case.inputs.values() for n in v.shape[1:]} - {3} for case in cases]
    assert [case.name for case in cases] == ["batch1", "batch3"]
    assert all(len(each) == 3 and all(size % 2 for size in each) for each in sizes)
    assert not sizes[0] & sizes[1]


def test_sizes_that_do_not_go_together_have_cases_of_their_own():
    class Area(nn.Module):
        def forward(self, x):
            if x.shape[1] * x.shape[2] > 40 * 70:
                raise ValueError("too large")
            return x * 2

    cases = train.record_golden(Area(), parse_specs("x:batch,height,width"), ["output"])
    for axis in (1, 2):
        assert len({case.inputs["x"].shape[axis] for case in cases}) > 1


def test_a_sum_of_symbols_is_kept_by_inputs_and_outputs(tmp_path):
    class Decoder(nn.Module):
        def forward(self, x, past, mask):
            keys = torch.cat([past, x], 1)
            seen = (x @ keys.mT).masked_fill(mask[:, None] == 0, -1e9)
            return {"y": seen.softmax(-1) @ keys, "present": keys}

    specs = parse_specs("x:batch,new,4 past:batch,past,4 mask:int64:batch,past+new")
    made = train.export_onnx(Decoder(), specs, tmp_path / "m.onnx")
    assert made.inputs == specs
    assert {spec.name: spec.shape for spec in made.outputs} == {
        "y": ("batch", "new", 4),
        "present": ("batch", "past+new", 4),
    }
    feeds = {spec.name: spec.sized({"batch": 3, "past": 5, "new": 2}).random(1) for spec in specs}
    expected = train.run_torch(Decoder(), feeds, ["y", "present"])
    parity.compare(expected, onnxgraph.run_onnx(made.path, feeds)).check()


def test_a_symbol_that_stands_for_a_sum_is_found(tmp_path):
    class Decoder(nn.Module):
        def forward(self, x, past, mask):
            keys = torch.cat([past, x], 1)
            return (x @ keys.mT).masked_fill(mask[:, None] == 0, -1e9)

    specs = parse_specs("x:batch,new,4 past:batch,past,4 mask:int64:batch,total")
    made = train.export_onnx(Decoder(), specs, tmp_path / "m.onnx")
    assert made.inputs[2].shape == ("batch", "new+past")
    assert made.outputs[0].shape == ("batch", "new", "new+past")


def test_which_of_several_first_axes_is_the_batch_is_tried(tmp_path):
    class Moved(nn.Module):
        def forward(self, anchors, x):
            return (x @ anchors).relu()

    anchors, rows = torch.randn(3, 4), torch.randn(2, 3)
    made = train.export_onnx(Moved(), [anchors, rows], tmp_path / "m.onnx")
    assert [spec.shape for spec in made.inputs] == [(3, 4), ("batch", 3)]

    class Apart(nn.Module):
        def forward(self, a, b):
            return a * 2, b + 1

    with pytest.raises(ModelError, match=r"different sizes \('a' 2, 'b' 5\).*TensorSpec"):
        train.export_onnx(Apart(), [torch.randn(2, 4), torch.randn(5, 4)], tmp_path / "m.onnx")
    made = train.export_onnx(Apart(), parse_specs("a:rows,4 b:batch,4"), tmp_path / "m.onnx")
    assert [spec.shape[0] for spec in made.outputs] == ["rows", "batch"]


def test_random_numbers_are_not_compared(tmp_path):
    class Noise(nn.Module):
        def forward(self, x):
            return x + torch.randn_like(x)

    made = train.export_onnx(Noise(), parse_specs("x:batch,3"), tmp_path / "m.onnx")
    assert any("draws random numbers (RandomNormalLike)" in each for each in made.warnings)
