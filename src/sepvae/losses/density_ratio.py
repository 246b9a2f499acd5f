"""Mutual information of common and salient codes by the density-ratio trick (Eq. 3, Algorithm 1)."""

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus


def derangement(n: int, generator: torch.Generator) -> Tensor:
    """
    Return a random permutation without fixed points, to pair codes of different images for q(c)q(s).

    It is one cycle through a random order, so that all other elements are equally likely to be a partner.

    Parameters
    ----------
    n : int
        Number of elements, 2 or more.
    generator : torch.Generator
        Source of randomness; the result is on its device.

    Returns
    -------
    Tensor of shape (n,)
        Indices.

    Examples
    --------
    >>> (derangement(5, torch.Generator().manual_seed(0)) == torch.arange(5)).any()
    tensor(False)
    """
    order = torch.randperm(n, generator=generator, device=generator.device)
    partner = torch.empty_like(order)
    partner[order] = order.roll(1)
    return partner


def critic_loss(joint: Tensor, shuffled: Tensor) -> Tensor:
    """
    Return the critic's cross-entropy -log D(z) - log(1 - D(z')) from its logits (Algorithm 1, line 6).

    Parameters
    ----------
    joint : Tensor of shape (batch,)
        Logits for [c, s] of the same image.
    shuffled : Tensor of shape (batch,)
        Logits for [c, s] of different images.

    Returns
    -------
    Tensor of shape (batch,)
        Nats; 2 log 2 for a critic at chance.

    Examples
    --------
    >>> critic_loss(torch.zeros(1), torch.zeros(1))
    tensor([1.3863])
    """
    return softplus(-joint) + softplus(shuffled)


def mutual_information(joint: Tensor, *, rectified: bool = True) -> Tensor:
    """
    Estimate log q(c, s) / q(c)q(s) = log D / (1 - D), which is the critic's logit itself (Eq. 3).

    Parameters
    ----------
    joint : Tensor of shape (batch,)
        Logits of the critic for [c, s] of the same image.
    rectified : bool, default=True
        Replace negative values by 0 per sample, as in Eq. 3.

    Returns
    -------
    Tensor of shape (batch,)
        Nats.

    Examples
    --------
    >>> mutual_information(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return relu(joint) if rectified else joint
