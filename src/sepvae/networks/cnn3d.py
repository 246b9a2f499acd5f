"""Convolutional network for volumes of 32 voxels or more a side (App. E.3)."""

from itertools import pairwise
from math import gcd
from typing import Literal

from torch import nn

from sepvae.errors import DataError
from sepvae.networks.heads import GaussianEncoder

Norm = Literal["batch", "group"]
CHANNELS = (32, 64, 128, 256, 512)  # of the encoder; 128 x 128 x 128 voxels end at 4 x 4 x 4
HIDDEN = 2048
DECODED = (128, 64, 32, 16)  # channels of the decoder, which starts at a sixteenth of each side
SMALLEST = 32
GROUPS = 8  # of channels, for group norm
KERNEL, STRIDE, PADDING = 3, 2, 1  # halve a side, rounding up

# The text of E.3 names 5 convolutions with the channels of 3, and 32768 features: 5 convolutions turn
# 128 x 128 x 128 voxels into 4 x 4 x 4 of 512 channels. Its 4 transposed convolutions start at 8 x 8 x 8.


def cnn3d_encoder(norm: Norm, shape: tuple[int, ...], latent_dim: int) -> GaussianEncoder:
    """
    Build the encoder of volumes: five convolutions that halve each side, one hidden layer, posterior.

    E.3 has batch norm; group norm does not depend on the other volumes of a batch.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise([shape[0], *CHANNELS]):
        convolution = nn.Conv3d(before, after, KERNEL, STRIDE, PADDING, bias=False)
        layers += [convolution, _normed(norm, after), nn.ReLU()]
    a, b, c = _sizes(shape)[-1]
    layers += [nn.Flatten(), nn.Linear(CHANNELS[-1] * a * b * c, HIDDEN), nn.ReLU()]
    return GaussianEncoder(nn.Sequential(*layers), HIDDEN, latent_dim)


def cnn3d_decoder(norm: Norm, shape: tuple[int, ...], latent_dim: int) -> nn.Module:
    """
    Build the decoder of volumes: a linear layer, and four transposed convolutions that double each side.

    The output is unbounded, like normalised voxels.
    """
    sizes = _sizes(shape)[: len(DECODED) + 1]
    a, b, c = sizes[-1]
    layers: list[nn.Module] = [
        nn.Linear(latent_dim, DECODED[0] * a * b * c),
        nn.ReLU(),
        nn.Unflatten(1, (DECODED[0], a, b, c)),
    ]
    channels, ways = [*DECODED, shape[0]], pairwise(reversed(sizes))
    for (before, after), (small, large) in zip(pairwise(channels), ways, strict=True):
        # Output padding restores what halving an even side lost; without it, a side of 8 would end at 113.
        lost_d, lost_h, lost_w = (n - (2 * m - 1) for m, n in zip(small, large, strict=True))
        geometry = KERNEL, STRIDE, PADDING, (lost_d, lost_h, lost_w)
        layers += [nn.ConvTranspose3d(before, after, *geometry), _normed(norm, after), nn.ReLU()]
    return nn.Sequential(*layers[:-2])


def _normed(norm: Norm, channels: int) -> nn.Module:
    return nn.BatchNorm3d(channels) if norm == "batch" else nn.GroupNorm(gcd(GROUPS, channels), channels)


def _sizes(shape: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Return the voxels along each axis before the first and after every convolution."""
    a, b, c = shape[1:]
    if min(a, b, c) < SMALLEST:
        padded = "x".join(str(max(n, SMALLEST)) for n in (a, b, c))
        raise DataError(
            f"network cnn3d: wanted volumes of {SMALLEST} voxels or more a side, got {a} x {b} x {c}; "
            f"pad them (--image-size {padded})"
        )
    sizes = [(a, b, c)]
    for _ in CHANNELS:
        sizes.append(tuple((n + 1) // 2 for n in sizes[-1]))  # type: ignore[arg-type]
    return sizes
