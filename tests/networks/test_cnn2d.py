import pytest
import torch
from torch import nn

from sepvae.errors import DataError
from sepvae.networks.backbones import E1, E2, RELEASE, conv_decoder, conv_encoder, halving


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (16, 70), (47, 20), (33, 33), (64, 64)], ids=str)
def test_any_image_from_16_up_comes_back_in_its_shape(size, channels):
    net, shape = halving(size), (channels, *size)
    mean, logvar = conv_encoder(net, shape, 3)(torch.zeros(2, *shape))
    assert mean.shape == logvar.shape == (2, 3)
    assert conv_decoder(net, shape, 3)(mean).shape == (2, *shape)


@pytest.mark.parametrize(
    ("size", "left"),
    [((16, 16), (4, 4)), ((17, 31), (4, 3)), ((16, 100), (4, 3)), ((127, 128), (3, 4))],
    ids=str,
)
def test_cnn2d_halves_each_side_until_4_pixels_or_fewer_are_left(size, left):
    features = conv_encoder(halving(size), (1, *size), 2).backbone[:-3](torch.zeros(1, 1, *size))
    assert features.shape[2:] == left


@pytest.mark.parametrize("size", [(15, 16), (64, 8)], ids=str)
def test_cnn2d_refuses_smaller_images(size):
    with pytest.raises(
        DataError, match=f"wanted images of 16 x 16 or more, got {size[0]} x {size[1]}; enlarge"
    ):
        halving(size)


# What the paper and the authors' release come to at 64 x 64: convolutions, what they leave, hidden width.
@pytest.mark.parametrize(
    ("net", "channels", "left", "hidden"),
    [
        (E1, [32, 32, 64, 128, 256], (256, 2, 2), 32),
        (E2, [32, 32, 32, 256], (256, 3, 3), 256),
        (RELEASE, [32, 32, 64, 128, 256], (256, 1, 1), 2 * 16),
    ],
    ids=["e1", "e2", "release"],
)
def test_networks_of_the_paper_at_64(net, channels, left, hidden):
    backbone = conv_encoder(net, (3, 64, 64), 16).backbone
    convs = [layer for layer in backbone if isinstance(layer, nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == channels
    assert {conv.kernel_size for conv in convs} == {(4, 4)}
    assert backbone[:-3](torch.zeros(1, 3, 64, 64)).shape[1:] == left
    assert backbone[-2].out_features == hidden


@pytest.mark.parametrize("net", [E1, E2, RELEASE], ids=["e1", "e2", "release"])
@pytest.mark.parametrize("size", [(64, 64), (65, 80), (99, 64)], ids=str)
def test_networks_of_the_paper_decode_to_the_shape(net, size):
    assert conv_decoder(net, (3, *size), 4)(torch.zeros(2, 4)).shape == (2, 3, *size)


@pytest.mark.parametrize(("net", "least"), [(E1, 32), (E2, 32), (RELEASE, 64)], ids=["e1", "e2", "release"])
def test_networks_of_the_paper_refuse_images_too_small_for_them(net, least):
    assert conv_encoder(net, (1, least, least), 2)(torch.zeros(1, 1, least, least))[0].shape == (1, 2)
    for build in (conv_encoder, conv_decoder):
        with pytest.raises(DataError, match=f"leave nothing of images of {least - 1} x 70; .* network cnn2d"):
            build(net, (1, least - 1, 70), 2)


@pytest.mark.parametrize("net", [halving((16, 16)), E1], ids=["cnn2d", "e1"])
def test_output_is_within_0_and_1(net):
    decoder = conv_decoder(net, (1, 32, 32), 4)
    samples = decoder(1e4 * torch.randn(20, 4, generator=torch.Generator().manual_seed(0)))
    assert 0 <= samples.min() < 0.4
    assert 0.6 < samples.max() <= 1
