"""Reconstruction error and likelihood of a Gaussian decoder."""

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
    Return the negative log-likelihood (batch,), in nats, of a Gaussian decoder with one variance.

    -log N(x; x', v I) - (d / 2) log(pi) = ||x - x'||^2 / (2 v) + (d / 2) log(2 v).
    With the constant left out, v = 1/2 gives exactly the paper's squared error. `error` (batch,) is summed
    over the d observed values of a sample; `variance` is above 0.

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
