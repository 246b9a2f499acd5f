"""Divergences between Gaussians."""

from torch import Tensor


def gaussian_kl(mean: Tensor, logvar: Tensor, prior_mean: Tensor, prior_var: Tensor) -> Tensor:
    """
    KL divergence of a diagonal Gaussian posterior from a diagonal Gaussian prior, in closed form.

    KL(N(m, v) || N(m0, v0)) = 1/2 sum_j [ v_j / v0_j + (m_j - m0_j)^2 / v0_j - 1 - log(v_j / v0_j) ],
    the common prior and the salient prior of Eq. 2 (terms b and c).

    Parameters
    ----------
    mean, logvar : Tensor of shape (batch, dim)
        The posterior.
    prior_mean, prior_var : Tensor broadcastable to (batch, dim)
        The prior; variances above 0.

    Returns
    -------
    Tensor of shape (batch,)
        Nats, 0 or more.

    Examples
    --------
    >>> import torch
    >>> zero = torch.zeros(1, 2)
    >>> gaussian_kl(zero + 2, zero, zero, torch.ones(()))
    tensor([4.])
    """
    log_ratio = logvar - prior_var.log()
    return 0.5 * (log_ratio.exp() + (mean - prior_mean).square() / prior_var - 1 - log_ratio).sum(dim=1)


def standard_kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """
    KL divergence of a diagonal Gaussian posterior from N(0, I).

    Parameters
    ----------
    mean, logvar : Tensor of shape (batch, dim)
        The posterior.

    Returns
    -------
    Tensor of shape (batch,)
        Nats, 0 or more.
    """
    return gaussian_kl(mean, logvar, mean.new_zeros(()), mean.new_ones(()))
