"""`Objective`, the loss of a method, and `ContrastiveObjective`, that of all contrastive VAEs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor

from sepvae.codes import Codes
from sepvae.losses import vae
from sepvae.networks.autoencoder import CriticKind, Decoder
from sepvae.networks.model import ContrastiveAutoencoder, frozen
from sepvae.training.distributed import all_gather
from sepvae.training.keywords import Learnt, LossKeywords
from sepvae.training.sampling import Noise, draw

Terms = dict[str, tuple[float, Tensor | None]]  # weight, and value for each sample; None is left out
Value = TypeVar("Value", Tensor, float)
NONE = torch.empty(0)


class LatentSample(NamedTuple):
    """Sampled codes of a batch with its samples, posterior, labels and noise; the rest needs a decoder."""

    x: Tensor
    c: Tensor
    s: Tensor
    codes: Codes[Tensor]
    y: Tensor
    noise: Noise
    squared_error: Tensor = NONE  # of each pixel or feature, the mean
    reconstruction: Tensor = NONE  # -log p(x | c, y s), up to a constant
    salient_kl: Tensor = NONE  # KL(q(s | x) || p(s | y))
    variance: Tensor | float = NONE  # of p(x | c, s)
    u: Tensor | None = None  # covariates, which the decoder gets beside c and s

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
class Objective(LossKeywords):
    """Base of all objectives: a method states its loss in `terms`."""

    critic_kind: ClassVar[CriticKind] = 3
    exact_codes: ClassVar[bool] = False  # without noise
    decoder: ClassVar[Decoder] = "joint"  # of both codes
    independent_critic: ClassVar[bool] = True  # it has its own step; if not, it learns from `losses` too

    def posterior(self, codes: Codes[Tensor], y: Tensor) -> Codes[Tensor]:
        """Return the posterior that training samples from: here that of the encoders."""
        return codes

    def sample(
        self,
        model: ContrastiveAutoencoder,
        x: Tensor,
        y: Tensor,
        codes: Codes[Tensor],
        noise: Noise,
        u: Tensor | None = None,
    ) -> LatentSample:
        """Draw codes from their posterior."""
        return LatentSample(x, *draw(codes, noise.model), codes, y, noise, u=u)

    def terms(self, model: ContrastiveAutoencoder, sample: LatentSample) -> Terms:
        """Return the loss: weight and value of each term, by name."""
        raise NotImplementedError

    def logged(self, model: ContrastiveAutoencoder, sample: LatentSample) -> dict[str, Tensor]:
        """Return further values that are only logged."""
        return {}

    def losses(
        self,
        model: ContrastiveAutoencoder,
        x: Tensor,
        y: Tensor,
        codes: Codes[Tensor],
        noise: Noise,
        u: Tensor | None = None,
    ) -> Losses:
        """Return unweighted terms with their weights, the loss of the classifiers, and values to log."""
        sample = self.sample(model, x, y, codes, noise, u)
        terms = self.terms(model, sample)
        logged = {"squared_error": sample.squared_error} if self.decoder != "none" else {}
        logged |= self.logged(model, sample)
        if "mutual_information" not in terms and isinstance(self.critic_kind, int):
            logged["mutual_information"] = vae.mutual_information(frozen(model.critic, sample.c, sample.s))
        # The classifier trains at full weight on detached codes: at the paper's gamma of 1e-10, its gradient
        # would vanish against Adam's eps. Gamma scales only the gradient in the encoder, and methods without
        # that term train a classifier, too.
        classifiers = vae.group_cross_entropy(model.salient_classifier(sample.s.detach()), y)
        if model.read_out is not None:
            logged["read_out_loss"] = vae.group_cross_entropy(model.read_out(codes.salient_mean.detach()), y)
            classifiers = classifiers + logged["read_out_loss"]
        values = {name: value for name, (_, value) in terms.items() if value is not None}
        return Losses(values, {name: terms[name][0] for name in values}, classifiers, logged)

    def critic_loss(
        self,
        model: ContrastiveAutoencoder,
        x: Tensor,
        y: Tensor,
        codes: Codes[Tensor],
        noise: Noise,
        u: Tensor | None = None,
    ) -> Tensor:
        """Return the critic's loss for [c, s] against [c, s of another image] (Algorithm 1, lines 4 to 6)."""
        c, s = draw(codes, noise.critic)
        shuffled = all_gather(s, noise.world_size)[noise.partners]
        return vae.critic_loss(model.critic(c, s), model.critic(c, shuffled))


@dataclass(frozen=True)
class ContrastiveObjective(Objective):
    """Base of the objectives of all VAEs."""

    beta_common: float
    beta_salient: float
    reconstruction_var: float | Learnt

    @property
    def prior(self) -> vae.GroupPrior:
        """Salient prior p(s | y): N(0, I) for targets; most methods ignore that of the background."""
        return vae.GroupPrior(background_var=1.0)

    def sample(
        self,
        model: ContrastiveAutoencoder,
        x: Tensor,
        y: Tensor,
        codes: Codes[Tensor],
        noise: Noise,
        u: Tensor | None = None,
    ) -> LatentSample:
        """Draw codes and decode [c, y s]; compare the result with x, and the posterior with its prior."""
        c, s = draw(codes, noise.model)
        n_observed = model.n_observed(x)
        error = vae.squared_error(x, model.decode(c, self.prior.salient_gate(y).to(s.dtype) * s, u))
        variance = self._variance(error, n_observed, noise.world_size)
        prior = self.prior.mean(y), self.prior.variance(y).to(s.dtype)
        salient_kl = vae.gaussian_kl(codes.salient_mean, codes.salient_logvar, *prior)
        reconstruction = vae.gaussian_nll(error, n_observed, variance)
        per_value = error / n_observed
        return LatentSample(x, c, s, codes, y, noise, per_value, reconstruction, salient_kl, variance, u)

    def _variance(self, error: Tensor, n_observed: int, world_size: int) -> Tensor | float:
        if self.reconstruction_var == "learnt":
            return vae.optimal_variance(all_gather(error, world_size), n_observed)
        return float(self.reconstruction_var)


def weighted(terms: Mapping[str, Value], weights: Mapping[str, float]) -> dict[str, Value]:
    """Return each term times its weight, by name: their sum is the loss."""
    return {name: weight * terms[name] for name, weight in weights.items()}
