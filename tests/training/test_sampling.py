import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest
from torch.testing import assert_close

from sepvae.codes import Codes
from sepvae.training.sampling import derangement, donors, draw, draw_noise


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def codes(n, dtype=torch.float64):
    return Codes(*(torch.zeros(n, dim, dtype=dtype) for dim in (3, 3, 2, 2)))


def test_noise_is_standard_normal_of_the_shapes_and_type_of_the_codes():
    noise = draw_noise(codes(4000), seeded())
    for drawn in (noise.critic, noise.model):
        assert [part.shape for part in drawn] == [(4000, 3), (4000, 2)]
        for part in drawn:
            assert part.dtype == torch.float64
            assert kstest(part.flatten(), "norm").pvalue > 0.01
    assert draw_noise(codes(2, torch.float32), seeded()).model[0].dtype == torch.float32


def test_both_updates_have_noise_of_their_own_and_no_image_is_its_own_partner():
    noise = draw_noise(codes(50), seeded())
    assert (noise.critic[0] - noise.model[0]).abs().min() > 0
    assert sorted(noise.partners.tolist()) == list(range(50))
    assert (noise.partners != torch.arange(50)).all()


def test_noise_repeats_with_its_generator_and_leaves_the_global_one():
    before = torch.get_rng_state()
    first, again, other = (draw_noise(codes(5), seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first.model[1], again.model[1])
    assert not torch.equal(first.model[1], other.model[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_processes_share_what_one_would_draw():
    alone = draw_noise(codes(6), seeded())
    shares = [draw_noise(codes(2), seeded(), rank, 3) for rank in range(3)]
    for rank, share in enumerate(shares):
        rows = slice(rank, None, 3)
        assert torch.equal(share.partners, alone.partners[rows])
        for got, wanted in zip(share.critic + share.model, alone.critic + alone.model, strict=True):
            assert torch.equal(got, wanted[rows])


def posterior(mean, logvar):
    """A posterior whose c has this mean, and whose s has its negative."""
    return Codes(mean, logvar, -mean, logvar)


def test_a_drawn_code_is_mean_and_noise_times_standard_deviation():
    mean, noise = torch.randn(2, 6, 3, generator=seeded(), dtype=torch.float64).unbind()
    c, s = draw(posterior(mean, torch.full_like(mean, 2 * math.log(3))), (noise, 2 * noise))
    assert_close(c, mean + 3 * noise)
    assert_close(s, -mean + 6 * noise)


def test_a_drawn_code_is_differentiable_in_mean_and_log_variance():
    mean, logvar, noise = torch.randn(3, 6, 3, generator=seeded(), dtype=torch.float64).unbind()
    assert torch.autograd.gradcheck(
        lambda m, v: draw(posterior(m, v), (noise, noise)), (mean.requires_grad_(), logvar.requires_grad_())
    )


@pytest.mark.parametrize("n", [2, 3, 4, 5, 17, 100])
def test_derangement_is_a_permutation_without_fixed_point(n):
    for seed in range(30):
        partner = derangement(n, seeded(seed))
        assert sorted(partner.tolist()) == list(range(n))
        assert (partner != torch.arange(n)).all()


def test_every_partner_is_equally_likely():
    generator, met = seeded(), np.zeros((6, 6))
    for _ in range(3000):
        met[range(6), derangement(6, generator)] += 1
    for i in range(6):
        assert chisquare(np.delete(met[i], i)).pvalue > 0.01


def test_derangement_repeats_with_its_generator_and_leaves_the_global_one():
    before = torch.get_rng_state()
    assert torch.equal(derangement(50, seeded(1)), derangement(50, seeded(1)))
    assert not torch.equal(derangement(50, seeded(1)), derangement(50, seeded(2)))
    assert torch.equal(torch.get_rng_state(), before)


def test_background_samples_get_the_salient_part_of_each_target_in_turn():
    y = torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3])  # a batch holds group after group
    assert donors(y)[:8:2].tolist() == [8, 12, 14, 9]
    assert donors(y.clamp(max=1))[:8:2].tolist() == [8, 9, 10, 11]
    assert donors(y / 3)[:8:2].tolist() == [8, 9, 10, 11]  # severities are one group
