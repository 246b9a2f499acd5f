"""Alignment and uniformity of codes (Wang and Isola, 2020), and the joint entropy of c and s by kernels."""

from math import log

import torch
from torch import Tensor


def alignment(a: Tensor, b: Tensor | float, temperature: float) -> Tensor:
    """
    Return ||a - b||^2 / (2 temperature) (batch,): -log of a Gaussian kernel of this variance.

    `a` (batch, dim) and `b` are codes of two views of each sample, or `b` is s' = 0.

    >>> alignment(torch.tensor([[3.0, 4.0]]), 0.0, temperature=0.5)
    tensor([25.])
    """
    return (a - b).square().sum(dim=1) / (2 * temperature)


def uniformity(z: Tensor, temperature: float) -> Tensor:
    """
    Return log mean exp(-||z_i - z_j||^2 / (2 temperature)) (), over pairs of different rows of the batch.

    `z` (n, dim); it is an estimate of -H(z) by kernels, up to a constant. Fewer than two rows give 0.

    >>> uniformity(torch.tensor([[0.0], [1.0]]), temperature=0.5)
    tensor(-1.)
    """
    return _log_mean(_log_kernel(z, temperature), ~torch.eye(len(z), dtype=torch.bool, device=z.device))


def salient_uniformity(s: Tensor, target: Tensor, temperature: float) -> Tensor:
    """
    Return the uniformity () of the salient codes of targets, which s' = 0 repels as well.

    `s` (n, dim) are codes of a batch of both groups, `target` (n,) is True for targets. Each background
    sample counts as a code at s'. Pairs of two background samples, which are always at s', are left out.

    >>> salient_uniformity(torch.tensor([[1.0], [7.0]]), torch.tensor([True, False]), temperature=0.5)
    tensor(-1.)
    """
    pairs = (target[:, None] | target) & ~torch.eye(len(s), dtype=torch.bool, device=s.device)
    return _log_mean(_log_kernel(s * target[:, None], temperature), pairs)


def negative_joint_entropy(c: Tensor, s: Tensor, temperature: float) -> Tensor:
    """
    Return -H(c, s) () up to a constant: mean over i of log mean over j of k(c_i, c_j) k(s_i, s_j).

    `c` (n, dim) and `s` (n, dim) are codes of one batch; k is the kernel of `uniformity`. This is the kernel
    density estimate of k-JEM, in which each sample is also its own neighbour.

    >>> negative_joint_entropy(torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [1.0]]), temperature=0.5)
    tensor(0.)
    """
    log_kernel = _log_kernel(c, temperature) + _log_kernel(s, temperature)
    return log_kernel.logsumexp(dim=1).mean() - log(len(c))


def _log_kernel(z: Tensor, temperature: float) -> Tensor:
    """Return -||z_i - z_j||^2 / (2 temperature) (n, n); half precision is converted to float32."""
    z = z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
    distances = torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.square() / (-2 * temperature)


def _log_mean(log_kernel: Tensor, pairs: Tensor) -> Tensor:
    """Return the log of the mean kernel over these pairs; 0 without any."""
    n = pairs.sum()
    if n == 0:
        return log_kernel.sum() * 0
    return (
        log_kernel.masked_fill(~pairs, -torch.inf).flatten().logsumexp(dim=0) - n.to(log_kernel.dtype).log()
    )
