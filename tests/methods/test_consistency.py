"""Removal and swap consistency: against torch.distributions, sample by sample."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from sepvae import SepVAE, load
from sepvae.methods.sepvae_objective import CONSISTENCY, RESIDUAL, SepVAEObjective
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.networks.model import running_statistics
from sepvae.training.sampling import draw_noise

from ..helpers import quick

PLAIN = SepVAEObjective(
    beta_common=0.5,
    beta_salient=0.3,
    kappa=2.0,
    gamma=0.7,
    background_prior_var=1 / 32,
    background_posterior_var=0.1,
    reconstruction_var=0.25,
    rectify_mi=True,
)
CONSISTENT = replace(PLAIN, removal_common=5, removal_salient=1, swap_common=2, swap_salient=3)
Y = torch.tensor([0, 1, 1, 0, 1, 0, 0, 0])
REMOVED = (1,)  # every third of 3 targets
DONORS = {0: 1, 5: 2, 7: 4}  # targets in a circle, for every second of 5 background samples
OF_TARGET, OF_BACKGROUND = 3 / 1, 5 / 3  # how many samples each of these stands for
X = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
QUICK = quick(salient_dim=1, max_epochs=2)


@pytest.fixture
def model():
    """Small networks in double precision, for c of 3 dimensions and s of 2."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build_autoencoder("mlp", (5,), 3, 2, 2).double()


def losses_of(objective, model, y=Y, codes=None):
    codes = objective.posterior(model.encode(X), y) if codes is None else codes
    noise = draw_noise(codes, torch.Generator().manual_seed(1))
    return objective.losses(model, X, y, codes, noise), codes


def posterior(model, x):
    codes = model.encode(x[None])
    scale = (codes.common_logvar[0] / 2).exp(), (codes.salient_logvar[0] / 2).exp()
    return Normal(codes.common_mean[0], scale[0]), Normal(codes.salient_mean[0], scale[1])


def test_a_target_without_its_salient_part_is_a_background_sample_with_the_same_common_code(model):
    (terms, *_), _ = losses_of(CONSISTENT, model)
    for i in range(len(Y)):
        if i not in REMOVED:
            assert terms["removal_common"][i] == terms["removal_salient"][i] == 0
            continue
        c, s = (code.mean for code in posterior(model, X[i]))
        without, full = (model.decoder(torch.cat([c, given])) for given in (torch.zeros_like(s), s))
        again_c, again_s = posterior(model, without + RESIDUAL * (X[i] - full))
        frozen = Normal(again_s.loc, math.sqrt(0.1))
        common = kl_divergence(posterior(model, X[i])[0], again_c).sum()
        assert_close(terms["removal_common"][i], OF_TARGET * common)
        narrow = Normal(torch.zeros(2).double(), math.sqrt(1 / 32))
        assert_close(terms["removal_salient"][i], OF_TARGET * kl_divergence(frozen, narrow).sum())


def test_a_background_sample_with_the_salient_part_of_a_target_has_both_codes(model):
    (terms, *_), _ = losses_of(CONSISTENT, model)
    for i in range(len(Y)):
        if i not in DONORS:
            assert terms["swap_common"][i] == terms["swap_salient"][i] == 0
            continue
        c, s = posterior(model, X[i])[0].mean, posterior(model, X[DONORS[i]])[1].mean
        again_c, again_s = posterior(model, model.decoder(torch.cat([c, s])))
        common = kl_divergence(posterior(model, X[i])[0], again_c).sum()
        assert_close(terms["swap_common"][i], OF_BACKGROUND * common)
        wanted = kl_divergence(posterior(model, X[DONORS[i]])[1], again_s).sum()
        assert_close(terms["swap_salient"][i], OF_BACKGROUND * wanted)


def test_the_gradient_reaches_the_code_of_the_image_itself(model):
    codes = CONSISTENT.posterior(model.encode(X), Y).map(lambda part: part.detach().requires_grad_())
    terms = losses_of(CONSISTENT, model, codes=codes)[0].terms
    (pull,) = torch.autograd.grad(terms["removal_common"].sum(), codes.common_logvar)
    assert (pull != 0).any(dim=1).nonzero()[:, 0].tolist() == list(REMOVED)


def test_what_is_left_of_the_salient_part_is_no_lesson_for_the_encoder_that_reads_it(model):
    codes = CONSISTENT.posterior(model.encode(X), Y).map(torch.detach)
    removal = losses_of(replace(PLAIN, removal_salient=1.0), model, codes=codes)[0].terms["removal_salient"]
    learners = model.common_encoder, model.decoder, model.salient_encoder
    first = [next(module.parameters()) for module in learners]
    pulls = torch.autograd.grad(removal.sum(), first, allow_unused=True)
    assert [pull is not None and bool((pull != 0).any()) for pull in pulls] == [False, True, False]


