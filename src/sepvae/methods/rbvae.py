"""`RbVAE`, the reference-based VAE of Ruiz, Martinez, Binefa and Verbeek (2019): KLs by discriminators."""

from dataclasses import dataclass
from math import log, pi
from typing import ClassVar

import torch
from torch import Tensor

from sepvae.codes import Codes
from sepvae.losses.vae import critic_loss, squared_error, standard_kl
from sepvae.methods.vae import ContrastiveVAE
from sepvae.networks.autoencoder import CriticKind
from sepvae.networks.model import ContrastiveAutoencoder, frozen, running_statistics, with_covariates
from sepvae.training.objective import ContrastiveObjective, LatentSample, Terms
from sepvae.training.sampling import Noise, draw


@dataclass(frozen=True)
class RbVAEObjective(ContrastiveObjective):
    """KL(q(x, c, s) || p(x, c, s)), and KL(p || q) if `symmetric`, by the discriminators' ratio."""

    forward_kl: float
    reverse_kl: float
    latent_reconstruction: float
    symmetric: bool

    critic_kind: ClassVar[CriticKind] = "joint"

    def critic_loss(
        self,
        model: ContrastiveAutoencoder,
        x: Tensor,
        y: Tensor,
        codes: Codes[Tensor],
        noise: Noise,
        u: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of the discriminators, for samples with their codes from q against those from p."""
        c, s = draw(codes, noise.critic)
        with running_statistics(model):
            with torch.no_grad():
                error = squared_error(x, model.decode(c, self.prior.salient_gate(y).to(s.dtype) * s, u))
                variance = self._variance(error, model.n_observed(x), noise.world_size)
                x_p, c_p, s_p = self._generate(model, y, codes, variance, noise, u)
            of_q = model.critic(x, y, with_covariates(c, u), s)
            return critic_loss(of_q, model.critic(x_p, y, with_covariates(c_p, u), s_p))

    def terms(self, model: ContrastiveAutoencoder, sample: LatentSample) -> Terms:
        """Return the terms of KL(q || p), and those of KL(p || q) if `symmetric`."""
        y, s, u = sample.y, sample.s, sample.u
        with running_statistics(model):
            # log q(x, c, s) / p(x, c, s), given covariates if there are any
            forward = frozen(model.critic, sample.x, y, with_covariates(sample.c, u), s)
            terms: Terms = {
                "reconstruction": (1.0, sample.reconstruction),
                "forward_kl": (self.forward_kl, forward),
            }
            if not self.symmetric:
                return terms
            x_p, c_p, s_p = self._generate(model, y, sample.codes, sample.variance, sample.noise, u)
            reverse = -frozen(model.critic, x_p, y, with_covariates(c_p, u), s_p)  # log p / q
            codes = model.encode(x_p)
        common = latent_nll(c_p, codes.common_mean, codes.common_logvar)
        salient = sample.target * latent_nll(s_p, codes.salient_mean, codes.salient_logvar)
        return terms | {
            "reverse_kl": (self.reverse_kl, reverse),
            "latent_reconstruction": (self.latent_reconstruction, common + salient),
        }

    def logged(self, model: ContrastiveAutoencoder, sample: LatentSample) -> dict[str, Tensor]:
        """Return the KLs to the priors, which no term uses, so that curves and warnings show a collapse."""
        common_kl = standard_kl(sample.codes.common_mean, sample.codes.common_logvar)
        return {"common_kl": common_kl, "salient_kl_target": sample.target * sample.salient_kl}

    def _generate(
        self,
        model: ContrastiveAutoencoder,
        y: Tensor,
        codes: Codes[Tensor],
        variance: Tensor | float,
        noise: Noise,
        u: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return x, c and s of p(c) p(s) p(x | c, y s), one of each label in the batch."""
        c, s = map(noise.normal_like, (codes.common_mean, codes.salient_mean))
        x = model.decode(c, self.prior.salient_gate(y).to(s.dtype) * s, u)
        x = x + variance**0.5 * noise.normal_like(x)
        return x if model.valid_mask is None else x * model.valid_mask, c, s


def latent_nll(code: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """
    Return -log q(z | x) (batch,), in nats, of a code z (batch, dim) under a diagonal Gaussian posterior.

    >>> latent_nll(torch.ones(1, 2), torch.zeros(1, 2), torch.zeros(1, 2)) - log(2 * pi)
    tensor([1.])
    """
    return 0.5 * ((code - mean).square() / logvar.exp() + logvar + log(2 * pi)).sum(dim=1)


@dataclass(eq=False, repr=False)
class RbVAE(ContrastiveVAE):
    """
    Reference-based VAE: two discriminators match samples with their codes to decoded samples with theirs.

    The encoders and the data make up q(x, c, s), the priors and the decoder p(x, c, s). A discriminator of
    (x, c, s) for targets and one of (x, c) for the background estimate the ratio q / p. The encoders minimise
    it. If `symmetric`, the decoder maximises it on samples of its own, from which the encoders must find the
    codes again. The classifier behind `predict` trains on detached codes.

    Parameters
    ----------
    symmetric : bool, default=True
        Minimise KL(q || p) + KL(p || q), called sRB-VAE; False is KL(q || p) alone.
    forward_kl : float, default=1.0
        Weight of the log-ratio on samples of q, the encoders' part of KL(q || p).
    reverse_kl : float, default=1.0
        Weight of the negative log-ratio on samples of p, the decoder's part of KL(p || q).
    latent_reconstruction : float, default=1.0
        Weight of -log q(c, s | x) on samples of p, the encoders' part of KL(p || q).

    References
    ----------
    .. [1] A. Ruiz, O. Martinez, X. Binefa, J. Verbeek, "Learning Disentangled Representations with
       Reference-Based Variational Autoencoders", arXiv:1901.08534, 2019.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(60, 5)), np.repeat([0, 1], 30)
    >>> model = RbVAE(common_dim=2, salient_dim=1, max_epochs=1, progress_bar=False).fit(X, y)
    >>> model.transform(X).shape
    (60, 3)
    """

    symmetric: bool = True
    forward_kl: float = 1.0
    reverse_kl: float = 1.0
    latent_reconstruction: float = 1.0

    def objective(self) -> RbVAEObjective:
        """Return the loss of this method with its keywords."""
        return RbVAEObjective.of(self, beta_common=0.0, beta_salient=0.0)  # no prior but in the ratio
