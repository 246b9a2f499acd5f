"""Metrics of a probe for many weightings of the test samples at once, which is what a bootstrap needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
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


def interval(resampled: FloatArray) -> tuple[float, float]:
    """
    Percentile interval of resampled scores, which leaves out undefined ones.

    Parameters
    ----------
    resampled : ndarray of shape (n_bootstraps,)
        Scores, some of them NaN.

    Returns
    -------
    low, high : float
        The middle 95 % lie between them; NaN if no score is defined.
    """
    defined = resampled[~np.isnan(resampled)]
    if not len(defined):
        return np.nan, np.nan
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)


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
    """

    name: str
    function: Callable[[AnyArray, AnyArray, FloatArray], FloatArray]
    dummy: BaseEstimator
    reads: str = "predict"
    better: int = 1


_MAJORITY = DummyClassifier(strategy="most_frequent")
METRICS: dict[Kind, list[Metric]] = {
    "categorical": [
        Metric("balanced_accuracy", _balanced_accuracy, _MAJORITY),
        Metric("accuracy", _accuracy, _MAJORITY),
        Metric("auc", _auc, _MAJORITY, reads="decision_function"),
    ],
    "continuous": [
        Metric("mae", _mae, DummyRegressor(strategy="median"), better=-1),
        Metric("r2", _r2, DummyRegressor(strategy="mean")),
    ],
}
