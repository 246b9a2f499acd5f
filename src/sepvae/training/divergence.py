"""Divergence: the first non-finite step, its samples, and the error that names them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sepvae.batch import AnyArray
from sepvae.errors import TrainingError

LAST = 5  # steps whose sample ids the error holds
SHOWN = 3  # sample ids in the message


class DivergenceError(ArithmeticError):
    """A term or a weight is not finite; `step` is the first such step of the epoch, None if unknown."""

    def __init__(self, terms: Sequence[str], epoch: int, step: int | None = None) -> None:
        super().__init__(terms, epoch, step)
        self.terms, self.epoch, self.step = terms, epoch, step


def first_non_finite(sums: Iterable[tuple[int, Tensor]]) -> tuple[int, list[int]] | None:
    """
    Return the first step whose sums, of shape (terms, groups), are not finite, and the indices of the terms.

    >>> import torch
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
    """
    Return the error that names the first non-finite step, its samples and possible fixes.

    `order` has the positions of the samples of each batch of that epoch; `ids` has the ids of all samples.
    """
    last = len(order) - 1 if diverged.step is None else diverged.step
    steps = range(max(last - LAST + 1, 0), last + 1)
    batches = {step: np.asarray(ids)[order[step]].astype(str).tolist() for step in steps}
    when = f"epoch {diverged.epoch}" + ("" if diverged.step is None else f", step {diverged.step}")
    kept = f"; the state after epoch {diverged.epoch - 1} is in {checkpoint}"
    return TrainingError(
        f"training stopped: {', '.join(diverged.terms)} not finite in {when}, with samples "
        f"{_some(batches[last])}; try a lower learning_rate (now {learning_rate:g}), or gradient_clip_val=1"
        + kept
        * (checkpoint is not None and diverged.epoch > 0),
        batches,
    )


def _some(ids: list[Any]) -> str:
    shown = ", ".join(" ".join(name.split()) for name in ids[:SHOWN])
    return shown + (f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else "")
