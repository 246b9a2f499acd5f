"""Probabilistic contrastive PCA: against scipy's likelihood, on planted directions, and as an estimator."""

from typing import Any

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import parametrize_with_checks

from sepvae import ProbabilisticContrastivePCA
from sepvae.errors import DataError
from sepvae.methods.principal import covariance
from sepvae.methods.probabilistic_contrastive_pca import largest_alpha, loadings


@parametrize_with_checks([ProbabilisticContrastivePCA(common_dim=1, salient_dim=1)])
@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks feed data that deserves warnings
def test_scikit_learn(estimator: ProbabilisticContrastivePCA, check: Any) -> None:
    check(estimator)


def samples(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tables of unit noise whose targets vary along one more direction, which they are returned with."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    x, y = rng.normal(size=(600, 6)), np.arange(600) % 3 == 0
    x[:, 0] *= 2
    x[y, 1] *= 3
    x[y, 2] *= 2
    return x @ turn, y, turn[1]


def log_likelihood(x: np.ndarray, y: np.ndarray, gamma: float, w: np.ndarray, noise_var: float) -> float:
    """Log p(targets) - gamma log p(background), each about its own mean, by scipy."""
    normal = multivariate_normal(cov=w @ w.T + noise_var * np.eye(len(w)))
    x = np.where(y[:, None], x - x[y].mean(axis=0), x - x[~y].mean(axis=0))
    return float(normal.logpdf(x[y]).sum() - gamma * normal.logpdf(x[~y]).sum())


@pytest.mark.parametrize("gamma", [0.0, 0.3])
def test_loadings_maximise_the_likelihood_ratio(gamma: float) -> None:
    x, y, _ = samples()
    alpha = gamma * (~y).sum() / y.sum()
    found = loadings((covariance(x[y]) - alpha * covariance(x[~y])) / (1 - alpha), 2, 6)
    w = found.axes.T * found.lengths
    best = log_likelihood(x, y, gamma, w, found.noise_var)
    rng = np.random.default_rng(1)
    for size in (1e-1, 1e-3):
        for _ in range(20):
            other = w + size * rng.normal(size=w.shape), found.noise_var * np.exp(size * rng.normal())
            assert log_likelihood(x, y, gamma, *other) < best


def test_without_background_it_is_probabilistic_pca() -> None:
    x, y, _ = samples()
    pca = PCA(2).fit(x[y])
    found = loadings(covariance(x[y]), 2, 6)
    unbiased = y.sum() / (y.sum() - 1)
    np.testing.assert_allclose(found.noise_var * unbiased, pca.noise_variance_)
    np.testing.assert_allclose((found.lengths**2 + found.noise_var) * unbiased, pca.explained_variance_)
    np.testing.assert_allclose(subspace_angles(found.axes.T, pca.components_.T), 0, atol=1e-7)


def test_posterior_is_that_of_a_gaussian_model() -> None:
    x, y, _ = samples()
    model = ProbabilisticContrastivePCA(2, 2, gamma=0.2).fit(x, y)
    z = model.prepare(x).take(np.arange(len(x))).x - model.center_
    codes = model.encode(x)
    for space, mean, logvar in (
        ("common", codes.common_mean, codes.common_logvar),
        ("salient", codes.salient_mean, codes.salient_logvar),
    ):
        w = getattr(model, f"{space}_axes_").T * getattr(model, f"{space}_scale_")
        noise_var = getattr(model, f"{space}_noise_var_")
        precision = np.eye(2) + w.T @ w / noise_var  # Bishop, PRML (2.117)
        np.testing.assert_allclose(mean, z @ w @ np.linalg.inv(precision) / noise_var, atol=1e-10)
        np.testing.assert_allclose(np.exp(logvar[0]), np.diag(np.linalg.inv(precision)), rtol=1e-6)


def test_a_planted_direction_is_found() -> None:
    x, y, direction = samples()
    model = ProbabilisticContrastivePCA(2, 1).fit(x, y)
    scale = model.scaler_.scale_ if model.scaler_ is not None else 1
    found = model.salient_axes_[0] / scale
    assert abs(found @ direction) / np.linalg.norm(found) > 0.95
    assert 0 < model.gamma_ < 0.5  # n / m


def test_all_axes_are_orthonormal_and_constant_features_stay() -> None:
    x, y, _ = samples()
    x = np.insert(x, 3, 7.0, axis=1)
    model = ProbabilisticContrastivePCA(2, 2).fit(x, y)
    axes = np.concatenate([model.common_axes_, model.salient_axes_])
    np.testing.assert_allclose(axes @ axes.T, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(model.reconstruct(x)[:, 3], 7)


def test_more_features_than_samples() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 80)), np.arange(30) % 2
    x[y == 1, :5] += 4 * rng.normal(size=(15, 1))
    model = ProbabilisticContrastivePCA(2, 1).fit(x, y)
    assert model.salient_noise_var_ > 0
    assert set(np.argsort(-np.abs(model.salient_axes_[0]))[:5]) == set(range(5))


def test_noise_is_positive_below_the_largest_weight_only() -> None:
    x, y, _ = samples()
    target, background = covariance(x[y]), 4 * covariance(x[~y])
    largest = largest_alpha(target, background, 2)
    assert loadings(target - 0.99 * largest * background, 2, 6).noise_var > 0
    assert loadings(target - 0.5 * background, 2, 6).noise_var < 0


def test_a_weight_without_a_maximum_is_refused() -> None:
    x, y, _ = samples()
    with pytest.raises(DataError, match=r"gamma: wanted less than 0\.\d+ for these samples or 'auto', got 2"):
        ProbabilisticContrastivePCA(2, 2, gamma=2.0).fit(x, y)


def test_no_feature_is_left_for_the_noise_of_the_common_space() -> None:
    x, y, _ = samples()
    model = ProbabilisticContrastivePCA(3, 3).fit(x, y)
    assert model.common_noise_var_ == 0
    assert model.salient_noise_var_ > 0
