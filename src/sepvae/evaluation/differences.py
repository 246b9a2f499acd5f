"""Intervals of scores, and of differences between contenders, over test groups, seeds and folds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from threadpoolctl import threadpool_limits

from sepvae.batch import FloatArray
from sepvae.checks import check_choice, check_number
from sepvae.codes import Kind
from sepvae.errors import DataError
from sepvae.evaluation.metrics import METRICS, interval, resampling_weights
from sepvae.evaluation.probes import ProbeQuestion, as_numbers, make_probe, probe_questions

MIN_SEEDS = 5  # fewer seeds give a poor estimate of their spread


class Difference(NamedTuple):
    """Difference between the scores of contenders a and b, or the mean score of one contender."""

    difference: float  # in the unit of the metric
    low: float  # of the 95 % interval; NaN if there is none
    high: float
    kind: str  # source of the interval


def paired_bootstrap(
    codes_a: pd.DataFrame,
    codes_b: pd.DataFrame,
    attribute: str,
    population: str,
    space: str,
    metric: str,
    *,
    kinds: Mapping[str, Kind] | None = None,
    n_bootstraps: int = 1000,
) -> Difference:
    """Compare one score of `score_codes` on two tables of codes by a bootstrap over their test groups."""
    a, b = (_ask(table, attribute, population, kinds) for table in (codes_a, codes_b))
    b = replace(b, test=_same_samples(b.test, a.test))
    binary = a.train["value"].nunique() == 2
    offered = {m.name: m for m in METRICS[a.kind] if m.name != "auc" or binary}
    check_choice("metric", metric, list(offered))
    chosen = offered[metric]
    groups = a.test["group"].astype(str).to_numpy(str)
    weights, n_groups = resampling_weights(groups, n_bootstraps)
    weights = np.concatenate([np.ones((1, len(groups))), weights])  # the first row holds each sample once
    scores = []
    with threadpool_limits(1):
        for question in (a, b):
            train, test = question.samples(space)
            values, truth = as_numbers(train, test, question.kind)
            probe = make_probe(question.kind).fit(train.codes, values)
            scores.append(chosen.function(truth, getattr(probe, chosen.reads)(test.codes), weights))
    differences = scores[0] - scores[1]
    low, high = interval(differences[1:], differences[0], n_groups)
    return Difference(float(differences[0]), low, high, f"paired bootstrap over {n_groups} test groups")


def seed_interval(differences: Sequence[float] | FloatArray) -> Difference:
    """
    Return the mean difference over seeds without NaN, with a t interval from 5 seeds up.

    The interval accounts for the choice of the seed, not for that of the test samples.

    >>> found = seed_interval([0.02, 0.04, 0.03, 0.05, 0.01])
    >>> round(found.difference, 3), round(found.low, 3), round(found.high, 3), found.kind
    (0.03, 0.01, 0.05, 't interval over 5 seeds')
    """
    return _t_interval(differences, "t interval", "seeds", MIN_SEEDS)


def nadeau_bengio(differences: Sequence[float] | FloatArray, n_train: float, n_test: float) -> Difference:
    """
    Return the mean difference over folds without NaN, with the corrected resampled t interval.

    Folds share training samples, so their scores are not independent: the variance of the mean is estimated
    as (1/k + n_test/n_train) times that of k differences (Nadeau and Bengio, 2003, Machine Learning 52).

    >>> found = nadeau_bengio([0.02, 0.04, 0.03, 0.05, 0.01], n_train=80, n_test=20)
    >>> round(found.low, 3), round(found.high, 3), found.kind
    (0.001, 0.059, 'corrected t interval over 5 folds')
    """
    check_number("n_train", n_train, above=0)
    check_number("n_test", n_test, above=0)
    return _t_interval(differences, "corrected t interval", "folds", 2, correction=n_test / n_train)


def difference_over_runs(runs_a: pd.DataFrame, runs_b: pd.DataFrame) -> Difference:
    """Compare one score of two contenders over the runs that both finished."""
    pairs = runs_a.merge(runs_b, on=["seed", "fold"], suffixes=("_a", "_b"))
    score = pairs["score_a"] - pairs["score_b"]
    return mean_over_runs(pairs.assign(score=score, n_train=pairs["n_train_a"], n_test=pairs["n_test_a"]))


def mean_over_runs(runs: pd.DataFrame) -> Difference:
    """Return the mean of one score, over folds (no interval without n_train) or else over seeds."""
    if runs["fold"].isna().all():
        return seed_interval(runs["score"].to_numpy(float))
    of_folds = runs.groupby("fold")["score"].mean().to_numpy(float)  # seeds of one fold are not independent
    sizes = runs[["n_train", "n_test"]].dropna().to_numpy(float)
    if not len(sizes):
        kind = f"{len(of_folds)} folds, no interval without n_train"
        return Difference(float(of_folds.mean()), math.nan, math.nan, kind)
    n_train, n_test = sizes.mean(axis=0)
    return nadeau_bengio(of_folds, float(n_train), float(n_test))


def _ask(
    table: pd.DataFrame, attribute: str, population: str, kinds: Mapping[str, Kind] | None
) -> ProbeQuestion:
    for question in probe_questions(table, kinds):
        if (question.attribute, question.population) == (attribute, population):
            if question.obstacle:
                raise DataError(f"{attribute} among {population} samples: {question.obstacle}")
            return question
    raise DataError(f"{attribute} is not probed among {population} samples of this table of codes")


def _same_samples(test: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """Return test rows in the order of those of the other table; raise unless both are the same samples."""
    a, b = (rows.set_index(rows["id"].astype(str)) for rows in (like, test))
    values_a, values_b = a["value"].sort_index(), b["value"].sort_index()
    if a.index.has_duplicates or not values_a.index.equals(values_b.index):
        raise DataError(
            f"codes: wanted two tables of the same test samples, each once, got {len(a)} and {len(b)}, "
            f"{len(a.index.intersection(b.index))} of them in both; compare contenders on one split"
        )
    if (other := values_a != values_b).any():
        raise DataError(
            f"codes: {other.sum()} test samples have another value in the second table, "
            f"such as id {values_a.index[other.to_numpy()][0]}; compare contenders on the same data"
        )
    return b.loc[a.index]


def _t_interval(
    differences: Sequence[float] | FloatArray, kind: str, runs: str, least: int, correction: float = 0.0
) -> Difference:
    """Return the mean of k differences; its variance is (1/k + correction) times that of the differences."""
    values = np.asarray(differences, float)
    known = values[~np.isnan(values)]
    if (k := len(known)) < least:
        mean = float(known.mean()) if k else math.nan
        return Difference(mean, math.nan, math.nan, f"{k} {runs}, no interval below {least}")
    with np.errstate(invalid="ignore"):  # the variance of infinite differences is NaN
        mean, variance = known.mean(), known.var(ddof=1)
    half = stats.t.ppf(0.975, k - 1) * np.sqrt((1 / k + correction) * variance)
    return Difference(float(mean), float(mean - half), float(mean + half), f"{kind} over {k} {runs}")
