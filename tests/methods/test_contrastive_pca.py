"""Contrastive PCA: against dense eigenvectors, on planted directions, and as an estimator."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import parametrize_with_checks

from sepvae import load
from sepvae.data import ArraySource
from sepvae.data.arrays import StreamSource
from sepvae.errors import DataError
from sepvae.methods.contrastive_pca import ContrastivePCA, contrastive_axes, propose_alphas, subspace_affinity
from sepvae.methods.principal import sample_span

TARGET = np.arange(60) % 3 > 0


@parametrize_with_checks([ContrastivePCA(common_dim=1, salient_dim=1)])
@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks feed data that deserves warnings
def test_scikit_learn(estimator: ContrastivePCA, check: Any) -> None:
    check(estimator)


def samples(features: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, features)) * np.geomspace(3, 1, features)
    x[TARGET, features // 2] += rng.normal(2, 4, size=TARGET.sum())
    return x - x[~TARGET].mean(axis=0)


def by_hand(x: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Three salient and two common directions, from covariances of all features."""
    salient = np.linalg.eigh(np.cov(x[TARGET].T) - alpha * np.cov(x[~TARGET].T))[1][:, -3:]
    rest = (x - x.mean(axis=0)) @ (np.eye(x.shape[1]) - salient @ salient.T)
    return salient, np.linalg.svd(rest, full_matrices=False)[2][:2].T


@pytest.mark.parametrize("features", [8, 60, 90])
@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_dense_eigenvectors(features: int, alpha: float) -> None:
    x = samples(features)
    axes = contrastive_axes(x, TARGET, 2, 3, alpha)
    salient, common = by_hand(x, alpha)
    np.testing.assert_allclose(subspace_angles(axes.salient.T, salient), 0, atol=1e-6)
    np.testing.assert_allclose(subspace_angles(axes.common.T, common), 0, atol=1e-6)
    np.testing.assert_allclose(np.abs(np.sum(axes.common * common.T, axis=1)), 1)


@pytest.mark.parametrize(("features", "dtype"), [(8, "f8"), (90, "f8"), (90, "f4")])
def test_axes_are_orthonormal_and_signed(features: int, dtype: str) -> None:
    axes = contrastive_axes(samples(features).astype(dtype), TARGET, 4, 3)
    both = np.concatenate([axes.common, axes.salient])
    np.testing.assert_allclose(both @ both.T, np.eye(7), atol=1e-12)
    assert (both[np.arange(7), np.abs(both).argmax(axis=1)] > 0).all()


def test_no_background_is_pca_of_the_targets() -> None:
    x = samples(8)
    pca = PCA(3).fit(x[TARGET]).components_
    salient = contrastive_axes(x, TARGET, 2, 3, alpha=0).salient
    np.testing.assert_allclose(np.abs(np.sum(salient * pca, axis=1)), 1)


def test_the_span_has_no_more_directions_than_the_samples() -> None:
    flat = samples(8) @ np.random.default_rng(1).normal(size=(8, 8)) @ np.diag([1, 1, 1, 1, 1, 0, 0, 0])
    assert len(sample_span(flat, 1000, 0)[1]) == 5
    # The background's deviations from its mean sum to zero: one of 60 directions is not there.
    for dtype in ("f8", "f4"):
        inside, rows = sample_span(samples(90).astype(dtype), 1000, 0)
        assert len(rows) == 59
        np.testing.assert_allclose(inside @ rows, samples(90), atol=1e-4)


def test_large_data_are_brought_to_their_leading_components(monkeypatch: pytest.MonkeyPatch) -> None:
    x = samples(90) * np.where(np.arange(90) % 3, 1e-6, 1)  # 30 directions matter
    exact = contrastive_axes(x, TARGET, 2, 3, alpha=1.5)
    monkeypatch.setattr("sepvae.methods.principal.MOST_AXES", 40)
    approximate = contrastive_axes(x, TARGET, 2, 3, alpha=1.5)
    assert sample_span(x, 40, 0)[1].shape == (40, 90)
    np.testing.assert_allclose(approximate.salient, exact.salient, atol=1e-6)


