"""Batches: every group in each of them, one indexing call per batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import active_children
from multiprocessing.connection import wait
from typing import Any, Literal, cast

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sepvae.batch import AnyArray, IntArray, Source, chunks
from sepvae.data.parallel import forking, may_fork, n_cores
from sepvae.errors import DataError, SepVAEError
from sepvae.training.augment import Augment

Loader = DataLoader[tuple[Tensor, ...]]
Workers = int | Literal["auto"]
MAX_WORKERS = 8
MIN_PER_GROUP = 2  # the critic pairs codes of different images, in every group


@dataclass(frozen=True)
class Samples(Dataset[tuple[Tensor, ...]]):
    """
    Dataset of samples with their groups or severities, and covariates if any, indexed by positions.

    With `augment`, an index is the epoch and step, and the positions.
    """

    source: Source
    y: AnyArray
    u: AnyArray | None = None
    augment: Augment | None = None

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        step: Any
        step, positions = (None, index) if self.augment is None else index
        x = torch.from_numpy(self.source.take(positions).x)
        if self.augment is not None:
            x = self.augment(x, step, positions)
        about = [values for values in (self.y, self.u) if values is not None]
        return x, *(torch.from_numpy(values[positions]) for values in about)

    def __len__(self) -> int:
        return len(self.y)


class GroupBatches(Sampler[Any]):
    """
    Sampler of shuffled batches of one size, with at least two samples of every group in each.

    Groups have the data's proportions or equal numbers. Samples that do not fill a batch are left out, others
    in each epoch; a group too rare for its share is repeated. `batch_size` counts samples over all processes.
    Batches are arrays of positions, each with its (epoch, step) before it if `numbered`.
    """

    def __init__(
        self,
        y: AnyArray,
        positions: IntArray,
        batch_size: int,
        *,
        balanced: bool,
        random_state: int,
        rank: int = 0,
        world_size: int = 1,
        numbered: bool = False,
    ) -> None:
        group = np.ceil(y).astype(np.int64)  # any severity above 0 is a target
        self.members = [positions[group[positions] == k] for k in range(int(group.max()) + 1)]
        self.rank, self.world_size, self.random_state = rank, world_size, random_state
        self.epoch, self.numbered = 0, numbered
        batch_size = min(batch_size, len(positions)) // world_size * world_size  # equal for each process
        if batch_size < (least := MIN_PER_GROUP * len(self.members)):
            raise DataError(
                f"batch_size: wanted {least} or more, so that a batch holds {MIN_PER_GROUP} samples of every "
                f"group, got {batch_size}"
            )
        self.n_batches = len(positions) // batch_size
        shares = np.ones(len(self.members)) if balanced else np.array([len(m) for m in self.members])
        self.counts = _counts(shares, batch_size, self.n_batches)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the order; Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[Any]:
        rng = np.random.default_rng([self.random_state, self.epoch])
        totals, ends = self.counts.sum(0), self.counts.cumsum(0)
        # Repeats of a rare group keep the order, so that copies of a sample are far apart.
        queues = [np.resize(rng.permutation(m), n) for m, n in zip(self.members, totals, strict=True)]
        for step, (counts, stops) in enumerate(zip(self.counts, ends, strict=True)):
            parts = [q[stop - n : stop] for q, n, stop in zip(queues, counts, stops, strict=True)]
            positions = np.concatenate(parts)[self.rank :: self.world_size]
            yield ((self.epoch, step), positions) if self.numbered else positions


def _counts(shares: AnyArray, batch_size: int, n_batches: int) -> AnyArray:
    """Return the number of samples of each group in each batch, shape (n_batches, groups)."""
    ideal = np.arange(1, n_batches + 1)[:, None] * (shares / shares.sum() * batch_size)
    # Cumulative sums over groups and batches are rounded, so that every batch is full and no share drifts.
    edges = np.rint(ideal.cumsum(axis=1)).astype(np.int64)
    counts: AnyArray = np.diff(np.diff(edges, axis=1, prepend=0), axis=0, prepend=0).clip(MIN_PER_GROUP)
    for batch in counts:  # the largest groups give way to rare groups that `clip` raised
        while batch.sum() > batch_size:
            batch[batch.argmax()] -= 1
    return counts


def training_batches(
    source: Source,
    y: AnyArray,
    positions: IntArray,
    *,
    u: AnyArray | None = None,
    augment: Augment | None = None,
    num_workers: Workers = "auto",
    **sampling: Any,
) -> Loader:
    """Return shuffled batches of transformed samples, with the keywords of `GroupBatches`."""
    order = GroupBatches(y, positions, numbered=augment is not None, **sampling)
    return make_loader(Samples(source, y, u, augment), order, num_workers)


def ordered_batches(
    source: Source,
    y: AnyArray,
    positions: IntArray,
    *,
    batch_size: int,
    u: AnyArray | None = None,
    rank: int = 0,
    world_size: int = 1,
    num_workers: Workers = "auto",
) -> Loader:
    """Return all samples in order; a last batch that processes cannot share repeats its first samples."""
    batches = []
    for part in chunks(len(positions), max(batch_size // world_size, 1) * world_size):
        shared = np.resize(positions[part], -(-len(part) // world_size) * world_size)
        batches.append(shared[rank::world_size])
    return make_loader(Samples(source, y, u), batches, num_workers)


class Batches(pl.LightningDataModule):
    """Data module that creates the batches when the trainer knows the rank and the number of processes."""

    def __init__(self, train: Callable[..., Loader], validation: Callable[..., Loader]) -> None:
        super().__init__()
        self.train, self.validation = train, validation

    def train_dataloader(self) -> Loader:
        """Return this process's share of the training batches."""
        trainer = cast(pl.Trainer, self.trainer)  # set, because it makes this call
        loader = self.train(rank=trainer.global_rank, world_size=trainer.world_size)
        # Workers read ahead at once, before Lightning sets the epoch of a continued fit.
        progress: Any = trainer.fit_loop.epoch_progress
        cast(GroupBatches, loader.sampler).set_epoch(progress.current.processed)
        return loader

    def val_dataloader(self) -> Loader:
        """Return this process's share of the validation batches."""
        trainer = cast(pl.Trainer, self.trainer)
        return self.validation(rank=trainer.global_rank, world_size=trainer.world_size)


