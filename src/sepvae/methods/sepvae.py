"""SepVAE (Louiset et al., MIDL 2024): its objective, Eq. 2 of the paper, and its estimator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sepvae.checks import check_flag, check_number
from sepvae.codes import Codes, Space
from sepvae.losses.classification import group_cross_entropy
from sepvae.losses.density_ratio import critic_loss, mutual_information
from sepvae.losses.divergences import gaussian_kl, standard_kl
from sepvae.losses.priors import GroupPrior
from sepvae.losses.reconstruction import gaussian_nll, optimal_variance, squared_error
from sepvae.methods._estimator import ContrastiveEstimator
from sepvae.networks.autoencoder import ContrastiveAutoencoder
from sepvae.networks.heads import sample
from sepvae.training.noise import Noise
from sepvae.training.objective import Losses
from sepvae.training.processes import everyone

Learnt = Literal["learnt"]


@dataclass(frozen=True)
class SepVAEObjective:  # numpydoc ignore=PR02
    """
    The loss of Eq. 2: its terms, one value per sample, and their weights.

    Parameters
    ----------
    beta_common, beta_salient, kappa, gamma : float
        Weights, as in `SepVAE`.
    background_prior_var : float
        Variance sigma_p.
    background_posterior_var : float or "learnt"
        Variance sigma_q.
    reconstruction_var : float or "learnt"
        Variance of p(x | c, s).
    rectify_mi : bool
        The ReLU of Eq. 3.
    """

    beta_common: float
    beta_salient: float
    kappa: float
    gamma: float
    background_prior_var: float
    background_posterior_var: float | Learnt
    reconstruction_var: float | Learnt
    rectify_mi: bool

    def __post_init__(self) -> None:
        for name in ("beta_common", "beta_salient", "kappa", "gamma"):
            check_number(name, getattr(self, name), least=0)
        check_number("background_prior_var", self.background_prior_var, above=0)
        check_flag("rectify_mi", self.rectify_mi)
        for name in ("background_posterior_var", "reconstruction_var"):
            if getattr(self, name) != "learnt":
                check_number(name, getattr(self, name), above=0, or_else="'learnt'")

    @property
    def prior(self) -> GroupPrior:
        """
        Salient prior p(s | y).

        Returns
        -------
        GroupPrior
            Narrow for the background, standard for targets.
        """
        return GroupPrior(self.background_prior_var)

    @property
    def weights(self) -> dict[str, float]:
        """
        Weight of each term.

        Returns
        -------
        dict of str to float
            By the names of the terms; an ablation is a weight of 0.
        """
        return {
            "reconstruction": 1.0,
            "common_kl": self.beta_common,
            "salient_kl_target": self.beta_salient,
            "salient_kl_background": self.beta_salient,
            "salient_classification": self.gamma,
            "mutual_information": self.kappa,
        }

    def posterior(self, codes: Codes[Tensor], y: Tensor) -> Codes[Tensor]:
        """
        Freeze the salient variance of background samples at sigma_q (App. B), unless it is learnt.

        Parameters
        ----------
        codes : Codes of Tensor
            What the encoders say.
        y : Tensor of shape (batch,)
            Groups.

        Returns
        -------
        Codes of Tensor
            What codes are drawn from in training.
        """
        if self.background_posterior_var == "learnt":
            return codes
        learnt = codes.salient_logvar
        sigma_q = torch.tensor(self.background_posterior_var, device=y.device, dtype=learnt.dtype)
        logvar = torch.where(y[:, None] == 0, sigma_q.log(), learnt)
        return Codes(codes.common_mean, codes.common_logvar, codes.salient_mean, logvar)

    def critic_loss(self, model: ContrastiveAutoencoder, codes: Codes[Tensor], noise: Noise) -> Tensor:
        """
        What the critic learns: to tell z = [c, s] from [c, s of another image] (Algorithm 1, lines 4 to 6).

        Parameters
        ----------
        model : ContrastiveAutoencoder
            Its critic is trained.
        codes : Codes of Tensor
            Posterior, detached.
        noise : Noise
            Of this step.

        Returns
        -------
        Tensor of shape (batch,)
            Cross-entropy.
        """
        c, s = sample(codes, noise.critic)
        return critic_loss(model.critic(c, s), model.critic(c, everyone(s, noise.processes)[noise.partners]))

    def losses(
        self,
        model: ContrastiveAutoencoder,
        x: Tensor,
        y: Tensor,
        codes: Codes[Tensor],
        noise: Noise,
    ) -> Losses:
        """
        All terms of Eq. 2.

        Parameters
        ----------
        model : ContrastiveAutoencoder
            Decoder, critic and salient classifier.
        x : Tensor of shape (batch, ...)
            Samples.
        y : Tensor of shape (batch,)
            Groups.
        codes : Codes of Tensor
            Posterior.
        noise : Noise
            Of this step.

        Returns
        -------
        Losses
            Terms; the classifier's own loss; squared error per pixel and the excess of the background's KL
            over the least that frozen variances allow.
        """
        c, s = sample(codes, noise.model)
        background, pixels = (y == 0).to(s.dtype), x[0].numel()

        error = squared_error(x, model.decode(c, self.prior.presence(y).to(s.dtype) * s))
        prior = self.prior.mean(y), self.prior.variance(y)
        salient_kl = gaussian_kl(codes.salient_mean, codes.salient_logvar, *prior)
        terms = {
            "reconstruction": gaussian_nll(
                error, pixels, self._variance(everyone(error, noise.processes), pixels)
            ),
            "common_kl": standard_kl(codes.common_mean, codes.common_logvar),
            "salient_kl_target": (1 - background) * salient_kl,
            "salient_kl_background": background * salient_kl,
            "salient_classification": group_cross_entropy(model.salient_classifier(s, frozen=True), y),
            "mutual_information": mutual_information(
                model.critic(c, s, frozen=True), rectified=self.rectify_mi
            ),
        }
        shown = {"squared_error": error / pixels}
        if self.background_posterior_var != "learnt":
            off_centre = codes.salient_mean.square().sum(dim=1) / (2 * self.background_prior_var)
            shown["salient_kl_background_excess"] = background * off_centre
        # The classifier learns at full weight, for at gamma = 1e-10 its gradient would drown in Adam's eps;
        # gamma scales what it tells the encoder.
        classifier = group_cross_entropy(model.salient_classifier(s.detach()), y)
        return Losses(terms, classifier, shown)

    def _variance(self, error: Tensor, pixels: int) -> Tensor | float:
        learnt = self.reconstruction_var == "learnt"
        return optimal_variance(error, pixels) if learnt else float(self.reconstruction_var)


class SepVAE(ContrastiveEstimator):
    """
    Contrastive VAE that separates salient (target-only) from common factors of variation.

    Two encoders give q(c | x) and q(s | x), one decoder p(x | c, s). Background samples are decoded from
    [c, s' = 0] and have a narrow salient prior; a critic keeps c and s independent, a classifier in the
    salient space keeps the groups apart.

    Parameters
    ----------
    common_dim : int, default=16
        Dimension of the common space (D_c).
    salient_dim : int, default=16
        Dimension of the salient space (D_s).
    network : {"auto", "mlp", "cnn2d", "e1", "e2", "release"} or tuple of two Module, default="auto"
        "auto" is `mlp` for tables and `cnn2d` for images; `e1` and `e2` are the paper's (App. E.1, E.2),
        `release` has the convolutions of the authors' code. Or the user's own (encoder, decoder): the encoder
        from samples to features of shape (batch, any width), the decoder from (batch, common_dim +
        salient_dim) to samples, with whatever output they need. Both are copied, the encoder once a space.
    beta_common : float, default=5.0
        Weight of the common prior (beta_c; term b of Eq. 2).
    beta_salient : float, default=1.0
        Weight of the salient prior (beta_s; term c).
    kappa : float, default=50.0
        Weight of the mutual information of c and s (Eq. 3).
    gamma : float, default=1.0
        Weight of the salient classification (term d) in the gradient of the encoder. The classifier itself
        always learns at full weight.
    background_prior_var : float, default=0.05
        Variance of the salient prior of the background (sigma_p), in (0, 1].
    background_posterior_var : float or "learnt", default=0.1
        Salient posterior variance of background samples in training (sigma_q, App. B): frozen at a number, or
        given by the encoder.
    reconstruction_var : float or "learnt", default="learnt"
        Variance of p(x | c, s). A number v weighs the squared error, summed over pixels, by 1 / (2 v): 0.5 is
        the paper's. "learnt" takes the likeliest, which is the mean squared error of each batch, so that the
        weights suit data of any size and noise.
    rectify_mi : bool, default=True
        Replace negative estimates of the mutual information by 0, sample by sample (the ReLU of Eq. 3).
    background : label or None, default=None
        Which label is the background; None names the first in sorted order.
    space : {"both", "common", "salient"}, default="both"
        What `transform` gives.
    learning_rate : float, default=0.001
        Of Adam, for the model and for the critic.
    reset_optimizer : {"never", "epoch"}, default="never"
        "epoch" re-creates the optimizers before each epoch, as App. E.1 and E.2 do.
    batch_size : int, default=128
        Samples a batch. Every batch holds two or more samples of each group.
    balanced : bool, default=False
        Groups in equal numbers in each batch, instead of in the data's proportions.
    num_workers : int or "auto", default="auto"
        Processes that read samples which are not in memory; "auto" is one for each core, at most 8.
    compile : bool, default=False
        Have torch compile the training step, where it can: the first step takes some 20 s longer, the others
        less time if the network is small; for convolutions on a CPU it brings little.
    max_epochs : int, default=100
        Passes through the training part.
    validation_fraction : float, default=0.1
        Share of the data set aside for the validation curves, in [0, 1), stratified by label and grouped.
        None is set aside where a label has too few samples or groups for it.
    early_stopping : int or None, default=None
        Stop after this many epochs in which the validation loss, without the mutual information, did not
        fall.
    keep : {"last", "best"}, default="last"
        Which epoch's weights to keep; "best" has the least validation loss without the mutual information.
    random_state : int or None, default=0
        Seed of weights, order and noise; None draws one.
    progress_bar : bool, default=True
        Show epochs, terms and the time left.
    accelerator, devices, num_nodes, strategy, precision : default="auto", 1, 1, "auto", "32-true"
        As in `lightning.pytorch.Trainer`. Several devices share each batch, and give what one would give.
    logger, callbacks : default=None
        As in `lightning.pytorch.Trainer`.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Labels, sorted.
    background_ : label
        Which of them is the background.
    module_ : ContrastiveAutoencoder
        The trained networks.
    history_ : DataFrame
        One row per epoch: every term for train and validation, by group, and weighted.
    validation_indices_ : ndarray of int
        Positions of the samples set aside for validation.
    scaler_ : TableScaler or None
        What standardises tables and fills their gaps.
    sample_shape_ : tuple of int
        Shape of one sample.
    n_features_in_ : int
        Number of features, for tables.
    feature_names_in_ : ndarray of str
        Names of features, for DataFrames.

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

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "paper": {
            "common_dim": 16,
            "salient_dim": 16,
            "network": "e1",
            "beta_common": 0.5,
            "beta_salient": 0.5,
            "kappa": 2.0,
            "gamma": 1e-10,
            "background_prior_var": 0.025,
            "background_posterior_var": 0.1,
            "reconstruction_var": 0.5,
            "reset_optimizer": "epoch",
            "learning_rate": 1e-3,
            "batch_size": 512,
            "max_epochs": 250,
        },
    }

    def __init__(
        self,
        common_dim: int = 16,
        salient_dim: int = 16,
        *,
        network: str | tuple[nn.Module, nn.Module] = "auto",
        beta_common: float = 5.0,
        beta_salient: float = 1.0,
        kappa: float = 50.0,
        gamma: float = 1.0,
        background_prior_var: float = 0.05,
        background_posterior_var: float | Learnt = 0.1,
        reconstruction_var: float | Learnt = "learnt",
        rectify_mi: bool = True,
        background: Any = None,
        space: Space = "both",
        learning_rate: float = 1e-3,
        reset_optimizer: Literal["never", "epoch"] = "never",
        batch_size: int = 128,
        balanced: bool = False,
        num_workers: int | Literal["auto"] = "auto",
        compile: bool = False,  # noqa: A002
        max_epochs: int = 100,
        validation_fraction: float = 0.1,
        early_stopping: int | None = None,
        keep: Literal["last", "best"] = "last",
        random_state: int | None = 0,
        progress_bar: bool = True,
        accelerator: str = "auto",
        devices: int | str | list[int] = 1,
        num_nodes: int = 1,
        strategy: Any = "auto",
        precision: Any = "32-true",
        logger: Any = None,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self.common_dim = common_dim
        self.salient_dim = salient_dim
        self.network = network
        self.beta_common = beta_common
        self.beta_salient = beta_salient
        self.kappa = kappa
        self.gamma = gamma
        self.background_prior_var = background_prior_var
        self.background_posterior_var = background_posterior_var
        self.reconstruction_var = reconstruction_var
        self.rectify_mi = rectify_mi
        self.background = background
        self.space = space
        self.learning_rate = learning_rate
        self.reset_optimizer = reset_optimizer
        self.batch_size = batch_size
        self.balanced = balanced
        self.num_workers = num_workers
        self.compile = compile
        self.max_epochs = max_epochs
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.keep = keep
        self.random_state = random_state
        self.progress_bar = progress_bar
        self.accelerator = accelerator
        self.devices = devices
        self.num_nodes = num_nodes
        self.strategy = strategy
        self.precision = precision
        self.logger = logger
        self.callbacks = callbacks

    def _objective(self) -> SepVAEObjective:
        return SepVAEObjective(
            beta_common=self.beta_common,
            beta_salient=self.beta_salient,
            kappa=self.kappa,
            gamma=self.gamma,
            background_prior_var=self.background_prior_var,
            background_posterior_var=self.background_posterior_var,
            reconstruction_var=self.reconstruction_var,
            rectify_mi=self.rectify_mi,
        )
