"""Run a module as it is served, and restore it, its tensors and torch's settings afterwards.

A forward may count its calls, keep a cache, draw random numbers or work in place. The user goes on
with the module, so nothing of that may stay. Each run also starts from the same state.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from torchgraph.modules.snapshot import Snapshot


@contextlib.contextmanager
def isolated(module: nn.Module) -> Iterator[nn.Module]:
    """Put the module into eval mode, without gradients, and restore everything afterwards.

    Restored are its parameters and buffers, the attributes of its parts (including modes and
    hooks), torch's random numbers, its grad mode, and the switch of the fused attention. The fused
    attention is off meanwhile, because no opset can express its kernels, and they give other values
    where a mask hides tokens.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.callback(Snapshot(filter(_has_shapes, module.modules())).restore)
        stack.enter_context(_modes_kept(module))
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
def _modes_kept(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules() if hasattr(part, "training")]
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _has_shapes(part: nn.Module) -> bool:
    """Whether no tensor of a part is lazy. The first run gives lazy tensors their shapes for
    good."""
    own = (*part.parameters(recurse=False), *part.buffers(recurse=False))
    return not any(map(is_lazy, own))
