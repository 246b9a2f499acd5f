"""Loaders with forked worker processes, whose errors read as if this process had read the samples."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sepvae.batch import Source
from sepvae.data.parallel import forking, may_fork, n_cores
from sepvae.errors import DataError, SepVAEError

Loader = DataLoader[tuple[Tensor, Tensor]]
MAX_WORKERS = 8


def make_loader(
    samples: Dataset[tuple[Tensor, Tensor]], order: Any, source: Source, num_workers: int | Literal["auto"]
) -> Loader:
    """
    Return a loader of batches, one for each array of positions in `order`.

    Workers are forked, so that images in memory are shared, not copied. Where forking is not safe (macOS,
    Windows), this process reads. "auto" means none for a source in memory, whose indexing is faster than
    sending, and otherwise one per core, at most 8.
    """
    if num_workers == "auto":
        num_workers = 0 if source.in_memory else min(MAX_WORKERS, n_cores())
    workers: dict[str, Any] = {}
    if num_workers and may_fork():
        workers = {"num_workers": num_workers, "persistent_workers": True, "multiprocessing_context": "fork"}
    generator = torch.Generator()  # else each pass draws from torch's own
    return _WorkerLoader(samples, batch_size=None, sampler=order, generator=generator, **workers)


class _WorkerLoader(Loader):
    """DataLoader with forked workers, whose errors read as if it had none."""

    def __iter__(self) -> Any:
        with forking():
            return _plain_errors(super().__iter__())


def _plain_errors(batches: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches; remove the traceback that torch adds to the messages of worker errors."""
    try:
        yield from batches
    except SepVAEError as error:
        _, found, message = str(error).rstrip().rpartition(f"{type(error).__name__}: ")
        if not found:
            raise
        raise type(error)(message) from None
    except (RuntimeError, ConnectionError, EOFError) as error:
        # The worker was killed while it sent a batch; errors that it raised itself contain "Caught ..".
        ended = not isinstance(error, RuntimeError) and "Caught" not in str(error)
        if not (ended or "exited unexpectedly" in str(error) or "is killed by signal" in str(error)):
            raise
        raise DataError(
            "a process that reads was killed, perhaps for want of memory; free some, or try num_workers=0"
        ) from error
