"""`Objective`, the loss of a method, and `ContrastiveObjective`, that of all contrastive VAEs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypeVar

import torch
from torch import Tensor

from sepvae.checks import check_number
from sepvae.codes import Codes
from sepvae.losses.classifiers import critic_loss, derangement, group_cross_entropy
from sepvae.losses.gaussian import GroupPrior, gaussian_kl, gaussian_nll, optimal_variance, squared_error
from sepvae.networks.autoencoder import Decoder
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.networks.model import sample as draw
from sepvae.training.distributed import all_gather

Learnt = Literal["learnt"]
Terms = dict[str, tuple[float, Tensor | None]]  # weight, and value for each sample; None is left out
Value = TypeVar("Value", Tensor, float)


class Noise(NamedTuple):
    """Random numbers of one training step; rows are counted in the whole batch, over all processes."""

    critic: tuple[Tensor, Tensor]  # standard normal noise of c and s in the critic's update
    partners: (
        Tensor  # row of another image for each common code: its salient code completes a pair of q(c)q(s)
    )
    model: tuple[Tensor, Tensor]  # noise of c and s in the model's update
    world_size: int = 1
    rank: int = 0
    seed: int = 0  # of further random numbers, the same in all processes

    @property
    def own(self) -> slice:
        """Rows of this process in the whole batch."""
        return slice(self.rank, None, self.world_size)


class LatentSample(NamedTuple):
    """Sampled codes of a batch with its samples, posterior, labels, noise and the terms of all methods."""

    x: Tensor
    c: Tensor
    s: Tensor
    codes: Codes[Tensor]
    y: Tensor
    reconstruction: Tensor  # -log p(x | c, y s), up to a constant
    salient_kl: Tensor  # KL(q(s | x) || p(s | y))
    noise: Noise
    variance: Tensor | float  # of p(x | c, s)

    @property
    def target(self) -> Tensor:
        """1 for targets and 0 for the background, of shape (batch,)."""
        return (self.y != 0).to(self.s.dtype)


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


@dataclass(frozen=True)
class Objective:
    """Base of all objectives: named terms, and the losses of the critic and of the classifiers."""

    critic_layers: ClassVar[int | None] = 3  # linear layers of the critic; None: a `JointCritic`
    decoder: ClassVar[Decoder] = "joint"  # of both codes
    independent_critic: ClassVar[bool] = True  # it has its own step; if not, it learns from `losses` too

    @classmethod
    def of(cls, estimator: object, **others: Any) -> Self:
        """Return the objective with the keywords of an estimator, and with others that it does not have."""
        names = [field.name for field in fields(cls) if field.name not in others]
        return cls(**{name: getattr(estimator, name) for name in names}, **others)

    def posterior(self, codes: Codes[Tensor], y: Tensor) -> Codes[Tensor]:  # noqa: ARG002
        """Return the posterior that training samples from: here that of the encoders."""
        return codes

    def critic_loss(
        self,
        model: ContrastiveAutoencoder,
        x: Tensor,  # noqa: ARG002
        y: Tensor,  # noqa: ARG002
        codes: Codes[Tensor],
        noise: Noise,
    ) -> Tensor:
        """
        Return the critic's loss for z = [c, s] against [c, s of another image] (Algorithm 1, lines 4 to 6).

        `codes`, those of x, are detached. Methods that do not use the critic's estimate still log it.
        """
        c, s = draw(codes, noise.critic)
        return critic_loss(
            model.critic(c, s), model.critic(c, all_gather(s, noise.world_size)[noise.partners])
        )

    def losses(
        self, model: ContrastiveAutoencoder, x: Tensor, y: Tensor, codes: Codes[Tensor], noise: Noise
    ) -> Losses:
        """Return unweighted terms with their weights, the loss of the classifiers, and values to log."""
        raise NotImplementedError

    def _with_classifiers(
        self,
        model: ContrastiveAutoencoder,
        codes: Codes[Tensor],
        s: Tensor,
        y: Tensor,
        terms: Terms,
        logged: dict[str, Tensor],
    ) -> Losses:
        """Return these terms and logged values with the losses of the salient classifier and the read-out."""
        # The classifier trains at full weight on detached codes: at the paper's gamma of 1e-10, its gradient
        # would vanish against Adam's eps. Gamma scales only the gradient in the encoder, and methods without
        # that term train a classifier, too.
        classifiers = group_cross_entropy(model.salient_classifier(s.detach()), y)
        if model.read_out is not None:
            read_out = group_cross_entropy(model.read_out(codes.salient_mean.detach()), y)
            classifiers, logged = classifiers + read_out, logged | {"read_out_loss": read_out}
        values = {name: value for name, (_, value) in terms.items() if value is not None}
        return Losses(values, {name: terms[name][0] for name in values}, classifiers, logged)

    def _check_weights(self, *names: str) -> None:
        for name in names:
            check_number(name, getattr(self, name), least=0)


@dataclass(frozen=True)
class ContrastiveObjective(Objective):
    """Base of the objectives of all VAEs: a method states its loss in `terms`."""

    beta_common: float
    beta_salient: float
    reconstruction_var: float | Learnt

    def __post_init__(self) -> None:
        self._check_weights("beta_common", "beta_salient")
        self._check_variances("reconstruction_var")

    @property
    def prior(self) -> GroupPrior:
        """Salient prior p(s | y): N(0, I) for targets; most methods ignore that of the background."""
        return GroupPrior(background_var=1.0)

    def terms(self, model: ContrastiveAutoencoder, sample: LatentSample) -> Terms:
        """Return the loss: weight and value of each term, by name."""
        raise NotImplementedError

    def logged(self, model: ContrastiveAutoencoder, sample: LatentSample) -> dict[str, Tensor]:  # noqa: ARG002
        """Return further values that are only logged."""
        return {}

    def losses(
        self, model: ContrastiveAutoencoder, x: Tensor, y: Tensor, codes: Codes[Tensor], noise: Noise
    ) -> Losses:
        """Return unweighted terms with their weights, the loss of the classifiers, and values to log."""
        c, s = draw(codes, noise.model)
        n_observed = model.n_observed(x)
        error = squared_error(x, model.decode(c, self.prior.salient_gate(y).to(s.dtype) * s))
        variance = self._variance(error, n_observed, noise.world_size)
        prior = self.prior.mean(y), self.prior.variance(y).to(s.dtype)
        salient_kl = gaussian_kl(codes.salient_mean, codes.salient_logvar, *prior)
        reconstruction = gaussian_nll(error, n_observed, variance)
        sample = LatentSample(x, c, s, codes, y, reconstruction, salient_kl, noise, variance)
        terms = self.terms(model, sample)
        logged = {"squared_error": error / n_observed} | self.logged(model, sample)
        return self._with_classifiers(model, codes, s, y, terms, logged)

    def _variance(self, error: Tensor, n_observed: int, world_size: int) -> Tensor | float:
        if self.reconstruction_var == "learnt":
            return optimal_variance(all_gather(error, world_size), n_observed)
        return float(self.reconstruction_var)

    def _check_variances(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) != "learnt":
                check_number(name, getattr(self, name), above=0, or_else="'learnt'")


def weighted(terms: Mapping[str, Value], weights: Mapping[str, float]) -> dict[str, Value]:
    """Return each term times its weight, by name: their sum is the loss."""
    return {name: weight * terms[name] for name, weight in weights.items()}


def draw_noise(codes: Codes[Tensor], generator: torch.Generator, rank: int = 0, world_size: int = 1) -> Noise:
    """Draw noise for the whole batch, with the generator in one state in all processes, and keep own rows."""
    rows, own = len(codes.common_mean) * world_size, slice(rank, None, world_size)

    def normal(like: Tensor) -> Tensor:
        shape = rows, like.shape[1]
        return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)[own]

    critic = normal(codes.common_mean), normal(codes.salient_mean)
    partners = derangement(rows, generator)[own]
    model = normal(codes.common_mean), normal(codes.salient_mean)
    return Noise(critic, partners, model, world_size, rank, generator.initial_seed())
