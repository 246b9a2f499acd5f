"""Scores of maps, each against another way to it."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from sepvae.errors import DataError
from sepvae.evaluation.metrics import map_scores


@pytest.fixture
def truth():
    """A blob of loss and a smaller one of gain, as in a volume."""
    x = np.stack(np.meshgrid(*[np.arange(9.0)] * 3, indexing="ij"))
    loss, gain = (
        np.exp(-((x - np.reshape(c, (3, 1, 1, 1))) ** 2).sum(0) / 6) for c in ((3, 4, 4), (7, 4, 2))
    )
    return 0.7 * gain - loss


@pytest.fixture
def estimate(truth):
    return 5 * truth + np.random.default_rng(0).normal(size=truth.shape)


def signed(values, k):
    """Sign of the k strongest, 0 for all others."""
    strongest = np.argsort(-np.abs(values))[:k]
    found = np.zeros(len(values), int)
    found[strongest] = np.sign(values[strongest])
    return found


@pytest.mark.parametrize("masked", [False, True])
def test_scores_are_those_of_scipy_and_sklearn(truth, estimate, masked):
    mask = np.random.default_rng(1).random(truth.shape) < 0.6 if masked else np.ones(truth.shape, bool)
    a, b = estimate[mask], truth[mask]
    k = int((np.abs(b) > np.abs(b).max() / 2).sum())
    dice = f1_score(signed(b, k), signed(a, k), labels=[-1, 1], average="micro")
    assert 0.2 < dice < 0.9
    assert map_scores(estimate, truth, mask if masked else None) == pytest.approx(
        (stats.pearsonr(a, b).statistic, dice)
    )


def test_what_is_outside_of_the_mask_does_not_count(truth, estimate):
    mask = truth < -0.1
    spoilt = np.where(mask, estimate, np.nan)
    assert map_scores(spoilt, truth, mask.astype(np.uint8)) == map_scores(estimate, truth, mask)


def test_scale_does_not_matter_but_the_sign_does(truth, estimate):
    scores = map_scores(estimate, truth)
    assert map_scores(100 * estimate, truth) == pytest.approx(scores)
    assert map_scores(-truth, truth) == pytest.approx((-1, 0))
    assert map_scores(truth.astype(np.float32), truth) == pytest.approx((1, 1))


def test_ties_count_by_the_share_that_has_a_place():
    truth = -np.array([4.0, 3, 3, 1, 0, 0])
    # One place is sure and right; two are left for four, of which one is right: (1 + 2/4) of 3.
    assert map_scores(-np.array([9.0, 2, 0, 2, 2, 2]), truth).dice == pytest.approx(0.5)
    assert map_scores(np.full(6, -1.0), truth).dice == pytest.approx(0.5)


def test_zeros_find_nothing(truth):
    correlation, dice = map_scores(np.zeros_like(truth), truth)
    assert np.isnan(correlation)
    assert dice == 0
    few = np.where(truth == truth.min(), truth, 0)  # fewer than the truth has, the others are no finds
    assert map_scores(few, truth).dice == 1 / (np.abs(truth) > np.abs(truth).max() / 2).sum()


def test_a_control_has_no_scores(truth):
    assert np.isnan(map_scores(truth, np.zeros_like(truth))).all()


def test_a_constant_disease_has_an_overlap_alone(truth):
    correlation, dice = map_scores(-1 - np.abs(truth), np.full_like(truth, -2))
    assert np.isnan(correlation)
    assert dice == 1


def test_what_cannot_be_compared_is_refused(truth):
    with pytest.raises(
        DataError, match=r"estimate: wanted the shape of the true map, \(9, 9, 9\), got \(9, 9, 8\)"
    ):
        map_scores(truth[..., 1:], truth)
    with pytest.raises(DataError, match="mask: wanted the shape"):
        map_scores(truth, truth, np.ones(9))
    with pytest.raises(DataError, match="mask: wanted voxels that count, got none"):
        map_scores(truth, truth, np.zeros_like(truth))
    with pytest.raises(DataError, match=r"truth: wanted finite numbers in the mask, .* in 1 of 729 voxels"):
        map_scores(truth, np.where(truth == truth.min(), np.nan, truth))
