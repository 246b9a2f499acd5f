"""Gaussian terms: reconstruction, divergences, and the salient prior of groups or severities."""

from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor


def squared_error(x: Tensor, reconstruction: Tensor) -> Tensor:
    """
    Return the squared error (batch,), summed over pixels or features, without a factor 1/2 (L_rec of Sec. 3).

    >>> squared_error(torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2))
    tensor([4., 4.])
    """
    return (x - reconstruction).square().flatten(1).sum(dim=1)


def gaussian_nll(error: Tensor, n_observed: int, variance: Tensor | float) -> Tensor:
    """
    Return the negative log-likelihood (batch,), in nats, of a Gaussian decoder with one variance, above 0.

    -log N(x; x', v I) - (d / 2) log(pi) = ||x - x'||^2 / (2 v) + (d / 2) log(2 v).
    With the constant left out, v = 1/2 gives exactly the paper's squared error. `error` (batch,) is summed
    over the d observed values of a sample.

    >>> gaussian_nll(torch.tensor([3.0]), n_observed=3, variance=0.5)
    tensor([3.])
    """
    variance = torch.as_tensor(variance)
    return error / (2 * variance) + n_observed / 2 * (2 * variance).log()


def optimal_variance(error: Tensor, n_observed: int) -> Tensor:
    """
    Return the variance () of maximum likelihood for squared errors (batch,): their mean per pixel, detached.

    It sets the weight of the reconstruction term against the others, whatever the size and noise of the data
    (sigma-VAE of Rybkin, Daniilidis and Levine, ICML 2021, Sec. 4). It is at least 1e-6, about the variance
    of rounding to 256 grey levels.

    >>> optimal_variance(torch.tensor([2.0, 4.0]), n_observed=6)
    tensor(0.5000)
    """
    return (error.detach().mean() / n_observed).clamp_min(1e-6)


def gaussian_kl(mean: Tensor, logvar: Tensor, prior_mean: Tensor, prior_var: Tensor) -> Tensor:
    """
    Return the KL divergence (batch,), in nats, of a diagonal Gaussian posterior from a diagonal prior.

    KL(N(m, v) || N(m0, v0)) = 1/2 sum_j [ v_j / v0_j + (m_j - m0_j)^2 / v0_j - 1 - log(v_j / v0_j) ].
    It serves the common prior and the salient prior of Eq. 2 (terms b and c). `mean` and `logvar` have shape
    (batch, dim); `prior_mean` and `prior_var`, above 0, are broadcast to it.

    >>> zero = torch.zeros(1, 2)
    >>> gaussian_kl(zero + 2, zero, zero, torch.ones(()))
    tensor([4.])
    """
    log_ratio = logvar - prior_var.log()
    return 0.5 * (log_ratio.exp() + (mean - prior_mean).square() / prior_var - 1 - log_ratio).sum(dim=1)


def standard_kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return the KL divergence (batch,), in nats, of a diagonal Gaussian posterior from N(0, I)."""
    return gaussian_kl(mean, logvar, mean.new_zeros(()), mean.new_ones(()))


def latent_nll(code: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """
    Return -log q(z | x) (batch,), in nats, of a code z (batch, dim) under a diagonal Gaussian posterior.

    >>> latent_nll(torch.ones(1, 2), torch.zeros(1, 2), torch.zeros(1, 2)) - log(2 * pi)
    tensor([1.])
    """
    return 0.5 * ((code - mean).square() / logvar.exp() + logvar + log(2 * pi)).sum(dim=1)


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


class SeverityPrior(GroupPrior):
    """
    Salient prior of severities y in [0, 1] (App. B): N(s' = 0, [v0 + (1 - v0) sigma(y)^2] I), sigma(y) = y.

    It is the narrow prior of the background at y = 0, and the N(0, I) of targets at y = 1. `background_var`
    is v0, between 0 and 1; with sigma(0) = 0 alone, the prior would be a point.
    """

    def variance(self, y: Tensor) -> Tensor:
        """Return the prior variance, from v0 to 1."""
        return (self.background_var + (1 - self.background_var) * y.square())[:, None]

    def salient_gate(self, y: Tensor) -> Tensor:
        """Return the `y` of d([c, y s]): the severity."""
        return y[:, None]
