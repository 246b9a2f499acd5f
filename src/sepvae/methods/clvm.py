"""`CLVM`, the contrastive latent variable model of Severson, Ghosh and Ng (AAAI 2019): additive decoders."""

from dataclasses import dataclass, field
from math import log, pi
from typing import Literal, cast

from torch import Tensor, nn

from sepvae.batch import AnyArray
from sepvae.checks import check_choice
from sepvae.errors import DataError
from sepvae.losses.vae import standard_kl
from sepvae.methods.vae import ContrastiveVAE
from sepvae.networks.autoencoder import IMAGES
from sepvae.networks.backbones import AdditiveDecoder
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.objective import ContrastiveObjective, LatentSample, Terms


@dataclass(frozen=True)
class CLVMObjective(ContrastiveObjective):
    """Evidence lower bound of both groups, and the prior of the salient loadings."""

    decoder: Literal["additive", "linear"] = field(default="additive", kw_only=True)  # type: ignore[misc]
    ard: float = 0.0

    def terms(self, model: ContrastiveAutoencoder, sample: LatentSample) -> Terms:
        """Return the evidence lower bound of both groups, and -log p(W) of the salient loadings W."""
        codes, target = sample.codes, sample.target
        return {
            "reconstruction": (1.0, sample.reconstruction),
            "common_kl": (self.beta_common, standard_kl(codes.common_mean, codes.common_logvar)),
            "salient_kl_target": (self.beta_salient, target * sample.salient_kl),
            "relevance": (self.ard, relevance(salient_loadings(model)) if self.ard else None),
        }


def salient_loadings(model: ContrastiveAutoencoder) -> Tensor:
    """Return W of a linear decoder, of shape (features, salient_dim)."""
    salient = cast(AdditiveDecoder, model.decoder).salient
    linear = salient[0] if isinstance(salient, nn.Sequential) else salient
    return cast(nn.Linear, linear).weight


def relevance(loadings: Tensor) -> Tensor:
    """
    Return -log p(W) (), in nats, with a column w_k ~ N(0, 1 / alpha_k I) for each salient dimension.

    Each alpha_k has its most likely value, D / ||w_k||^2 for D features, as in automatic relevance
    determination. The gradient shrinks a column by as much as its size allows, so that idle ones vanish.
    """
    n_features = len(loadings)
    variances = loadings.square().mean(dim=0).clamp_min(1e-8)  # 1 / alpha_k
    return n_features / 2 * (1 + log(2 * pi) + variances.log()).sum()


@dataclass(eq=False, repr=False)
class CLVM(ContrastiveVAE):
    """
    Contrastive latent variable model: what c and s stand for is added up, x = d_c(c) + y d_s(s) + noise.

    Background samples have no salient part. No critic, prior or classifier keeps the spaces apart: the
    classifier behind `predict` trains on detached codes.

    Parameters
    ----------
    decoder : {"additive", "linear"}, default="additive"
        "additive" has one decoder of keyword `network` for c and one for s. "linear" is the paper's linear
        model, x = S c + y W s + m + noise; the encoders are still those of `network`.
    beta_common : float, default=1.0
        Weight of the common prior.
    beta_salient : float, default=1.0
        Weight of the salient prior of targets.
    ard : float, default=0.0
        Weight of the prior of the salient loadings W, with `decoder="linear"` only: automatic relevance
        determination, which empties salient dimensions that are not needed. 1 / n, for n training samples, is
        the paper's prior.

    References
    ----------
    .. [1] K. A. Severson, S. Ghosh, K. Ng, "Unsupervised Learning with Contrastive Latent Variable Models",
       AAAI Conference on Artificial Intelligence, 2019.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(60, 5)), np.repeat([0, 1], 30)
    >>> model = CLVM(common_dim=2, salient_dim=1, max_epochs=1, progress_bar=False).fit(X, y)
    >>> model.transform(X).shape
    (60, 3)
    """

    decoder: Literal["additive", "linear"] = "additive"
    beta_common: float = 1.0
    beta_salient: float = 1.0
    ard: float = 0.0

    def objective(self) -> CLVMObjective:
        """Return the loss of this method with its keywords."""
        return CLVMObjective.of(self)

    def _check_keywords(self) -> None:
        super()._check_keywords()
        check_choice("decoder", self.decoder, ("additive", "linear"))
        if self.ard and self.decoder != "linear":
            raise DataError(
                f"ard: wanted 0, or decoder='linear', whose loadings have this prior; got {self.ard:g}"
            )

    def _decode(self, common: AnyArray, salient: AnyArray) -> AnyArray:
        samples = super()._decode(common, salient)
        is_image = len(self.sample_shape_) == IMAGES
        return samples.clip(0, 1) if is_image else samples  # a sum may exceed the range
