"""Classification of groups in the salient space."""

from torch import Tensor, stack
from torch.nn.functional import cross_entropy, pad


def group_logits(logits: Tensor) -> Tensor:
    """
    Prepend the logit of the background, the reference 0, to those of the targets.

    Parameters
    ----------
    logits : Tensor of shape (batch, groups - 1)
        The log-odds log p(y = k | s) - log p(y = 0 | s) for k = 1, 2, ...

    Returns
    -------
    Tensor of shape (batch, groups)
        Logits whose softmax is p(y | s).
    """
    return pad(logits, (1, 0))


def group_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """
    Return the cross-entropy -log p(y | s): the salient classification of Eq. 2 (term d).

    Parameters
    ----------
    logits : Tensor of shape (batch, groups - 1)
        Output of the salient classifier; for two groups the cross-entropy is binary.
    y : Tensor of shape (batch,)
        Groups as integers, 0 for the background; or severities in [0, 1] as floats, which are soft labels
        of the target (App. B).

    Returns
    -------
    Tensor of shape (batch,)
        Nats, 0 or more.

    Examples
    --------
    >>> import torch
    >>> group_cross_entropy(torch.zeros(1, 1), torch.tensor([1]))
    tensor([0.6931])
    """
    wanted = stack([1 - y, y], dim=1).to(logits.dtype) if y.is_floating_point() else y
    return cross_entropy(group_logits(logits), wanted, reduction="none")
