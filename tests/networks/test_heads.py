import pytest
import torch
from torch import nn
from torch.testing import assert_close

from sepvae.networks.model import Critic, GaussianEncoder, SalientClassifier, frozen


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_gaussian_encoder_puts_a_linear_map_each_on_the_same_features():
    x = torch.randn(4, 3, generator=seeded())
    encoder = GaussianEncoder(nn.Tanh(), 3, 2)
    mean, logvar = encoder(x)
    assert_close(mean, x.tanh() @ encoder.mean.weight.T + encoder.mean.bias)
    assert_close(logvar, x.tanh() @ encoder.logvar.weight.T + encoder.logvar.bias)


@pytest.mark.parametrize("groups", [2, 3])
def test_salient_classifier_is_two_layers_with_a_logit_per_target(groups):
    first, _, second = SalientClassifier(5, groups)
    assert (first.weight.shape, second.weight.shape) == ((5, 5), (groups - 1, 5))
    assert SalientClassifier(5, groups)(torch.zeros(7, 5)).shape == (7, groups - 1)


def test_critic_is_three_layers_on_common_and_salient_side_by_side():
    critic, (c, s) = Critic(3, 2), (torch.randn(4, 3, generator=seeded()), torch.ones(4, 2))
    first, second, last = critic.layers[::2]
    hidden = second(first(torch.cat([c, s], dim=1)).relu()).relu()
    assert_close(critic(c, s), (hidden @ last.weight.T + last.bias)[:, 0])
    assert [layer.weight.shape for layer in (first, second, last)] == [(5, 5), (5, 5), (1, 5)]


HEADS = {"critic": (Critic(3, 2), (3, 2)), "classifier": (SalientClassifier(2, 3), (2,))}


@pytest.mark.parametrize("name", HEADS)
def test_a_frozen_head_computes_the_same_and_passes_gradient_to_its_input_only(name):
    head, dims = HEADS[name]
    codes = [torch.randn(4, dim, generator=seeded(), requires_grad=True) for dim in dims]
    logits = head(*codes)
    wanted = torch.autograd.grad(logits.sum(), codes)
    assert torch.equal(frozen(head, *codes), logits)
    frozen(head, *codes).sum().backward()
    assert_close([code.grad for code in codes], list(wanted))
    assert all(p.grad is None and p.requires_grad for p in head.parameters())
