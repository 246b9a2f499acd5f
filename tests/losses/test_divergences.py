import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from sepvae.losses.vae import gaussian_kl, standard_kl


@pytest.fixture
def numbers():
    """Four independent arrays of shape (6, 3), for means and log-variances."""
    return torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_gaussian_kl_is_that_of_torch(numbers):
    mean, logvar, prior_mean, prior_logvar = numbers
    wanted = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(prior_mean, (prior_logvar / 2).exp()))
    assert_close(gaussian_kl(mean, logvar, prior_mean, prior_logvar.exp()), wanted.sum(dim=1))


def test_one_prior_per_sample_holds_in_every_dimension(numbers):
    mean, logvar, prior_mean, prior_logvar = numbers
    wanted = gaussian_kl(mean, logvar, prior_mean[:, :1].expand(6, 3), prior_logvar[:, :1].exp().expand(6, 3))
    assert_close(gaussian_kl(mean, logvar, prior_mean[:, :1], prior_logvar[:, :1].exp()), wanted)


def test_standard_kl_is_that_of_torch(numbers):
    mean, logvar, *_ = numbers
    assert_close(
        standard_kl(mean, logvar), kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0, 1)).sum(1)
    )


def test_zero_at_equality_and_above_elsewhere(numbers):
    mean, logvar, other_mean, other_logvar = numbers
    assert_close(gaussian_kl(mean, logvar, mean, logvar.exp()), torch.zeros(6, dtype=torch.float64))
    assert gaussian_kl(mean, logvar, other_mean, other_logvar.exp()).min() > 0


@pytest.mark.parametrize("logvar", [-30.0, 0.0, 30.0])
def test_gradient_is_the_closed_form_and_finite(logvar):
    mean = torch.tensor([[1.0, -1e3]], dtype=torch.float64, requires_grad=True)
    spread = torch.full_like(mean, logvar, requires_grad=True)
    gaussian_kl(mean, spread, torch.tensor(0.5), torch.tensor(0.25)).sum().backward()
    assert_close(mean.grad, (mean.detach() - 0.5) / 0.25)
    assert_close(spread.grad, (spread.detach().exp() / 0.25 - 1) / 2)


@pytest.mark.parametrize(
    ("dim", "prior_var", "constant"), [(16, 0.025, 12.9), (128, 0.05, 19.6), (128, 0.01, 429)], ids=str
)
def test_with_both_variances_frozen_it_is_the_release_term_and_a_constant(dim, prior_var, constant):
    mean = torch.randn(5, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kl = gaussian_kl(mean, torch.full_like(mean, math.log(0.1)), torch.tensor(0.0), torch.tensor(prior_var))
    rest = kl - 0.5 / prior_var * mean.square().sum(dim=1)
    assert rest.tolist() == pytest.approx([rest[0].item()] * 5)
    assert rest[0].item() == pytest.approx(constant, abs=0.5 if constant > 100 else 0.05)
