"""The same numbers again: a fixed number of threads and torch's deterministic algorithms, for a
while.
"""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def deterministic(*, threads: int) -> Iterator[None]:
    """Compute with `threads` threads (sums depend on how they are split); everything is put back
    after.
    """
    before, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict)
