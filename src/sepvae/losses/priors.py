"""The salient prior p(s | y): of groups, or of severities."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GroupPrior:  # numpydoc ignore=PR02
    """
    Salient prior of groups: N(s' = 0, sigma_p I) for the background, N(0, I) for every target (Sec. 3).

    Written for any number of groups: y = 0 is the background, y = 1, 2, .. are targets.

    Parameters
    ----------
    background_var : float
        Variance sigma_p, between 0 and 1: how far salient codes of the background may stray from s'.
    """

    background_var: float

    def mean(self, y: Tensor) -> Tensor:
        """
        Prior mean: s' = 0 for the background, 0 for targets.

        Parameters
        ----------
        y : Tensor of shape (batch,)
            Groups.

        Returns
        -------
        Tensor of shape (batch, 1)
            The same in every salient dimension.
        """
        return torch.zeros(len(y), 1, device=y.device)

    def variance(self, y: Tensor) -> Tensor:
        """
        Prior variance: sigma_p for the background, 1 for targets.

        Parameters
        ----------
        y : Tensor of shape (batch,)
            Groups.

        Returns
        -------
        Tensor of shape (batch, 1)
            The same in every salient dimension.
        """
        return torch.where(y == 0, self.background_var, 1.0)[:, None]

    def presence(self, y: Tensor) -> Tensor:
        """
        What the salient code is multiplied with before decoding: 0 gives s' = 0 to the background.

        Parameters
        ----------
        y : Tensor of shape (batch,)
            Groups.

        Returns
        -------
        Tensor of shape (batch, 1)
            The `y` of d([c, y s + (1 - y) s']) in Sec. 3.
        """
        return (y != 0).float()[:, None]


@dataclass(frozen=True)
class SeverityPrior:  # numpydoc ignore=PR02
    """
    Salient prior of severities y in [0, 1] (App. B): N(s' = 0, [v0 + (1 - v0) sigma(y)^2] I), sigma(y) = y.

    At y = 0 it is the background's narrow prior, at y = 1 the target's N(0, I).

    Parameters
    ----------
    background_var : float
        Variance v0 at y = 0, between 0 and 1, where sigma(0) = 0 alone would leave a point.
    """

    background_var: float

    def mean(self, y: Tensor) -> Tensor:
        """
        Prior mean: s' = 0, however severe.

        Parameters
        ----------
        y : Tensor of shape (batch,)
            Severities.

        Returns
        -------
        Tensor of shape (batch, 1)
            The same in every salient dimension.
        """
        return torch.zeros_like(y)[:, None]

    def variance(self, y: Tensor) -> Tensor:
        """
        Prior variance: from v0 to 1.

        Parameters
        ----------
        y : Tensor of shape (batch,)
            Severities.

        Returns
        -------
        Tensor of shape (batch, 1)
            The same in every salient dimension.
        """
        return (self.background_var + (1 - self.background_var) * y.square())[:, None]

    def presence(self, y: Tensor) -> Tensor:
        """
        What the salient code is multiplied with before decoding: the severity.

        Parameters
        ----------
        y : Tensor of shape (batch,)
            Severities.

        Returns
        -------
        Tensor of shape (batch, 1)
            The `y` of d([c, y s]).
        """
        return y[:, None]
