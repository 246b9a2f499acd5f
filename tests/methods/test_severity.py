"""Severities instead of groups (App. B), on digits whose opacity is their severity."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.base import is_classifier, is_regressor
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score

from sepvae import SepVAE, load
from sepvae.data import load_digits_on_photos
from sepvae.errors import DataError

from ..helpers import quick

QUICK = quick(batch_size=16, target="severity")


def faded_digits() -> tuple[np.ndarray, np.ndarray]:
    """Half a photo patch, plus half a digit of an opacity that is 0 for every third image."""
    train, _ = load_digits_on_photos()
    rng = np.random.default_rng(0)
    n = 600
    target = train.x[len(train) // 2 :][:n]
    patches = train.x[: len(train) // 2][:n]  # of other images, so that a digit is where its patch is not
    opacity = np.where(np.arange(n) % 3 == 0, 0, rng.uniform(0.1, 1, n)).astype(np.float32)
    mixed = (1 - opacity[:, None, None, None]) * patches + opacity[:, None, None, None] * target
    return mixed[:, :, ::2, ::2], opacity


@pytest.mark.slow
def test_salient_norm_rises_with_severity_in_unseen_images() -> None:
    x, severity = faded_digits()
    model = SepVAE(**QUICK | {"common_dim": 8, "salient_dim": 4, "max_epochs": 12, "batch_size": 32}).fit(
        x[:450], severity[:450]
    )
    norm = np.linalg.norm(model.encode(x[450:]).salient_mean, axis=1)
    assert spearmanr(norm, severity[450:]).statistic > 0.5
    assert spearmanr(model.predict(x[450:]), severity[450:]).statistic > 0.5


def test_what_is_fitted_is_saved_and_in_range(tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    X, severity = rng.normal(size=(40, 5)), np.where(np.arange(40) < 20, 0, rng.random(40))
    model = SepVAE(**QUICK).fit(X, severity)
    assert np.all((model.predict(X) > 0) & (model.predict(X) < 1))
    assert model.reconstruct(X).shape == X.shape
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict(X), model.predict(X))


def test_groups_are_severities_of_0_and_1_but_for_the_learnt_variance() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)), np.arange(40) % 2
    how = QUICK | {"max_epochs": 2, "background_posterior_var": "learnt"}
    groups = SepVAE(**how | {"target": "group"}).fit(X, y)
    severities = SepVAE(**how).fit(X, y.astype(float))
    np.testing.assert_allclose(groups.transform(X), severities.transform(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("labels", "got"),
    [
        ([0, 2] * 10, "0 to 2"),
        ([0.5, 1] * 10, "0.5 to 1.0"),
        ([0, 0] * 10, "0 to 0"),
        (["a", "b"] * 10, ".*a"),
    ],
)
def test_bad_severities(labels: list[Any], got: str) -> None:
    with pytest.raises(
        DataError, match=rf"wanted numbers in .*, with 0 for the background and some above; got {got}"
    ):
        SepVAE(**QUICK).fit(np.random.default_rng(0).normal(size=(20, 5)), labels)


@pytest.mark.parametrize(("labels", "got"), [([0.5, 5.0], "5.0"), (["a", "b"], "a"), ([0.5, -0.1], "-0.1")])
def test_gradients_are_of_severities_only(labels: list[Any], got: str) -> None:
    X, severity = np.random.default_rng(0).normal(size=(20, 3)), np.linspace(0, 1, 20).round()
    model = SepVAE(**QUICK).fit(X, severity)
    with pytest.raises(DataError, match=rf"y: wanted severities in \[0, 1\], got {got}"):
        model.gradient_norms(X[:2], labels)


def test_it_is_a_regressor_and_draws_any_severity() -> None:
    rng = np.random.default_rng(0)
    X, severity = rng.normal(size=(60, 5)), np.where(np.arange(60) % 2, rng.random(60), 0)
    model = SepVAE(**QUICK).fit(X, severity)
    assert is_regressor(model)
    assert not is_classifier(model)
    assert model.score(X, severity) == pytest.approx(r2_score(severity, model.predict(X)))
    assert cross_val_score(model, X, severity, cv=2, error_score="raise").shape == (2,)
    none, half = (model.sample(3, y=y, random_state=0) for y in (0.0, 0.5))
    assert not np.allclose(none, half)
    norms = model.gradient_norms(X[severity > 0], severity[severity > 0])  # a batch without a zero
    assert np.isfinite(norms["salient_encoder"]).all()
    with pytest.raises(DataError, match=r"y: wanted a severity in \[0, 1\], got 2"):
        model.sample(3, y=2)
    with pytest.raises(DataError, match="background: wanted None, for severities have it at 0"):
        SepVAE(**QUICK, background=1.0).fit(X, severity)


def test_a_target_that_is_neither() -> None:
    with pytest.raises(DataError, match="target: wanted one of group, severity, got 'amount'"):
        SepVAE(**QUICK | {"target": "amount"}).fit(np.zeros((20, 5)), [0, 1] * 10)
