import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from sepvae.methods.convae import ConVAEObjective, OriginalConVAEObjective, next_target
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.training.objective import weighted
from sepvae.training.sampling import draw_noise

WEIGHTS = {
    "beta_common": 0.5,
    "beta_salient": 0.3,
    "reconstruction_var": 0.5,
    "kappa": 2.0,
    "rectify_mi": True,
}
OURS, ORIGINAL = ConVAEObjective(**WEIGHTS), OriginalConVAEObjective(**WEIGHTS | {"rectify_mi": False})
Y = torch.tensor([0, 1, 1, 0, 1, 0])
X = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def make_model(objective):
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = build_autoencoder("mlp", (5,), 3, 2, 2, critic_kind=objective.critic_kind).double()
        for parameter in model.critic.parameters():
            torch.nn.init.normal_(parameter)
    return model


def losses_of(objective, model):
    codes = objective.posterior(model.encode(X), Y)
    return objective.losses(model, X, Y, codes, draw_noise(codes, torch.Generator().manual_seed(1)))


def drawn(model):
    """Codes c and s, as `losses_of` draws them."""
    codes = model.encode(X)
    noise = draw_noise(codes, torch.Generator().manual_seed(1)).model
    c = codes.common_mean + (codes.common_logvar / 2).exp() * noise[0]
    return c, codes.salient_mean + (codes.salient_logvar / 2).exp() * noise[1]


def test_weighted_terms_are_the_bound_and_the_mutual_information_sample_by_sample():
    model = make_model(OURS)
    losses, codes, (c, s) = losses_of(OURS, model), model.encode(X), drawn(model)
    terms = weighted(losses.terms, losses.weights)
    for i, y in enumerate(Y.double()):
        q_c = Normal(codes.common_mean[i], (codes.common_logvar[i] / 2).exp())
        q_s = Normal(codes.salient_mean[i], (codes.salient_logvar[i] / 2).exp())
        d = model.critic(c[i][None], s[i][None]).sigmoid()[0]
        wanted = (
            (X[i] - model.decoder(torch.cat([c[i], y * s[i]]))).square().sum()
            + 0.5 * kl_divergence(q_c, Normal(0, 1)).sum()
            + 0.3 * y * kl_divergence(q_s, Normal(0, 1)).sum()
            + 2.0 * (d / (1 - d)).log().relu()
        )
        assert_close(sum(terms.values())[i], wanted)


def test_salient_codes_of_the_background_are_told_nothing_but_independence():
    model = make_model(OURS)
    codes = model.encode(X)
    codes.salient_mean.retain_grad()
    noise = draw_noise(codes, torch.Generator().manual_seed(1))
    loss = replace(OURS, kappa=0.0).losses(model, X, Y, codes, noise)
    sum(weighted(loss.terms, loss.weights).values()).sum().backward()
    assert torch.equal(codes.salient_mean.grad.abs().sum(dim=1) > 0, Y == 1)


def test_the_original_critic_is_one_unit_that_sees_targets_and_learns_with_all_else():
    model = make_model(ORIGINAL)
    terms, (c, s) = losses_of(ORIGINAL, model).terms, drawn(model)
    unit = model.critic.layers[0]
    logit = torch.cat([c, s], dim=1) @ unit.weight[0] + unit.bias
    shuffled = (
        torch.cat([c, s[[0, 4, 1, 3, 2, 5]]], dim=1) @ unit.weight[0] + unit.bias
    )  # 1 -> 4, 2 -> 1, 4 -> 2
    assert_close(terms["mutual_information"], Y * logit)
    assert_close(terms["critic"], Y * -(logit.sigmoid().log() + (1 - shuffled.sigmoid()).log()))
    terms["critic"].sum().backward(retain_graph=True)
    assert unit.weight.grad.abs().sum() > 0
    assert next(model.salient_encoder.parameters()).grad.abs().sum() > 0


def test_partners_go_round_the_targets():
    assert next_target(torch.tensor([1, 0, 1, 1, 0])).tolist() == [3, 1, 0, 2, 4]


def test_the_independent_critic_gets_nothing_from_the_terms():
    model = make_model(OURS)
    sum(losses_of(OURS, model).terms.values()).sum().backward()
    assert all(parameter.grad is None for parameter in model.critic.parameters())


@pytest.mark.parametrize(("objective", "layers"), [(OURS, 3), (ORIGINAL, 1)])
def test_layers_of_the_critic(objective, layers):
    linear = [layer for layer in make_model(objective).critic.layers if isinstance(layer, torch.nn.Linear)]
    assert len(linear) == layers
    assert math.prod(linear[-1].weight.shape) == 5


def test_a_lone_target_is_its_own_partner_and_the_loss_stays_finite():
    """The critic then gets its joint pair shuffled; batches of training have two targets or more."""
    model, y = make_model(ORIGINAL), (torch.arange(len(Y)) == 0).long()
    codes = model.encode(X)
    losses = ORIGINAL.losses(model, X, y, codes, draw_noise(codes, torch.Generator().manual_seed(1)))
    logit = model.critic(*(part[:1] for part in drawn(model)))[0]
    expected = torch.nn.functional.softplus(-logit) + torch.nn.functional.softplus(logit)
    assert_close(losses.terms["critic"][0], expected)
