import pytest
import torch
from scipy.stats import kstest
from torch import nn
from torch.testing import assert_close

from sepvae.networks.heads import Critic, GaussianEncoder, SalientClassifier, frozen, sample


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


def test_frozen_passes_gradient_to_the_input_only():
    critic, codes = Critic(3, 2), [torch.randn(4, dim, requires_grad=True) for dim in (3, 2)]
    wanted = torch.autograd.grad(critic(*codes).sum(), codes)
    frozen(critic)(*codes).sum().backward()
    assert_close([code.grad for code in codes], list(wanted))
    assert all(p.grad is None and p.requires_grad for p in critic.parameters())


def test_frozen_computes_with_the_parameters_of_the_module():
    critic, codes = Critic(3, 2), (torch.ones(4, 3), torch.ones(4, 2))
    assert torch.equal(frozen(critic)(*codes), critic(*codes))


def test_sample_is_distributed_as_the_posterior():
    mean, logvar = torch.tensor([[1.0, -2.0]]).double(), torch.tensor([[0.0, -3.0]]).double()
    draws = sample(mean.expand(20_000, 2), logvar.expand(20_000, 2), seeded())
    standard = (draws - mean) / (logvar / 2).exp()
    assert draws.dtype == torch.float64
    assert kstest(standard[:, 0], "norm").pvalue > 0.01
    assert kstest(standard[:, 1], "norm").pvalue > 0.01
    assert abs(standard.T.corrcoef()[0, 1].item()) < 0.02


def test_sample_is_differentiable_in_mean_and_log_variance():
    mean, logvar = torch.randn(2, 6, 3, generator=seeded(), dtype=torch.float64).unbind()
    assert torch.autograd.gradcheck(
        lambda m, v: sample(m, v, seeded(1)), (mean.requires_grad_(), logvar.requires_grad_())
    )


def test_sample_repeats_with_its_generator_and_leaves_the_global_one():
    before, zero = torch.get_rng_state(), torch.zeros(5, 2)
    assert torch.equal(sample(zero, zero, seeded()), sample(zero, zero, seeded()))
    assert not torch.equal(sample(zero, zero, seeded()), sample(zero, zero, seeded(1)))
    assert torch.equal(torch.get_rng_state(), before)
