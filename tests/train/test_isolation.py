"""Exporting, running and recording leave the module, the user's tensors and torch as they were."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from graphcore.errors import ModelError
from graphcore.spec import parse_specs
from nbhelpers import train


class Restless(nn.Module):
    """Changes all that a forward can: the input, buffers, parameters, attributes, hooks, modes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3, 3)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("cache", torch.zeros(1, 3))
        self.seen, self.last = [], None
        self.plain = torch.zeros(2)

    def forward(self, x):
        x += 1
        self.calls += 1
        self.cache = x.detach()
        self.seen.append(x.shape)
        self.last = x
        self.plain += 1
        self.linear.bias.data.add_(1)
        self.linear.register_forward_hook(lambda *_: None)
        self.drop.train()
        torch.rand(3)
        return self.linear(x) * 0 + x


def state(module):
    return copy.deepcopy(
        (
            {name: value.clone() for name, value in module.state_dict().items()},
            [part.training for part in module.modules()],
            [len(part._forward_hooks) for part in module.modules()],
            (module.seen, module.last, module.plain.clone()),
            torch.random.get_rng_state(),
        )
    )


def assert_same(before, after):
    assert before[1:3] == after[1:3] and before[3][:2] == after[3][:2]
    assert torch.equal(before[3][2], after[3][2]) and torch.equal(before[4], after[4])
    assert list(before[0]) == list(after[0])
    assert all(torch.equal(value, after[0][name]) for name, value in before[0].items())


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("grad", [True, False])
def test_nothing_is_changed(tmp_path, fused, grad):
    module = Restless().train()
    module.linear.eval()
    given = torch.zeros(2, 3)
    before, kept = state(module), torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(fused)
    try:
        with torch.set_grad_enabled(grad):
            train.export_onnx(module, [given], tmp_path / "m.onnx")
            train.record_golden(module, parse_specs("x:batch,3"), ["output"])
            rows = np.zeros((2, 3), np.float32)
            train.run_torch(module, {"x": rows}, ["output"])
            assert torch.is_grad_enabled() == grad
        assert torch.backends.mha.get_fastpath_enabled() == fused
    finally:
        torch.backends.mha.set_fastpath_enabled(kept)
    assert_same(before, state(module))
    assert not given.any() and not rows.any()


def test_nothing_is_changed_by_what_fails(tmp_path):
    class Failing(Restless):
        def forward(self, x):
            super().forward(x)
            if torch.jit.is_tracing():
                raise RuntimeError("not while I am watched")
            return x

    module, given = Failing(), torch.zeros(2, 3)
    before = state(module)
    with pytest.raises(ModelError, match="not while I am watched"):
        train.export_onnx(module, [given], tmp_path / "m.onnx")
    assert_same(before, state(module))
    assert not given.any()
    assert torch.equal(nn.Linear(3, 3)(given).detach(), nn.Linear(3, 3)(given).detach()) is False


def test_each_run_begins_at_the_same_state():
    module = Restless()
    rows = {"x": np.ones((1, 3), np.float32)}
    one, two = (train.run_torch(module, rows, ["output"])["output"] for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_tied_weights_stay_tied(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)
            self.two.weight = self.one.weight

        def forward(self, x):
            return self.two(self.one(x))

    module = Tied()
    train.export_onnx(module, parse_specs("x:batch,3"), tmp_path / "m.onnx")
    assert module.two.weight is module.one.weight
    assert module.one.weight.requires_grad and module.one.weight.grad is None


class Buffers(nn.Module):
    """Counts in buffers of kinds that not every operation takes."""

    def __init__(self):
        super().__init__()
        ones = torch.ones(3, dtype=torch.complex64)
        self.register_buffer("complex", ones.clone())
        self.register_buffer("negated", ones.conj().imag)
        self.register_buffer("narrow", torch.ones(3).to(torch.float8_e4m3fn))
        self.register_buffer("nothing", torch.tensor([float("nan"), -0.0, 1.0]))
        self.register_buffer("expanded", torch.ones(1).expand(3))
        self.names = {"a"}

    def forward(self, x):
        self.complex *= 2
        self.nothing.zero_()
        self.names.add("b")
        return x + self.expanded


def test_buffers_of_every_kind_are_put_back_bit_for_bit():
    module = Buffers()
    held = dict(module.named_buffers())
    before = {name: repr(value.tolist()) for name, value in held.items()}
    train.run_torch(module, {"x": np.ones((2, 3), np.float32)}, ["output"])
    assert {name: repr(value.tolist()) for name, value in held.items()} == before
    assert all(value is held[name] for name, value in module.named_buffers())
    assert module.names == {"a"}


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
def test_a_lazy_module_keeps_the_shapes_of_its_first_run():
    module = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    rows = {"x": np.ones((2, 4), np.float32)}
    one, two = (train.run_torch(module, rows, ["output"])["output"] for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert module[0].in_features == 4 and module[1].num_features == 3
    assert module.training and module[1].training
