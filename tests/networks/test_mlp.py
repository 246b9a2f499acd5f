import torch
from torch import nn
from torch.testing import assert_close

from sepvae.networks.mlp import mlp_decoder, mlp_encoder


def test_encoder_gives_mean_and_log_variance():
    mean, logvar = mlp_encoder((7,), 3)(torch.zeros(4, 7))
    assert mean.shape == logvar.shape == (4, 3)


def test_decoder_mirrors_the_encoder():
    widths = [
        [(layer.in_features, layer.out_features) for layer in network if isinstance(layer, nn.Linear)]
        for network in (mlp_encoder((7,), 3).backbone, mlp_decoder((7,), 3))
    ]
    assert widths == [[(7, 128), (128, 128)], [(3, 128), (128, 128), (128, 7)]]


def test_output_is_the_last_linear_map_itself():
    decoder, z = mlp_decoder((7,), 3), torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    once = decoder(z)
    with torch.no_grad():
        for parameter in decoder[-1].parameters():
            parameter *= -10
    assert_close(decoder(z), -10 * once)
