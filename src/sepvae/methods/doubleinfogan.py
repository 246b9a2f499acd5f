"""`DoubleInfoGAN` of Carton, Louiset and Gori (AISTATS 2024): decoded samples pass a discriminator."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from sepvae.codes import Codes
from sepvae.losses.vae import critic_loss, group_cross_entropy
from sepvae.methods.vae import NetworkEstimator
from sepvae.networks.autoencoder import CriticKind
from sepvae.networks.model import ContrastiveAutoencoder, frozen, running_statistics
from sepvae.training.objective import LatentSample, Objective, Terms
from sepvae.training.sampling import Noise


@dataclass(frozen=True)
class DoubleInfoGANObjective(Objective):
    """Decoded samples like data of their group, whose codes are found again, and reconstruction."""

    adversarial: float
    classification: float
    common_information: float
    salient_information: float
    background_salient: float
    reconstruction: float

    critic_kind: ClassVar[CriticKind] = "samples"
    exact_codes: ClassVar[bool] = True

    def critic_loss(
        self,
        model: ContrastiveAutoencoder,
        x: Tensor,
        y: Tensor,
        codes: Codes[Tensor],
        noise: Noise,
        u: Tensor | None = None,
    ) -> Tensor:
        """Return the discriminator's loss: data against decoded samples, and targets against background."""
        with running_statistics(model):
            with torch.no_grad():
                decoded, *_ = self._generate(model, y, codes, noise)
            (of_data, of_target), (of_decoded, _) = model.critic(x), model.critic(decoded)
        return critic_loss(of_data, of_decoded) + group_cross_entropy(of_target, (y != 0).long())

    def sample(
        self,
        model: ContrastiveAutoencoder,
        x: Tensor,
        y: Tensor,
        codes: Codes[Tensor],
        noise: Noise,
        u: Tensor | None = None,
    ) -> LatentSample:
        """Decode the codes of samples, of the background with s' = 0, and compare the result with x."""
        c, s = codes.common_mean, codes.salient_mean
        error = (x - model.decode(c, (y != 0)[:, None] * s)).flatten(1)
        squared, absolute = (e.sum(dim=1) / model.n_observed(x) for e in (error.square(), error.abs()))
        return LatentSample(x, c, s, codes, y, noise, squared, absolute)

    def terms(self, model: ContrastiveAutoencoder, sample: LatentSample) -> Terms:
        """Return the loss of encoders and decoder; x~ is decoded from c~ and s~ of the priors."""
        y, target = (sample.y != 0).long(), sample.target
        with running_statistics(model):
            decoded, c, s = self._generate(model, y, sample.codes, sample.noise)
            of_decoded, of_target = frozen(model.critic, decoded)
            found = model.encode(decoded)
        background = _mean_abs(found.salient_mean) + _mean_abs(sample.s)
        return {
            "adversarial": (self.adversarial, softplus(-of_decoded)),  # -log D(x~)
            "classification": (self.classification, group_cross_entropy(of_target, y)),  # -log p(y | x~)
            "common_information": (self.common_information, _mean_abs(found.common_mean - c)),
            "salient_information": (self.salient_information, target * _mean_abs(found.salient_mean - s)),
            "background_salient": (self.background_salient, (1 - target) * background),
            "reconstruction": (self.reconstruction, sample.reconstruction),
        }

    def _generate(
        self, model: ContrastiveAutoencoder, y: Tensor, codes: Codes[Tensor], noise: Noise
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return decoded samples and their c and s, drawn from the priors, one of each label in the batch."""
        c, s = map(noise.normal_like, (codes.common_mean, codes.salient_mean))
        return model.decode(c, (y != 0)[:, None] * s), c, s


def _mean_abs(codes: Tensor) -> Tensor:
    """Return the mean of absolute values (batch,)."""
    return codes.abs().mean(dim=1)


@dataclass(eq=False, repr=False)
class DoubleInfoGAN(NetworkEstimator):
    """
    GAN for contrastive analysis of images: decoded samples must look like data, and show their codes.

    The decoder draws background samples from [c, s' = 0] and targets from [c, s]. A discriminator tells data
    from decoded samples, and targets from background; decoded samples must pass both. Encoders must find the
    codes of decoded samples again, s' = 0 for the background, and reconstruct the data with the decoder. The
    classifier behind `predict` trains on detached codes. Codes have no noise; their log-variance is that of
    1e-6. Several targets are taken together.

    Parameters
    ----------
    adversarial : float, default=0.5
        Weight of -log D of decoded samples, where D is the discriminator's probability that a sample is data.
    classification : float, default=0.5
        Weight of the cross-entropy of decoded samples: they must be classified as the group they are decoded
        for.
    common_information : float, default=1.0
        Weight of the error of c, found in decoded samples: a bound of the mutual information (InfoGAN).
    salient_information : float, default=1.0
        Weight of the same for s, in decoded targets.
    background_salient : float, default=1.0
        Weight of the distance of salient codes of the background, of the data and decoded, from s' = 0.
    reconstruction : float, default=20.0
        Weight of the mean absolute error of reconstructions.

    References
    ----------
    .. [1] F. Carton, R. Louiset, P. Gori, "Double InfoGAN for Contrastive Analysis", International Conference
       on Artificial Intelligence and Statistics, PMLR 238, 172-180, 2024.
    .. [2] X. Chen et al., "InfoGAN: Interpretable Representation Learning by Information Maximizing
       Generative Adversarial Nets", Advances in Neural Information Processing Systems, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.random(size=(20, 1, 16, 16)), np.repeat([0, 1], 10)
    >>> model = DoubleInfoGAN(common_dim=2, salient_dim=1, max_epochs=1, progress_bar=False).fit(X, y)
    >>> model.swap(X, X[::-1]).shape
    (20, 1, 16, 16)
    """

    adversarial: float = 0.5
    classification: float = 0.5
    common_information: float = 1.0
    salient_information: float = 1.0
    background_salient: float = 1.0
    reconstruction: float = 20.0

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        # The authors' code for CelebA, whose images are in [-1, 1]: 2 is its weight of 1 for those in [0, 1].
        "original": {
            "common_dim": 95,
            "salient_dim": 5,
            "reconstruction": 2.0,
            "learning_rate": 2e-4,
            "batch_size": 128,
            "max_epochs": 1000,
        },
    }
    ablations: ClassVar[dict[str, dict[str, Any]]] = {"no ADV": {"adversarial": 0.0, "classification": 0.0}}

    def objective(self) -> DoubleInfoGANObjective:
        """Return the loss of this method with its keywords."""
        return DoubleInfoGANObjective.of(self)
