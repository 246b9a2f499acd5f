"""Encoders and decoders of tables (linear, fully connected), images and volumes (convolutional)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd, log, prod
from typing import Literal

import torch
from torch import Tensor, nn

from sepvae.codes import EXACT_VARIANCE
from sepvae.errors import DataError
from sepvae.networks.model import GaussianEncoder

WIDTH = 128  # of the hidden layers for tables


def linear_encoder(shape: tuple[int, ...], latent_dim: int) -> GaussianEncoder:
    """Build an encoder whose mean and log-variance are linear maps of principal component scores."""
    return GaussianEncoder(nn.Identity(), shape[0], latent_dim)


def linear_decoder(shape: tuple[int, ...], latent_dim: int) -> nn.Linear | nn.Sequential:
    """Build a linear map from codes to principal component scores, or to samples."""
    linear = nn.Linear(latent_dim, prod(shape))
    return linear if len(shape) == 1 else nn.Sequential(linear, nn.Unflatten(1, shape))


def start_at_scores(common_encoder: GaussianEncoder, decoder: nn.Linear) -> None:
    """Start c at the leading scores, which the decoder returns unchanged: from random weights c collapses."""
    dim, scores = common_encoder.mean.weight.shape
    with torch.no_grad():
        for parameter in common_encoder.parameters():
            parameter.zero_()
        common_encoder.mean.weight.copy_(torch.eye(dim, scores))
        decoder.weight[:, :dim] = torch.eye(scores, dim)
        decoder.bias.zero_()


def without_noise(encoder: GaussianEncoder) -> None:
    """Fix the log-variance of codes at that of an exact code: a method without decoder learns none."""
    for parameter in encoder.logvar.parameters():
        nn.init.zeros_(parameter).requires_grad_(False)
    nn.init.constant_(encoder.logvar.bias, log(EXACT_VARIANCE))


def mlp_encoder(shape: tuple[int, ...], latent_dim: int) -> GaussianEncoder:
    """Build the encoder of table rows: two hidden layers."""
    hidden = nn.Linear(shape[0], WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()
    return GaussianEncoder(nn.Sequential(*hidden), WIDTH, latent_dim)


def mlp_decoder(shape: tuple[int, ...], latent_dim: int) -> nn.Sequential:
    """Build the mirror image of the encoder, with identity output for standardised features."""
    hidden = nn.Linear(latent_dim, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()
    return nn.Sequential(*hidden, nn.Linear(WIDTH, shape[0]))


class ResidualDecoder(nn.Module):
    """
    Linear map of [c, s] plus a network whose output is 0 before training.

    Every code gets a gradient from all features from the first step on, so that few codes collapse. The
    network learns only what the linear map leaves.
    """

    def __init__(self, shape: tuple[int, ...], latent_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(latent_dim, shape[0])
        self.network = mlp_decoder(shape, latent_dim)
        for parameter in self.network[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, z: Tensor) -> Tensor:
        """Return the mean of p(x | c, s), of shape (batch, features), for z = [c, s]."""
        decoded: Tensor = self.linear(z) + self.network(z)
        return decoded


class AdditiveDecoder(nn.Module):
    """Sum of a decoder of c and one of s, d_c(c) + d_s(s) - d_s(0), so that s = 0 adds nothing."""

    def __init__(self, common: nn.Module, salient: nn.Module, dims: tuple[int, int]) -> None:
        super().__init__()
        self.common, self.salient, self.dims = common, salient, dims

    def forward(self, z: Tensor) -> Tensor:
        """Return the mean of p(x | c, s), for z = [c, s]."""
        c, s = torch.split(z, list(self.dims), dim=1)
        salient = self.salient(torch.cat([s, torch.zeros_like(s[:1])]))  # one pass, also for batch norm
        decoded: Tensor = self.common(c) + salient[:-1] - salient[-1:]
        return decoded


@dataclass(frozen=True)
class Conv:
    """Convolution with sizes along the axes of an image or a volume; the decoder has its mirror image."""

    channels: int
    kernel: tuple[int, ...] = (4, 4)
    stride: tuple[int, ...] = (2, 2)
    padding: tuple[int, ...] = (1, 1)

    def out(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Return the size of the output, less than 1 if the input is too small."""
        sides = zip(size, self.kernel, self.stride, self.padding, strict=True)
        return tuple((n + 2 * p - k) // s + 1 for n, k, s, p in sides)


@dataclass(frozen=True)
class ConvNet:
    """Layers of encoder and decoder, for any size."""

    convs: Sequence[Conv]
    hidden: int | None  # width between flattened features and posterior; None: twice the latent dimension
    decoder_hidden: bool = True  # the decoder has a layer of that width; for None, of the latent dimension
    decoder_convs: Sequence[Conv] | None = None  # what the decoder mirrors instead of `convs`
    norm: Literal["batch", "group"] | None = None  # without, the decoder's output is in [0, 1]


# App. E.1, E.2 and the authors' release. The "256" features in the text fit neither of the first two at
# 64 x 64, so the output of the last convolution is flattened.
E1 = ConvNet([Conv(c) for c in (32, 32, 64, 128, 256)], hidden=32)
E2 = ConvNet([*(Conv(32) for _ in range(3)), Conv(256, padding=(0, 0))], hidden=256)
RELEASE = ConvNet(
    [*(Conv(c) for c in (32, 32, 64, 128)), Conv(256, stride=(1, 1), padding=(0, 0))],
    hidden=None,
    decoder_hidden=False,
)


def halving(size: tuple[int, ...]) -> ConvNet:
    """
    Return the default network `cnn2d`: convolutions that halve each side until it is 4 pixels or fewer.

    >>> [conv.channels for conv in halving((32, 32)).convs]
    [32, 64, 128]
    """
    if min(size) < 16:
        raise DataError(
            f"network cnn2d: wanted images of 16 x 16 or more, got {size[0]} x {size[1]}; enlarge them, or "
            "flatten them to a table for network mlp"
        )
    convs: list[Conv] = []
    while max(size) > 4:
        kernel = tuple(4 if side > 4 else 3 for side in size)
        stride = tuple(2 if side > 4 else 1 for side in size)
        convs.append(Conv(min(32 * 2 ** len(convs), 256), kernel, stride))
        size = convs[-1].out(size)
    return ConvNet(convs, hidden=256)


SMALLEST = 32  # side of a volume, in voxels
GROUPS = 8  # of channels, for group norm


def cnn3d(norm: Literal["batch", "group"], size: tuple[int, ...]) -> ConvNet:
    """
    Return the network of App. E.3, for volumes of 32 voxels or more a side; convolutions halve each side.

    The text of E.3 names 5 convolutions with the channels of 3, and 32768 features: 5 convolutions turn 128 x
    128 x 128 voxels into 4 x 4 x 4 of 512 channels. Its 4 transposed convolutions start at 8 x 8 x 8. E.3 has
    batch norm; group norm does not depend on the other volumes of a batch.
    """
    if min(size) < SMALLEST:
        padded = "x".join(str(max(n, SMALLEST)) for n in size)
        raise DataError(
            f"network cnn3d: wanted volumes of {SMALLEST} voxels or more a side, got "
            f"{' x '.join(map(str, size))}; pad them (--image-size {padded})"
        )
    halve = (3, 3, 3), (2, 2, 2), (1, 1, 1)
    convs, decoder_convs = ([Conv(c, *halve) for c in channels] for channels in (ENCODER_3D, DECODER_3D))
    return ConvNet(convs, hidden=2048, decoder_hidden=False, decoder_convs=decoder_convs, norm=norm)


ENCODER_3D, DECODER_3D = (32, 64, 128, 256, 512), (16, 32, 64, 128)  # channels, from voxels to codes
# Convolution and its mirror image by the number of axes of a sample.
CONVOLUTIONS: dict[int, tuple[Callable[..., nn.Module], Callable[..., nn.Module]]] = {
    3: (nn.Conv2d, nn.ConvTranspose2d),
    4: (nn.Conv3d, nn.ConvTranspose3d),
}


def conv_encoder(net: ConvNet, shape: tuple[int, ...], latent_dim: int) -> GaussianEncoder:
    """Build the encoder of images or volumes: convolutions, one hidden layer, posterior."""
    convolution, _ = CONVOLUTIONS[len(shape)]
    channels = [shape[0], *(conv.channels for conv in net.convs)]
    layers: list[nn.Module] = []
    for conv, (before, after) in zip(net.convs, pairwise(channels), strict=True):
        layers.append(
            convolution(before, after, conv.kernel, conv.stride, conv.padding, bias=net.norm is None)
        )
        layers += [*_normalised(net, after), nn.ReLU()]
    flat, hidden = channels[-1] * prod(_sizes(net.convs, shape)[-1]), net.hidden or 2 * latent_dim
    backbone = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU())
    return GaussianEncoder(backbone, hidden, latent_dim)


