"""Maximum mean discrepancy: how far apart two samples lie, by their kernel means (Gretton et al. 2012)."""

from collections.abc import Sequence

import torch
from torch import Tensor

# 10^-6 .. 10^6, the 13 kernels of Weinberger, Beebe-Wang and Lee (AISTATS 2022).
ORIGINAL_GAMMAS = tuple(10.0**power for power in range(-6, 7))
# Length scales a dimension of the default: from a tenth of a target's prior deviation up to all of it.
SCALES = (0.1, 0.3, 1.0)


def mmd(x: Tensor, y: Tensor, gammas: Sequence[float] | Tensor, *, unbiased: bool = True) -> Tensor:
    """
    Squared maximum mean discrepancy of two samples: E k(x, x') + E k(y, y') - 2 E k(x, y).

    The kernel is a sum of Gaussians, k(a, b) = sum_g exp(-g ||a - b||^2). A quantity of the whole batch.

    Parameters
    ----------
    x, y : Tensor of shape (n, dim) and (m, dim)
        The samples, of two members or more each.
    gammas : sequence of float or Tensor of shape (kernels,)
        One Gaussian each, above 0.
    unbiased : bool, default=True
        Leave out pairs of a member with itself (U-statistic): 0 on average where both samples come from one
        distribution, and below 0 half of the time. Otherwise the V-statistic, 0 or more.

    Returns
    -------
    Tensor of shape ()
        At most twice the number of kernels.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> mmd(x, x + 100, [1.0], unbiased=False)
    tensor(1.3679)
    """
    x, y = _wide(x), _wide(y)
    within = _mean_kernel(x, x, gammas, itself=not unbiased) + _mean_kernel(y, y, gammas, itself=not unbiased)
    return within - 2 * _mean_kernel(x, y, gammas)


def mmd_to_zero(x: Tensor, gammas: Sequence[float] | Tensor, *, unbiased: bool = True) -> Tensor:
    """
    Squared maximum mean discrepancy of a sample and the point s' = 0: E k(x, x') + k(0, 0) - 2 E k(x, 0).

    A quantity of the whole batch; the kernel is that of `mmd`.

    Parameters
    ----------
    x : Tensor of shape (n, dim)
        The sample, of two members or more.
    gammas : sequence of float or Tensor of shape (kernels,)
        One Gaussian each, above 0.
    unbiased : bool, default=True
        As in `mmd`.

    Returns
    -------
    Tensor of shape ()
        At most twice the number of kernels.

    Examples
    --------
    >>> mmd_to_zero(torch.zeros(2, 3), [1.0])
    tensor(0.)
    """
    x = _wide(x)
    within = _mean_kernel(x, x, gammas, itself=not unbiased)
    return within + len(gammas) - 2 * _mean_kernel(x, torch.zeros_like(x[:1]), gammas)


def median_gamma(x: Tensor, y: Tensor) -> Tensor:
    """
    Find the bandwidth that suits two samples: one over the median squared distance of all their members.

    Parameters
    ----------
    x, y : Tensor of shape (n, dim) and (m, dim)
        The samples.

    Returns
    -------
    Tensor of shape (1,)
        Detached, so that samples cannot change their distance by changing its unit; above 0.

    Examples
    --------
    >>> median_gamma(torch.tensor([[0.0]]), torch.tensor([[2.0]]))
    tensor([0.2500])
    """
    distances = torch.pdist(_wide(torch.cat([x, y]).detach())).square()
    return 1 / distances.median().clamp_min(1e-12).reshape(1)


def fixed_gammas(dim: int) -> tuple[float, ...]:
    """
    Give bandwidths of fixed length scales: 1 / (2 dim l^2) for l = 0.1, 0.3 and 1 a dimension.

    A median bandwidth is blind to scale: s, s / 10 and s / 1000 would be as far from 0.

    Parameters
    ----------
    dim : int
        Dimension of the samples.

    Returns
    -------
    tuple of float
        One for each scale.

    Examples
    --------
    >>> [round(gamma, 3) for gamma in fixed_gammas(2)]
    [25.0, 2.778, 0.25]
    """
    return tuple(1 / (2 * dim * scale**2) for scale in SCALES)


def _wide(x: Tensor) -> Tensor:
    """In single precision at least: distances are differences of what is nearly the same."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _mean_kernel(x: Tensor, y: Tensor, gammas: Sequence[float] | Tensor, *, itself: bool = True) -> Tensor:
    """Mean of k over all pairs; over those of two different members, if `itself` is False and y is x."""
    # Not by products of matrices: a member's distance from itself must be 0, for gammas of 10^6 to see it so.
    distances = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
    kernel = sum((-gamma * distances).exp() for gamma in gammas)
    total = kernel.sum()  # type: ignore[union-attr]
    n = len(x) * len(y)
    return total / n if itself else (total - len(x) * len(gammas)) / (n - len(x))