def test_pieces_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = contrastive_axes(samples(90), TARGET, 2, 3, alpha=1.5)
    monkeypatch.setattr("sepvae.methods.principal.AT_ONCE", 7)
    np.testing.assert_allclose(contrastive_axes(samples(90), TARGET, 2, 3, alpha=1.5).common, whole.common)


def test_affinity_is_the_product_of_cosines() -> None:
    rng = np.random.default_rng(0)
    subspaces = np.stack([np.linalg.qr(rng.normal(size=(6, 2)))[0] for _ in range(4)])
    expected = [[np.cos(subspace_angles(a, b)).prod() for b in subspaces] for a in subspaces]
    np.testing.assert_allclose(subspace_affinity(subspaces), expected)


def test_one_alpha_of_each_subspace_is_proposed_and_the_middle_one_chosen() -> None:
    # The leading axis is 0 below alpha = 2 / 3.9 (8 of the values are not), 1 up to 39 (from 26 on), then 2.
    alphas, alpha = propose_alphas(np.diag([6.0, 4.0, 0.1]), np.diag([4.0, 0.1, 1e-4]), 1)
    np.testing.assert_array_equal(np.digitize(alphas, [2 / 3.9, 39]), [0, 1, 2])
    assert alpha == alphas[1]


def test_one_subspace_for_all_alphas() -> None:
    alphas, alpha = propose_alphas(np.diag([4.0, 1.0]), np.diag([0.0, 1.0]), 1)
    assert alpha in alphas
    assert (np.diff(alphas) > 0).all()


def test_proposals_ascend_and_come_again() -> None:
    first, second = (contrastive_axes(samples(90), TARGET, 2, 3, seed=seed) for seed in (0, 0))
    assert first.alpha in first.alphas
    assert (np.diff(first.alphas) > 0).all()
    np.testing.assert_array_equal(first.alphas, second.alphas)
    np.testing.assert_array_equal(first.salient, second.salient)


def test_a_shift_between_the_groups_is_not_variance_that_they_share() -> None:
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(400, 4)) * [3, 1, 3, 1], np.arange(400) >= 200
    x[target, 2] *= 3  # the salient direction
    x[target, 3] += (
        5  # pooled variance 1 + 6.25, less than 9; about the background's mean it would be 1 + 12.5
    )
    axes = contrastive_axes(x - x[~target].mean(axis=0), target, 1, 1, alpha=1.0)
    assert np.abs(axes.salient[0]).argmax() == 2
    assert np.abs(axes.common[0]).argmax() == 0


