"""Run a module as it is served, and leave it, its tensors and torch's settings as they were.

Any forward may count its calls, keep a cache, draw random numbers or work in place. The module is
what the user goes on with, so nothing of that stays; and each run begins at the same state.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def isolated(module: nn.Module) -> Iterator[nn.Module]:
    """Put the module into eval mode, without gradients; everything is put back afterwards.

    These are its parameters and buffers, the attributes of its parts (modes and hooks among them),
    torch's random numbers, its grad mode, and the switch of the fused attention: no opset can
    express the fused kernels, and they give other values where a mask hides tokens.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(_restored(module))
        stack.enter_context(_without_fused_attention())
        module.eval()
        stack.enter_context(torch.no_grad())
        yield module


@contextlib.contextmanager
def _without_fused_attention() -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextlib.contextmanager
def _restored(module: nn.Module) -> Iterator[None]:
    parts = list(module.modules())
    modes = [(part, part.training) for part in parts if hasattr(part, "training")]
    attributes = [vars(part) for part in parts if not isinstance(part, torch.jit.ScriptModule)]
    tables = [*attributes, *_tables(attributes)]
    contents = [(table, table.copy()) for table in tables]
    values = [(tensor, tensor.detach().clone()) for tensor in _tensors(module, tables)]
    try:
        yield
    finally:
        for table, before in contents:
            _refill(table, before)
        for part, mode in modes:
            part.training = mode
        for tensor, saved in values:
            _reset(tensor, saved)


def _tables(attributes: Iterable[dict[str, Any]]) -> list[Any]:
    return [
        value for each in attributes for value in each.values() if isinstance(value, dict | list)
    ]


def _tensors(module: nn.Module, tables: Iterable[Any]) -> list[Tensor]:
    """Return what the module holds: parameters, buffers, and tensors that are plain attributes."""
    found = [*module.parameters(), *module.buffers()]
    for table in tables:
        found += table.values() if isinstance(table, dict) else table
    plain = {
        id(each): each
        for each in found
        if isinstance(each, Tensor)
        and each.layout == torch.strided
        and not (each.is_meta or each.is_quantized or nn.parameter.is_lazy(each))
    }
    return list(plain.values())


def _refill(table: Any, before: Any) -> None:
    if isinstance(table, list):
        table[:] = before
        return
    if list(map(id, table.values())) != list(map(id, before.values())) or [*table] != [*before]:
        table.clear()
        table.update(before)


def _reset(tensor: Tensor, saved: Tensor) -> None:
    now = tensor.detach()
    if now.shape != saved.shape or now.dtype != saved.dtype:
        tensor.data = saved
    elif not ((now == saved) | ((now != now) & (saved != saved))).all():  # NaN is not itself
        now.copy_(saved)
