"""Consensus of several fits: planted clusters are found, one Gaussian on which fits agree has none."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from sepvae.errors import DataError
from sepvae.evaluation.consensus import Consensus, find_consensus, together

N = 120


def fits_of(codes: np.ndarray, rng: np.random.Generator, n: int = 2, noise: float = 0.3) -> list[np.ndarray]:
    """The same codes as several fits give them: turned, and with noise of their own."""
    dims = codes.shape[1]
    turns = [np.linalg.qr(rng.normal(size=(dims, dims)))[0] for _ in range(n)]
    return [codes @ turn + noise * rng.normal(size=codes.shape) for turn in turns]


def two_clusters(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = np.arange(N) % 5 < 2  # 40 and 60 %
    return rng.normal(size=(N, 3)) + 8 * truth[:, None] * [1, 0, 0], truth


def test_planted_clusters_are_found_among_held_out_people_too() -> None:
    rng = np.random.default_rng(0)
    codes, truth = two_clusters(rng)
    learnt = np.tile(np.arange(N) < 80, (2, 1))
    found = find_consensus(fits_of(codes, rng), learnt, n_null=19)
    assert found.found
    assert found.n_clusters == 2
    assert found.p_value == 0.05  # never 0
    assert adjusted_rand_score(truth[80:], found.subtype[80:]) > 0.9
    assert (found.subtype == 0).sum() > N / 2  # the largest comes first
    assert found.share.mean() > 0.95


def test_one_gaussian_has_no_consensus_even_where_all_fits_agree() -> None:
    rng = np.random.default_rng(3)
    codes = rng.normal(size=(N, 2)) * [4, 1]
    found = find_consensus(fits_of(codes, rng, noise=0.01), np.ones((2, N), bool), n_null=19)
    assert found.agreement > 0.8
    assert found.p_value > 0.05
    assert not found.found


def test_fits_that_do_not_agree_have_no_consensus_and_need_no_null() -> None:
    rng = np.random.default_rng(1)
    found = find_consensus(
        [two_clusters(rng)[0][rng.permutation(N)] for _ in range(3)], np.ones((3, N), bool)
    )
    assert found.agreement < 0.5
    assert np.isnan(found.p_value)
    assert not found.found


def test_bootstraps_are_judged_by_the_fits_that_have_not_learnt_from_a_person() -> None:
    rng = np.random.default_rng(2)
    codes, truth = two_clusters(rng)
    learnt = rng.uniform(size=(4, N)) < 0.63
    learnt[:, 0], learnt[:, 1] = True, False
    found = find_consensus(fits_of(codes, rng, 4), learnt, n_null=19)
    assert found.found
    np.testing.assert_array_equal(found.votes.T == -1, learnt)
    assert found.subtype[0] == -1
    assert np.isnan(found.share[0])
    judged = found.subtype >= 0
    assert 0.7 * N < judged.sum() < N
    assert adjusted_rand_score(truth[judged], found.subtype[judged]) > 0.9


@pytest.mark.slow
def test_at_most_1_of_10_gaussians_has_a_consensus() -> None:
    rng, everyone = np.random.default_rng(4), np.ones((2, 60), bool)
    nothing = [
        find_consensus(fits_of(rng.normal(size=(60, 4)) * [4, 2, 1, 1], rng, noise=0.1), everyone, n_null=19)
        for _ in range(10)
    ]
    assert sum(found.found for found in nothing) <= 1


def test_the_subtype_is_what_most_fits_vote_for() -> None:
    votes = np.array([[0, 0, 1], [1, 1, 1], [-1, 1, -1], [-1, -1, -1]])
    found = Consensus(votes, 2, 0.9, 0.01)
    assert found.subtype.tolist() == [0, 1, 1, -1]
    assert found.share[:2].tolist() == pytest.approx([2 / 3, 1])
    assert np.isnan(found.share[2:]).all()  # one vote is no share
    shared = together(votes.T)
    assert shared[0, 1] == pytest.approx(1 / 3)
    assert shared[0, 2] == 0
    assert np.isnan(shared[3]).all()


def test_one_fit_has_no_consensus() -> None:
    with pytest.raises(DataError, match="wanted two fits or more, got 1"):
        find_consensus([np.zeros((40, 2))], np.ones((1, 40), bool))
