"""`Objective`: the interface between the loss of a method and training."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeVar

from torch import Tensor

from sepvae.codes import Codes
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.noise import Noise

Value = TypeVar("Value", Tensor, float)


def weighted(terms: Mapping[str, Value], weights: Mapping[str, float]) -> dict[str, Value]:
    """Return each term times its weight, by name: their sum is the loss."""
    return {name: weight * terms[name] for name, weight in weights.items()}


class Losses(NamedTuple):
    """
    Unweighted values of an objective, one per sample; a term of shape () is of the batch of all processes.

    A term is zero where it does not apply to a sample; an ablation is a weight of 0. No gradient of the terms
    reaches the classifiers, nor an independent critic. `classifiers` sums the losses of the salient
    classifier and the read-out on detached codes. `logged` has further values, which are not trained on.
    """

    terms: dict[str, Tensor]
    weights: dict[str, float]
    classifiers: Tensor
    logged: dict[str, Tensor]


class Objective(Protocol):
    """Loss of a method, as training uses it."""

    @property
    def critic_layers(self) -> int:
        """Number of linear layers of the critic."""
        ...

    @property
    def independent_critic(self) -> bool:
        """Whether the critic has its own step before the model's; if not, it learns from `losses` too."""
        ...

    def posterior(self, codes: Codes[Tensor], y: Tensor) -> Codes[Tensor]:
        """Return the posterior that codes are sampled from in training, where labels are known."""
        ...

    def critic_loss(self, model: ContrastiveAutoencoder, codes: Codes[Tensor], noise: Noise) -> Tensor:
        """Return the critic's loss on detached codes, of shape (batch,)."""
        ...

    def losses(
        self,
        model: ContrastiveAutoencoder,
        x: Tensor,
        y: Tensor,
        codes: Codes[Tensor],
        noise: Noise,
    ) -> Losses:
        """Return the losses of the model, except that of an independent critic."""
        ...
