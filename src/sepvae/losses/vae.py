"""Terms of contrastive VAEs: reconstruction, divergences, salient classification, mutual information."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad, relu, softplus


def squared_error(x: Tensor, reconstruction: Tensor) -> Tensor:
    """
    Return the squared error (batch,), summed over pixels or features, without a factor 1/2 (L_rec of Sec. 3).

    >>> squared_error(torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2))
    tensor([4., 4.])
    """
    return (x - reconstruction).square().flatten(1).sum(dim=1)


def gaussian_nll(error: Tensor, n_observed: int, variance: Tensor | float) -> Tensor:
    """
    Return -log N(x; x', v I) (batch,), in nats, with the constant (d / 2) log(pi) left out.

    It is ||x - x'||^2 / (2 v) + (d / 2) log(2 v): v = 1/2 gives exactly the paper's squared error. `error`
    (batch,) is summed over the d observed values of a sample.

    >>> gaussian_nll(torch.tensor([3.0]), n_observed=3, variance=0.5)
    tensor([3.])
    """
    variance = torch.as_tensor(variance)
    return error / (2 * variance) + n_observed / 2 * (2 * variance).log()


def optimal_variance(error: Tensor, n_observed: int) -> Tensor:
    """
    Return the variance () of maximum likelihood for squared errors (batch,): their mean per pixel, detached.

    It weights the reconstruction against other terms, whatever the size and noise of the data (sigma-VAE of
    Rybkin et al., ICML 2021, Sec. 4). 1e-6, the least, is about the variance of rounding to 256 grey levels.

    >>> optimal_variance(torch.tensor([2.0, 4.0]), n_observed=6)
    tensor(0.5000)
    """
    return (error.detach().mean() / n_observed).clamp_min(1e-6)


def gaussian_kl(mean: Tensor, logvar: Tensor, prior_mean: Tensor, prior_var: Tensor) -> Tensor:
    """
    Return the KL divergence (batch,), in nats, of a diagonal Gaussian posterior from a diagonal prior.

    KL(N(m, v) || N(m0, v0)) = 1/2 sum_j [ v_j / v0_j + (m_j - m0_j)^2 / v0_j - 1 - log(v_j / v0_j) ], terms b
    and c of Eq. 2. Posteriors have shape (batch, dim); priors, of variance above 0, are broadcast to it.

    >>> zero = torch.zeros(1, 2)
    >>> gaussian_kl(zero + 2, zero, zero, torch.ones(()))
    tensor([4.])
    """
    log_ratio = logvar - prior_var.log()
    return 0.5 * (log_ratio.exp() + (mean - prior_mean).square() / prior_var - 1 - log_ratio).sum(dim=1)


def standard_kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return the KL divergence (batch,), in nats, of a diagonal Gaussian posterior from N(0, I)."""
    return gaussian_kl(mean, logvar, mean.new_zeros(()), mean.new_ones(()))


def group_logits(logits: Tensor) -> Tensor:
    """Prepend 0 for the background to the log-odds log p(y = k | s) - log p(y = 0 | s) of k = 1, 2, .."""
    return pad(logits, (1, 0))


def group_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """
    Return the cross-entropy -log p(y | s) (batch,), in nats: the salient classification of Eq. 2 (term d).

    `logits` (batch, groups - 1) are the log-odds of the targets against the background. `y` (batch,) holds
    groups as integers, 0 for the background; or severities in [0, 1], soft labels of the target (App. B).

    >>> group_cross_entropy(torch.zeros(1, 1), torch.tensor([1]))
    tensor([0.6931])
    """
    wanted = torch.stack([1 - y, y], dim=1).to(logits.dtype) if y.is_floating_point() else y
    return cross_entropy(group_logits(logits), wanted, reduction="none")


def critic_loss(joint: Tensor, shuffled: Tensor) -> Tensor:
    """
    Return the critic's cross-entropy -log D(z) - log(1 - D(z')) (batch,), in nats (Algorithm 1, line 6).

    `joint` (batch,) are its logits for [c, s] of one image, `shuffled` (batch,) for [c, s] of two images.

    >>> critic_loss(torch.zeros(1), torch.zeros(1))
    tensor([1.3863])
    """
    return softplus(-joint) + softplus(shuffled)


def mutual_information(joint: Tensor, *, rectified: bool = True) -> Tensor:
    """
    Estimate log q(c, s) / q(c)q(s) = log D / (1 - D) (batch,), in nats: the critic's logit itself (Eq. 3).

    `joint` (batch,) are its logits for [c, s] of one image; `rectified` replaces negative values by 0.

    >>> mutual_information(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return relu(joint) if rectified else joint


@dataclass(frozen=True)
class GroupPrior:
    """Salient prior of groups: N(s' = 0, sigma_p I) for background y = 0, N(0, I) for targets (Sec. 3)."""

    background_var: float  # sigma_p, between 0 and 1

    def mean(self, y: Tensor) -> Tensor:
        """Return the prior mean (batch, 1): s' = 0 for the background, 0 for targets."""
        return torch.zeros(len(y), 1, device=y.device)

    def variance(self, y: Tensor) -> Tensor:
        """Return the prior variance, of the shape of the gate: sigma_p for the background, 1 for targets."""
        return torch.where(self.salient_gate(y) == 0, self.background_var, 1.0)

    def salient_gate(self, y: Tensor) -> Tensor:
        """Return the `y` (batch, 1) of d([c, y s + (1 - y) s']) in Sec. 3: 0 for the background, else 1."""
        return (y != 0).float()[:, None]


@dataclass(frozen=True)
class BlockPrior(GroupPrior):
    """
    Salient prior of several targets with a shared part and a block each: N(0, I) in the free dimensions.

    All others have the prior of the background, and the decoder gets s' = 0 there. `owners` has the target
    k = 1, 2, .. of each salient dimension, 0 for those that all targets share. No dimension is free for the
    background.
    """

    owners: tuple[int, ...]

    def salient_gate(self, y: Tensor) -> Tensor:
        """Return 1 for free dimensions and 0 for all others, (batch, salient_dim)."""
        owners, y = torch.tensor(self.owners, device=y.device), y[:, None]
        return ((y != 0) & ((owners == 0) | (owners == y))).float()


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
