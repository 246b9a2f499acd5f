"""Number of threads of a computation."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def use_threads(n: int | None) -> Iterator[None]:
    """Compute with `n` threads, None for no change; the last digits of sums depend on the number."""
    if n is None:
        yield
        return
    before = torch.get_num_threads()
    try:
        with threadpool_limits(n):
            torch.set_num_threads(n)
            yield
    finally:
        torch.set_num_threads(before)
