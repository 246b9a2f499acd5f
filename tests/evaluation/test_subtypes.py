"""Subtypes: found where clusters lie apart, and silent on single Gaussians and tails."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from sepvae.errors import DataError
from sepvae.evaluation.subtypes import find_subtypes, single_gaussian


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


@pytest.mark.parametrize("codes", [np.zeros((40, 2)), np.random.default_rng(0).normal(size=(29, 2))])
def test_codes_that_cannot_be_clustered_are_refused(codes: np.ndarray) -> None:
    with pytest.raises(DataError, match="wanted salient codes of 30 training patients or more that vary"):
        find_subtypes(codes)
