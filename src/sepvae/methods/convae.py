"""ConVAE, the contrastive VAE of Abid and Zou (2019): the SepVAE paper's version and the original one."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from sepvae.checks import check_choice
from sepvae.losses.vae import critic_loss, mutual_information, standard_kl
from sepvae.methods.vae import PAPER, ContrastiveVAE
from sepvae.networks.autoencoder import CriticKind
from sepvae.networks.model import ContrastiveAutoencoder, frozen
from sepvae.training.distributed import all_gather, all_gather_with_grad
from sepvae.training.objective import ContrastiveObjective, LatentSample, Terms


@dataclass(frozen=True)
class ConVAEObjective(ContrastiveObjective):
    """Evidence lower bound of both groups, and the mutual information of c and s."""

    kappa: float
    rectify_mi: bool

    def terms(self, model: ContrastiveAutoencoder, sample: LatentSample) -> Terms:
        """Return the evidence lower bound of both groups, and the mutual information."""
        codes, target = sample.codes, sample.target
        return {
            "reconstruction": (1.0, sample.reconstruction),
            "common_kl": (self.beta_common, standard_kl(codes.common_mean, codes.common_logvar)),
            "salient_kl_target": (self.beta_salient, target * sample.salient_kl),
            **self._critic_terms(model, sample, target),
        }

    def _critic_terms(self, model: ContrastiveAutoencoder, sample: LatentSample, target: Tensor) -> Terms:
        logits = frozen(model.critic, sample.c, sample.s)
        return {"mutual_information": (self.kappa, mutual_information(logits, rectified=self.rectify_mi))}


@dataclass(frozen=True)
class OriginalConVAEObjective(ConVAEObjective):
    """Objective of Abid and Zou: a critic of targets only; it and the encoders train each other (Sec. 2)."""

    critic_kind: ClassVar[CriticKind] = 1  # a linear unit
    independent_critic: ClassVar[bool] = False

    def _critic_terms(self, model: ContrastiveAutoencoder, sample: LatentSample, target: Tensor) -> Terms:
        c, s, noise = sample.c, sample.s, sample.noise
        logits = model.critic(c, s)
        partners = next_target(all_gather(sample.y, noise.world_size))[noise.own]
        shuffled = model.critic(c, all_gather_with_grad(s, noise.world_size)[partners])
        information = target * mutual_information(logits, rectified=self.rectify_mi)
        return {
            "mutual_information": (self.kappa, information),
            "critic": (1.0, target * critic_loss(logits, shuffled)),
        }


def next_target(y: Tensor) -> Tensor:
    """Return for each target the row of the previous one, in a cycle: a lone target is its own partner."""
    rows = torch.arange(len(y), device=y.device)
    target = rows[y != 0]
    partners = rows.clone()
    partners[target] = target.roll(1)
    return partners


@dataclass(eq=False, repr=False)
class ConVAE(ContrastiveVAE):
    """
    Contrastive VAE of Abid and Zou: a common and a salient code, kept independent by a critic.

    Background samples are decoded from [c, s' = 0]; their salient codes are not regularised. No classifier
    affects the encoders: the one behind `predict` trains on detached codes.

    Parameters
    ----------
    beta_common : float, default=5.0
        Weight of the common prior.
    beta_salient : float, default=1.0
        Weight of the salient prior of targets.
    kappa : float, default=50.0
        Weight of the mutual information of c and s.
    rectify_mi : bool, default=True
        Replace negative estimates of the mutual information by 0, per sample.
    critic : {"independent", "original"}, default="independent"
        "independent" is the critic of all methods of this library: three layers, trained on codes of both
        groups by its own optimizer. "original" is that of Abid and Zou: one linear unit, trained on codes of
        targets together with all other networks.

    References
    ----------
    .. [1] A. Abid, J. Zou, "Contrastive Variational Autoencoder Enhances Salient Features",
       arXiv:1902.04601, 2019.
    .. [2] R. Louiset et al., "SepVAE: a contrastive VAE to separate pathological patterns from healthy ones",
       Medical Imaging with Deep Learning, 2024: preset "paper".

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(60, 5)), np.repeat([0, 1], 30)
    >>> model = ConVAE(common_dim=2, salient_dim=1, max_epochs=1, progress_bar=False).fit(X, y)
    >>> model.transform(X).shape
    (60, 3)
    """

    beta_common: float = 5.0
    beta_salient: float = 1.0
    kappa: float = 50.0
    rectify_mi: bool = True
    critic: Literal["independent", "original"] = "independent"

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "paper": PAPER | {"kappa": 2.0},
        # Their code has beta = 1, and leaves gamma, here kappa, to the user.
        "original": {
            "beta_common": 1.0,
            "beta_salient": 1.0,
            "kappa": 1.0,
            "rectify_mi": False,
            "reconstruction_var": 0.5,
            "critic": "original",
        },
    }

    def objective(self) -> ConVAEObjective:
        """Return the loss of this method with its keywords."""
        check_choice("critic", self.critic, ("independent", "original"))
        return (OriginalConVAEObjective if self.critic == "original" else ConVAEObjective).of(self)
