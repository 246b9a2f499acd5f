"""Means of an epoch, over the samples of all processes."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sepvae.training.processes import total


class GroupMeans:
    """Means of per-sample values over an epoch, in all and by group, kept on the device until asked for."""

    def __init__(self, n_groups: int) -> None:
        self.n_groups = n_groups
        self.names: list[str] = []
        self.of_batches: set[str] = set()
        self.sums: Tensor | float = 0.0  # (names, groups)
        self.counts: Tensor | float = 0.0  # (groups,)

    def add(self, values: dict[str, Tensor], y: Tensor) -> None:
        """
        Take in a batch.

        Shapes: values (batch,) or (); y (batch,).
        """
        members = one_hot(y.ceil().long(), self.n_groups).float()
        self.names = list(values)
        self.of_batches = {name for name, value in values.items() if value.ndim == 0}
        by_sample = torch.stack([value.detach().float().expand(len(y)) for value in values.values()])
        self.sums = self.sums + by_sample @ members
        self.counts = self.counts + members.sum(0)

    def means(self, processes: int = 1) -> dict[str, float]:
        """Give the means so far."""
        if isinstance(self.sums, float) or isinstance(self.counts, float):
            return {}
        sums, counts = (total(part, processes).cpu() for part in (self.sums, self.counts))
        targets = [f"target{k}" for k in range(1, self.n_groups)] if self.n_groups > 2 else ["target"]
        means = {}
        for name, by_group in zip(self.names, sums, strict=True):
            means[name] = float(by_group.sum() / counts.sum())
            if name in self.of_batches or name.endswith(("_background", "_target", "_excess")):
                continue  # of all samples at once, or of one group
            for group, value, count in zip(["background", *targets], by_group, counts, strict=True):
                if count > 0:
                    means[f"{name}_{group}"] = float(value / count)
        return means

    def clear(self) -> None:
        """Start again."""
        self.sums, self.counts = 0.0, 0.0
