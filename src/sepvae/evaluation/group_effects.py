"""Differences of several values between two groups of people, and Cohen's d, for all values together."""

import numpy as np
import pandas as pd

from sepvae.batch import FloatArray
from sepvae.evaluation.map_inference import difference_test
from sepvae.evaluation.metrics import adjust_p, interval, resampling_weights

N_PERMUTATIONS = 9999  # of 400 regions one may be found alone: that needs a p of 0.05 / 400
N_BOOTSTRAPS = 1000
AT_ONCE = 500  # permutations in memory
ROUNDING = 1e-9  # of the largest deviation: values that vary less are constant
COLUMNS = ["difference", "p_difference", "d", "d_low", "d_high", "p", "p_adjusted"]
Moments = tuple[FloatArray, FloatArray, FloatArray]  # number, mean and variance


def compare_groups(
    background: FloatArray,
    target: FloatArray,
    *,
    n_permutations: int = N_PERMUTATIONS,
    n_bootstraps: int = N_BOOTSTRAPS,
    random_state: int = 0,
) -> pd.DataFrame:
    """
    Compare v values of two groups, given as (n, v) each; target minus background, one row for each value.

    Columns are `difference` of the means; `p_difference`, corrected for all values by the largest absolute
    difference of each permutation of people (`difference_test`); Cohen's `d`, by the pooled standard
    deviation, with the 95 % interval `d_low` to `d_high` from resamples of the people of each group; `p` of
    Welch's t by permutations, since groups may vary to a different degree; and `p_adjusted`, that p for the
    number of values (Benjamini and Hochberg). All but `difference` are NaN where nothing varies, and in
    groups of one person.

    >>> people = np.random.default_rng(0).normal(size=(40, 2)) + np.outer(np.arange(40) % 2, [0.0, 3.0])
    >>> found = compare_groups(people[::2], people[1::2])
    >>> (found["p_adjusted"] <= 0.05).tolist()
    [False, True]
    """
    sizes, values = (len(background), len(target)), np.concatenate([background, target])
    found = pd.DataFrame(np.nan, index=range(values.shape[1]), columns=COLUMNS)
    if min(sizes) < 1:
        return found
    found["difference"] = target.mean(axis=0) - background.mean(axis=0)
    spread = values.std(axis=0)
    varies = spread > ROUNDING * np.abs(values).max()
    if min(sizes) < 2 or not varies.any():
        return found
    is_target, rng = np.repeat([0.0, 1.0], sizes), np.random.default_rng(random_state)
    n, test = n_permutations, difference_test(values, is_target > 0, n_permutations=n_permutations)
    found["p_difference"] = np.where(varies, 10**-test.logp, np.nan)
    x = (values[:, varies] - values[:, varies].mean(axis=0)) / spread[varies]
    d, t = _cohens_d(*_both(x, is_target[None]))[0], np.abs(_welch_t(*_both(x, is_target[None])))[0]
    drawn = [resampling_weights(np.arange(size), n_bootstraps, rng)[0] for size in sizes]
    resampled = _cohens_d(*_both(x, is_target[None], np.hstack(drawn)))
    ends = [interval(some, one, sum(sizes)) for some, one in zip(resampled.T, d, strict=True)]
    larger = np.zeros(len(d))
    for start in range(0, n, AT_ONCE):
        orders = np.tile(is_target, (min(AT_ONCE, n - start), 1))
        permuted = np.abs(_welch_t(*_both(x, rng.permuted(orders, axis=1))))
        larger += (permuted >= t * (1 - 1e-12)).sum(axis=0)  # equal ones count
    found.loc[varies, ["d", "d_low", "d_high", "p"]] = np.column_stack([d, ends, (1 + larger) / (1 + n)])
    return found.assign(p_adjusted=adjust_p(found["p"]))


def _both(x: FloatArray, is_target: FloatArray, weights: FloatArray | float = 1.0) -> tuple[Moments, Moments]:
    """Return the moments of background and target by these groups (b, n) and weights, (b, v) each."""
    return _moments(x, weights * (1 - is_target)), _moments(x, weights * is_target)


def _moments(x: FloatArray, weights: FloatArray) -> Moments:
    n = weights.sum(axis=1, keepdims=True)
    mean = weights @ x / n
    return n, mean, np.maximum(weights @ x**2 - n * mean**2, 0) / (n - 1)


def _cohens_d(background: Moments, target: Moments) -> FloatArray:
    """Return d; NaN where no one of a resample differs from others."""
    (n0, mean0, variance0), (n1, mean1, variance1) = background, target
    pooled = ((n0 - 1) * variance0 + (n1 - 1) * variance1) / (n0 + n1 - 2)
    return np.asarray((mean1 - mean0) / np.sqrt(np.where(pooled > ROUNDING, pooled, np.nan)))


def _welch_t(background: Moments, target: Moments) -> FloatArray:
    (n0, mean0, variance0), (n1, mean1, variance1) = background, target
    squared = variance0 / n0 + variance1 / n1
    return np.asarray((mean1 - mean0) / np.sqrt(np.maximum(squared, ROUNDING**2)))
