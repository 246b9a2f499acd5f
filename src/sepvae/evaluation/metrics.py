"""Metrics of probes, for many weightings of the test samples at once as a bootstrap needs, and of maps."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special, stats
from sklearn.base import BaseEstimator, clone
from sklearn.dummy import DummyClassifier, DummyRegressor

from sepvae.batch import AnyArray, FloatArray
from sepvae.codes import Kind
from sepvae.errors import DataError

Scale = Literal["plain", "error", "share", "r2"]
LEAST_ERROR = 1e-12  # lower bound of 1 - R2, whose logarithm must be finite
MAX_P = 0.05  # scores with a larger p-value are at chance
ABOVE_CHANCE, AT_CHANCE, BELOW_CHANCE = "above chance", "≈ chance", "worse than chance"


def resampling_weights(
    groups: AnyArray, n_bootstraps: int, rng: np.random.Generator | None = None
) -> tuple[FloatArray, int]:
    """Return counts of n samples in resamples of whole groups, (n_bootstraps, n), and how many groups."""
    rng = np.random.default_rng(0) if rng is None else rng
    names, group_of = np.unique(groups, return_inverse=True)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_bootstraps)
    return draws[:, group_of].astype(float), len(names)


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


def intraclass_correlation(
    people: FloatArray, raters: FloatArray, total: FloatArray, n: int, k: int
) -> FloatArray:
    """
    Return ICC(2,1), absolute agreement of k raters or scans of n people, of Shrout and Fleiss (1979).

    Arguments are the sums of squares of their two-way analysis of variance; NaN where nothing varies.
    """
    people, raters = np.maximum(people, 0), np.maximum(raters, 0)  # rounding may make them negative
    error = np.maximum(total - people - raters, 0)
    people, raters, error = people / (n - 1), raters / (k - 1), error / ((n - 1) * (k - 1))
    variance = people + (k - 1) * error + k * (raters - error) / n
    nothing = np.full(np.shape(variance), np.nan)
    return np.asarray(np.divide(people - error, variance, out=nothing, where=variance > 0))


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
    """Metric of a probe: a function from truth (n,), output (n,) and weights (b, n) to scores (b,)."""

    name: str
    function: Callable[[AnyArray, AnyArray, FloatArray], FloatArray]
    dummy: BaseEstimator  # its score is chance
    reads: str = "predict"  # method of the probe whose output is scored
    better: int = 1  # -1 if lower is better
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
LOWER_IS_BETTER = {metric.name for of_kind in METRICS.values() for metric in of_kind if metric.better < 0}


def against_chance(row: Mapping[Any, Any]) -> str:
    """
    Classify a score as above, at or below chance, by its 95 % interval and its p-value.

    Errors, too, are "above chance" if they are better than chance. An R2 must be above 0, too: chance is
    negative where training and test samples have different means. The result is "" if a score has no interval
    and no p-value above 0.05.

    >>> row = {"metric": "auc", "low": 0.6, "high": 0.8, "chance": 0.5}
    >>> against_chance(row), against_chance(row | {"p_value": 0.2}), against_chance(row | {"low": 0.45})
    ('above chance', '≈ chance', '≈ chance')
    """
    sign = -1 if row.get("metric") in LOWER_IS_BETTER else 1
    worst, best = sorted((sign * row["low"], sign * row["high"]))
    chance = sign * row["chance"]
    if best < chance:
        return BELOW_CHANCE
    if row.get("metric") == "r2":
        chance = max(chance, 0)
    if worst <= chance or row.get("p_value", math.nan) > MAX_P:
        return AT_CHANCE
    return ABOVE_CHANCE if worst > chance else ""


class MapScores(NamedTuple):
    """Correlation and Dice overlap of an estimated map and the true one."""

    correlation: float
    dice: float


def map_scores(
    estimate: npt.NDArray[Any], truth: npt.NDArray[Any], mask: npt.NDArray[Any] | None = None
) -> MapScores:
    """
    Compare an estimated map with the true one by correlation and by the overlap of their strongest voxels.

    The strongest voxels of the true map are those above half of its largest absolute value; k is their
    number. The strongest voxels of the estimate are the k of largest absolute value, so its scale does not
    matter. A voxel is in both sets only if its sign is right, and never if the estimate is 0. Voxels of the
    estimate that tie for the last places share these places equally.

    Parameters
    ----------
    estimate, truth : ndarray of one shape
        Maps, such as volumes (x, y, z) or effects of regions (n,).
    mask : ndarray of that shape or None, default=None
        Voxels other than 0 are compared; None for all. Zeros around a brain raise the correlation.

    Returns
    -------
    MapScores
        Pearson's correlation, NaN if a map is constant, and dice, from 0 to 1, NaN if the true map is 0.

    Raises
    ------
    DataError
        If the shapes differ, the mask is empty, or a compared voxel is not finite.

    Examples
    --------
    >>> scores = map_scores(np.array([-4.0, -1.0, 2.0, 0.0]), np.array([-3.0, -2.0, 0.0, 0.0]))
    >>> round(scores.correlation, 3), scores.dice
    (0.911, 0.5)
    """
    inside = np.ones(truth.shape, bool) if mask is None else np.asarray(mask) != 0
    for name, array in (("estimate", estimate), ("mask", inside)):
        if array.shape != truth.shape:
            raise DataError(
                f"{name}: wanted the shape of the true map, {truth.shape}, got {array.shape}; bring both to "
                "one grid"
            )
    if not inside.any():
        raise DataError("mask: wanted voxels that count, got none")
    found, true = (np.asarray(array[inside], dtype=np.float64) for array in (estimate, truth))
    for name, values in (("estimate", found), ("truth", true)):
        if n_bad := int((~np.isfinite(values)).sum()):
            raise DataError(
                f"{name}: wanted finite numbers in the mask, got NaN or infinite values in {n_bad} of "
                f"{len(values)} voxels; leave them out of the mask"
            )
    constant = np.ptp(found) == 0 or np.ptp(true) == 0
    correlation = math.nan if constant else float(np.corrcoef(found, true)[0, 1])
    return MapScores(correlation, _dice(found, true) if true.any() else math.nan)


def _dice(found: FloatArray, true: FloatArray) -> float:
    """Return the Dice overlap; both sets have k voxels, so it is the number of shared voxels over k."""
    strength = np.abs(found)
    wanted = np.abs(true) > np.abs(true).max() / 2
    right = wanted & (found * np.sign(true) > 0)
    k = int(wanted.sum())
    last = np.partition(strength, -k)[-k]  # the k-th largest
    above, tied = strength > last, strength == last
    share = (k - above.sum()) / tied.sum()
    return float(((above & right).sum() + share * (tied & right).sum()) / k)
