"""Load one set of weights strictly, as `load_state_dict` does, and say what does not fit.

The module's own hooks run. They may rename names, fill in what older files lack, and keep more than
tensors. Beyond torch's own checks, no value may change its meaning: a cast may only round, names
that share memory must agree, and every tensor must have values.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from graphcore.enumeration import listed
from graphcore.errors import first_line

_SHOWN = 3
_COUNTER = "num_batches_tracked"
"""Only training reads this tensor."""


def load(module: nn.Module, state: Mapping[str, Any]) -> list[str]:
    """Load the state in place. Return what does not fit, in which case the module is half
    loaded."""
    own = _tensors(module.state_dict(keep_vars=True))
    problems = list(_unsuitable(own, state))
    if problems:
        return problems
    without_memory = any(value.is_meta for value in own.values())
    keys = _Keys(own)
    # A module on the meta device takes the file's own tensors, because it has no memory to copy
    # into.
    options: dict[str, Any] = {"assign": True} if without_memory else {}
    error: Exception | None = None
    try:
        _strictly(module, _cast(state, own) if without_memory else state, keys, options)
    except Exception as raised:  # noqa: BLE001 - the module's hooks may raise anything
        error = raised
    if error is not None:
        return _said(error, keys, own, state)
    loaded = _tensors(module.state_dict())
    return [*_without_values(module), *_disagreeing(own, loaded, state)]


def _strictly(
    module: nn.Module, state: Mapping[str, Any], keys: "_Keys", options: Mapping[str, Any]
) -> None:
    """Load as with `strict=True`, with the hook. A script accepts no hook, so it is called here."""
    if isinstance(module, torch.jit.ScriptModule):
        keys(module, module.load_state_dict(state, strict=False, **options))
        if keys.missing or keys.unknown:
            raise KeyError(*keys.missing, *keys.unknown)
        return
    hook = module.register_load_state_dict_post_hook(keys)
    try:
        module.load_state_dict(state, strict=True, **options)
    finally:
        hook.remove()


class _Keys:
    """A hook that collects the names that do not fit, except those that need no value."""

    def __init__(self, own: Mapping[str, Tensor]) -> None:
        self.own, self.missing, self.unknown = own, list[str](), list[str]()

    def __call__(self, module: nn.Module, found: Any) -> None:
        absent = set(found.missing_keys)
        given = {_memory(value) for name, value in self.own.items() if name not in absent}
        found.missing_keys[:] = [
            name
            for name in found.missing_keys
            if name.rpartition(".")[2] != _COUNTER
            and (name not in self.own or _memory(self.own[name]) not in given)
        ]
        self.missing, self.unknown = list(found.missing_keys), list(found.unexpected_keys)


def equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of one dtype hold the same values, NaN in the same places."""
    if one.is_quantized or other.is_quantized:
        return torch.equal(one, other)
    one, other = _dense(one), _dense(other)
    if one.shape != other.shape:
        return False
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _unsuitable(own: Mapping[str, Tensor], state: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a tensor of the file cannot be used for the module's tensor of that name."""
    for name, value in state.items():
        mine = own.get(name)
        if not isinstance(value, Tensor):
            continue
        if value.is_nested:
            yield f"{name} is a nested tensor in the file (save its to_padded_tensor(0))"
        elif value.is_meta:
            yield f"{name} has no values in the file (it is a meta tensor, so save it with values)"
        elif mine is None or is_lazy(mine):
            continue
        elif value.is_quantized and not mine.is_quantized:
            yield f"{name} is quantised in the file, the model's is not (save its dequantize())"
        elif value.layout is not mine.layout and value.layout is not torch.strided:
            yield f"{name} is sparse in the file, the model's is dense (save its to_dense())"
        elif value.numel() == mine.numel() and not _keeps_its_values(value, mine.dtype):
            kinds = _plain(value.dtype), _plain(mine.dtype)
            yield f"{name} is {kinds[0]} in the file, and {kinds[1]} cannot hold its values"


def _keeps_its_values(value: Tensor, dtype: torch.dtype) -> bool:
    """Whether a cast only rounds, without losing an imaginary part, a fraction or a large value."""
    if value.dtype == dtype or value.is_quantized or value.layout is not torch.strided:
        return True
    if value.is_complex() and not dtype.is_complex:
        return False
    try:
        cast = value.to(dtype)
    except NotImplementedError:  # for the smallest floats
        return False
    if dtype.is_floating_point or dtype.is_complex:
        return bool((_finite(cast) == _finite(value)).all())
    return equal(cast.to(value.dtype), value)


def _finite(value: Tensor) -> Tensor:
    """Return where a tensor is finite. torch has no such function for the smallest floats."""
    return (value if value.is_complex() else value.to(torch.float64)).isfinite()


def _disagreeing(
    own: Mapping[str, Tensor], loaded: Mapping[str, Tensor], state: Mapping[str, Any]
) -> Iterator[str]:
    """Yield names that are one tensor in the module but have different values in the file.

    Args:
        own: the module's tensors before loading.
        loaded: the tensors now. Those from the meta device are not tied any more.
        state: the file's tensors.
    """
    sharing: dict[int, list[str]] = {}
    for name, value in own.items():
        if isinstance(state.get(name), Tensor):
            sharing.setdefault(_storage(value) or id(value), []).append(name)
    for names in sharing.values():
        for name in names if len(names) > 1 else ():
            value, held = state[name], loaded[names[0] if own[name].is_meta else name]
            if value.shape == held.shape and not equal(held, value.to(held)):
                other = next(each for each in names if each != name)
                yield (
                    f"{name} and {other} are one tensor in the model, but have different values "
                    "in the file, which is from a model that does not tie them"
                )
                break


def _without_values(module: nn.Module) -> Iterator[str]:
    """Yield the tensors that are still on the meta device."""
    every = (*module.named_parameters(), *module.named_buffers())
    names = [name for name, value in every if value.is_meta]
    if names:
        yield (
            f"{_listed('without values, as the model was built on the meta device', names)} "
            "(build it on the CPU)"
        )


def _said(
    error: Exception, keys: _Keys, own: Mapping[str, Tensor], state: Mapping[str, Any]
) -> list[str]:
    """Return the meaning of an error of `load_state_dict`, in our words if it is known."""
    shapes = [
        f"{name} (file {tuple(state[name].shape)}, model {tuple(value.shape)})"
        for name, value in own.items()
        if isinstance(state.get(name), Tensor) and not is_lazy(value)
        if state[name].shape != value.shape
    ]
    counted = {
        "missing from the file": keys.missing,
        "unknown to the model": keys.unknown,
        "of another shape": shapes,
    }
    known = [_listed(what, names) for what, names in counted.items() if names]
    return known or [f"its own loading failed ({type(error).__name__}: {_reason(error)})"]


def _reason(error: Exception) -> str:
    """Return the reason in an error, because the first line of torch's says only that it failed."""
    lines = str(error).split("\n\t")
    return " ".join(lines[1].split())[:200].rstrip(".") if len(lines) > 1 else first_line(error)


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _cast(state: Mapping[str, Any], own: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the state in the module's dtypes."""
    return {n: v.to(own[n].dtype) if n in own else v for n, v in state.items()}


def _memory(value: Tensor) -> object:
    """Return what two names of one tensor share, even if one is transposed."""
    if is_lazy(value) or value.is_meta or value.layout is not torch.strided or not value.numel():
        return id(value)
    return _storage(value), value.storage_offset(), value.numel(), value.dtype


def _storage(value: Tensor) -> int:
    """Return the address of a tensor's memory, or 0 if it has none of its own."""
    plain = not is_lazy(value) and value.layout is torch.strided and not value.is_meta
    return value.untyped_storage().data_ptr() if plain else 0


def _dense(value: Tensor) -> Tensor:
    return value if value.layout is torch.strided else value.to_dense()


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _listed(what: str, names: list[str]) -> str:
    return f"{len(names)} {what}: {listed(names, most=_SHOWN)}"