def make_loader(samples: Samples, order: Any, num_workers: Workers) -> Loader:
    """
    Return a loader of batches, one for each array of positions in `order`.

    Workers are forked, so that images in memory are shared, not copied. Where forking is not safe (macOS,
    Windows), this process reads. "auto" means none for a source in memory, whose indexing is faster than
    sending, and otherwise one per core, at most 8.
    """
    if num_workers == "auto":
        num_workers = 0 if samples.source.in_memory else min(MAX_WORKERS, n_cores())
    workers: dict[str, Any] = {}
    if num_workers and may_fork():
        workers = {"num_workers": num_workers, "persistent_workers": True, "multiprocessing_context": "fork"}
    generator = torch.Generator()  # else each pass draws from torch's own
    return _WorkerLoader(samples, batch_size=None, sampler=order, generator=generator, **workers)


class _WorkerLoader(Loader):
    """DataLoader with forked workers, whose errors read as if it had none."""

    def __iter__(self) -> Any:
        with _plain_errors(), forking():
            batches = super().__iter__()
        return _each(batches)


def _each(batches: Iterator[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    with _plain_errors():
        yield from batches


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Remove the traceback that torch adds to the messages of worker errors; say that a worker was killed."""
    try:
        yield
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
        _reap_killed()
        raise DataError(
            "a process that reads was killed, perhaps for want of memory; free some, or try num_workers=0"
        ) from error


def _reap_killed() -> None:
    """Wait for the end of a killed worker: torch's signal handler would raise once more, anywhere, later."""
    with suppress(RuntimeError):  # of that handler
        workers = {worker.sentinel: worker for worker in active_children()}
        for ended in wait(list(workers), timeout=1):
            workers[cast(int, ended)].join()
