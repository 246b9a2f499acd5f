"""Means of an epoch over the samples of all processes, and the error when one is not finite."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sepvae.batch import AnyArray
from sepvae.errors import TrainingError, listed
from sepvae.training.distributed import all_reduce_sum

LAST = 5  # steps whose sample ids the error holds
SHOWN = 3  # sample ids in the message


class EpochMetrics:
    """Means of per-sample values over an epoch, in total and by group; sums stay on the device until read."""

    def __init__(self, n_groups: int) -> None:
        self.n_groups = n_groups
        self.names: list[str] = []
        self.of_batches: set[str] = set()
        self.sums: Tensor | float = 0.0  # (names, groups)
        self.counts: Tensor | float = 0.0  # (groups,)

    def add(self, values: dict[str, Tensor], y: Tensor) -> None:
        """Add a batch; a value has shape (batch,), or () for a quantity of the whole batch."""
        members = one_hot(y.ceil().long(), self.n_groups).float()
        self.names = list(values)
        self.of_batches = {name for name, value in values.items() if value.ndim == 0}
        by_sample = torch.stack([value.detach().float().expand(len(y)) for value in values.values()])
        self.sums = self.sums + by_sample @ members
        self.counts = self.counts + members.sum(0)

    def means(self, world_size: int = 1) -> dict[str, float]:
        """Return means so far by NAME, and by group as NAME_background and NAME_target (NAME_target1, ..)."""
        if isinstance(self.sums, float) or isinstance(self.counts, float):
            return {}
        sums, counts = (all_reduce_sum(part, world_size).cpu() for part in (self.sums, self.counts))
        targets = [f"target{k}" for k in range(1, self.n_groups)] if self.n_groups > 2 else ["target"]
        means = {}
        for name, by_group in zip(self.names, sums, strict=True):
            means[name] = float(by_group.sum() / counts.sum())
            if name in self.of_batches or name.endswith(("_background", "_target", "_excess")):
                continue  # a quantity of the whole batch or of one group
            for group, value, count in zip(["background", *targets], by_group, counts, strict=True):
                if count > 0:
                    means[f"{name}_{group}"] = float(value / count)
        return means

    def clear(self) -> None:
        """Delete all sums, before a new epoch."""
        self.sums, self.counts = 0.0, 0.0


class DivergenceError(ArithmeticError):
    """A term or a weight is not finite; `step` is the first such step of the epoch, None if unknown."""

    def __init__(self, terms: Sequence[str], epoch: int, step: int | None = None) -> None:
        super().__init__(terms, epoch, step)
        self.terms, self.epoch, self.step = terms, epoch, step


def first_non_finite(sums: Iterable[tuple[int, Tensor]]) -> tuple[int, list[int]] | None:
    """
    Return the first step whose sums, of shape (terms, groups), are not finite, and the indices of the terms.

    >>> first_non_finite([(0, torch.tensor([[1.0], [2.0]])), (1, torch.tensor([[1.0], [torch.nan]]))])
    (1, [1])
    """
    for step, total in sums:
        if not total.isfinite().all():
            return step, (~total.isfinite()).any(dim=1).nonzero().flatten().tolist()
    return None


def training_error(
    diverged: DivergenceError,
    order: Sequence[AnyArray],
    ids: AnyArray,
    *,
    learning_rate: float,
    checkpoint: Path | None,
) -> TrainingError:
    """Return the error that names the step, its samples (`order` has positions by batch) and fixes."""
    last = len(order) - 1 if diverged.step is None else diverged.step
    steps = range(max(last - LAST + 1, 0), last + 1)
    batches = {step: np.asarray(ids)[order[step]].astype(str).tolist() for step in steps}
    when = f"epoch {diverged.epoch}" + ("" if diverged.step is None else f", step {diverged.step}")
    samples = listed([" ".join(name.split()) for name in batches[last]], SHOWN)
    kept = checkpoint is not None and diverged.epoch > 0
    state = f"; the state after epoch {diverged.epoch - 1} is in {checkpoint}" if kept else ""
    return TrainingError(
        f"training stopped: {', '.join(diverged.terms)} not finite in {when}, with samples "
        f"{samples}; try a lower learning_rate (now {learning_rate:g}), or gradient_clip_val=1" + state,
        batches,
    )
