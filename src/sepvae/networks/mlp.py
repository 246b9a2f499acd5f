"""Fully connected networks for tables, and linear ones for principal component scores."""

import torch
from torch import Tensor, nn

from sepvae.networks.heads import GaussianEncoder

WIDTH = 128


def linear_encoder(shape: tuple[int, ...], latent_dim: int) -> GaussianEncoder:
    """Build an encoder whose posterior mean and log-variance are linear maps of the scores."""
    (scores,) = shape
    return GaussianEncoder(nn.Identity(), scores, latent_dim)


def linear_decoder(shape: tuple[int, ...], latent_dim: int) -> nn.Linear:
    """Build a linear map from [c, s] to scores."""
    (scores,) = shape
    return nn.Linear(latent_dim, scores)


def start_at_scores(common_encoder: GaussianEncoder, decoder: nn.Linear) -> None:
    """Start c at the leading scores, which the decoder returns unchanged: from random weights c collapses."""
    dim, scores = common_encoder.mean.weight.shape
    with torch.no_grad():
        for parameter in common_encoder.parameters():
            parameter.zero_()
        common_encoder.mean.weight.copy_(torch.eye(dim, scores))
        decoder.weight[:, :dim] = torch.eye(scores, dim)
        decoder.bias.zero_()


def mlp_encoder(shape: tuple[int, ...], latent_dim: int) -> GaussianEncoder:
    """Build the encoder of table rows: two hidden layers."""
    (features,) = shape
    backbone = nn.Sequential(nn.Linear(features, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
    return GaussianEncoder(backbone, WIDTH, latent_dim)


def mlp_decoder(shape: tuple[int, ...], latent_dim: int) -> nn.Sequential:
    """Build the mirror image of the encoder, with identity output for standardised features."""
    (features,) = shape
    hidden = nn.Linear(latent_dim, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()
    return nn.Sequential(*hidden, nn.Linear(WIDTH, features))


class ResidualDecoder(nn.Module):
    """
    Linear map of [c, s] plus a network whose output is 0 before training.

    Every code gets a gradient from all features from the first step on, so that few codes collapse. The
    network learns only what the linear map leaves.
    """

    def __init__(self, shape: tuple[int, ...], latent_dim: int) -> None:
        super().__init__()
        (features,) = shape
        self.linear = nn.Linear(latent_dim, features)
        self.network = mlp_decoder(shape, latent_dim)
        for parameter in self.network[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, z: Tensor) -> Tensor:
        """Return the mean of p(x | c, s), of shape (batch, features), for z = [c, s]."""
        decoded: Tensor = self.linear(z) + self.network(z)
        return decoded
