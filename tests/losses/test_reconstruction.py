import math

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.distributions import Normal
from torch.testing import assert_close

from sepvae.losses.vae import gaussian_nll, optimal_variance, squared_error


@pytest.fixture
def images():
    """Two stacks of images of 2 channels, 3 x 4 pixels."""
    return torch.rand(2, 5, 2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_squared_error_sums_over_every_pixel(images):
    pairs = zip(*(stack.flatten(1).tolist() for stack in images), strict=True)
    wanted = [sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) for pair in pairs]
    assert squared_error(*images).tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("variance", [0.01, 0.5, 3.0])
def test_gaussian_nll_is_that_of_torch_but_for_the_constant(images, variance):
    x, reconstruction = images
    log_prob = Normal(reconstruction, variance**0.5).log_prob(x).flatten(1).sum(dim=1)
    nll = gaussian_nll(squared_error(x, reconstruction), 24, variance)
    assert_close(nll, -log_prob - 24 / 2 * math.log(math.pi))


def test_at_variance_one_half_it_is_the_squared_error(images):
    error = squared_error(*images)
    assert_close(gaussian_nll(error, 24, 0.5), error)


def test_optimal_variance_makes_the_batch_likeliest(images):
    error = squared_error(*images)
    best = minimize_scalar(
        lambda v: gaussian_nll(error, 24, v).mean().item(), bounds=(1e-3, 10), method="bounded"
    )
    assert optimal_variance(error, 24).item() == pytest.approx(best.x, rel=1e-4)


def test_optimal_variance_passes_no_gradient_and_stays_above_rounding(images):
    x = images[0].requires_grad_()
    assert not optimal_variance(squared_error(x, images[1]), 24).requires_grad
    assert optimal_variance(torch.zeros(3), 24).item() == pytest.approx(1e-6)
