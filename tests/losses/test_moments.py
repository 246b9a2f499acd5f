import math
from itertools import product

import pytest
import torch
from torch.testing import assert_close

from sepvae.losses.moments import ORIGINAL_GAMMAS, fixed_gammas, median_gamma, mmd, mmd_to_zero

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(7, 3, generator=GENERATOR, dtype=torch.float64)
Y = torch.randn(5, 3, generator=GENERATOR, dtype=torch.float64) + 1


def kernel(a, b, gammas):
    return sum(math.exp(-gamma * sum((p - q) ** 2 for p, q in zip(a, b, strict=True))) for gamma in gammas)


def by_double_loop(x, y, gammas, *, unbiased):
    """E k(x, x') + E k(y, y') - 2 E k(x, y), pair by pair."""
    x, y = x.tolist(), y.tolist()
    total = 0.0
    for sample in (x, y):
        pairs = [(a, b) for (i, a), (j, b) in product(enumerate(sample), repeat=2) if i != j or not unbiased]
        total += sum(kernel(a, b, gammas) for a, b in pairs) / len(pairs)
    return total - 2 * sum(kernel(a, b, gammas) for a, b in product(x, y)) / (len(x) * len(y))


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("gammas", [[0.5], ORIGINAL_GAMMAS], ids=["one kernel", "13 kernels"])
def test_mmd_is_the_double_loop(gammas, unbiased):
    expected = by_double_loop(X, Y, gammas, unbiased=unbiased)
    assert mmd(X, Y, gammas, unbiased=unbiased).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("unbiased", [True, False])
def test_a_point_is_a_sample_of_zeros(unbiased):
    expected = by_double_loop(X, torch.zeros(4, 3), ORIGINAL_GAMMAS, unbiased=unbiased)
    assert mmd_to_zero(X, ORIGINAL_GAMMAS, unbiased=unbiased).item() == pytest.approx(expected, abs=1e-12)


def test_two_gaussians_in_closed_form():
    """E exp(-g (a - b)^2) of a from N(m, 1), b from N(0, 1) is exp(-g m^2 / (1 + 4 g)) / sqrt(1 + 4 g)."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(3000, 1, generator=generator, dtype=torch.float64) + shift for shift in (0, 1))
    expected = 2 / math.sqrt(3) * (1 - math.exp(-0.5 / 3))
    assert mmd(x, y, [0.5]).item() == pytest.approx(expected, abs=0.02)


def test_the_unbiased_estimate_is_zero_on_average_and_the_other_is_not():
    generator = torch.Generator().manual_seed(0)
    pairs = [torch.randn(2, 10, 2, generator=generator) for _ in range(300)]
    unbiased, biased = (
        torch.stack([mmd(x, y, [0.5], unbiased=unbiased) for x, y in pairs]) for unbiased in (True, False)
    )
    assert unbiased.mean().abs() < 3 * unbiased.std() / math.sqrt(300)
    assert biased.mean() > 0.05
    assert biased.min() >= 0
    assert unbiased.min() < 0


def test_a_median_bandwidth_is_blind_to_scale_and_fixed_ones_are_not():
    assert_close(median_gamma(X, Y), 1 / torch.pdist(torch.cat([X, Y])).square().median().reshape(1))
    near, far = (
        mmd(X * scale, -X * scale + scale, median_gamma(X * scale, -X * scale)) for scale in (1e-3, 1)
    )
    assert_close(near, far, rtol=0.2, atol=1e-3)
    assert mmd_to_zero(X / 1000, fixed_gammas(3)) < 1e-4 < mmd_to_zero(X, fixed_gammas(3))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_widened(dtype):
    x, y = X.to(dtype), Y.to(dtype)
    assert mmd(x, y, median_gamma(x, y)).dtype == mmd_to_zero(x, fixed_gammas(3)).dtype == torch.float32
    assert_close(mmd(x, y, [0.5]).double(), mmd(X, Y, [0.5]), rtol=0.05, atol=0.02)


def test_gradients_are_finite_and_pull_to_zero():
    x = X.clone().requires_grad_()
    mmd_to_zero(x, fixed_gammas(3)).backward()
    stepped = mmd_to_zero(x.detach() - 0.1 * x.grad, fixed_gammas(3))
    assert torch.isfinite(x.grad).all()
    assert stepped < mmd_to_zero(X, fixed_gammas(3))
