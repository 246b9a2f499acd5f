"""The network of App. E.3, against the sizes that the paper gives, and on any other size."""

import pytest
import torch
from torch import nn

from sepvae.errors import DataError
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.networks.backbones import cnn3d, conv_decoder, conv_encoder


def test_the_paper_s_volumes_leave_32768_features_and_a_hidden_layer_of_2048() -> None:
    with torch.device("meta"):
        net, shape = cnn3d("batch", (128, 128, 128)), (1, 128, 128, 128)
        encoder, decoder = conv_encoder(net, shape, 128), conv_decoder(net, shape, 256)
        linear = [layer for layer in encoder.backbone if isinstance(layer, nn.Linear)]
        assert [(layer.in_features, layer.out_features) for layer in linear] == [(32768, 2048)]
        assert decoder(torch.zeros(2, 256)).shape == (2, 1, 128, 128, 128)
    assert [layer.out_features for layer in decoder if isinstance(layer, nn.Linear)] == [128 * 8**3]
    convs = [layer.out_channels for layer in encoder.backbone if isinstance(layer, nn.Conv3d)]
    assert convs == [32, 64, 128, 256, 512]
    transposed = [layer.out_channels for layer in decoder if isinstance(layer, nn.ConvTranspose3d)]
    assert transposed == [64, 32, 16, 1]
    assert sum(isinstance(layer, nn.BatchNorm3d) for layer in decoder) == 3  # none after the last


@pytest.mark.parametrize("size", [(32, 32, 32), (33, 40, 47), (32, 64, 48)])
def test_any_size_from_32_up_comes_back(size: tuple[int, int, int]) -> None:
    net = cnn3d("batch", size)
    decoder = conv_decoder(net, (2, *size), 6).eval()
    assert decoder(torch.zeros(1, 6)).shape == (1, 2, *size)
    mean, logvar = conv_encoder(net, (2, *size), 3).eval()(torch.zeros(1, 2, *size))
    assert mean.shape == logvar.shape == (1, 3)


def test_smaller_ones_are_refused_with_the_size_to_pad_to() -> None:
    with pytest.raises(DataError, match="image_size=40x32x32"):
        cnn3d("batch", (40, 31, 20))


def test_group_norm_sees_no_other_volume_of_the_batch() -> None:
    x = torch.randn(3, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    together, alone = {}, {}
    for norm in ("batch", "group"):
        torch.manual_seed(0)
        encoder = conv_encoder(cnn3d(norm, (32, 32, 32)), (1, 32, 32, 32), 2).train()
        together[norm], alone[norm] = encoder(x)[0][:2], encoder(x[:2])[0]
    assert torch.allclose(together["group"], alone["group"], atol=1e-5)
    assert not torch.allclose(together["batch"], alone["batch"], atol=1e-2)


def test_what_does_not_count_is_decoded_as_zero_and_not_counted() -> None:
    counts = torch.zeros(1, 32, 32, 32, dtype=torch.bool)
    counts[:, 8:20, 8:20, 8:20] = True
    mask = counts.numpy()
    mask.flags.writeable = False  # as that of a grid
    model = build_autoencoder("cnn3d", (1, 32, 32, 32), 2, 2, 2, valid_mask=mask)
    decoded = model.decode(torch.ones(2, 2), torch.ones(2, 2))
    assert (decoded[:, ~counts] == 0).all()
    assert (decoded[:, counts] != 0).any()
    assert model.n_observed(decoded) == 12**3
