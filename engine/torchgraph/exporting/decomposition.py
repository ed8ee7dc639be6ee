"""Replace operations that torch's exporter lacks or freezes by plain ones while a module is traced.

They are replaced where the module finds them: in torch, and in the Python files of its classes,
which may have imported them by name. Everything is restored afterwards.
"""

import contextlib
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@contextlib.contextmanager
def decomposed(module: nn.Module, opset: int) -> Iterator[None]:
    """Replace the operations that an opset cannot express.

    - `unflatten`: the exporter treats the other sizes as constants from there on, which freezes
      every `nn.MultiheadAttention`. Below opset 13 it has no form for it at all.
    - `scaled_dot_product_attention` below opset 14, and with grouped queries.
    - `mT` and `vdot` (spectral norm), which the exporter does not know.
    - `stft` with complex results, and the functions that read them. ONNX's STFT gives pairs of
    numbers.
    - `pad_packed_sequence`: the exporter pads to the length of the input, torch to the longest row.
    """
    functions: dict[Callable[..., Any], Callable[..., Any]] = {
        torch.unflatten: _unflatten,
        torch.stft: _stft,
        torch.view_as_real: _pairs,
        torch.abs: _magnitude,
        torch.vdot: _vdot,
        nn.utils.rnn.pad_packed_sequence: _padded,
    }
    functions[_ATTENTION] = _attention if opset < 14 else _ungrouped
    parts = {sys.modules.get(type(part).__module__) for part in module.modules()}
    places = [torch, torch.functional, F, nn.utils.rnn, *filter(None, parts)]
    methods = {
        "unflatten": _unflatten,
        "abs": _magnitude,
        "real": property(lambda value: _part(value, 0)),
        "imag": property(lambda value: _part(value, 1)),
        "mT": property(lambda value: value.transpose(-2, -1)),
    }
    with contextlib.ExitStack() as stack:
        for place in dict.fromkeys(places):
            for name, known in _found(place, functions):
                stack.enter_context(mock.patch.object(place, name, functions[known]))
        for name, method in methods.items():
            stack.enter_context(mock.patch.object(Tensor, name, method))
        yield


def _found(place: Any, functions: Iterable[Any]) -> list[tuple[str, Any]]:
    known = {id(each): each for each in functions}
    return [(name, known[id(value)]) for name, value in vars(place).items() if id(value) in known]


def _unflatten(value: Tensor, dim: int, sizes: Iterable[int]) -> Tensor:
    dim %= value.dim()
    shape = list(value.shape)
    return value.reshape([*shape[:dim], *sizes, *shape[dim + 1 :]])


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return softmax(q·kᵀ·scale + mask)·v, as defined in torch's documentation, without dropout."""
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (each.repeat_interleave(groups, -3) for each in (key, value))
    if is_causal:
        rows, columns = (torch.arange(each.shape[-2], device=query.device) for each in (query, key))
        attn_mask = rows[:, None] >= columns
    scores = query @ key.transpose(-2, -1) * (scale or 1 / math.sqrt(query.shape[-1]))
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, float("-inf"))
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1) @ value


_VDOT = torch.vdot


def _vdot(one: Tensor, other: Tensor) -> Tensor:
    return _VDOT(one, other) if one.is_complex() else (one * other).sum()


_ATTENTION = F.scaled_dot_product_attention


def _ungrouped(*args: Any, enable_gqa: bool = False, **kwargs: Any) -> Tensor:
    if enable_gqa:
        return _attention(*args, **kwargs, enable_gqa=True)
    return _ATTENTION(*args, **kwargs)


_PADDED = nn.utils.rnn.pad_packed_sequence


def _padded(
    sequence: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Cut to the longest row, because the exporter pads to the length of the input."""
    value, lengths = _PADDED(sequence, batch_first, padding_value, total_length)
    if total_length is None:
        # The exporter stores the lengths as int32, whatever the trace says.
        longest = lengths.to(torch.int32).max().to(torch.int64)
        value = value[:, :longest] if batch_first else value[:longest]
    return value, lengths


_STFT, _ABS, _VIEW_AS_REAL = torch.stft, torch.abs, torch.view_as_real
_REAL, _IMAG = Tensor.real, Tensor.imag
_PAIRS = "_nbhelpers_pairs"


def _stft(*args: Any, **kwargs: Any) -> Tensor:
    """Return pairs of a real and an imaginary part on the last axis, marked as such."""
    asked = kwargs.pop("return_complex", None)
    found = _STFT(*args, **kwargs, return_complex=False)
    setattr(found, _PAIRS, bool(asked))
    return found


def _pairs(value: Tensor) -> Tensor:
    return value if getattr(value, _PAIRS, False) else _VIEW_AS_REAL(value)


def _magnitude(value: Tensor, **kwargs: Any) -> Tensor:
    if getattr(value, _PAIRS, False):
        return (value * value).sum(-1).sqrt()
    return _ABS(value, **kwargs)


def _part(value: Tensor, number: int) -> Tensor:
    if getattr(value, _PAIRS, False):
        return value[..., number]
    return (_REAL, _IMAG)[number].__get__(value)
