"""Losses of both classifiers: groups from salient codes (term d), and the critic of c and s (Eq. 3)."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad, relu, softplus


def group_logits(logits: Tensor) -> Tensor:
    """
    Prepend the logit of the background, the reference 0, to those of the targets: (batch, groups).

    `logits` (batch, groups - 1) are the log-odds log p(y = k | s) - log p(y = 0 | s) for k = 1, 2, ...
    """
    return pad(logits, (1, 0))


def group_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """
    Return the cross-entropy -log p(y | s) (batch,), in nats: the salient classification of Eq. 2 (term d).

    `logits` (batch, groups - 1) are those of the salient classifier; for two groups the cross-entropy is
    binary. `y` (batch,) holds groups as integers, 0 for the background; or severities in [0, 1] as floats,
    which are soft labels of the target (App. B).

    >>> group_cross_entropy(torch.zeros(1, 1), torch.tensor([1]))
    tensor([0.6931])
    """
    wanted = torch.stack([1 - y, y], dim=1).to(logits.dtype) if y.is_floating_point() else y
    return cross_entropy(group_logits(logits), wanted, reduction="none")


def derangement(n: int, generator: torch.Generator) -> Tensor:
    """
    Return a random permutation (n,) without fixed points, to pair codes of different images for q(c)q(s).

    It is one cycle through a random order, so that all other elements are equally likely to be a partner. `n`
    is 2 or more; the result is on the device of the generator.

    >>> (derangement(5, torch.Generator().manual_seed(0)) == torch.arange(5)).any()
    tensor(False)
    """
    order = torch.randperm(n, generator=generator, device=generator.device)
    partner = torch.empty_like(order)
    partner[order] = order.roll(1)
    return partner


def critic_loss(joint: Tensor, shuffled: Tensor) -> Tensor:
    """
    Return the critic's cross-entropy -log D(z) - log(1 - D(z')) (batch,), in nats (Algorithm 1, line 6).

    `joint` (batch,) are its logits for [c, s] of one image, `shuffled` (batch,) those for [c, s] of two
    images. A critic at chance has 2 log 2.

    >>> critic_loss(torch.zeros(1), torch.zeros(1))
    tensor([1.3863])
    """
    return softplus(-joint) + softplus(shuffled)


def mutual_information(joint: Tensor, *, rectified: bool = True) -> Tensor:
    """
    Estimate log q(c, s) / q(c)q(s) = log D / (1 - D) (batch,), in nats: the critic's logit itself (Eq. 3).

    `joint` (batch,) are the critic's logits for [c, s] of one image. `rectified` replaces negative values by
    0 per sample, as in Eq. 3.

    >>> mutual_information(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return relu(joint) if rectified else joint
