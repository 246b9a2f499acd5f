import math
from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KernelDensity
from torch.testing import assert_close

from sepvae.losses.contrastive import alignment, negative_joint_entropy, salient_uniformity, uniformity

GENERATOR = torch.Generator().manual_seed(0)
C = torch.randn(6, 3, generator=GENERATOR, dtype=torch.float64)
S = torch.randn(6, 2, generator=GENERATOR, dtype=torch.float64)
TARGET = torch.tensor([True, False, True, False, False, True])


def kernel(a, b, temperature):
    return math.exp(-sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) / (2 * temperature))


def log_density(x, temperature):
    """Mean log-density of samples under scikit-learn's kernel estimate, without the kernel's constant."""
    model = KernelDensity(bandwidth=temperature**0.5, rtol=1e-12).fit(x)
    return model.score_samples(x).mean() + x.shape[1] / 2 * math.log(2 * math.pi * temperature)


def test_alignment_is_minus_the_log_of_the_kernel():
    other = (C + 0.3).flip(0)
    pairs = zip(C.tolist(), other.tolist(), strict=True)
    expected = [-math.log(kernel(a, b, 0.7)) for a, b in pairs]
    assert_close(alignment(C, other, 0.7), torch.tensor(expected, dtype=torch.float64))
    assert_close(alignment(S, 0.0, 0.5), S.square().sum(dim=1))


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_uniformity_is_the_double_loop(temperature):
    pairs = [kernel(a, b, temperature) for a, b in combinations(C.tolist(), 2)]
    assert uniformity(C, temperature).item() == pytest.approx(math.log(np.mean(pairs)), abs=1e-12)


def test_uniformity_of_a_gaussian_in_closed_form():
    """E exp(-(a - b)^2 / (2 t)) of a and b from N(0, 1) is (1 + 2 / t)^-1/2."""
    z = torch.randn(3000, 1, generator=GENERATOR, dtype=torch.float64)
    assert uniformity(z, 0.5).item() == pytest.approx(-math.log(5) / 2, abs=0.02)


def test_targets_repel_each_other_and_are_repelled_from_zero():
    """Background codes count as s' = 0, wherever they are, and pairs of two of them do not count."""
    s = (S * TARGET[:, None]).tolist()
    chosen = [(i, j) for i, j in combinations(range(6), 2) if TARGET[i] or TARGET[j]]
    expected = math.log(np.mean([kernel(s[i], s[j], 0.5) for i, j in chosen]))
    assert salient_uniformity(S, TARGET, 0.5).item() == pytest.approx(expected, abs=1e-12)
    s = S.clone().requires_grad_()
    salient_uniformity(s, TARGET, 0.5).backward()
    assert not s.grad[~TARGET].any()
    assert (s.grad[TARGET] != 0).all()
    away = s.detach() - 0.1 * s.grad
    assert away[TARGET].norm() > S[TARGET].norm()


def test_the_joint_entropy_is_that_of_scikit_learns_density():
    expected = log_density(torch.cat([C, S], dim=1).numpy(), 0.5)
    assert negative_joint_entropy(C, S, 0.5).item() == pytest.approx(expected, abs=1e-9)


def test_the_joint_entropy_is_larger_if_the_codes_are_independent():
    c = torch.randn(500, 1, generator=GENERATOR, dtype=torch.float64)
    same, shuffled = negative_joint_entropy(c, c, 0.1), negative_joint_entropy(c, c.roll(1, 0), 0.1)
    assert shuffled < same - 0.5


def test_far_codes_and_small_batches_have_finite_terms():
    far = torch.tensor([[0.0], [1e3], [-1e3]], requires_grad=True)
    terms = uniformity(far, 0.5) + negative_joint_entropy(far, far, 0.5)
    terms.backward()
    assert terms.isfinite()
    assert far.grad.isfinite().all()
    assert uniformity(far[:1], 0.5) == salient_uniformity(far, torch.zeros(3, dtype=torch.bool), 0.5) == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_widened(dtype):
    assert uniformity(C.to(dtype), 0.5).dtype == torch.float32
    assert_close(uniformity(C.to(dtype), 0.5).double(), uniformity(C, 0.5), rtol=0.02, atol=0.02)
