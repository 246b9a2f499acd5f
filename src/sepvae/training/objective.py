"""`Objective`: the loss of a method, as training sees it."""

from typing import NamedTuple, Protocol

from torch import Tensor

from sepvae.codes import Codes
from sepvae.networks.autoencoder import ContrastiveAutoencoder
from sepvae.training.noise import Noise


class Losses(NamedTuple):  # numpydoc ignore=PR02
    """
    What an objective says of a batch, one value per sample.

    Shapes: terms (batch,) or (); classifiers (batch,); shown (batch,).
    """

    terms: dict[str, Tensor]
    classifiers: Tensor
    shown: dict[str, Tensor]


class Objective(Protocol):
    """The loss of a method, as training sees it."""

    @property
    def critic_layers(self) -> int:
        """Linear layers of the critic."""
        ...

    @property
    def independent_critic(self) -> bool:
        """Whether the critic has a step of its own before the others."""
        ...

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each term."""
        ...

    def posterior(self, codes: Codes[Tensor], y: Tensor) -> Codes[Tensor]:
        """
        Say what codes are drawn from in training, where labels are known.

        Shapes: y (batch,).
        """
        ...

    def critic_loss(self, model: ContrastiveAutoencoder, codes: Codes[Tensor], noise: Noise) -> Tensor:
        """
        Say what the critic learns from.

        Shapes: returns (batch,).
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

        Shapes: x (batch, ...); y (batch,).
        """
        ...
