"""The small parts on top of features and codes: posterior head, salient classifier, critic."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sepvae.codes import Codes

READ_OUT_WIDTH = 16  # or more: with 2 hidden units one of three fits had all of them dead


class GaussianEncoder(nn.Module):
    """Backbone, then a linear map each to posterior mean and log-variance."""

    def __init__(self, backbone: nn.Module, features: int, latent_dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.mean = nn.Linear(features, latent_dim)
        self.logvar = nn.Linear(features, latent_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """
        Give the posterior of samples.

        Shapes: x (batch, ...); returns (batch, latent_dim).
        """
        features = self.backbone(x)
        return self.mean(features), self.logvar(features)


class SalientClassifier(nn.Sequential):
    """Two-layer network f_xi, from salient codes to logits of the targets against the background (Sec. 3)."""

    def __init__(self, salient_dim: int, n_groups: int) -> None:
        super().__init__(nn.Linear(salient_dim, salient_dim), nn.ReLU(), nn.Linear(salient_dim, n_groups - 1))


class ReadOut(nn.Sequential):
    """
    Classifier of salient means, which `predict` reads: it learns from detached means and acts on nothing.

    The salient classifier is fed sampled codes, whose noise is of another width for each group (App. B); on
    means, which have no noise, it may be at chance.
    """

    def __init__(self, salient_dim: int, n_groups: int) -> None:
        width = max(salient_dim, READ_OUT_WIDTH)
        super().__init__(nn.Linear(salient_dim, width), nn.ReLU(), nn.Linear(width, n_groups - 1))


class Critic(nn.Module):
    """Network D_lambda, which tells [c, s] of one image from [c, s] of two (App. F), as a logit."""

    def __init__(self, common_dim: int, salient_dim: int, layers: int = 3) -> None:
        super().__init__()
        width = common_dim + salient_dim
        hidden = [part for _ in range(layers - 1) for part in (nn.Linear(width, width), nn.ReLU())]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, 1))

    def forward(self, common: Tensor, salient: Tensor) -> Tensor:
        """
        Compare pairs of codes.

        Shapes: common (batch, common_dim); salient (batch, salient_dim); returns (batch,).
        """
        logits: Tensor = self.layers(torch.cat([common, salient], dim=1))
        return logits.squeeze(1)


def frozen(module: nn.Module, *inputs: Tensor) -> Any:
    """Run a module so that gradients pass to its inputs, but not to its parameters."""
    parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}
    return functional_call(module, parameters, inputs)


def sample(codes: Codes[Tensor], noise: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Draw codes from the posterior, differentiably (the reparameterization trick)."""
    c = codes.common_mean + (0.5 * codes.common_logvar).exp() * noise[0]
    s = codes.salient_mean + (0.5 * codes.salient_logvar).exp() * noise[1]
    return c, s
