"""
SepVAE's loss: Eq. 2 of the paper (Louiset et al., MIDL 2024), with removal and swap consistency, ours.

Consistency: a sample without its salient part, or with that of another, must be encoded to the codes behind
it; this extends the self-consistency of the autoencoding VAE (Cemgil et al., NeurIPS 2020).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sepvae.codes import Codes
from sepvae.losses.vae import (
    BlockPrior,
    GroupPrior,
    SeverityPrior,
    gaussian_kl,
    group_cross_entropy,
    mutual_information,
    standard_kl,
)
from sepvae.networks.model import ContrastiveAutoencoder, frozen, running_statistics, with_covariates
from sepvae.training.distributed import all_gather, all_gather_with_grad
from sepvae.training.keywords import Learnt
from sepvae.training.objective import ContrastiveObjective, LatentSample, Terms
from sepvae.training.sampling import donors

CONSISTENCY = ("removal_common", "removal_salient", "swap_common", "swap_salient")  # terms and weights
# Share of x - d([c, s]) that a sample without its salient part keeps. With 0, weak factors, which decoded
# samples hardly show, leave the code; with 1, it shows the salient part (docs/results/separation.md).
RESIDUAL = 0.5


@dataclass(frozen=True)
class SepVAEObjective(ContrastiveObjective):
    """Objective of Eq. 2 with the consistency terms; if `severity`, y is in [0, 1] (App. B)."""

    kappa: float
    gamma: float
    background_prior_var: float
    background_posterior_var: float | Learnt
    rectify_mi: bool
    removal_common: float = 0.0
    removal_salient: float = 0.0
    swap_common: float = 0.0
    swap_salient: float = 0.0
    severity: bool = False
    owners: tuple[int, ...] | None = None  # target of each salient dimension, 0: shared; None: one space

    @property
    def prior(self) -> GroupPrior:
        """Salient prior p(s | y): narrow for the background, standard for targets, between for severities."""
        if self.owners is not None:
            return BlockPrior(self.background_prior_var, self.owners)
        return (SeverityPrior if self.severity else GroupPrior)(self.background_prior_var)

    def terms(self, model: ContrastiveAutoencoder, sample: LatentSample) -> Terms:
        """Return Eq. 2 with the mutual information of Eq. 3 and the consistency terms, ours."""
        c, s, codes, y = sample.c, sample.s, sample.codes, sample.y
        common_kl = standard_kl(codes.common_mean, codes.common_logvar)
        target_kl, background_kl = (of_group.to(s.dtype) * sample.salient_kl for of_group in (y != 0, y == 0))
        classification = group_cross_entropy(frozen(model.salient_classifier, s), y)
        information = mutual_information(frozen(model.critic, c, s), rectified=self.rectify_mi)
        kl = self._consistency(model, sample)
        return {
            "reconstruction": (1.0, sample.reconstruction),
            "common_kl": (self.beta_common, common_kl),
            "salient_kl_target": (self.beta_salient, target_kl),
            "salient_kl_background": (self.beta_salient, background_kl),
            "salient_classification": (self.gamma, classification),
            "mutual_information": (self.kappa, information),
            "removal_common": (self.removal_common, kl.get("removal_common")),  # KL(q(c|x) || q(c|x0))
            "removal_salient": (self.removal_salient, kl.get("removal_salient")),  # KL(q(s|x0) || p(s|y=0))
            "swap_common": (self.swap_common, kl.get("swap_common")),  # KL(q(c|x_i) || q(c|x1))
            "swap_salient": (self.swap_salient, kl.get("swap_salient")),  # KL(q(s|x_j) || q(s|x1))
        }

    def posterior(self, codes: Codes[Tensor], y: Tensor) -> Codes[Tensor]:
        """Fix the salient variance at sigma_q where the decoder gets s' (App. B), unless it is learnt."""
        if self.background_posterior_var == "learnt":
            return codes
        learnt = codes.salient_logvar
        sigma_q = torch.tensor(self.background_posterior_var, device=y.device, dtype=learnt.dtype)
        logvar = torch.where(self.prior.salient_gate(y) == 0, sigma_q.log(), learnt)
        return Codes(codes.common_mean, codes.common_logvar, codes.salient_mean, logvar)

    def logged(self, model: ContrastiveAutoencoder, sample: LatentSample) -> dict[str, Tensor]:
        """With a fixed variance, the background's KL has a constant minimum; return the excess over it."""
        if self.background_posterior_var == "learnt":
            return {}
        off_centre = sample.codes.salient_mean.square().sum(dim=1) / (2 * self.background_prior_var)
        return {"salient_kl_background_excess": (sample.y == 0).to(off_centre.dtype) * off_centre}

    def _consistency(self, model: ContrastiveAutoencoder, sample: LatentSample) -> dict[str, Tensor]:
        """
        Return the terms of weight above 0, of shape (batch,): 0 for the other group and samples left out.

        At posterior means, for a target x and x0 = d([c, s']) + RESIDUAL (x - d([c, s])): removal_common =
        KL(q(c|x) || q(c|x0)), whose gradient reaches both posteriors; removal_salient = KL(q(s|x0) ||
        p(s|y=0)), with q(s|x0) by a frozen salient encoder. For a background sample i, a target j and x1 =
        d([c_i, s_j]): swap_common = KL(q(c|x_i) || q(c|x1)); swap_salient = KL(q(s|x_j) || q(s|x1)).
        """
        wanted = [name for name in CONSISTENCY if getattr(self, name) > 0]
        if not wanted:
            return {}
        codes, noise, prior = sample.codes, sample.noise, self.prior
        y = all_gather(sample.y, noise.world_size)
        of_all = donors(y, *(any(name.startswith(kind) for name in wanted) for kind in ("removal", "swap")))
        # Each sample that takes part stands for those that are left out.
        stands_for = [group.sum() / (group & (of_all >= 0)).sum().clamp(min=1) for group in (y != 0, y == 0)]
        own_donors, targets = of_all[noise.own], sample.y != 0
        removed, swapped = (((own_donors >= 0) & group).nonzero()[:, 0] for group in (targets, ~targets))
        rows, n = torch.cat([removed, swapped]), len(removed)

        own_codes = torch.cat([codes.salient_mean, codes.salient_logvar], dim=1)
        of_donors = all_gather_with_grad(own_codes, noise.world_size)[own_donors[swapped]]
        mean, logvar = of_donors.chunk(2, dim=1)
        y_donors, healthy = y[own_donors[swapped]], torch.zeros_like(sample.y[removed])
        gate = prior.salient_gate(y_donors).to(mean.dtype)
        given, mean = gate * mean, torch.where(gate == 0, 0, mean)  # no part that the decoder does not get
        own = prior.salient_gate(sample.y[removed]).to(mean.dtype) * codes.salient_mean[removed]
        c = with_covariates(codes.common_mean, sample.u)[rows]  # a swap keeps them, too
        with running_statistics(model):  # batch norm must not learn from decoded samples
            # Posterior means: with sampled codes, even a perfect encoder would pay half a nat per dimension,
            # and weak factors would leave the code.
            decoded = model.decode(torch.cat([c, c[:n]]), torch.cat([torch.zeros_like(own), given, own]))
            removal = decoded[:n] + RESIDUAL * (sample.x[removed] - decoded[len(rows) :])
            changed = torch.cat([removal, decoded[n : len(rows)]])
            common_mean, common_logvar = model.common_encoder(changed)
            # A salient encoder that learns from x0 would learn to ignore what is left of the salient part.
            left, carried = frozen(model.salient_encoder, changed[:n]), model.salient_encoder(changed[n:])

        as_healthy = self.posterior(Codes(common_mean[:n], common_logvar[:n], *left), healthy)
        as_donors = self.posterior(Codes(common_mean[n:], common_logvar[n:], *carried), y_donors)
        narrow = prior.mean(healthy), prior.variance(healthy).to(mean.dtype)
        common = codes.common_mean[rows], codes.common_logvar[rows]
        common_kl = gaussian_kl(*common, common_mean, common_logvar.exp())
        removal_kl = gaussian_kl(as_healthy.salient_mean, as_healthy.salient_logvar, *narrow)
        swap_kl = gaussian_kl(mean, logvar, as_donors.salient_mean, as_donors.salient_logvar.exp())
        values = {
            "removal_common": (removed, stands_for[0] * common_kl[:n]),
            "removal_salient": (removed, stands_for[0] * removal_kl),
            "swap_common": (swapped, stands_for[1] * common_kl[n:]),
            "swap_salient": (swapped, stands_for[1] * swap_kl),
        }
        nowhere = sample.x.new_zeros(len(sample.y))
        chosen = {name: values[name] for name in wanted}
        return {name: nowhere.index_put((at,), kl.to(nowhere.dtype)) for name, (at, kl) in chosen.items()}
