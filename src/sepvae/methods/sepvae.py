"""SepVAE (Louiset et al., MIDL 2024): its weights, presets and ablations; `SepVAEObjective` is the loss."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sepvae.checks import check_choice, check_number
from sepvae.errors import DataError
from sepvae.losses.vae import SeverityPrior
from sepvae.methods.base import Capabilities
from sepvae.methods.labels import BlockLabels, GroupLabels, severity_labels
from sepvae.methods.sepvae_objective import CONSISTENCY, SepVAEObjective
from sepvae.methods.vae import PAPER, ContrastiveVAE

NO_CONSISTENCY = dict.fromkeys(CONSISTENCY, 0.0)


@dataclass(eq=False, repr=False)
class SepVAE(ContrastiveVAE):
    """
    Contrastive VAE that separates salient (target-only) from common factors of variation.

    Two encoders give q(c | x) and q(s | x), one decoder p(x | c, s). Background samples are decoded from
    [c, s' = 0] and have a narrow salient prior. A critic keeps c and s independent, and a classifier in the
    salient space keeps the groups apart.

    Parameters
    ----------
    beta_common : float, default=0.5
        Weight of the common prior (beta_c; term b of Eq. 2).
    beta_salient : float, default=1.0
        Weight of the salient prior (beta_s; term c).
    kappa : float, default=10.0
        Weight of the mutual information of c and s (Eq. 3).
    gamma : float, default=1.0
        Weight of the salient classification (term d) in the gradient of the encoder. The classifier itself
        always trains at full weight.
    background_prior_var : float, default=0.05
        Variance of the salient prior of the background (sigma_p), in (0, 1].
    background_posterior_var : float, "learnt" or "auto", default="auto"
        Salient posterior variance of background samples in training (sigma_q, App. B): fixed at a number, or
        "learnt" by the encoder. "auto" is 0.1 for groups, and "learnt" for severities.
    rectify_mi : bool, default=True
        Replace negative estimates of the mutual information by 0, per sample (the ReLU of Eq. 3).
    removal_common : float, default=10.0
        Weight of removal consistency, which is not in the paper: x0, a target without its salient part, must
        be encoded to the same c: KL(q(c|x) || q(c|x0)). Here x0 = d([c, s']) + (x - d([c, s])) / 2.
    removal_salient : float, default=5.0
        Weight of the same for s: x0 must be encoded as a background sample, KL(q(s|x0) || p(s|y=0)).
    swap_common : float, default=5.0
        Weight of swap consistency: x1 = d([c_i, s_j]), a background sample i with the salient part of a
        target j, must be encoded to the same c: KL(q(c|x_i) || q(c|x1)).
    swap_salient : float, default=2.0
        Weight of the same for s: KL(q(s|x_j) || q(s|x1)).
    target : {"group", "severity"}, default="group"
        Kind of labels. "severity" means numbers in [0, 1], 0 for the background, such as a clinical score
        divided by its maximum (App. B). The salient prior widens with severity, the decoder gets [c, y s],
        the classifier learns the severity, and `predict` returns it.
    severity : str or None, default=None
        With target="severity", the attribute of a source that y is made from: divided by its maximum among
        the targets of the fit, `severity_max_`, and 0 for the background. Labels are then those of these two
        groups. None takes the labels for severities.
    shared_dim : int or None, default=None
        With several targets, the number of salient dimensions that all of them share; the others are divided
        equally among the targets, in the order of `classes_`. In dimensions of other targets, a sample has
        the prior of the background, and the decoder gets s' = 0. None: one space for all targets. Only `fit`
        sees labels: codes are those of the encoders, which learn to give s' where a label has no part.

    References
    ----------
    .. [1] R. Louiset, E. Duchesnay, A. Grigis, B. Dufumier, P. Gori, "SepVAE: a contrastive VAE to separate
       pathological patterns from healthy ones", Medical Imaging with Deep Learning, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 5))
    >>> y = np.repeat(["healthy", "ill"], 30)
    >>> X[y == "ill", 0] += rng.normal(3, 2, size=30)
    >>> model = SepVAE(common_dim=2, salient_dim=1, max_epochs=2, progress_bar=False).fit(X, y)
    >>> model.encode(X).salient_mean.shape
    (60, 1)
    """

    beta_common: float = 0.5
    beta_salient: float = 1.0
    kappa: float = 10.0
    gamma: float = 1.0
    background_prior_var: float = 0.05
    background_posterior_var: float | Literal["learnt", "auto"] = "auto"
    rectify_mi: bool = True
    removal_common: float = 10.0
    removal_salient: float = 5.0
    swap_common: float = 5.0
    swap_salient: float = 2.0
    target: Literal["group", "severity"] = "group"
    severity: str | None = None
    shared_dim: int | None = None

    capabilities: ClassVar[Capabilities] = Capabilities(epochs=True, classifier=True, severity=True)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "paper": PAPER
        | {"kappa": 2.0, "gamma": 1e-10, "background_prior_var": 0.025, "background_posterior_var": 0.1}
        | NO_CONSISTENCY,
        # The evidence lower bound with a narrow salient prior of the background, as the paper describes
        # Zou et al. (2022) and Choudhuri et al. (2019) in Sec. 2.
        "background-prior": {"beta_common": 1.0, "kappa": 0.0, "gamma": 0.0}
        | {"background_posterior_var": "learnt", **NO_CONSISTENCY},
    }
    before: ClassVar[dict[str, Any]] = NO_CONSISTENCY
    # Ablations of Table 2 of the paper, each a weight of 0, and of consistency, which is not in the paper.
    ablations: ClassVar[dict[str, dict[str, Any]]] = {
        "no MI": {"kappa": 0.0},
        "no CLSF": {"gamma": 0.0},
        "no SAL": {"beta_salient": 0.0},
        "no CONS": NO_CONSISTENCY,
    }

    def objective(self) -> SepVAEObjective:
        """Return the loss of this method with its keywords."""
        check_choice("target", self.target, ("group", "severity"))
        severity, posterior_var = self.target == "severity", self.background_posterior_var
        if self.severity is not None and not (severity and isinstance(self.severity, str)):
            raise DataError(f"severity: wanted an attribute with target='severity', got {self.severity!r}")
        if posterior_var == "auto":
            posterior_var = "learnt" if severity else 0.1
        if (shared := self.shared_dim) is not None:
            check_number("shared_dim", shared, least=0, below=self.salient_dim, whole=True, or_else="None")
            if severity:
                raise DataError(f"shared_dim: got {shared} with severities, expected None; leave it out")
        known = shared is not None and hasattr(self, "_labels")  # from `fit` on
        owners = self._labels.owners if known else None
        own = {"background_posterior_var": posterior_var, "severity": severity, "owners": owners}
        return SepVAEObjective.of(self, **own)

    def _label_encoder(self) -> GroupLabels:
        if self.target == "severity":
            return severity_labels(self.background, SeverityPrior(self.background_prior_var), self.severity)
        if self.shared_dim is not None:
            return BlockLabels(self.background, self.salient_dim, self.shared_dim)
        return GroupLabels(self.background)
