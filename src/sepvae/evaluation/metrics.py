"""Metrics of a probe for many weightings of the test samples at once, which is what a bootstrap needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor

from sepvae.codes import Kind

AnyArray = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]


def resampling_weights(groups: AnyArray, n_bootstraps: int, rng: np.random.Generator) -> FloatArray:
    """
    How often each sample appears in resamples that draw whole groups with replacement.

    Parameters
    ----------
    groups : ndarray of shape (n,)
        The group of each sample.
    n_bootstraps : int
        The number of resamples, at least 0.
    rng : Generator
        Where chance comes from.

    Returns
    -------
    ndarray of shape (n_bootstraps, n)
        Whole numbers, the same for all samples of a group.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_bootstraps)
    return draws[:, group_of].astype(float)


def interval(
    resampled: FloatArray, score: float, n_groups: int, *, bounded: bool = False
) -> tuple[float, float]:
    """
    Interval of a score by Student's t, with the variance of resampled scores.

    Scores from 0 to 1 get it on the scale of logits: symmetric intervals and percentiles of resamples are far
    too narrow near 1, and vanish at 1. Half a group is added on both sides, and the variance is at least half
    of that of a share of so many groups.

    Parameters
    ----------
    resampled : ndarray of shape (n_bootstraps,)
        Scores, some of them NaN.
    score : float
        Of all samples once.
    n_groups : int
        Groups that were resampled.
    bounded : bool, default=False
        Whether the score lies between 0 and 1.

    Returns
    -------
    low, high : float
        Bounds of the 95 % interval, with the score between them; NaN if no score is defined or there is one
        group.

    Examples
    --------
    >>> low, high = interval(np.ones(100), 1.0, 20, bounded=True)
    >>> round(low, 2), high
    (0.82, 1.0)
    """
    defined = resampled[~np.isnan(resampled)]
    if not len(defined) or n_groups < 2 or np.isnan(score):
        return np.nan, np.nan
    variance = float(np.var(defined)) * n_groups / (n_groups - 1)
    t = float(stats.t.ppf(0.975, n_groups - 1))
    if not bounded:
        half = t * np.sqrt(variance)
        return float(score - half), float(score + half)
    share = (score * n_groups + 0.5) / (n_groups + 1)
    of_share = share * (1 - share)
    half = t * np.sqrt(max(variance, of_share / (2 * n_groups))) / of_share
    centre = float(special.logit(share))
    low, high = special.expit(centre - half), special.expit(centre + half)
    return float(min(low, score)), float(max(high, score))


# The metrics are scikit-learn's, but for many weightings of the samples at once: weights are (b, n),
# scores (b,). A thousand resamples take milliseconds where a thousand calls take a second. A score that a
# resample leaves undefined, since it drew no sample of a class, is NaN.


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.asarray(part / np.where(whole > 0, whole, np.nan))


def _accuracy(truth: AnyArray, predicted: AnyArray, weights: FloatArray) -> FloatArray:
    return _share(weights @ (predicted == truth), weights.sum(axis=1))


def _balanced_accuracy(truth: AnyArray, predicted: AnyArray, weights: FloatArray) -> FloatArray:
    in_class = truth[:, None] == np.unique(truth)
    right = in_class & (predicted == truth)[:, None]
    return np.asarray(np.nanmean(_share(weights @ right, weights @ in_class), axis=1))


def _auc(truth: AnyArray, decision: AnyArray, weights: FloatArray) -> FloatArray:
    """Share of pairs that the decision puts in order, ties counting half, by sums over sorted samples."""
    order = np.argsort(decision, kind="stable")
    decision, weights, positive = decision[order], weights[:, order], truth[order] == 1
    below = np.pad(np.cumsum(weights * ~positive, axis=1), ((0, 0), (1, 0)))
    ties = [np.searchsorted(decision, decision, side) for side in ("left", "right")]
    outranked = (below[:, ties[0]] + below[:, ties[1]]) / 2
    positive_weights = weights * positive
    return _share((positive_weights * outranked).sum(axis=1), positive_weights.sum(axis=1) * below[:, -1])


def _mae(truth: AnyArray, predicted: AnyArray, weights: FloatArray) -> FloatArray:
    return _share(weights @ np.abs(truth - predicted), weights.sum(axis=1))


def _r2(truth: AnyArray, predicted: AnyArray, weights: FloatArray) -> FloatArray:
    mean = _share(weights @ truth, weights.sum(axis=1))
    total = (weights * (truth - mean[:, None]) ** 2).sum(axis=1)
    return 1 - _share(weights @ (truth - predicted) ** 2, total)


@dataclass(frozen=True)
class Metric:  # numpydoc ignore=PR02
    """
    One way to score a probe.

    Parameters
    ----------
    name : str
        As in the table of scores.
    function : callable
        Takes truth (n,), output (n,) and weights (b, n) and returns scores (b,).
    dummy : estimator
        Knows the training values but no code; its score is chance.
    reads : {"predict", "decision_function"}, default="predict"
        The method of the probe whose output is scored.
    better : {1, -1}, default=1
        Whether higher or lower is better.
    bounded : bool, default=False
        Whether it lies between 0 and 1.
    """

    name: str
    function: Callable[[AnyArray, AnyArray, FloatArray], FloatArray]
    dummy: BaseEstimator
    reads: str = "predict"
    better: int = 1
    bounded: bool = False


_MAJORITY = DummyClassifier(strategy="most_frequent")
METRICS: dict[Kind, list[Metric]] = {
    "categorical": [
        Metric("balanced_accuracy", _balanced_accuracy, _MAJORITY, bounded=True),
        Metric("accuracy", _accuracy, _MAJORITY, bounded=True),
        Metric("auc", _auc, _MAJORITY, reads="decision_function", bounded=True),
    ],
    "continuous": [
        Metric("mae", _mae, DummyRegressor(strategy="median"), better=-1),
        Metric("r2", _r2, DummyRegressor(strategy="mean")),
    ],
}
