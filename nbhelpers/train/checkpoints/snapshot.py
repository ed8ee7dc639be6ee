"""What a module holds, kept so that a failed load leaves it bit for bit as it was."""

import copy
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from torch import Tensor, nn, no_grad
from torch.nn.parameter import is_lazy


@contextmanager
def all_or_nothing(module: nn.Module) -> Iterator["Snapshot"]:
    """Give a snapshot of the module; bring it back where what is done inside raises."""
    before = Snapshot(module)
    try:
        yield before
    except BaseException:
        before.restore()
        raise


class Snapshot:
    """The tensors of a module with copies of their values, and the containers that hold them."""

    def __init__(self, module: nn.Module) -> None:
        """Copy the values of every parameter, buffer and tensor attribute of all submodules."""
        containers = [each for part in module.modules() for each in _containers(part)]
        tensors = {id(t): t for each in containers for t in _tensors(each)}
        self._containers = [(each, copy.copy(each)) for each in containers]
        self._tensors = [(t, type(t), t.data, _copied(t)) for t in tensors.values()]

    def restore(self) -> None:
        """Put back every container, every tensor object, and the values of each."""
        for container, before in self._containers:
            _refill(container, before)
        with no_grad():
            for tensor, kind, data, values in self._tensors:
                if type(tensor) is not kind:  # a lazy parameter was given its shape
                    tensor.__class__ = kind
                tensor.data = data
                if values is not None:
                    data.copy_(values)


def _containers(module: nn.Module) -> list[MutableMapping | list | set]:
    """Return the dict of a module's attributes, and the attributes that are containers."""
    own = vars(module)
    return [own, *(each for each in own.values() if isinstance(each, dict | list | set))]


def _tensors(container: MutableMapping | list | set) -> Iterator[Tensor]:
    values = container.values() if isinstance(container, MutableMapping) else container
    return (value for value in values if isinstance(value, Tensor))


def _copied(tensor: Tensor) -> Tensor | None:
    return None if is_lazy(tensor) or tensor.is_meta else tensor.detach().clone()


def _refill(container: MutableMapping | list | set, before: MutableMapping | list | set) -> None:
    container.clear()
    if isinstance(container, list):
        container.extend(before)
    else:
        container.update(before)  # type: ignore[arg-type]
