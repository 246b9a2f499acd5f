"""Streaming mean, standard deviation and effect size."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sepvae.batch import AnyArray

ROUNDING = 1e-6  # in network units: smaller standard deviations are rounding errors


@dataclass
class Moments:
    """
    Mean and variance of arrays that arrive in batches and are not kept, in float64.

    >>> moments = Moments()
    >>> for some in ([[1.0], [2.0]], [[6.0]]):
    ...     moments.add(np.array(some))
    >>> moments.n, moments.mean.tolist(), moments.variance.tolist()
    (3, [3.0], [7.0])
    """

    n: int = 0
    mean: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))
    _squares: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))

    @property
    def sd(self) -> npt.NDArray[np.float64]:
        """Square root of the variance."""
        sd: npt.NDArray[np.float64] = np.sqrt(self.variance)
        return sd

    @property
    def variance(self) -> npt.NDArray[np.float64]:
        """Unbiased variance; 0 for a single sample."""
        variance: npt.NDArray[np.float64] = self._squares / max(self.n - 1, 1)
        return variance

    def add(self, some: AnyArray) -> None:
        """Update the moments with samples of shape (n, ...)."""
        if not len(some):
            return
        # Merge as in Chan, Golub and LeVeque (1983): sums of squares would lose small deviations.
        mean = some.mean(axis=0, dtype=np.float64)
        n, apart = self.n + len(some), mean - self.mean
        self._squares = self._squares + ((some - mean) ** 2).sum(axis=0)
        self._squares += apart**2 * (self.n * len(some) / n)
        self.mean = self.mean + apart * (len(some) / n)
        self.n = n


def effect_size(background: Moments, target: Moments, unit: Any) -> npt.NDArray[np.float64] | None:
    """
    Return Cohen's d of targets against the background, with the pooled standard deviation.

    d is 0 where that deviation is a rounding error; `unit` is one network unit in the units of the moments.
    None is returned if a group is empty or no degree of freedom is left.
    """
    free = background.n + target.n - 2
    if min(background.n, target.n) < 1 or free < 1:
        return None
    pooled = np.sqrt(((background.n - 1) * background.variance + (target.n - 1) * target.variance) / free)
    d = np.zeros(pooled.shape)
    np.divide(target.mean - background.mean, pooled, out=d, where=pooled > ROUNDING * unit)
    return d
