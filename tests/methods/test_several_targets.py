"""Fits of several diseases with one control group."""

import numpy as np
import pytest
import torch
from torch.nn.functional import log_softmax
from torch.testing import assert_close

from sepvae import (
    CLVM,
    ContrastivePCA,
    ConVAE,
    DoubleInfoGAN,
    MMcVAE,
    ProbabilisticContrastivePCA,
    SepCLR,
    SepVAE,
    load,
)
from sepvae.errors import ModelFileError
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.training.sampling import draw_noise

from ..helpers import quick

RNG = np.random.default_rng(0)
LABELS = ["ASD", "BD", "HC", "SZ"]
Y = np.array(LABELS * 30)
X = RNG.normal(size=(120, 6))
X[:, 3:] += 3 * RNG.normal(size=(120, 1))  # common
for column, label in enumerate(["SZ", "BD", "ASD"]):
    X[label == Y, column] += 4
QUICK = quick(common_dim=3, salient_dim=3, batch_size=16, learning_rate=1e-2, background="HC")
BY_EPOCHS = [SepVAE, ConVAE, MMcVAE, CLVM, DoubleInfoGAN, SepCLR]


@pytest.fixture(scope="module")
def model():
    return SepVAE(**QUICK | {"max_epochs": 18, "gamma": 10}).fit(X, Y)


@pytest.mark.slow
def test_predictions_have_a_column_for_each_label(model):
    assert model.classes_.tolist() == LABELS
    assert model.background_ == "HC"
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert model.score(X, Y) > 0.6
    np.testing.assert_array_equal(model.predict(X), np.array(LABELS)[probabilities.argmax(axis=1)])
    assert model.sampled_classifier_proba(X).shape == (120, 4)


def test_samples_of_a_target_are_of_that_target(model):
    means = {label: model.sample(300, y=label, random_state=0).mean(axis=0)[:3] for label in LABELS}
    for column, label in enumerate(["SZ", "BD", "ASD"]):
        assert means[label].argmax() == column
        assert means[label][column] > means["HC"][column] + 1
    np.testing.assert_array_equal(model.sample(3, y=3, random_state=1), model.sample(3, "SZ", random_state=1))


def test_no_sample_of_the_background_has_a_salient_part(model):
    common = np.random.default_rng(0).normal(size=(5, 3))
    background = model.sample(5, y="HC", random_state=0)
    np.testing.assert_allclose(background, model.decode(common, np.zeros((5, 3))), rtol=1e-4, atol=1e-5)


def test_a_saved_model_predicts_the_same(model, tmp_path):
    again = load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.swap(X, X[::-1]), model.swap(X, X[::-1]))
    about = tmp_path / "model" / "model.json"
    about.write_text(about.read_text().replace('"SZ"', '"HC"'))
    with pytest.raises(ModelFileError, match="classes: wanted different labels"):
        load(tmp_path / "model")


@pytest.mark.parametrize("method", BY_EPOCHS)
def test_each_target_has_its_means_and_its_probabilities(method):
    model = method(**QUICK).fit(X, Y)
    assert {"train_read_out_loss_background", "train_read_out_loss_target3"} <= set(model.history_)
    assert model.predict_proba(X).shape == (120, 4)


@pytest.mark.parametrize("method", [ContrastivePCA, ProbabilisticContrastivePCA])
def test_linear_methods_take_all_targets_together(method):
    one = np.where(Y == "HC", "HC", "ill")
    of_all, of_one = (method(2, 2, background="HC").fit(X, y) for y in (Y, one))
    np.testing.assert_array_equal(of_all.transform(X), of_one.transform(X))
    assert of_all.classes_.tolist() == LABELS


def test_batches_hold_two_of_every_group_however_many_there_are():
    y = np.array(["HC", *"abcdefghi"] * 6)
    model = SepVAE(**quick(background="HC")).fit(RNG.normal(size=(60, 4)), y)
    assert model.batch_size_ == 20


def test_the_salient_classification_is_the_cross_entropy_of_all_groups():
    autoencoder = build_autoencoder("mlp", (6,), 3, 2, n_groups=4)
    x, y = torch.randn(9, 6), torch.arange(9) % 4
    codes = autoencoder.encode(x)
    noise = draw_noise(codes, torch.Generator().manual_seed(0))
    terms = SepVAE().objective().losses(autoencoder, x, y, codes, noise).terms
    s = codes.salient_mean + (codes.salient_logvar / 2).exp() * noise.model[1]
    logits = torch.cat([torch.zeros(9, 1), autoencoder.salient_classifier(s)], dim=1)
    assert_close(terms["salient_classification"], -log_softmax(logits, dim=1)[torch.arange(9), y])
