"""The loss of SepCLR, and what the estimator does without a decoder."""

from math import log, pi
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KernelDensity
from torch import nn
from torch.testing import assert_close

from sepvae import SepCLR, load
from sepvae.errors import DataError
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.training.augmentation import two_views
from sepvae.training.sampling import draw_noise

from ..helpers import quick

Y = torch.tensor([0, 1, 1, 0, 1, 0, 0])
X = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
OBJECTIVE = SepCLR(temperature=0.7).objective()


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return build_autoencoder("mlp", (5,), 3, 2, 2, decoder="none").double()


def noise_of(model):
    return draw_noise(model.encode(X), torch.Generator().manual_seed(1))


@pytest.fixture
def losses(model):
    return OBJECTIVE.losses(model, X, Y, model.encode(X), noise_of(model))


@pytest.fixture
def codes(model):
    """Common directions and salient codes of both views."""
    views = [model.encode(view) for view in two_views(X, noise_of(model))]
    return [(c / c.norm(dim=1, keepdim=True), s) for c, s in ((v.common_mean, v.salient_mean) for v in views)]


def mean_kernel(z, pairs):
    """Mean of exp(-||z_i - z_j||^2 / (2 * 0.7)) over pairs."""
    return torch.stack([torch.exp(-(z[i] - z[j]).square().sum() / 1.4) for i, j in pairs]).mean()


def test_alignment_compares_the_views(losses, codes):
    (c1, s1), (c2, s2) = codes
    terms = losses.terms
    assert_close(terms["common_alignment"], (c1 - c2).square().sum(dim=1) / 1.4)
    assert_close(terms["salient_alignment_target"], Y * (s1 - s2).square().sum(dim=1) / 1.4)
    to_zero = (s1.square() + s2.square()).sum(dim=1) / 2.8
    assert_close(terms["salient_alignment_background"], (1 - Y) * to_zero)


def test_uniformity_is_over_all_common_codes_and_around_zero_for_targets(losses, codes):
    every = [(i, j) for i in range(7) for j in range(i)]
    common = [mean_kernel(c, every).log() for c, _ in codes]
    assert_close(losses.terms["common_uniformity"], sum(common) / 2)
    of_targets = [(i, j) for i, j in every if Y[i] or Y[j]]
    salient = [mean_kernel(Y[:, None] * s, of_targets).log() for _, s in codes]
    assert_close(losses.terms["salient_uniformity"], sum(salient) / 2)


def test_the_joint_entropy_is_that_of_a_kernel_density(losses, codes):
    means = []
    for c, s in codes:
        z = torch.cat([c, Y[:, None] * s], dim=1).detach().numpy()
        density = KernelDensity(bandwidth=0.7**0.5, rtol=1e-12).fit(z).score_samples(z)
        means.append(density.mean() + 5 / 2 * log(1.4 * pi))
    assert losses.terms["joint_entropy"].item() == pytest.approx(np.mean(means), abs=1e-9)


def test_weights(losses):
    assert losses.weights == {
        "common_alignment": 1,
        "common_uniformity": OBJECTIVE.uniformity_weight,
        "salient_alignment_target": OBJECTIVE.salient_weight,
        "salient_uniformity": OBJECTIVE.salient_weight * OBJECTIVE.uniformity_weight,
        "salient_alignment_background": OBJECTIVE.background_weight,
        "joint_entropy": OBJECTIVE.joint_entropy_weight,
    }


@pytest.mark.parametrize("name", ["common_alignment", "common_uniformity", "salient_alignment_target"])
def test_a_term_reaches_the_encoder_of_its_space_only(model, losses, name):
    own, other = ("common", "salient") if name.startswith("common") else ("salient", "common")
    losses.terms[name].mean().backward()
    assert any(p.grad is not None and p.grad.any() for p in getattr(model, f"{own}_encoder").parameters())
    others = [getattr(model, f"{other}_encoder"), model.critic, model.salient_classifier, model.read_out]
    assert all(parameter.grad is None for part in others for parameter in part.parameters())


