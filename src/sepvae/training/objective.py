"""`Objective`: the loss of a method, as training sees it."""

from typing import NamedTuple, Protocol

from torch import Tensor

from sepvae.codes import Codes
from sepvae.networks.autoencoder import ContrastiveAutoencoder
from sepvae.training.noise import Noise


class Losses(NamedTuple):  # numpydoc ignore=PR02
    """
    What an objective says of a batch, one value per sample.

    Parameters
    ----------
    terms : dict of str to Tensor of shape (batch,) or ()
        Unweighted terms, zero where one does not apply to a sample; a scalar is a quantity of the whole
        batch, over all processes. No gradient of them reaches the classifiers, nor the critic where that is
        independent.
    classifiers : Tensor of shape (batch,)
        Sum of the losses of the salient classifier and of the read-out, on detached codes.
    shown : dict of str to Tensor of shape (batch,)
        Logged, but not learnt from.
    """

    terms: dict[str, Tensor]
    classifiers: Tensor
    shown: dict[str, Tensor]


class Objective(Protocol):
    """The loss of a method, as training sees it."""

    @property
    def critic_layers(self) -> int:
        """
        Linear layers of the critic.

        Returns
        -------
        int
            1 or more.
        """
        ...

    @property
    def independent_critic(self) -> bool:
        """
        Whether the critic has a step of its own before the others.

        Returns
        -------
        bool
            False if it learns from `losses` too, in the same step.
        """
        ...

    @property
    def weights(self) -> dict[str, float]:
        """
        Weight of each term.

        Returns
        -------
        dict of str to float
            By the names of the terms.
        """
        ...

    def posterior(self, codes: Codes[Tensor], y: Tensor) -> Codes[Tensor]:
        """
        Say what codes are drawn from in training, where labels are known.

        Parameters
        ----------
        codes : Codes of Tensor
            What the encoders say.
        y : Tensor of shape (batch,)
            Groups.

        Returns
        -------
        Codes of Tensor
            Means and log-variances.
        """
        ...

    def critic_loss(self, model: ContrastiveAutoencoder, codes: Codes[Tensor], noise: Noise) -> Tensor:
        """
        Say what the critic learns from.

        Parameters
        ----------
        model : ContrastiveAutoencoder
            Its critic is trained.
        codes : Codes of Tensor
            Posterior, detached.
        noise : Noise
            Of this step.

        Returns
        -------
        Tensor of shape (batch,)
            Its loss.
        """
        ...

    def losses(
        self,
        model: ContrastiveAutoencoder,
        x: Tensor,
        y: Tensor,
        codes: Codes[Tensor],
        noise: Noise,
    ) -> Losses:
        """
        Say what all the rest learns from.

        Parameters
        ----------
        model : ContrastiveAutoencoder
            All but its critic is trained.
        x : Tensor of shape (batch, ...)
            Samples.
        y : Tensor of shape (batch,)
            Groups.
        codes : Codes of Tensor
            Posterior.
        noise : Noise
            Of this step.

        Returns
        -------
        Losses
            One value per sample.
        """
        ...