def conv_decoder(net: ConvNet, shape: tuple[int, ...], latent_dim: int) -> nn.Module:
    """Build the mirror image of the encoder, with sigmoid output for images in [0, 1]."""
    _, transposed = CONVOLUTIONS[len(shape)]
    convs = net.decoder_convs or net.convs
    sizes, channels = _sizes(convs, shape), [shape[0], *(conv.channels for conv in convs)]
    hidden = net.hidden or latent_dim
    width = hidden if net.decoder_hidden else latent_dim
    layers: list[nn.Module] = [nn.Linear(latent_dim, hidden), nn.ReLU()] if net.decoder_hidden else []
    layers += [nn.Linear(width, channels[-1] * prod(sizes[-1])), nn.ReLU()]
    layers.append(nn.Unflatten(1, (channels[-1], *sizes[-1])))
    for i, conv in reversed(list(enumerate(convs))):
        # Output padding restores the row or column lost when the encoder rounds down.
        sides = zip(sizes[i], sizes[i + 1], conv.kernel, conv.stride, conv.padding, strict=True)
        lost = tuple(n - ((m - 1) * s - 2 * p + k) for n, m, k, s, p in sides)
        layers.append(transposed(channels[i + 1], channels[i], conv.kernel, conv.stride, conv.padding, lost))
        if i > 0:
            layers += [*_normalised(net, channels[i]), nn.ReLU()]
    return nn.Sequential(*layers, *([nn.Sigmoid()] if net.norm is None else []))


def _sizes(convs: Sequence[Conv], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the sides of an image or a volume before the first and after every convolution."""
    sizes = [shape[1:]]
    for conv in convs:
        sizes.append(conv.out(sizes[-1]))
        if min(sizes[-1]) < 1:
            raise DataError(
                f"the network's {len(convs)} convolutions leave nothing of images of "
                f"{' x '.join(map(str, shape[1:]))}; enlarge them, or choose network cnn2d"
            )
    return sizes


def _normalised(net: ConvNet, channels: int) -> list[nn.Module]:
    """Return the norm after a convolution, if the network has one."""
    if net.norm is None:
        return []
    batch = net.norm == "batch"
    return [nn.BatchNorm3d(channels) if batch else nn.GroupNorm(gcd(GROUPS, channels), channels)]
