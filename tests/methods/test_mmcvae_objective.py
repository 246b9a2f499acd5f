from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from sepvae.losses.moments import ORIGINAL_GAMMAS, fixed_gammas, median_gamma, mmd, mmd_to_zero
from sepvae.methods.mmcvae import MMcVAEObjective
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.networks.model import ReadOut, SalientClassifier
from sepvae.training.objective import weighted
from sepvae.training.sampling import draw_noise

OURS = MMcVAEObjective(
    beta_common=0.5,
    beta_salient=0.3,
    reconstruction_var=0.5,
    common_mmd=7.0,
    background_mmd=3.0,
    original=False,
)
ORIGINAL = replace(OURS, original=True)
Y = torch.tensor([0, 1, 1, 0, 1, 0, 0])
X = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return build_autoencoder("mlp", (5,), 3, 2, 2).double()


@pytest.fixture
def losses(model):
    def of(objective):
        codes = model.encode(X)
        return objective.losses(model, X, Y, codes, draw_noise(codes, torch.Generator().manual_seed(1)))

    return of


@pytest.fixture
def drawn(model):
    """Codes c and s, as `losses` draws them."""
    codes = model.encode(X)
    noise = draw_noise(codes, torch.Generator().manual_seed(1)).model
    c = codes.common_mean + (codes.common_logvar / 2).exp() * noise[0]
    return c, codes.salient_mean + (codes.salient_logvar / 2).exp() * noise[1]


def test_discrepancies_are_those_of_drawn_codes(losses, drawn):
    (c, s), terms = drawn, losses(OURS).terms
    gamma = median_gamma(c[Y == 0], c[Y == 1])
    assert_close(terms["common_mmd"], mmd(c[Y == 0], c[Y == 1], gamma))
    assert_close(terms["salient_mmd_background"], mmd_to_zero(s[Y == 0], fixed_gammas(2)))


def test_of_several_targets_each_is_compared_with_the_background(model, drawn):
    codes, (c, s), y = model.encode(X), drawn, torch.tensor([0, 1, 2, 0, 1, 0, 2])
    model.salient_classifier, model.read_out = (part(2, 3).double() for part in (SalientClassifier, ReadOut))
    losses = OURS.losses(model, X, y, codes, draw_noise(codes, torch.Generator().manual_seed(1)))
    apart = [mmd(c[y == 0], c[y == k], median_gamma(c[y == 0], c[y == k])) for k in (1, 2)]
    assert_close(losses.terms["common_mmd"], (apart[0] + apart[1]) / 2)
    assert_close(losses.terms["salient_mmd_background"], mmd_to_zero(s[y == 0], fixed_gammas(2)))


def test_the_original_takes_13_kernels_and_pairs_with_themselves(losses, drawn):
    (c, s), terms = drawn, losses(ORIGINAL).terms
    assert_close(terms["common_mmd"], mmd(c[Y == 0], c[Y == 1], ORIGINAL_GAMMAS, unbiased=False))
    point = torch.zeros_like(s[Y == 0])
    assert_close(terms["salient_mmd_background"], mmd(s[Y == 0], point, ORIGINAL_GAMMAS, unbiased=False))


def test_all_other_terms_are_the_bound_of_both_groups(model, losses, drawn):
    (c, s), codes, terms = drawn, model.encode(X), losses(OURS).terms
    shown = model.decoder(torch.cat([c, Y[:, None] * s], dim=1))
    assert_close(terms["reconstruction"], (X - shown).square().sum(dim=1))
    q_c = Normal(codes.common_mean, (codes.common_logvar / 2).exp())
    q_s = Normal(codes.salient_mean, (codes.salient_logvar / 2).exp())
    assert_close(terms["common_kl"], kl_divergence(q_c, Normal(0, 1)).sum(dim=1))
    assert_close(terms["salient_kl_target"], Y * kl_divergence(q_s, Normal(0, 1)).sum(dim=1))


def test_weights_do_not_depend_on_the_batch_size(model):
    """A batch twice over has the same V-statistics and the same means."""

    def loss(x, y, codes):
        noise = draw_noise(codes, torch.Generator().manual_seed(1))
        still = noise._replace(model=tuple(torch.zeros_like(part) for part in noise.model))
        losses = ORIGINAL.losses(model, x, y, codes, still)
        return sum(term.mean() for term in weighted(losses.terms, losses.weights).values())

    once, twice = loss(X, Y, model.encode(X)), loss(X.repeat(2, 1), Y.repeat(2), model.encode(X.repeat(2, 1)))
    assert_close(once, twice)


@pytest.mark.parametrize(
    ("name", "own", "other"),
    [
        ("common_mmd", "common_encoder", "salient_encoder"),
        ("salient_mmd_background", "salient_encoder", "common_encoder"),
    ],
)
def test_a_discrepancy_is_a_scalar_that_reaches_its_own_encoder(model, losses, name, own, other):
    term = losses(OURS).terms[name]
    assert term.shape == ()
    term.backward()
    assert all(parameter.grad is None for parameter in getattr(model, other).parameters())
    assert any(parameter.grad.abs().max() > 0 for parameter in getattr(model, own).parameters())


def test_unbiased_terms_are_on_average_the_same_whatever_the_batch_size():
    """So that weights need not follow the batch size: means over random batches of 16 and of 64."""
    generator = torch.Generator().manual_seed(0)
    c = torch.randn(640, 3, generator=generator, dtype=torch.float64)
    background, target = c[:320], c[320:] + 0.5
    means = []
    for n in (16, 64):
        rows = [torch.randint(320, (n,), generator=generator) for _ in range(400)]
        pairs = [(background[r], target[r]) for r in rows]
        between = torch.stack([mmd(b, t, median_gamma(b, t)) for b, t in pairs])
        to_zero = torch.stack([mmd_to_zero(b, fixed_gammas(3)) for b, _ in pairs])
        means.append(torch.stack([between.mean(), to_zero.mean()]))
    assert_close(*means, rtol=0.1, atol=0.01)


def test_the_critic_is_watched_only(losses):
    found = losses(OURS)
    assert "mutual_information" not in found.weights
    assert found.logged["mutual_information"].shape == (7,)
    assert set(found.terms) == set(found.weights)
