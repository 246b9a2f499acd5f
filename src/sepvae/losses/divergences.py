"""Divergences between Gaussians."""

from torch import Tensor


def gaussian_kl(mean: Tensor, logvar: Tensor, prior_mean: Tensor, prior_var: Tensor) -> Tensor:
    """
    Return the KL divergence (batch,), in nats, of a diagonal Gaussian posterior from a diagonal prior.

    KL(N(m, v) || N(m0, v0)) = 1/2 sum_j [ v_j / v0_j + (m_j - m0_j)^2 / v0_j - 1 - log(v_j / v0_j) ].
    It serves the common prior and the salient prior of Eq. 2 (terms b and c). `mean` and `logvar` have shape
    (batch, dim); `prior_mean` and `prior_var`, above 0, are broadcast to it.

    >>> import torch
    >>> zero = torch.zeros(1, 2)
    >>> gaussian_kl(zero + 2, zero, zero, torch.ones(()))
    tensor([4.])
    """
    log_ratio = logvar - prior_var.log()
    return 0.5 * (log_ratio.exp() + (mean - prior_mean).square() / prior_var - 1 - log_ratio).sum(dim=1)


def standard_kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return the KL divergence (batch,), in nats, of a diagonal Gaussian posterior from N(0, I)."""
    return gaussian_kl(mean, logvar, mean.new_zeros(()), mean.new_ones(()))
