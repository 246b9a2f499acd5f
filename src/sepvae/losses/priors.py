"""Salient prior p(s | y) of groups or severities."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GroupPrior:
    """
    Salient prior of groups: N(s' = 0, sigma_p I) for the background, N(0, I) for every target (Sec. 3).

    y = 0 is the background, y = 1, 2, .. are targets. Mean, variance and gate have shape (batch, 1), one
    value for all salient dimensions. `background_var` is sigma_p, between 0 and 1.
    """

    background_var: float

    def mean(self, y: Tensor) -> Tensor:
        """Return the prior mean: s' = 0 for the background, 0 for targets."""
        return torch.zeros(len(y), 1, device=y.device)

    def variance(self, y: Tensor) -> Tensor:
        """Return the prior variance: sigma_p for the background, 1 for targets."""
        return torch.where(y == 0, self.background_var, 1.0)[:, None]

    def salient_gate(self, y: Tensor) -> Tensor:
        """Return the `y` of d([c, y s + (1 - y) s']) in Sec. 3: 0 for the background, 1 for targets."""
        return (y != 0).float()[:, None]


@dataclass(frozen=True)
class SeverityPrior:
    """
    Salient prior of severities y in [0, 1] (App. B): N(s' = 0, [v0 + (1 - v0) sigma(y)^2] I), sigma(y) = y.

    It is the narrow prior of the background at y = 0, and the N(0, I) of targets at y = 1. `background_var`
    is v0, between 0 and 1; with sigma(0) = 0 alone, the prior would be a point. Shapes are those of
    `GroupPrior`.
    """

    background_var: float

    def mean(self, y: Tensor) -> Tensor:
        """Return the prior mean: s' = 0 for every severity."""
        return torch.zeros_like(y)[:, None]

    def variance(self, y: Tensor) -> Tensor:
        """Return the prior variance, from v0 to 1."""
        return (self.background_var + (1 - self.background_var) * y.square())[:, None]

    def salient_gate(self, y: Tensor) -> Tensor:
        """Return the `y` of d([c, y s]): the severity."""
        return y[:, None]
