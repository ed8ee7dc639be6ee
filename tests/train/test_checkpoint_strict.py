"""Whatever `load_state_dict(strict=True)` takes is taken; a refusal leaves the module as it was."""

import copy

import pytest
import safetensors.torch
import torch
from torch import nn

from graphcore.errors import ModelError
from nbhelpers import train


def saved(content, tmp_path):
    torch.save(content, tmp_path / "m.pth")
    return tmp_path / "m.pth"


class Renames(nn.Module):
    """Takes its old names, as several model collections do."""

    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(2, 3)

    def _load_from_state_dict(self, state, prefix, *rest):
        for key in [key for key in state if key.startswith(prefix + "fc.")]:
            state[key.replace("fc.", "proj.")] = state.pop(key)
        super()._load_from_state_dict(state, prefix, *rest)


class Splits(nn.Module):
    """Makes two weights of one, in a registered hook."""

    def __init__(self):
        super().__init__()
        self.q, self.k = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.register_load_state_dict_pre_hook(self.split)

    @staticmethod
    def split(module, state, prefix, *_):
        if prefix + "qk.weight" in state:
            both = state.pop(prefix + "qk.weight")
            state[prefix + "q.weight"], state[prefix + "k.weight"] = both.chunk(2)


class Fills(nn.Module):
    """Has a buffer that older files lack, and says that its absence is no harm."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.register_buffer("positions", torch.arange(4))
        self.register_load_state_dict_post_hook(lambda _, keys: keys.missing_keys.clear())


class Extra(nn.Module):
    def __init__(self, kept=0):
        super().__init__()
        self.fc, self.kept = nn.Linear(2, 2), kept

    def get_extra_state(self):
        return {"kept": self.kept}

    def set_extra_state(self, value):
        self.kept = value["kept"]


class Overrides(nn.Linear):
    def load_state_dict(self, state, strict=True):
        return super().load_state_dict({k.lower(): v for k, v in state.items()}, strict=strict)


def test_the_modules_own_hooks_take_part(tmp_path):
    weight, bias = torch.randn(3, 2), torch.randn(3)
    for prefix in ("", "model.", "module."):
        module = nn.Sequential(Renames())
        old = {f"{prefix}0.fc.weight": weight, f"{prefix}0.fc.bias": bias}
        train.load_checkpoint(module, saved(old, tmp_path))
        assert torch.equal(module[0].proj.weight, weight)
        assert torch.equal(module[0].proj.bias, bias)
    both, module = torch.randn(8, 4), Splits()
    train.load_checkpoint(module, saved({"state_dict": {"qk.weight": both}}, tmp_path))
    assert torch.equal(torch.cat([module.q.weight, module.k.weight]), both)
    older, module = nn.ModuleDict({"fc": nn.Linear(2, 2)}), Fills()
    train.load_checkpoint(module, saved(older.state_dict(), tmp_path))
    assert module.positions.tolist() == [0, 1, 2, 3]
    module, shouted = Overrides(2, 2), {"WEIGHT": torch.ones(2, 2), "BIAS": torch.ones(2)}
    train.load_checkpoint(module, saved(shouted, tmp_path))
    assert module.weight.sum() == 4


def test_what_is_more_than_tensors_is_kept(tmp_path):
    module = nn.Sequential(Extra())
    told = train.load_checkpoint(module, saved(nn.Sequential(Extra(kept=3)).state_dict(), tmp_path))
    assert module[0].kept == 3
    assert told.tensors == 3


def test_counters_of_batch_norm_may_be_missing_in_files_old_and_new(tmp_path):
    state = nn.BatchNorm2d(3).state_dict()
    state["running_mean"] = torch.ones(3)
    without = copy.copy(state)
    del without["num_batches_tracked"]
    for content in (dict(without), without):
        module = nn.BatchNorm2d(3)
        train.load_checkpoint(module, saved(content, tmp_path))
        assert module.running_mean.tolist() == [1, 1, 1]


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_parametrised_weights_load_from_old_and_new_files(tmp_path):
    old = nn.utils.weight_norm(nn.Conv1d(2, 3, 3))
    new = nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 3, 3))
    train.load_checkpoint(new, saved(old.state_dict(), tmp_path))
    assert torch.allclose(new.weight, old.weight)
    again = nn.utils.weight_norm(nn.Conv1d(2, 3, 3))
    train.load_checkpoint(again, saved(old.state_dict(), tmp_path))
    assert torch.equal(again.weight_v, old.weight_v)
    spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
    other = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
    train.load_checkpoint(other, saved(spectral.state_dict(), tmp_path))
    assert torch.equal(other.eval().weight, spectral.eval().weight)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize(
    "scripted", [torch.jit.script, lambda m: torch.jit.trace(m, torch.ones(2, 4))]
)
def test_scripted_and_traced_modules_load_as_strictly(scripted, tmp_path):
    proper = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    x, state = torch.randn(5, 4), proper.state_dict()
    module = scripted(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval())
    old = {name: value for name, value in state.items() if "num_batches" not in name}
    train.load_checkpoint(module, saved({"state_dict": old}, tmp_path))
    assert torch.equal(module(x), proper(x))
    wrong = {"1.weight": torch.zeros(3), "2.weight": torch.zeros(3)}
    without = {name: value + 1 for name, value in state.items() if name != "0.bias"}
    with pytest.raises(
        ModelError, match=r"1 missing from the file: 0.bias; 1 unknown .* 2.weight\."
    ):
        train.load_checkpoint(module, saved(without | wrong, tmp_path))
    assert torch.equal(module(x), proper(x))


def test_lazy_modules_take_their_shapes_from_the_file(tmp_path):
    proper = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    lazy = nn.Sequential(nn.LazyLinear(4), nn.LazyLinear(2))
    path = saved({"model": proper.state_dict()}, tmp_path)
    train.load_checkpoint(lazy, path)
    x = torch.randn(5, 3)
    assert torch.equal(lazy(x), proper(x))
    wrong = nn.Sequential(nn.LazyLinear(4), nn.Linear(9, 2))
    with pytest.raises(ModelError, match=r"1 of another shape: 1.weight \(file \(2, 4\), model"):
        train.load_checkpoint(wrong, path)
    assert wrong[0].has_uninitialized_params()


def test_a_module_on_the_meta_device_takes_the_files_tensors(tmp_path):
    x = torch.randn(5, 3)
    plain = nn.Sequential(nn.Linear(3, 4))
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(3, 4))
    double = {name: value.double() for name, value in plain.state_dict().items()}
    train.load_checkpoint(module, saved(double, tmp_path))
    assert torch.equal(module(x), plain(x))
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(3, 4))
        module.register_buffer("mask", torch.ones(2), persistent=False)
    with pytest.raises(
        ModelError, match="1 without values, as the model was built on the meta dev"
    ):
        train.load_checkpoint(module, saved(plain.state_dict(), tmp_path))
    assert module[0].weight.is_meta


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight


class Transposed(nn.Module):
    def __init__(self):
        super().__init__()
        self.coder = nn.Linear(4, 3, bias=False)
        self.decoder = nn.Linear(3, 4, bias=False)
        self.decoder.weight = nn.Parameter(self.coder.weight.detach().t())


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_tied_weights_need_be_in_the_file_once(tmp_path, prefix):
    trained = Tied()
    wrapped = nn.ModuleDict({prefix[:-1]: trained}) if prefix else trained
    safetensors.torch.save_model(wrapped, tmp_path / "m.safetensors")
    module = Tied()
    told = train.load_checkpoint(module, tmp_path / "m.safetensors")
    assert told.tensors == 1
    assert torch.equal(module.head.weight, trained.head.weight)
    assert module.head.weight is module.embed.weight
    trained, module = Transposed(), Transposed()
    path = saved({f"{prefix}coder.weight": trained.coder.weight.data}, tmp_path)
    train.load_checkpoint(module, path)
    assert torch.equal(module.decoder.weight, trained.decoder.weight)
    both = {f"{prefix}{name}": value for name, value in trained.state_dict().items()}
    assert train.load_checkpoint(Transposed(), saved(both, tmp_path)).tensors == 2


def test_ties_of_a_module_on_the_meta_device_are_kept_in_value(tmp_path):
    for b, fits in ((torch.ones(5, 3), True), (torch.zeros(5, 3), False)):
        with torch.device("meta"):
            module = Tied()
        path = saved({"embed.weight": torch.ones(5, 3), "head.weight": b}, tmp_path)
        if fits:
            train.load_checkpoint(module, path)
            assert torch.equal(module.head.weight, b)
            continue
        with pytest.raises(ModelError, match=r"head\.weight and embed\.weight are one tensor in"):
            train.load_checkpoint(module, path)
        assert module.head.weight.is_meta


def test_narrow_floats_are_cast(tmp_path):
    values = torch.tensor([[0.5, -2.0]])
    for dtype in (torch.float8_e4m3fn, torch.bfloat16, torch.float16):
        module = nn.Linear(2, 1, bias=False)
        train.load_checkpoint(module, saved({"weight": values.to(dtype)}, tmp_path))
        assert torch.equal(module.weight, values)


@pytest.mark.parametrize(
    ("make", "one", "other"),
    [(Tied, "embed.weight", "head.weight"), (Transposed, "coder.weight", "decoder.weight")],
)
def test_tied_weights_that_differ_in_the_file_are_refused_by_name(tmp_path, make, one, other):
    module = make()
    before = copy.deepcopy(module.state_dict())
    state = {name: value + 1 for name, value in module.state_dict().items()}
    state[one] = state[one] + 1
    said = f"{one} and {other} are one tensor in the model, but have different values in the file"
    with pytest.raises(ModelError, match=said):
        train.load_checkpoint(module, saved(state, tmp_path))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


class Raises(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last, self.seen = nn.Linear(2, 2), nn.Linear(2, 2), []
        self.register_load_state_dict_post_hook(self.stop)

    def stop(self, module, keys):
        self.seen.append("loaded")
        self.first.weight.data.zero_()
        self.first = nn.Identity()
        raise KeyError("no such part")


def quantised():
    return torch.quantize_per_tensor(torch.randn(2, 2), 0.1, 0, torch.qint8)


CHANGES = {
    "sparse": (lambda v: v.to_sparse(), r"is sparse in the file, the model's is dense \(save its"),
    "csr": (lambda v: v.to_sparse_csr(), "is sparse in the file"),
    "quantised": (lambda _: quantised(), r"is quantised in the file, .* \(save its dequantize\(\)"),
    "meta": (lambda v: v.to("meta"), "has no values in the file"),
    "complex": (lambda v: v + 1j, "is complex64 in the file, and float32 cannot hold its values"),
    "large": (lambda v: v.double() * 1e300, "is float64 in the file, and float32 cannot hold"),
    "shape": (lambda v: v[:1], "1 of another shape: last.weight"),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR:UserWarning")
@pytest.mark.filterwarnings("ignore:.*quantize.*:DeprecationWarning")
@pytest.mark.parametrize("change", CHANGES)
def test_a_tensor_that_cannot_be_taken_leaves_every_bit(tmp_path, change):
    make, said = CHANGES[change]
    module = nn.ModuleDict({"first": nn.Linear(2, 2), "last": nn.Linear(2, 2)})
    module["first"].weight.data[0, 0] = float("nan")
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = {name: value + 1 for name, value in before.items()}
    state["last.weight"] = make(state["last.weight"])
    with pytest.raises(ModelError, match=said):
        train.load_checkpoint(module, saved({"state_dict": state}, tmp_path))
    for name, value in module.state_dict().items():
        assert value.numpy().tobytes() == before[name].numpy().tobytes()


def test_a_fraction_is_not_cast_to_a_whole_number(tmp_path):
    module = nn.Module()
    module.register_buffer("index", torch.zeros(3, dtype=torch.int64))
    train.load_checkpoint(module, saved({"index": torch.tensor([1.0, 2.0, 4.0])}, tmp_path))
    assert module.index.tolist() == [1, 2, 4]
    with pytest.raises(ModelError, match="index is float32 in the file, and int64 cannot hold"):
        train.load_checkpoint(module, saved({"index": torch.tensor([1.5, 2.0, 4.0])}, tmp_path))
    assert module.index.tolist() == [1, 2, 4]


def test_a_hook_that_raises_leaves_the_module_and_its_attributes(tmp_path):
    module = Raises()
    first, before = module.first, copy.deepcopy(module.state_dict())
    path = saved({name: value + 1 for name, value in before.items()}, tmp_path)
    with pytest.raises(ModelError, match=r"its own loading failed \(KeyError: 'no such part'\)"):
        train.load_checkpoint(module, path)
    assert module.first is first
    assert module.seen == []
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
