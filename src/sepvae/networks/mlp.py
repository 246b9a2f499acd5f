"""Fully connected network, for tables."""

from torch import nn

from sepvae.networks.heads import GaussianEncoder

WIDTH = 128


def mlp_encoder(shape: tuple[int, ...], latent_dim: int) -> GaussianEncoder:
    """
    Encoder of a table row: two hidden layers.

    Parameters
    ----------
    shape : tuple of int
        Shape of one sample, (features,).
    latent_dim : int
        Dimension of the code.

    Returns
    -------
    GaussianEncoder
        From (batch, features) to mean and log-variance.
    """
    (features,) = shape
    backbone = nn.Sequential(nn.Linear(features, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
    return GaussianEncoder(backbone, WIDTH, latent_dim)


def mlp_decoder(shape: tuple[int, ...], latent_dim: int) -> nn.Module:
    """
    Mirror image of the encoder, with identity output for standardised features.

    Parameters
    ----------
    shape : tuple of int
        Shape of one sample, (features,).
    latent_dim : int
        Dimension of [c, s].

    Returns
    -------
    Module
        From (batch, latent_dim) to (batch, features).
    """
    (features,) = shape
    hidden = nn.Linear(latent_dim, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()
    return nn.Sequential(*hidden, nn.Linear(WIDTH, features))
