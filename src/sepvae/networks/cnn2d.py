"""Convolutional networks for images: the default, for any size from 16 up, and those of the paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from sepvae.errors import DataError
from sepvae.networks.heads import GaussianEncoder

Size = tuple[int, int]


@dataclass(frozen=True)
class Conv:
    """Convolution with sizes along height and width; the decoder has its mirror image."""

    channels: int
    kernel: Size = (4, 4)
    stride: Size = (2, 2)
    padding: Size = (1, 1)

    def out(self, size: Size) -> Size:
        """Return height and width of the output, less than 1 if the input is too small."""
        sides = zip(size, self.kernel, self.stride, self.padding, strict=True)
        h, w = ((n + 2 * p - k) // s + 1 for n, k, s, p in sides)
        return h, w


@dataclass(frozen=True)
class ConvNet:
    """
    Layers of encoder and decoder, for any image size.

    `hidden` is the width between flattened features and posterior: None is twice the latent dimension. The
    decoder has a layer of that width (for None, of the latent dimension) if `decoder_hidden`.
    """

    convs: Sequence[Conv]
    hidden: int | None
    decoder_hidden: bool = True


# App. E.1, E.2 and the authors' release. The "256" features in the text fit neither of the first two at
# 64 x 64, so the output of the last convolution is flattened.
E1 = ConvNet([Conv(c) for c in (32, 32, 64, 128, 256)], hidden=32)
E2 = ConvNet([*(Conv(32) for _ in range(3)), Conv(256, padding=(0, 0))], hidden=256)
RELEASE = ConvNet(
    [*(Conv(c) for c in (32, 32, 64, 128)), Conv(256, stride=(1, 1), padding=(0, 0))],
    hidden=None,
    decoder_hidden=False,
)


def halving(size: Size) -> ConvNet:
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
        halved = [side > 4 for side in size]
        kernel_h, kernel_w = (4 if half else 3 for half in halved)
        stride_h, stride_w = (2 if half else 1 for half in halved)
        convs.append(Conv(min(32 * 2 ** len(convs), 256), (kernel_h, kernel_w), (stride_h, stride_w)))
        size = convs[-1].out(size)
    return ConvNet(convs, hidden=256)


def conv_encoder(net: ConvNet, shape: tuple[int, ...], latent_dim: int) -> GaussianEncoder:
    """Build the encoder of images: convolutions, one hidden layer, posterior."""
    channels = [shape[0], *(conv.channels for conv in net.convs)]
    layers: list[nn.Module] = []
    for conv, (before, after) in zip(net.convs, pairwise(channels), strict=True):
        layers += [nn.Conv2d(before, after, conv.kernel, conv.stride, conv.padding), nn.ReLU()]
    flat, hidden = _flat(net, shape), net.hidden or 2 * latent_dim
    return GaussianEncoder(
        nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU()), hidden, latent_dim
    )


def conv_decoder(net: ConvNet, shape: tuple[int, ...], latent_dim: int) -> nn.Module:
    """Build the mirror image of the encoder, with sigmoid output for images in [0, 1]."""
    sizes, flat = _sizes(net, shape), _flat(net, shape)
    channels = [shape[0], *(conv.channels for conv in net.convs)]
    hidden = net.hidden or latent_dim
    width = hidden if net.decoder_hidden else latent_dim
    layers: list[nn.Module] = [nn.Linear(latent_dim, hidden), nn.ReLU()] if net.decoder_hidden else []
    layers += [nn.Linear(width, flat), nn.ReLU(), nn.Unflatten(1, (channels[-1], *sizes[-1]))]
    for i, conv in reversed(list(enumerate(net.convs))):
        # Output padding restores the row or column lost when the encoder rounds down.
        sides = zip(sizes[i], sizes[i + 1], conv.kernel, conv.stride, conv.padding, strict=True)
        lost_h, lost_w = (n - ((m - 1) * s - 2 * p + k) for n, m, k, s, p in sides)
        geometry = conv.kernel, conv.stride, conv.padding, (lost_h, lost_w)
        layers += [nn.ConvTranspose2d(channels[i + 1], channels[i], *geometry), nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Sigmoid())


def _sizes(net: ConvNet, shape: tuple[int, ...]) -> list[Size]:
    """Return height and width before the first and after every convolution."""
    sizes = [(shape[1], shape[2])]
    for conv in net.convs:
        sizes.append(conv.out(sizes[-1]))
        if min(sizes[-1]) < 1:
            raise DataError(
                f"the network's {len(net.convs)} convolutions leave nothing of images of {shape[1]} x "
                f"{shape[2]}; enlarge them, or choose network cnn2d"
            )
    return sizes


def _flat(net: ConvNet, shape: tuple[int, ...]) -> int:
    h, w = _sizes(net, shape)[-1]
    return net.convs[-1].channels * h * w
