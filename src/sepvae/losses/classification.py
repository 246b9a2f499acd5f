"""Classification of groups in the salient space."""

from torch import Tensor, stack
from torch.nn.functional import cross_entropy, pad


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

    >>> import torch
    >>> group_cross_entropy(torch.zeros(1, 1), torch.tensor([1]))
    tensor([0.6931])
    """
    wanted = stack([1 - y, y], dim=1).to(logits.dtype) if y.is_floating_point() else y
    return cross_entropy(group_logits(logits), wanted, reduction="none")
