"""Means of an epoch over the samples of all processes."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sepvae.training.distributed import all_reduce_sum


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
