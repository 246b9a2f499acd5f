import torch
from scipy.stats import kstest

from sepvae.codes import Codes
from sepvae.training.objective import draw_noise


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def codes(n, dtype=torch.float64):
    return Codes(*(torch.zeros(n, dim, dtype=dtype) for dim in (3, 3, 2, 2)))


def test_noise_is_standard_normal_of_the_shapes_and_type_of_the_codes():
    noise = draw_noise(codes(4000), seeded())
    for draw in (noise.critic, noise.model):
        assert [part.shape for part in draw] == [(4000, 3), (4000, 2)]
        for part in draw:
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
