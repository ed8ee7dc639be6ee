"""Reproducible numbers: a fixed number of threads and torch's deterministic algorithms,
temporarily."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def deterministic(*, threads: int) -> Iterator[None]:
    """Compute with `threads` threads, because sums depend on how the work is split.

    The previous settings are restored at the end.
    """
    before, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict)
