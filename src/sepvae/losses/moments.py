"""Maximum mean discrepancy (MMD): the distance of two samples by kernel means (Gretton et al., 2012)."""

from collections.abc import Sequence

import torch
from torch import Tensor

# 10^-6 to 10^6, the 13 kernels of Weinberger, Beebe-Wang and Lee (AISTATS 2022).
ORIGINAL_GAMMAS = tuple(10.0**power for power in range(-6, 7))
# Default length scales per dimension, in standard deviations of a target's prior.
SCALES = (0.1, 0.3, 1.0)


def mmd(x: Tensor, y: Tensor, gammas: Sequence[float] | Tensor, *, unbiased: bool = True) -> Tensor:
    """
    Return the squared MMD () of two samples: E k(x, x') + E k(y, y') - 2 E k(x, y), of the whole batch.

    `x` (n, dim) and `y` (m, dim) have two members or more. The kernel is a sum of Gaussians, k(a, b) = sum_g
    exp(-g ||a - b||^2), one for each of `gammas`, which are above 0. `unbiased` leaves out pairs of a member
    with itself (U-statistic): it is 0 on average if both samples come from one distribution, and below 0 half
    of the time. Otherwise the result is the V-statistic, 0 or more.

    >>> x = torch.tensor([[0.0], [1.0]])
    >>> mmd(x, x + 100, [1.0], unbiased=False)
    tensor(1.3679)
    """
    x, y = _wide(x), _wide(y)
    within = _mean_kernel(x, x, gammas, itself=not unbiased) + _mean_kernel(y, y, gammas, itself=not unbiased)
    return within - 2 * _mean_kernel(x, y, gammas)


def mmd_to_zero(x: Tensor, gammas: Sequence[float] | Tensor, *, unbiased: bool = True) -> Tensor:
    """
    Return the squared MMD () of a sample and the point s' = 0: E k(x, x') + k(0, 0) - 2 E k(x, 0).

    `x` (n, dim) has two members or more; the kernel and `unbiased` are those of `mmd`.

    >>> mmd_to_zero(torch.zeros(2, 3), [1.0])
    tensor(0.)
    """
    x = _wide(x)
    within = _mean_kernel(x, x, gammas, itself=not unbiased)
    return within + len(gammas) - 2 * _mean_kernel(x, torch.zeros_like(x[:1]), gammas)


def median_gamma(x: Tensor, y: Tensor) -> Tensor:
    """
    Return a bandwidth (1,) for samples (n, dim) and (m, dim): 1 / median squared distance of all members.

    It is detached, so that samples cannot change their distance by changing its unit.

    >>> median_gamma(torch.tensor([[0.0]]), torch.tensor([[2.0]]))
    tensor([0.2500])
    """
    distances = torch.pdist(_wide(torch.cat([x, y]).detach())).square()
    return 1 / distances.median().clamp_min(1e-12).reshape(1)


def fixed_gammas(dim: int) -> tuple[float, ...]:
    """
    Return bandwidths of fixed length scales: 1 / (2 dim l^2) for l = 0.1, 0.3 and 1 per dimension.

    A median bandwidth ignores scale: s, s / 10 and s / 1000 would have the same distance from 0.

    >>> [round(gamma, 3) for gamma in fixed_gammas(2)]
    [25.0, 2.778, 0.25]
    """
    return tuple(1 / (2 * dim * scale**2) for scale in SCALES)


def _wide(x: Tensor) -> Tensor:
    """Convert half precision to float32: distances are differences of nearly equal numbers."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _mean_kernel(x: Tensor, y: Tensor, gammas: Sequence[float] | Tensor, *, itself: bool = True) -> Tensor:
    """Return the mean of k over all pairs; `itself` False, for y = x, omits pairs of a member with itself."""
    # Without matrix products: a member's distance from itself must be exactly 0 for gammas of 10^6.
    distances = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
    kernel = sum((-gamma * distances).exp() for gamma in gammas)
    total = kernel.sum()  # type: ignore[union-attr]
    n = len(x) * len(y)
    return total / n if itself else (total - len(x) * len(gammas)) / (n - len(x))
