"""Subtypes: found where clusters lie apart, and silent on single Gaussians and tails."""

import numpy as np
import pytest
from scipy.optimize import linprog
from sklearn.metrics import adjusted_rand_score

from sepvae.errors import DataError
from sepvae.evaluation.subtypes import Clusters, dip, find_subtypes, single_gaussian


def apart(n: int, distance: float, dims: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Codes of two clusters, of two thirds and one third of the people, and who is in the second."""
    rng = np.random.default_rng(0)
    second = np.arange(n) % 3 == 0
    codes = rng.normal(size=(n, dims))
    codes[second, 0] += distance
    return codes, second.astype(int)


def test_clusters_that_lie_apart_are_found() -> None:
    codes, truth = apart(90, 6)
    found = find_subtypes(codes, n_null=19)
    assert found.found
    assert found.verdict.startswith("2 subtypes: a gap parts the codes (p = 0.05)")
    assert found.p_values.tolist() == [0.05, 0.05]  # never 0
    assert adjusted_rand_score(truth, found.clusters.assign(codes)) > 0.95


def test_a_single_gaussian_has_no_subtypes() -> None:
    found = find_subtypes(np.random.default_rng(3).normal(size=(60, 2)) * [3, 1], n_null=19)
    assert not found.found
    assert found.verdict.startswith("no subtypes: a single Gaussian explains the codes as well (p = ")


def test_skewed_codes_are_no_single_gaussian_and_no_subtypes_either() -> None:
    found = find_subtypes(np.random.default_rng(0).exponential(size=(150, 2)), n_null=19)
    assert found.p_values["likelihood_ratio"] == 0.05
    assert not found.found
    assert "no gap parts them" in found.verdict


@pytest.mark.slow
def test_at_most_1_of_20_single_gaussians_has_subtypes() -> None:
    rng = np.random.default_rng(1)
    found = [find_subtypes(rng.normal(size=(60, 4)) * [4, 2, 1, 1], n_null=19).found for _ in range(20)]
    assert sum(found) <= 1


def test_the_null_has_the_covariance_of_the_codes() -> None:
    codes = apart(3000, 2)[0] @ np.array([[2, 1, 0], [0, 1, 0], [0, 0, 0]])  # of rank 2
    (drawn,) = single_gaussian(codes, 1, np.random.default_rng(0))
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), atol=0.5)
    assert drawn[:, 2].var() == pytest.approx(0, abs=1e-12)


def test_mixtures_do_not_depend_on_scale_and_give_probabilities() -> None:
    codes, truth = apart(90, 5)
    clusters, scaled = Clusters(codes, 2), Clusters(codes * 1e-3, 2)
    np.testing.assert_array_equal(clusters.assign(codes), scaled.assign(codes * 1e-3))
    probability = clusters.probabilities(codes)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    np.testing.assert_array_equal(probability.argmax(axis=1), clusters.assign(codes))
    assert clusters.probabilities(clusters.centres_).min() < 0.01
    np.testing.assert_array_equal(
        Clusters(codes, 2, algorithm="kmeans").assign(codes), clusters.assign(codes)
    )
    assert clusters.discriminants(codes).shape == (90, 2)
    assert np.abs(np.corrcoef(clusters.discriminants(codes)[:, 0], truth)[0, 1]) > 0.85


def best_unimodal(values: np.ndarray) -> float:
    """The dip by linear programming: the nearest distribution function, convex up to a peak, then concave."""
    x, n = np.sort(values), len(values)
    upper = np.arange(1, n + 1) / n
    best = np.inf
    for peak in range(n):
        # Variables: the function before (n) and at (n) each value, and the distance; it jumps at the peak.
        rows, bounds = [], []
        for i in range(n):
            for offset, truth in ((0, upper[i] - 1 / n), (n, upper[i])):
                for sign in (1, -1):
                    row = np.zeros(2 * n + 1)
                    row[offset + i], row[-1] = sign, -1
                    rows.append(row)
                    bounds.append(sign * truth)
        equal = [np.eye(2 * n + 1)[i] - np.eye(2 * n + 1)[n + i] for i in range(n) if i != peak]
        slope = [
            (np.eye(2 * n + 1)[i + 1] - np.eye(2 * n + 1)[n + i]) / (x[i + 1] - x[i]) for i in range(n - 1)
        ]
        for i in range(n - 2):
            rows.append(slope[i] - slope[i + 1] if i + 1 < peak else slope[i + 1] - slope[i])
            bounds.append(0.0)
            if i + 1 == peak:  # convex ends and concave begins here
                rows[-1] = np.zeros(2 * n + 1)
        rows += [-s for s in slope]
        bounds += [0.0] * (n - 1)
        found = linprog(
            np.eye(2 * n + 1)[-1],
            rows,
            bounds,
            equal or None,
            np.zeros(len(equal)) if equal else None,
            bounds=(None, None),
        )
        best = min(best, found.fun)
    return float(best)


@pytest.mark.parametrize("seed", range(4))
def test_the_dip_is_the_distance_from_the_nearest_single_peak(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(size=7), rng.normal(4 * (seed % 2), size=5)])
    assert dip(values) == pytest.approx(best_unimodal(values), abs=1e-6)
    assert dip(3 * values - 7) == pytest.approx(dip(values))


@pytest.mark.parametrize("codes", [np.zeros((40, 2)), np.random.default_rng(0).normal(size=(29, 2))])
def test_codes_that_cannot_be_clustered_are_refused(codes: np.ndarray) -> None:
    with pytest.raises(DataError, match="wanted salient codes of 30 training patients or more that vary"):
        find_subtypes(codes)
