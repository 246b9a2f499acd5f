import torch
from torch import nn
from torch.testing import assert_close

from sepvae.networks.backbones import ResidualDecoder, mlp_decoder, mlp_encoder


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


def test_residual_decoder_starts_as_its_linear_map_alone():
    decoder, z = ResidualDecoder((7,), 3), torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    weight, bias = decoder.linear.weight, decoder.linear.bias
    assert_close(decoder(z), z @ weight.T + bias)
    assert weight.abs().max() > 0


def test_residual_decoder_adds_what_its_network_gives():
    decoder, z = ResidualDecoder((7,), 3), torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    before = decoder(z)
    with torch.no_grad():
        nn.init.ones_(decoder.network[-1].weight)
        hidden = decoder.network[:-1](z)
    assert hidden.sum() > 0
    assert_close(decoder(z) - before, hidden.sum(1, keepdim=True).expand(-1, 7), rtol=1e-4, atol=1e-5)


def test_network_of_the_residual_decoder_learns_from_the_second_step_on():
    decoder, z = ResidualDecoder((7,), 3), torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    decoder(z).square().sum().backward()
    first, last = decoder.network[0].weight.grad, decoder.network[-1].weight.grad
    assert first.abs().max() == 0
    assert last.abs().max() > 0