def test_without_weights_there_are_no_such_terms_and_all_else_is_as_with_them(model):
    (with_terms, *_), (without, *_) = losses_of(CONSISTENT, model)[0], losses_of(PLAIN, model)[0]
    assert set(with_terms) - set(without) == set(CONSISTENCY)
    for name, values in without.items():
        assert torch.equal(values, with_terms[name])


@pytest.mark.parametrize("name", CONSISTENCY)
def test_one_term_may_be_asked_for_alone(model, name):
    alone, *_ = losses_of(replace(PLAIN, **{name: 1.0}), model)[0]
    both, *_ = losses_of(CONSISTENT, model)[0]
    assert set(alone) & set(CONSISTENCY) == {name}
    assert_close(alone[name], both[name])


def test_a_batch_without_targets_or_background_says_nothing(model):
    for y in (torch.zeros_like(Y), torch.ones_like(Y)):
        terms = losses_of(CONSISTENT, model, y)[0].terms
        assert all(terms[name].isfinite().all() for name in CONSISTENCY)
        silent = CONSISTENCY if not y.any() else CONSISTENCY[2:]
        assert all((terms[name] == 0).all() for name in silent)


def seeded():
    return torch.Generator().manual_seed(1)


def test_volumes_are_decoded_within_the_mask_and_leave_batch_statistics_alone():
    counts = torch.zeros(1, 32, 32, 32, dtype=torch.bool)
    counts[:, 8:24, 8:24, 8:24] = True
    volumes = build_autoencoder("cnn3d", counts.shape, 2, 1, 2, valid_mask=counts.numpy())
    seen = []
    volumes.common_encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x, y = torch.rand(4, *counts.shape) * counts, torch.tensor([0, 0, 1, 1])
    codes = CONSISTENT.posterior(volumes.encode(x), y)
    CONSISTENT.losses(volumes, x, y, codes, draw_noise(codes, seeded()))
    assert [len(given) for given in seen] == [4, 2]
    assert all((given[:, ~counts] == 0).all() and (given[:, counts] != 0).any() for given in seen)
    norms = [module for module in volumes.modules() if isinstance(module, nn.BatchNorm3d)]
    assert {int(norm.num_batches_tracked) for norm in norms} == {1}
    assert all(norm.training for norm in norms)


def test_mixed_precision_gives_them_in_single_precision():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = build_autoencoder("mlp", (5,), 3, 2, 2)
    x = X.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        codes = CONSISTENT.posterior(model.encode(x), Y)
        terms = CONSISTENT.losses(model, x, Y, codes, draw_noise(codes, seeded())).terms
    assert all(terms[name].isfinite().all() and terms[name].dtype == torch.float32 for name in CONSISTENCY)


def test_the_default_has_them_and_the_paper_has_none():
    assert all(getattr(SepVAE(), name) > 0 for name in CONSISTENCY)
    for without in (SepVAE.from_preset("paper"), SepVAE(**SepVAE.ablations["no CONS"])):
        assert all(getattr(without, name) == 0 for name in CONSISTENCY)


def test_a_model_from_before_they_were_there_has_none(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 2
    model = SepVAE(**QUICK, **SepVAE.ablations["no CONS"], network="mlp", background=0).fit(x, y)
    about = model.save(tmp_path / "model") / "model.json"
    said = json.loads(about.read_text())
    said["keywords"] = {k: v for k, v in said["keywords"].items() if k not in CONSISTENCY} | {
        "network": "auto"
    }
    about.write_text(json.dumps(said))
    again = load(tmp_path / "model")
    assert [again.get_params()[name] for name in CONSISTENCY] == [0, 0, 0, 0]
    np.testing.assert_array_equal(again.encode(x).salient_mean, model.encode(x).salient_mean)


def test_batch_norm_of_several_gpus_learns_nothing_either():
    norms = nn.Sequential(nn.BatchNorm1d(2), nn.SyncBatchNorm(2), nn.Dropout())
    with running_statistics(norms):
        assert [module.training for module in norms] == [False, False, True]
    assert all(module.training for module in norms)


@pytest.mark.parametrize("keywords", [{}, {"target": "severity"}, {"background_posterior_var": "learnt"}])
def test_fits_take_them(keywords):
    x = np.random.default_rng(0).normal(size=(40, 4))
    y = np.arange(40) % 2
    if "target" not in keywords:
        keywords = keywords | {"background": 0}
    model = SepVAE(**QUICK, **keywords).fit(x, y / 2 if "target" in keywords else y)
    assert model.history_[[f"train_{name}" for name in CONSISTENCY]].gt(0).all(axis=None)


def test_residuals_are_what_is_decoded():
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "age"])
    keywords = QUICK | {"removal_common": 5, "background": 0, "residualise": ["age"]}
    model = SepVAE(**keywords).fit(frame, np.arange(60) % 2)
    assert model.history_["train_removal_common"].gt(0).all()
