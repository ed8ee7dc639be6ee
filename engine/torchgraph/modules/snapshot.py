"""The content of modules, copied so that it can be restored bit for bit."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

Container: TypeAlias = dict | list | set

_SAME_SIZE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Snapshot:
    """Tensors of some modules with copies of their values, and the containers that hold them."""

    def __init__(self, parts: Iterable[nn.Module]) -> None:
        """Copy the parameters, buffers and tensor attributes of these modules, without
        submodules."""
        parts = list(parts)
        containers = [each for part in parts for each in _containers(part)]
        held = [t for part in parts for t in _own_tensors(part)]
        held += [t for each in containers for t in _tensors(each)]
        self._containers = [(each, _plain(each)) for each in containers]
        tensors = {id(t): t for t in held}.values()
        self._tensors = [(t, type(t), t.data, _copied(t)) for t in tensors]

    def restore(self) -> None:
        """Restore every container, every tensor object, and the values of each."""
        for container, before in self._containers:
            _refill(container, before)
        with torch.no_grad():
            for tensor, kind, data, values in self._tensors:
                if type(tensor) is not kind:  # a lazy parameter got its shape
                    tensor.__class__ = kind
                # A tensor that overlaps itself (an expanded buffer) cannot be written.
                if values is not None and _is_as_before(tensor, data, values):
                    continue
                tensor.data = data
                if values is not None:
                    data.copy_(values)


def _containers(part: nn.Module) -> list[Container]:
    """Return the dict of a module's attributes, and the attributes that are containers."""
    if isinstance(part, torch.jit.ScriptModule):  # these live outside Python
        return []
    own = vars(part)
    return [own, *(each for each in own.values() if isinstance(each, dict | list | set))]


def _own_tensors(part: nn.Module) -> Iterator[Tensor]:
    yield from part.parameters(recurse=False)
    yield from part.buffers(recurse=False)


def _tensors(container: Container) -> Iterator[Tensor]:
    values = container.values() if isinstance(container, dict) else container
    return (value for value in values if isinstance(value, Tensor))


def _copied(tensor: Tensor) -> Tensor | None:
    return None if is_lazy(tensor) or tensor.is_meta else tensor.detach().clone()


def _refill(container: Container, before: Container) -> None:
    if _identities(container) == _identities(before):
        return
    container.clear()
    if isinstance(container, list):
        container.extend(before)
    else:
        container.update(before)  # type: ignore[arg-type]


def _plain(container: Container) -> Container:
    """Return a container's content in a plain Python container, because others may refuse
    copies."""
    kind = next(kind for kind in (dict, list, set) if isinstance(container, kind))
    return kind(container)


def _identities(container: Container) -> list[int]:
    """Return what distinguishes two containers whose entries may not support equality."""
    values = container.values() if isinstance(container, dict) else ()
    return [*map(id, container), *map(id, values)]


def _is_as_before(tensor: Tensor, data: Tensor, values: Tensor) -> bool:
    """Whether a tensor is where it was, with every bit of its values unchanged."""
    dense = tensor.layout is data.layout is torch.strided and not data.is_quantized
    if not dense or tensor.dtype != data.dtype or not tensor.is_set_to(data):
        return False
    return torch.equal(_bits(data), _bits(values))


def _bits(tensor: Tensor) -> Tensor:
    tensor = tensor.resolve_conj().resolve_neg()
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return real.view(_SAME_SIZE[real.element_size()])
