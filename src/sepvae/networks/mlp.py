"""Fully connected networks, for tables."""

from torch import Tensor, nn

from sepvae.networks.heads import GaussianEncoder

WIDTH = 128


def mlp_encoder(shape: tuple[int, ...], latent_dim: int) -> GaussianEncoder:
    """Encoder of a table row: two hidden layers."""
    (features,) = shape
    backbone = nn.Sequential(nn.Linear(features, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
    return GaussianEncoder(backbone, WIDTH, latent_dim)


def mlp_decoder(shape: tuple[int, ...], latent_dim: int) -> nn.Sequential:
    """Mirror image of the encoder, with identity output for standardised features."""
    (features,) = shape
    hidden = nn.Linear(latent_dim, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()
    return nn.Sequential(*hidden, nn.Linear(WIDTH, features))


class ResidualDecoder(nn.Module):
    """
    Linear map from [c, s], plus a network that adds 0 before training.

    Every code then has a gradient from all features from the first step on, so that few codes collapse, and
    the network learns only what a linear map of the codes leaves over.
    """

    def __init__(self, shape: tuple[int, ...], latent_dim: int) -> None:
        super().__init__()
        (features,) = shape
        self.linear = nn.Linear(latent_dim, features)
        self.network = mlp_decoder(shape, latent_dim)
        for parameter in self.network[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, z: Tensor) -> Tensor:
        """
        Decode codes.

        Shapes: z (batch, latent_dim); returns (batch, features).
        """
        decoded: Tensor = self.linear(z) + self.network(z)
        return decoded
