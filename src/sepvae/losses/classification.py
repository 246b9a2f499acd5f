"""Telling groups apart in the salient space."""

import torch
from torch import Tensor
from torch.nn import functional as F


def group_logits(logits: Tensor) -> Tensor:
    """
    Logits of all groups from those of the targets: the background's is the reference, 0.

    Parameters
    ----------
    logits : Tensor of shape (batch, groups - 1)
        log p(y = k | s) - log p(y = 0 | s) for k = 1, 2, ...

    Returns
    -------
    Tensor of shape (batch, groups)
        What softmax turns into p(y | s).
    """
    return F.pad(logits, (1, 0))


def group_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """
    Cross-entropy -log p(y | s): the salient classification of Eq. 2 (term d), binary for two groups.

    Parameters
    ----------
    logits : Tensor of shape (batch, groups - 1)
        Output of the salient classifier.
    y : Tensor of shape (batch,)
        Groups, 0 the background.

    Returns
    -------
    Tensor of shape (batch,)
        Nats, 0 or more.

    Examples
    --------
    >>> group_cross_entropy(torch.zeros(1, 1), torch.tensor([1]))
    tensor([0.6931])
    """
    return F.cross_entropy(group_logits(logits), y, reduction="none")
