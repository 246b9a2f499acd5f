import math
from dataclasses import replace

import pytest
import torch
from sklearn.base import clone
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from sepvae import SepVAE
from sepvae.codes import Codes
from sepvae.methods.sepvae_objective import SepVAEObjective
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.training.objective import weighted
from sepvae.training.sampling import Noise, draw_noise

PAPER = SepVAEObjective(
    beta_common=0.5,
    beta_salient=0.3,
    kappa=2.0,
    gamma=0.7,
    background_prior_var=1 / 32,  # exact in single precision
    background_posterior_var=0.1,
    reconstruction_var=0.5,
    rectify_mi=True,
)
Y = torch.tensor([0, 1, 1, 0, 1, 0])
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(6, 5, generator=GENERATOR, dtype=torch.float64)
NOISE = Noise(
    critic=tuple(torch.randn(6, dim, generator=GENERATOR, dtype=torch.float64) for dim in (3, 2)),
    partners=torch.tensor([2, 0, 4, 5, 3, 1]),
    model=tuple(torch.randn(6, dim, generator=GENERATOR, dtype=torch.float64) for dim in (3, 2)),
)


@pytest.fixture
def model():
    """Small networks in double precision, for c of 3 dimensions and s of 2, with lively heads."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = build_autoencoder("mlp", (5,), 3, 2, 2).double()
        for parameter in parameters(model, "critic", "salient_classifier"):
            torch.nn.init.normal_(parameter)
    return model


def parameters(model, *names):
    return [p for name in names for p in getattr(model, name).parameters()]


def losses_of(objective, model, codes=None):
    codes = objective.posterior(model.encode(X), Y) if codes is None else codes
    return objective.losses(model, X, Y, codes, NOISE)


def gradient(objective, model, *names):
    """What the model step would follow, for the parameters of these parts."""
    losses = losses_of(objective, model)
    loss = sum(weighted(losses.terms, losses.weights).values()) + losses.classifiers
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss.mean(), parameters(model, *names))])


def draw(codes, noise):
    """Codes c and s by the reparameterization trick, sample by sample."""
    noise_c, noise_s = noise
    for i, y in enumerate(Y):
        q_c = Normal(codes.common_mean[i], (codes.common_logvar[i] / 2).exp())
        q_s = Normal(codes.salient_mean[i], (codes.salient_logvar[i] / 2).exp() if y else math.sqrt(0.1))
        yield q_c, q_s, q_c.loc + q_c.scale * noise_c[i], q_s.loc + q_s.scale * noise_s[i]


def test_the_background_prior_alone_is_the_evidence_lower_bound(model):
    preset = SepVAE.from_preset("background-prior", reconstruction_var=0.5, background_prior_var=1 / 32)
    losses, codes = losses_of(preset.objective(), model), model.encode(X)
    total = sum(weighted(losses.terms, losses.weights).values())
    for i, y in enumerate(Y):
        q_c = Normal(codes.common_mean[i], (codes.common_logvar[i] / 2).exp())
        q_s = Normal(codes.salient_mean[i], (codes.salient_logvar[i] / 2).exp())
        c, s = q_c.loc + q_c.scale * NOISE.model[0][i], q_s.loc + q_s.scale * NOISE.model[1][i]
        error = (X[i] - model.decoder(torch.cat([c, y * s]))).square().sum()
        prior = Normal(0, 1.0 if y else math.sqrt(1 / 32))
        bound = error + kl_divergence(q_c, Normal(0, 1)).sum() + kl_divergence(q_s, prior).sum()
        assert_close(total[i], bound)


def test_weighted_terms_are_equation_2_sample_by_sample(model):
    losses = losses_of(PAPER, model)
    terms = weighted(losses.terms, losses.weights)
    for i, (q_c, q_s, c, s) in enumerate(draw(model.encode(X), NOISE.model)):
        y = Y[i].double()
        d = model.critic(c[None], s[None]).sigmoid()[0]
        wanted = (
            (X[i] - model.decoder(torch.cat([c, y * s]))).square().sum()
            + 0.5 * kl_divergence(q_c, Normal(0, 1)).sum()
            + 0.3 * kl_divergence(q_s, Normal(0, 1 if y else math.sqrt(1 / 32))).sum()
            - 0.7 * Bernoulli(logits=model.salient_classifier(s)[0]).log_prob(y)
            + 2.0 * (d / (1 - d)).log().relu()
        )
        assert_close(sum(terms.values())[i], wanted)


def test_critic_loss_is_line_6_of_algorithm_1(model):
    loss = PAPER.critic_loss(model, X, Y, PAPER.posterior(model.encode(X), Y), NOISE)
    _, _, c, s = zip(*draw(model.encode(X), NOISE.critic), strict=True)
    for i, partner in enumerate(NOISE.partners.tolist()):
        d = model.critic(c[i][None], s[i][None]).sigmoid()[0]
        d_shuffled = model.critic(c[i][None], s[partner][None]).sigmoid()[0]
        assert_close(loss[i], -d.log() - (1 - d_shuffled).log())


def test_reconstruction_of_the_background_sees_no_salient_code(model):
    codes = PAPER.posterior(model.encode(X), Y)
    moved = replace(codes, salient_mean=codes.salient_mean + 3)
    before, after = (losses_of(PAPER, model, c).terms["reconstruction"] for c in (codes, moved))
    assert torch.equal(before == after, Y == 0)


def test_each_salient_kl_is_zero_on_the_other_group(model):
    terms = losses_of(PAPER, model).terms
    assert torch.equal(terms["salient_kl_target"] > 0, Y == 1)
    assert torch.equal(terms["salient_kl_background"] > 0, Y == 0)
    assert torch.equal(terms["salient_kl_target"] == 0, Y == 0)
    assert torch.equal(terms["salient_kl_background"] == 0, Y == 1)


def test_background_excess_is_its_kl_but_for_the_constant_of_frozen_variances(model):
    terms, _, _, shown = losses_of(PAPER, model)
    constant = 2 / 2 * (3.2 - 1 - math.log(3.2))
    excess = torch.where(Y == 0, terms["salient_kl_background"] - constant, 0)
    assert_close(shown["salient_kl_background_excess"], excess)


def test_posterior_variance_of_the_background_is_frozen_or_learnt(model):
    codes = model.encode(X)
    frozen = PAPER.posterior(codes, Y).salient_logvar
    assert_close(frozen[Y == 0], torch.full((3, 2), math.log(0.1), dtype=torch.float64))
    assert torch.equal(frozen[Y == 1], codes.salient_logvar[Y == 1])
    assert replace(PAPER, background_posterior_var="learnt").posterior(codes, Y) is codes


def test_a_frozen_variance_passes_no_gradient(model):
    codes = model.encode(X)
    codes.salient_logvar.retain_grad()
    sum(losses_of(PAPER, model, PAPER.posterior(codes, Y)).terms.values()).sum().backward()
    assert torch.equal(codes.salient_logvar.grad.abs().sum(dim=1) > 0, Y == 1)


def test_with_a_learnt_variance_there_is_no_excess(model):
    logged = losses_of(replace(PAPER, background_posterior_var="learnt"), model).logged
    assert set(logged) == {"squared_error", "read_out_loss"}


def test_learnt_reconstruction_variance_is_the_likeliest_of_the_batch(model):
    learnt, plain = (losses_of(replace(PAPER, reconstruction_var=v), model) for v in ("learnt", 0.5))
    variance = plain.terms["reconstruction"].detach().mean() / 5
    wanted = plain.terms["reconstruction"] / (2 * variance) + 5 / 2 * (2 * variance).log()
    assert_close(learnt.terms["reconstruction"], wanted)
    assert_close(plain.logged["squared_error"], plain.terms["reconstruction"] / 5)
    got, expected = (
        torch.autograd.grad(term.sum(), model.decoder[-1].bias)
        for term in (learnt.terms["reconstruction"], wanted)
    )
    assert_close(got, expected)


@pytest.mark.parametrize("gamma", [0.0, 1e-10, 1.0, 5.0])
def test_the_classifier_learns_from_the_unweighted_cross_entropy_whatever_gamma(model, gamma):
    *_, s = zip(*draw(model.encode(X), NOISE.model), strict=True)
    loss = binary_cross_entropy_with_logits(model.salient_classifier(torch.stack(s))[:, 0], Y.double())
    wanted = torch.autograd.grad(loss, parameters(model, "salient_classifier"))
    got = gradient(replace(PAPER, gamma=gamma), model, "salient_classifier")
    assert_close(got, torch.cat([g.flatten() for g in wanted]))


def test_gamma_scales_what_the_classification_tells_the_encoder(model):
    without, once = (gradient(replace(PAPER, gamma=gamma), model, "salient_encoder") for gamma in (0.0, 1.0))
    assert (once - without).abs().max() > 1e-3
    for gamma in (1e-4, 0.5, 3.0):
        scaled = gradient(replace(PAPER, gamma=gamma), model, "salient_encoder")
        assert_close(scaled - without, gamma * (once - without))


def reached(model):
    """Parts that a backward pass gave a gradient."""
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}


def test_the_own_losses_of_the_classifiers_tell_the_encoder_nothing(model):
    losses_of(PAPER, model).classifiers.sum().backward()
    assert reached(model) == {"salient_classifier", "read_out"}


def test_the_read_out_learns_from_means_whatever_the_noise(model):
    mean = model.encode(X).salient_mean
    loss = binary_cross_entropy_with_logits(model.read_out(mean)[:, 0], Y.double(), reduction="none")
    assert_close(losses_of(PAPER, model).logged["read_out_loss"], loss)
    wanted = torch.autograd.grad(loss.mean(), parameters(model, "read_out"))
    assert_close(gradient(PAPER, model, "read_out"), torch.cat([g.flatten() for g in wanted]))


def test_no_term_reaches_the_critic_or_the_classifier(model):
    sum(losses_of(PAPER, model).terms.values()).sum().backward()
    assert reached(model) == {"common_encoder", "salient_encoder", "decoder"}


def test_the_loss_of_the_critic_on_detached_codes_reaches_the_critic_only(model):
    codes = PAPER.posterior(model.encode(X), Y).map(torch.Tensor.detach)
    PAPER.critic_loss(model, X, Y, codes, NOISE).sum().backward()
    assert reached(model) == {"critic"}


def test_rectify_mi_is_a_relu_sample_by_sample(model):
    raw, rectified = (
        losses_of(replace(PAPER, rectify_mi=rectify), model).terms["mutual_information"]
        for rectify in (False, True)
    )
    assert raw.min() < 0 < raw.max()
    assert rectified.tolist() == [max(value, 0) for value in raw.tolist()]


def test_terms_are_one_value_per_sample_and_have_a_weight_each(model):
    terms, weights, classifier, logged = losses_of(PAPER, model)
    assert terms.keys() == weights.keys()
    assert {value.shape for value in [*terms.values(), classifier, *logged.values()]} == {(6,)}


def test_three_groups_have_their_own_logits_and_the_targets_prior():
    model, y = build_autoencoder("mlp", (5,), 3, 2, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    codes = Codes(*(torch.zeros(6, dim) for dim in (3, 3, 2, 2)))
    noise = draw_noise(codes, torch.Generator().manual_seed(0))
    terms = PAPER.losses(model, X.float(), y, codes, noise).terms
    assert torch.equal(terms["salient_kl_background"] > 0, y == 0)
    assert terms["salient_kl_target"].abs().max() == 0  # N(0, I) is the prior of either target
    assert terms["salient_classification"].shape == (6,)


SEVERITIES = torch.tensor([0, 0.2, 1, 0, 0.6, 0], dtype=torch.float64)


def test_severities_weigh_prior_decoder_and_classifier_sample_by_sample(model):
    objective = replace(PAPER, background_posterior_var="learnt", severity=True)
    codes = objective.posterior(model.encode(X), SEVERITIES)
    terms = objective.losses(model, X, SEVERITIES, codes, NOISE).terms
    for i, y in enumerate(SEVERITIES):
        q_s = Normal(codes.salient_mean[i], (codes.salient_logvar[i] / 2).exp())
        s = q_s.loc + q_s.scale * NOISE.model[1][i]
        c = codes.common_mean[i] + (codes.common_logvar[i] / 2).exp() * NOISE.model[0][i]
        kl = kl_divergence(q_s, Normal(0, (1 / 32 + (1 - 1 / 32) * y**2).sqrt())).sum()
        p = model.salient_classifier(s)[0].sigmoid()
        error = (X[i] - model.decoder(torch.cat([c, y * s]))).square().sum()
        assert_close(terms["reconstruction"][i], error)
        assert_close(terms["salient_kl_background" if y == 0 else "salient_kl_target"][i], kl)
        assert_close(terms["salient_classification"][i], -(y * p.log() + (1 - y) * (1 - p).log()))


def test_an_ablation_changes_exactly_one_weight_of_the_terms_that_are_the_same(model):
    full = SepVAE(gamma=0.7)
    dropped = {"no MI": {"mutual_information"}, "no CLSF": {"salient_classification"}}
    dropped["no SAL"] = {"salient_kl_target", "salient_kl_background"}  # one weight, of the salient prior
    assert {*dropped, "no CONS"} == SepVAE.ablations.keys()
    for name in dropped:
        keywords = SepVAE.ablations[name]
        ablated = clone(full).set_params(**keywords)
        before, after = (losses_of(estimator.objective(), model) for estimator in (full, ablated))
        assert len(keywords) == 1
        changed = {term for term, weight in before.weights.items() if weight != after.weights[term]}
        assert changed == dropped[name]
        assert all(after.weights[term] == 0 for term in dropped[name])
        assert_close(before.terms, after.terms, rtol=0, atol=0)