def test_the_joint_entropy_reaches_both_encoders_and_no_classifier(model, losses):
    losses.terms["joint_entropy"].backward()
    for encoder in (model.common_encoder, model.salient_encoder):
        assert encoder.mean.weight.grad.any()
        assert encoder.logvar.weight.grad is None
    assert all(p.grad is None for part in (model.critic, model.read_out) for p in part.parameters())


def test_classifiers_train_on_codes_of_the_samples_themselves(model, losses):
    losses.classifiers.sum().backward()
    assert model.read_out[0].weight.grad.any()
    assert all(parameter.grad is None for parameter in model.salient_encoder.parameters())


def test_a_part_of_one_group_has_finite_terms(model):
    for y in (torch.zeros(7, dtype=torch.long), torch.ones(7, dtype=torch.long)):
        terms = OBJECTIVE.losses(model, X, y, model.encode(X), noise_of(model)).terms
        assert all(term.isfinite().all() for term in terms.values())


def data(n=400):
    """Five measures of a factor that all have, and five of one that only targets have."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    common, salient = rng.normal(size=(2, n, 1))
    x = np.hstack([common.repeat(5, axis=1), (y[:, None] * (3 + salient)).repeat(5, axis=1)])
    return x + 0.3 * rng.normal(size=x.shape), y, salient[:, 0]


def test_salient_codes_hold_what_only_targets_have_and_stay_at_zero_for_the_background():
    x, y, salient = data()
    model = SepCLR(**quick(max_epochs=20, batch_size=64), background=0).fit(x[:300], y[:300])
    codes = model.encode(x)
    sizes = np.linalg.norm(codes.salient_mean, axis=1)
    assert roc_auc_score(y[300:], sizes[300:]) > 0.95
    assert np.median(sizes[y == 0]) < 0.2 * np.median(sizes[y == 1])
    assert model.score(x[300:], y[300:]) > 0.97
    is_target = y == 1
    fitted = np.linalg.lstsq(
        np.c_[codes.salient_mean[is_target], np.ones(is_target.sum())], salient[is_target], rcond=None
    )
    assert 1 - fitted[1][0] / ((salient[is_target] - salient[is_target].mean()) ** 2).sum() > 0.5


def test_codes_are_exact():
    x, y, _ = data(60)
    codes = SepCLR(**quick(), background=0).fit(x, y).encode(x)
    np.testing.assert_allclose(codes.common_logvar, log(1e-6), rtol=1e-6)
    np.testing.assert_allclose(codes.salient_logvar, log(1e-6), rtol=1e-6)


def test_what_needs_a_decoder_is_refused_in_one_line():
    x, y, _ = data(60)
    model = SepCLR(**quick(), background=0).fit(x, y)
    for decode in (model.reconstruct, model.reconstruction_error, lambda x: model.swap(x, x)):
        with pytest.raises(DataError, match="SepCLR has no decoder"):
            decode(x)
    with pytest.raises(DataError, match="SepCLR has no decoder"):
        model.sample(2)


def test_an_encoder_of_the_users_own_needs_no_decoder(tmp_path: Path):
    x, y, _ = data(60)
    network = nn.Sequential(nn.Linear(10, 8), nn.ReLU()), None
    model = SepCLR(**quick(), background=0, network=network).fit(x, y)
    again = load(model.save(tmp_path / "model"), network=network)
    np.testing.assert_array_equal(again.transform(x), model.transform(x))
    with pytest.raises(DataError, match="network: wanted a name or a tuple of two modules"):
        SepCLR(**quick(), background=0, network=(None, None)).fit(x, y)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"temperature": 0}, "temperature: wanted a number above 0, got 0"),
        ({"joint_entropy_weight": -1}, "joint_entropy_weight: wanted a number of 0 or more, got -1"),
        ({"skip_augmentations": ["flop"]}, "skip_augmentations: wanted one of blur, crop, .*got 'flop'"),
        ({"skip_augmentations": "flip"}, "skip_augmentations: wanted a list of names, got 'flip'"),
    ],
)
def test_bad_keywords(keywords, message):
    x, y, _ = data(60)
    with pytest.raises(DataError, match=message):
        SepCLR(**quick(), background=0, **keywords).fit(x, y)
