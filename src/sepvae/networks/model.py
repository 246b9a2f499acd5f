"""All networks in one module: two encoders, decoder, salient classifier, read-out and critic."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from sepvae.codes import Codes

HIDDEN = 128  # units of a discriminator of samples
READ_OUT_WIDTH = 16  # at least: with 2 hidden units, both were dead in one of three fits


class ContrastiveAutoencoder(nn.Module):
    """
    All networks: encoders of c and s, decoder, salient classifier f_xi and critic D_lambda (Fig. 1).

    `decoder` is None for methods without. `read_out`, from salient means to logits, is None in older models.
    `valid_mask` is None or a mask of the shape of a sample; decoded samples are 0 outside of it.
    """

    valid_mask: Tensor | None
    recompute = False  # activations, in the backward pass

    def __init__(
        self,
        common_encoder: nn.Module,
        salient_encoder: nn.Module,
        decoder: nn.Module | None,
        salient_classifier: nn.Module,
        critic: nn.Module,
        read_out: nn.Module | None = None,
        valid_mask: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.common_encoder = common_encoder
        self.salient_encoder = salient_encoder
        self.decoder = decoder
        self.salient_classifier = salient_classifier
        self.critic = critic
        self.read_out = read_out
        # Model files store the mask with the grid.
        self.register_buffer("valid_mask", valid_mask, persistent=False)
        self._n_valid = 0 if valid_mask is None else int(valid_mask.sum())

    def encode(self, x: Tensor) -> Codes[Tensor]:
        """Return the posterior of both codes; labels are not needed."""
        return Codes(*self.common_encoder(x), *self.salient_encoder(x))

    def decode(self, common: Tensor, salient: Tensor, u: Tensor | None = None) -> Tensor:
        """Return the mean of p(x | c, s), given covariates u if any; s = 0 decodes without salient part."""
        if self.decoder is None:
            raise TypeError("wanted a model with a decoder")
        z = torch.cat([with_covariates(common, u), salient], dim=1)
        samples: Tensor = run(self.decoder, z, recompute=self.recompute)
        return samples if self.valid_mask is None else samples * self.valid_mask

    def n_observed(self, x: Tensor) -> int:
        """Return d, the dimension of p(x | c, s): the number of pixels, features or valid voxels."""
        return x[0].numel() if self.valid_mask is None else self._n_valid

    def checkpoint_gradients(self) -> None:
        """Recompute the activations of encoders, decoder and critic in the backward pass, from now on."""
        for module in self.modules():
            if isinstance(module, ContrastiveAutoencoder | GaussianEncoder | JointCritic | SampleCritic):
                module.recompute = True


class GaussianEncoder(nn.Module):
    """Backbone with one linear map to the posterior mean and one to the log-variance."""

    recompute = False

    def __init__(self, backbone: nn.Module, features: int, latent_dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.mean = nn.Linear(features, latent_dim)
        self.logvar = nn.Linear(features, latent_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior mean and log-variance, of shape (batch, latent_dim)."""
        features = run(self.backbone, x, recompute=self.recompute)
        return self.mean(features), self.logvar(features)


class SalientClassifier(nn.Sequential):
    """Two-layer network f_xi, from salient codes to logits of the targets against the background (Sec. 3)."""

    def __init__(self, salient_dim: int, n_groups: int) -> None:
        super().__init__(nn.Linear(salient_dim, salient_dim), nn.ReLU(), nn.Linear(salient_dim, n_groups - 1))


class ReadOut(nn.Sequential):
    """
    Classifier of salient means for `predict`: it trains on detached means and does not affect other networks.

    The salient classifier trains on sampled codes, whose noise has another width in each group (App. B). On
    means, which have no noise, it may be at chance.
    """

    def __init__(self, salient_dim: int, n_groups: int) -> None:
        width = max(salient_dim, READ_OUT_WIDTH)
        super().__init__(nn.Linear(salient_dim, width), nn.ReLU(), nn.Linear(width, n_groups - 1))