def planted(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strong variation that both groups share, and a weak one, along one direction, of targets only."""
    turn = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    x, y = rng.normal(size=(800, 10)), np.arange(800) % 2
    x[:, :3] *= 10
    x[y == 1, 3] *= 4
    return x @ turn, y, turn[3]


def test_a_planted_direction_is_found_and_pca_misses_it() -> None:
    x, y, direction = planted(np.random.default_rng(0))
    axes = [contrastive_axes(x - x[y == 0].mean(axis=0), y == 1, 3, 1, alpha) for alpha in ("auto", 0)]
    contrastive, plain = (abs(found.salient[0] @ direction) for found in axes)
    assert contrastive > 0.9
    assert plain < 0.3


def images(dtype: Any = np.uint8) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).integers(0, 256, size=(40, 3, 16, 20), dtype=np.uint8)
    return (X if dtype == np.uint8 else (X / 255).astype(dtype)), np.repeat(["control", "patient"], 20)


def test_all_directions_give_tables_back() -> None:
    X = samples(8) * 5 + 3
    model = ContrastivePCA(common_dim=5, salient_dim=3).fit(X, TARGET)
    np.testing.assert_allclose(model.reconstruct(X), X, atol=1e-4)  # scaled tables are float32
    np.testing.assert_allclose(model.reconstruction_error(X), 0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_all_directions_give_images_back(dtype: Any) -> None:
    X, y = images(dtype)
    decoded = ContrastivePCA(common_dim=36, salient_dim=3).fit(X, y).reconstruct(X)
    assert decoded.dtype == np.float32
    assert decoded.min() >= 0
    assert decoded.max() <= 1
    np.testing.assert_allclose(decoded, X / (255 if dtype == np.uint8 else 1), atol=1e-5)


@pytest.mark.parametrize("name", ["tables", "images"])
def test_codes_have_unit_deviation_and_start_at_the_background(name: str) -> None:
    X, y = (samples(8), TARGET) if name == "tables" else images()
    model = ContrastivePCA(common_dim=3, salient_dim=2).fit(X, y)
    codes, target = model.encode(X), y == model.classes_[1]
    np.testing.assert_allclose(codes.common_mean.std(axis=0), 1, rtol=1e-4)
    np.testing.assert_allclose(codes.salient_mean[target].std(axis=0), 1, rtol=1e-4)
    np.testing.assert_allclose(codes.salient_mean[~target].mean(axis=0), 0, atol=1e-4)
    assert np.isfinite(codes.salient_logvar).all()


def test_no_salient_part_is_the_mean_control_along_salient_axes() -> None:
    X, y = images()
    X = X // 2 + 64  # far from the bounds
    model = ContrastivePCA(common_dim=3, salient_dim=2).fit(X, y)
    without = model.reconstruct(X, salient="none").reshape(40, -1)
    np.testing.assert_allclose(
        without @ model.salient_axes_.T,
        [model.salient_axes_ @ model.center_.ravel()] * 40,
        atol=1e-4,
    )


def test_directions_without_deviation_are_not_divided_by_it() -> None:
    X = np.random.default_rng(0).normal(size=(60, 3))
    X[:, 2] = TARGET  # within groups it does not vary at all
    codes = ContrastivePCA(common_dim=1, salient_dim=2, alpha=100.0).fit(X, TARGET).encode(X)
    assert np.abs(codes.salient_mean).max() < 100


def test_streams_are_as_arrays() -> None:
    X, y = images()
    stream = StreamSource(lambda rows: X[rows], X.shape[1:], y)
    of_arrays, of_stream = (
        ContrastivePCA(common_dim=3, salient_dim=2).fit(s) for s in (ArraySource(X, y), stream)
    )
    np.testing.assert_array_equal(of_stream.transform(stream), of_arrays.transform(X))


def test_validation_parts_are_not_learnt_from() -> None:
    X, y = images()
    part, some = np.arange(40)[::2], ContrastivePCA(common_dim=3, salient_dim=2).fit(X[::2], y[::2])
    again = clone(some).fit(X, y)
    again._learn(ArraySource(X, y), (y == "patient").astype(int), (part, np.arange(40)[1::2]), 0)
    np.testing.assert_array_equal(again.transform(X), some.transform(X))


def test_state_comes_back(tmp_path: Path) -> None:
    X, y = images()
    model = ContrastivePCA(common_dim=3, salient_dim=2).fit(X, y)
    again = load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.sample(3, 1, 0), model.sample(3, 1, 0))
    assert again.alpha_ == model.alpha_
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(X), model.transform(X))  # noqa: S301


def test_presets() -> None:
    assert ContrastivePCA.from_preset("pca").alpha == 0
    assert ContrastivePCA.from_preset("default").get_params() == ContrastivePCA().get_params()
    model = ContrastivePCA.from_preset("pca", common_dim=2, salient_dim=2).fit(samples(8), TARGET)
    assert (model.alpha_, list(model.alphas_)) == (0, [0])


BAD = {
    "too many": (
        {"common_dim": 6, "salient_dim": 3},
        r"wanted 9 directions, but 60 samples of 8 .* span only 8",
    ),
    "alpha": ({"alpha": -1}, 'alpha: wanted a number of 0 or more, or "auto", got -1'),
    "word": ({"alpha": "best"}, "alpha: wanted a number of 0 or more, or \"auto\", got 'best'"),
}


@pytest.mark.parametrize(("keywords", "message"), BAD.values(), ids=BAD)
def test_refusals(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ContrastivePCA(**keywords).fit(samples(8), TARGET)
