"""Metrics of a probe for many weightings of the test samples at once, as a bootstrap needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special, stats
from sklearn.base import BaseEstimator, clone
from sklearn.dummy import DummyClassifier, DummyRegressor

from sepvae.batch import AnyArray, FloatArray
from sepvae.codes import Kind

Scale = Literal["plain", "error", "share", "r2"]
LEAST_ERROR = 1e-12  # lower bound of 1 - R2, whose logarithm must be finite


def resampling_weights(groups: AnyArray, n_bootstraps: int, rng: np.random.Generator) -> FloatArray:
    """Return sample counts in resamples of whole groups with replacement, (n_bootstraps, n)."""
    names, group_of = np.unique(groups, return_inverse=True)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_bootstraps)
    return draws[:, group_of].astype(float)


def interval(
    resampled: FloatArray, score: float, n_groups: int, *, scale: Scale = "plain"
) -> tuple[float, float]:
    """
    Return a 95 % interval of a score by Student's t, from resampled scores of shape (n_bootstraps,).

    Symmetric intervals and percentiles of resamples are far too narrow near the end of a scale, and vanish at
    it. Scores from 0 to 1 therefore get their interval on the logit scale, with half a group added on both
    sides and at least half the variance of a share of so many groups. R2 gets it on the scale of log(1 - R2),
    from the central 95 % of resamples, since few groups make some resampled R2 hugely negative. The interval
    contains the score; it is NaN if no score is defined or with one group.

    >>> low, high = interval(np.ones(100), 1.0, 20, scale="share")
    >>> round(low, 2), high
    (0.82, 1.0)
    """
    defined = resampled[~np.isnan(resampled)]
    if not len(defined) or n_groups < 2 or np.isnan(score):
        return np.nan, np.nan
    t, of_few = stats.t.ppf(0.975, n_groups - 1), np.sqrt(n_groups / (n_groups - 1))
    deviation = of_few * np.std(defined)
    if scale in ("plain", "error"):
        least = 0 if scale == "error" else -np.inf
        return max(float(score - t * deviation), least), float(score + t * deviation)
    if scale == "r2":
        ends = np.log(np.maximum(1 - np.quantile(defined, [0.025, 0.975]), LEAST_ERROR))
        ratio = np.exp(t * of_few * (ends[0] - ends[1]) / (2 * stats.norm.ppf(0.975)))
        return float(1 - (1 - score) * ratio), float(1 - (1 - score) / ratio)
    share = (score * n_groups + 0.5) / (n_groups + 1)
    of_share = share * (1 - share)
    half = t * max(deviation, np.sqrt(of_share / (2 * n_groups))) / of_share
    centre = float(special.logit(share))
    low, high = special.expit(centre - half), special.expit(centre + half)
    return float(min(low, score)), float(max(high, score))


def adjust_p(p_values: "pd.Series[float]") -> "pd.Series[float]":
    """Return p-values adjusted for their number by the false discovery rate; missing ones stay missing."""
    known = p_values.dropna()
    adjusted = stats.false_discovery_control(known) if len(known) else known
    return pd.Series(adjusted, index=known.index, dtype=float).reindex(p_values.index)


# The metrics are those of scikit-learn, vectorized over weights of shape (b, n); scores have shape (b,).
# A thousand resamples take milliseconds, a thousand calls of scikit-learn a second. A score that is undefined
# in a resample, such as the AUC without samples of one class, is NaN.


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.asarray(part / np.where(whole > 0, whole, np.nan))


def _accuracy(truth: AnyArray, predicted: AnyArray, weights: FloatArray) -> FloatArray:
    return _share(weights @ (predicted == truth), weights.sum(axis=1))


def _balanced_accuracy(truth: AnyArray, predicted: AnyArray, weights: FloatArray) -> FloatArray:
    in_class = truth[:, None] == np.unique(truth)
    right = in_class & (predicted == truth)[:, None]
    return np.asarray(np.nanmean(_share(weights @ right, weights @ in_class), axis=1))


def _auc(truth: AnyArray, decision: AnyArray, weights: FloatArray) -> FloatArray:
    """Return the share of pairs that the decision orders correctly, with ties as half, by cumulative sums."""
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
class Metric:
    """
    Metric of a probe, with the dummy estimator whose score is chance.

    `function` takes truth (n,), output (n,) and weights (b, n), and returns scores (b,). `reads` is the
    method of the probe whose output is scored. `better` is 1 if higher is better, else -1.
    """

    name: str
    function: Callable[[AnyArray, AnyArray, FloatArray], FloatArray]
    dummy: BaseEstimator
    reads: str = "predict"
    better: int = 1
    scale: Scale = "plain"

    def once(self, truth: AnyArray, output: AnyArray) -> float:
        """Return the score of all samples, each counted once."""
        return float(self.function(truth, output, np.ones((1, len(truth))))[0])

    def with_interval(
        self, truth: AnyArray, output: AnyArray, weights: FloatArray, n_groups: int
    ) -> tuple[float, float, float]:
        """Return the score and the ends of its 95 % interval, from resamples with these weights."""
        score = self.once(truth, output)
        return score, *interval(self.function(truth, output, weights), score, n_groups, scale=self.scale)

    def chance(self, learnt: AnyArray, truth: AnyArray) -> float:
        """Return the score of the dummy estimator, which learns from the training values only."""
        constant = clone(self.dummy).fit(learnt[:, None], learnt).predict(truth[:, None])
        return self.once(truth, constant)


_MAJORITY = DummyClassifier(strategy="most_frequent")
METRICS: dict[Kind, list[Metric]] = {
    "categorical": [
        Metric("balanced_accuracy", _balanced_accuracy, _MAJORITY, scale="share"),
        Metric("accuracy", _accuracy, _MAJORITY, scale="share"),
        Metric("auc", _auc, _MAJORITY, reads="decision_function", scale="share"),
    ],
    "continuous": [
        Metric("mae", _mae, DummyRegressor(strategy="median"), better=-1, scale="error"),
        Metric("r2", _r2, DummyRegressor(strategy="mean"), scale="r2"),
    ],
}