class Critic(nn.Module):
    """Network D_lambda (App. F), as wide as both codes: a logit for [c, s] of one image against two."""

    def __init__(self, common_dim: int, salient_dim: int, layers: int = 3) -> None:
        super().__init__()
        width = common_dim + salient_dim
        hidden = [part for _ in range(layers - 1) for part in (nn.Linear(width, width), nn.ReLU())]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, 1))

    def forward(self, common: Tensor, salient: Tensor) -> Tensor:
        """Return the log-odds, of shape (batch,), that both codes are of one image."""
        logits: Tensor = self.layers(torch.cat([common, salient], dim=1))
        return logits.squeeze(1)


class JointCritic(nn.Module):
    """Discriminators of samples with their codes, (x, c, s) for targets and (x, c) for the background."""

    recompute = False

    def __init__(self, of_sample: GaussianEncoder, common_dim: int, salient_dim: int) -> None:
        super().__init__()
        self.backbone, features = of_sample.backbone, of_sample.mean.in_features
        self.background, self.target = (
            nn.Sequential(nn.Linear(features + dim, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
            for dim in (common_dim, common_dim + salient_dim)
        )

    def forward(self, x: Tensor, y: Tensor, common: Tensor, salient: Tensor) -> Tensor:
        """Return the log-odds, of shape (batch,), that codes are of the encoders; y = 0 is the background."""
        seen = torch.cat([run(self.backbone, x, recompute=self.recompute), common], dim=1)
        target = self.target(torch.cat([seen, salient], dim=1))
        return torch.where(y == 0, self.background(seen).squeeze(1), target.squeeze(1))


class SampleCritic(nn.Module):
    """Discriminator of samples, of data against decoded and of targets against background, in one network."""

    recompute = False

    def __init__(self, of_sample: GaussianEncoder) -> None:
        super().__init__()
        self.backbone, features = of_sample.backbone, of_sample.mean.in_features
        self.data, self.target = (
            nn.Sequential(nn.Linear(features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)) for _ in range(2)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-odds of data, of shape (batch,), and of a target, of shape (batch, 1)."""
        features = run(self.backbone, x, recompute=self.recompute)
        return self.data(features).squeeze(1), self.target(features)


def with_covariates(common: Tensor, u: Tensor | None) -> Tensor:
    """Return [c, u], of shape (batch, common_dim + n_covariates); without covariates c."""
    return common if u is None else torch.cat([common, u], dim=1)


def frozen(module: nn.Module, *inputs: Tensor) -> Any:
    """Run a module so that gradients reach its inputs but not its parameters."""
    parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}
    return functional_call(module, parameters, inputs)


def run(module: nn.Module, x: Tensor, *, recompute: bool) -> Any:
    """
    Run a module; if `recompute`, keep no activations: the backward pass computes them (Chen et al., 2016).

    Parameters, buffers and modes are those of the first run, since `frozen` and `running_statistics` end
    before the backward pass. Changes of buffers in later runs, such as those of batch norm, are discarded.
    """
    if not (recompute and torch.is_grad_enabled()):
        return module(x)
    parameters = dict(module.named_parameters())
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    training = {part: part.training for part in module.modules()}
    is_first = True

    def same(x: Tensor) -> Any:
        nonlocal is_first
        if is_first:
            is_first = False
            return module(x)
        now = {part: part.training for part in training}
        copies = {name: buffer.clone() for name, buffer in buffers.items()}
        try:
            _set_modes(training)
            return functional_call(module, parameters | copies, (x,))
        finally:
            _set_modes(now)

    return checkpoint(same, x, use_reentrant=False)


def _set_modes(training: Mapping[nn.Module, bool]) -> None:
    for module, mode in training.items():
        module.training = mode


@contextmanager
def running_statistics(model: nn.Module) -> Iterator[None]:
    """Let batch norms use their running statistics without updating them, for images that are not samples."""
    # All kinds, also torch's SyncBatchNorm on several GPUs, whose processes wait for each other in training.
    norms = (m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    learning = [module for module in norms if module.training]
    for module in learning:
        module.training = False
    try:
        yield
    finally:
        for module in learning:
            module.training = True
