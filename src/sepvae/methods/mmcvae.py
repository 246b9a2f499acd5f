"""MM-cVAE (Weinberger, Beebe-Wang, Lee; AISTATS 2022): maximum mean discrepancies regularise the codes."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from sepvae.checks import check_choice
from sepvae.losses.moments import ORIGINAL_GAMMAS, fixed_gammas, median_gamma, mmd, mmd_to_zero
from sepvae.losses.vae import standard_kl
from sepvae.methods.vae import PAPER, ContrastiveVAE
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.distributed import all_gather, all_gather_with_grad
from sepvae.training.objective import ContrastiveObjective, LatentSample, Terms


@dataclass(frozen=True)
class MMcVAEObjective(ContrastiveObjective):
    """Evidence lower bound of both groups, and two discrepancies (MMD) of the whole batch."""

    common_mmd: float
    background_mmd: float
    original: bool

    def terms(self, model: ContrastiveAutoencoder, sample: LatentSample) -> Terms:
        """Return the evidence lower bound of both groups, and the discrepancies of codes of all processes."""
        codes, noise = sample.codes, sample.noise
        common_kl = standard_kl(codes.common_mean, codes.common_logvar)
        y = all_gather(sample.y, noise.world_size)
        c, s = (all_gather_with_grad(code, noise.world_size) for code in (sample.c, sample.s))
        return {
            "reconstruction": (1.0, sample.reconstruction),
            "common_kl": (self.beta_common, common_kl),
            "salient_kl_target": (self.beta_salient, sample.target * sample.salient_kl),
            "common_mmd": (self.common_mmd, self._between_groups(c, y)),
            "salient_mmd_background": (self.background_mmd, self._to_zero(s[y == 0])),
        }

    def _between_groups(self, c: Tensor, y: Tensor) -> Tensor:
        """Return the mean discrepancy of targets from the background: c must be alike in all groups."""
        apart = [self._between(c[y == 0], c[y == k]) for k in torch.unique(y[y != 0])]
        return torch.stack(apart).mean() if apart else c.sum() * 0

    def _between(self, background: Tensor, target: Tensor) -> Tensor:
        if min(len(background), len(target)) < 2:
            return background.sum() * 0  # undefined for a very small validation batch
        if self.original:
            return mmd(background, target, ORIGINAL_GAMMAS, unbiased=False).relu()
        return mmd(background, target, median_gamma(background, target))

    def _to_zero(self, background: Tensor) -> Tensor:
        if len(background) < 2:
            return background.sum() * 0
        if self.original:
            return mmd_to_zero(background, ORIGINAL_GAMMAS, unbiased=False).relu()
        return mmd_to_zero(background, fixed_gammas(background.shape[1]))


@dataclass(eq=False, repr=False)
class MMcVAE(ContrastiveVAE):
    """
    Moment-matching contrastive VAE of Weinberger, Beebe-Wang and Lee.

    Background samples are decoded from [c, s' = 0], and the maximum mean discrepancy (MMD) keeps their
    salient codes at s'; a second MMD keeps the common codes of both groups alike. Critic and classifier are
    trained on detached codes and do not affect the encoders.

    Parameters
    ----------
    beta_common : float, default=5.0
        Weight of the common prior.
    beta_salient : float, default=1.0
        Weight of the salient prior of targets.
    common_mmd : float, default=100.0
        Weight of the squared MMD between the common codes of background and target, the mean over several
        targets. It pushes whatever
        differs between groups for other reasons (age, site) into the salient space (App. C of the paper).
    background_mmd : float, default=100.0
        Weight of the squared MMD between salient codes of the background and s' = 0.
    mmd : {"unbiased", "original"}, default="unbiased"
        Estimator of the MMD. "unbiased" is a U-statistic, never clamped, with one kernel as wide as the
        median distance for common codes and three kernels of fixed width for salient codes. "original" is a
        V-statistic with the sum of 13 kernels, exp(-10^-6 d^2) to exp(-10^6 d^2).

    References
    ----------
    .. [1] E. Weinberger, N. Beebe-Wang, S.-I. Lee, "Moment Matching Deep Contrastive Latent Variable Models",
       AISTATS, 2022.
    .. [2] A. Gretton et al., "A Kernel Two-Sample Test", Journal of Machine Learning Research, 2012.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(60, 5)), np.repeat([0, 1], 30)
    >>> model = MMcVAE(common_dim=2, salient_dim=1, max_epochs=1, progress_bar=False).fit(X, y)
    >>> model.transform(X).shape
    (60, 3)
    """

    beta_common: float = 5.0
    beta_salient: float = 1.0
    common_mmd: float = 100.0
    background_mmd: float = 100.0
    mmd: Literal["unbiased", "original"] = "unbiased"

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        # The paper sums the loss over 512 samples, Weinberger's code over 128; here it is a mean.
        "paper": PAPER | {"common_mmd": 1000 / 512, "background_mmd": 100 / 512, "mmd": "original"},
        "original": {
            "beta_common": 1.0,
            "beta_salient": 1.0,
            "reconstruction_var": 0.5,
            "common_mmd": 10000 / 128,
            "background_mmd": 1000 / 128,
            "mmd": "original",
        },
    }

    def objective(self) -> MMcVAEObjective:
        """Return the loss of this method with its keywords."""
        check_choice("mmd", self.mmd, ("unbiased", "original"))
        return MMcVAEObjective.of(self, original=self.mmd == "original")
