"""Intervals of scores, and of differences between contenders, over test groups, seeds and folds."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from threadpoolctl import threadpool_limits

from sepvae.batch import AnyArray, FloatArray
from sepvae.checks import check_choice, check_number
from sepvae.codes import Kind, Space, code_columns
from sepvae.errors import DataError
from sepvae.evaluation.metrics import METRICS, Metric, interval, resampling_weights
from sepvae.evaluation.probes import make_probe
from sepvae.evaluation.questions import ProbeQuestion, probe_questions

MIN_SEEDS = 5  # fewer seeds give a poor estimate of their spread


class Difference(NamedTuple):
    """
    Difference between the scores of contenders a and b, or the mean score of one contender.

    `difference`, `low` and `high` have the unit of the metric; the 95 % interval is NaN if there is none.
    `kind` names the source of the interval.
    """

    difference: float
    low: float
    high: float
    kind: str


def paired_bootstrap(
    codes_a: pd.DataFrame,
    codes_b: pd.DataFrame,
    attribute: str,
    population: str,
    space: Space,
    metric: str,
    *,
    kinds: Mapping[str, Kind] | None = None,
    n_bootstraps: int = 1000,
    random_state: int = 0,
) -> Difference:
    """
    Compare one score of two tables of codes by a bootstrap over their shared test groups.

    The scores are those of `score_codes`. The interval accounts for the choice of the test groups, not for
    that of the seed.

    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"id": range(80), "split": ["train", "test"] * 40, "group": range(80)})
    >>> table["y"] = rng.integers(0, 2, 80)
    >>> good, poor = (table.assign(salient0=k * table["y"] + rng.normal(size=80)) for k in (9, 0))
    >>> found = paired_bootstrap(good, poor, "label", "all", "salient", "auc")
    >>> found.low > 0
    True
    """
    a, b = (_ask(table, attribute, population, kinds) for table in (codes_a, codes_b))
    _check_same_samples(a.test, b.test)
    chosen = _metric(a, metric)
    ids = a.test["id"].astype(str).to_numpy(str)
    groups = a.test["group"].astype(str).to_numpy(str)
    weights = resampling_weights(groups, n_bootstraps, np.random.default_rng(random_state))
    weights = np.concatenate([np.ones((1, len(groups))), weights])  # the first row holds each sample once
    with threadpool_limits(1):
        scores_a, scores_b = (
            chosen.function(*_truth_and_output(question, space, chosen, ids), weights) for question in (a, b)
        )
    differences = scores_a - scores_b
    n_groups = len(np.unique(groups))
    low, high = interval(differences[1:], differences[0], n_groups)
    return Difference(float(differences[0]), low, high, f"paired bootstrap over {n_groups} test groups")


def seed_interval(differences: Sequence[float] | FloatArray) -> Difference:
    """
    Return the mean difference over seeds, with a t interval from 5 seeds up.

    NaN is ignored. The interval accounts for the choice of the seed, not for that of the test samples.

    >>> found = seed_interval([0.02, 0.04, 0.03, 0.05, 0.01])
    >>> round(found.difference, 3), round(found.low, 3), round(found.high, 3), found.kind
    (0.03, 0.01, 0.05, 't interval over 5 seeds')
    """
    known = _known(differences)
    if len(known) < MIN_SEEDS:
        return _without_interval(known, f"{len(known)} seeds, no interval below {MIN_SEEDS}")
    return _t_interval(known, 1 / len(known), f"t interval over {len(known)} seeds")


def nadeau_bengio(differences: Sequence[float] | FloatArray, n_train: float, n_test: float) -> Difference:
    """
    Return the mean difference over folds, with the corrected resampled t interval.

    Folds share training samples, so their scores are not independent: the variance of the mean is estimated
    as (1/k + n_test/n_train) times that of k differences (Nadeau and Bengio, 2003, Machine Learning 52). NaN
    is ignored.

    >>> found = nadeau_bengio([0.02, 0.04, 0.03, 0.05, 0.01], n_train=80, n_test=20)
    >>> round(found.low, 3), round(found.high, 3), found.kind
    (0.001, 0.059, 'corrected t interval over 5 folds')
    """
    check_number("n_train", n_train, above=0)
    check_number("n_test", n_test, above=0)
    known = _known(differences)
    if len(known) < 2:
        return _without_interval(known, f"{len(known)} folds, no interval below 2")
    factor = 1 / len(known) + n_test / n_train
    return _t_interval(known, factor, f"corrected t interval over {len(known)} folds")


def difference_over_runs(runs_a: pd.DataFrame, runs_b: pd.DataFrame) -> Difference:
    """
    Compare one score of two contenders over the runs that both finished.

    >>> a = pd.DataFrame({"seed": range(5), "fold": None, "score": 0.9, "n_train": 80, "n_test": 20})
    >>> found = difference_over_runs(a, a.assign(score=[0.8, 0.7, 0.8, 0.7, 0.8]))
    >>> round(found.difference, 2), found.kind
    (0.14, 't interval over 5 seeds')
    """
    pairs = runs_a.merge(runs_b, on=["seed", "fold"], suffixes=("_a", "_b"))
    score = pairs["score_a"] - pairs["score_b"]
    return mean_over_runs(pairs.assign(score=score, n_train=pairs["n_train_a"], n_test=pairs["n_test_a"]))


def mean_over_runs(runs: pd.DataFrame) -> Difference:
    """
    Return the mean of one score over runs: by `nadeau_bengio` with folds, else by `seed_interval`.

    Scores of folds without n_train, which no probe learnt, have no interval.

    >>> runs = pd.DataFrame({"seed": 0, "fold": range(3), "score": [7.5, 8, 8.5]})
    >>> runs = runs.assign(n_train=80, n_test=40)
    >>> found = mean_over_runs(runs)
    >>> round(found.difference, 2), round(found.low, 2), round(found.high, 2)
    (8.0, 6.04, 9.96)
    """
    if runs["fold"].isna().all():
        return seed_interval(runs["score"].to_numpy(float))
    of_folds = runs.groupby("fold")["score"].mean().to_numpy(float)  # seeds of one fold are not independent
    sizes = runs[["n_train", "n_test"]].dropna().to_numpy(float)
    if not len(sizes):
        return _without_interval(of_folds, f"{len(of_folds)} folds, no interval without n_train")
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


def _check_same_samples(test_a: pd.DataFrame, test_b: pd.DataFrame) -> None:
    a, b = (test.set_index(test["id"].astype(str))["value"].sort_index() for test in (test_a, test_b))
    if a.index.has_duplicates or not a.index.equals(b.index):
        n_shared = len(a.index.intersection(b.index))
        raise DataError(
            f"codes: wanted two tables of the same test samples, each once, got {len(a)} and {len(b)}, "
            f"{n_shared} of them in both; compare contenders on one split"
        )
    if not (a == b).all():
        raise DataError(
            f"codes: {(a != b).sum()} test samples have another value in the second table, "
            f"such as id {a.index[(a != b).to_numpy()][0]}; compare contenders on the same data"
        )


def _metric(question: ProbeQuestion, name: str) -> Metric:
    binary = question.train["value"].nunique() == 2
    offered = {m.name: m for m in METRICS[question.kind] if m.name != "auc" or binary}
    check_choice("metric", name, list(offered))
    return offered[name]


def _truth_and_output(
    question: ProbeQuestion, space: Space, metric: Metric, ids: AnyArray
) -> tuple[AnyArray, AnyArray]:
    """Return true values and probe outputs of the test samples `ids`; classes are coded as 0, 1, .."""
    train = question.train
    test = question.test.set_index(question.test["id"].astype(str)).loc[ids]
    values, truth = train["value"].to_numpy(), test["value"].to_numpy()
    if question.kind == "categorical":
        values, classes = pd.factorize(values, sort=True)
        truth = pd.Index(classes).get_indexer(truth)
    columns = code_columns(train, space)
    probe = make_probe(question.kind).fit(train[columns].to_numpy(float), values)
    return truth, getattr(probe, metric.reads)(test[columns].to_numpy(float))


def _known(differences: Sequence[float] | FloatArray) -> FloatArray:
    values = np.asarray(differences, float)
    return np.asarray(values[~np.isnan(values)])


def _without_interval(differences: FloatArray, kind: str) -> Difference:
    mean = float(differences.mean()) if len(differences) else math.nan
    return Difference(mean, math.nan, math.nan, kind)


def _t_interval(differences: FloatArray, factor: float, kind: str) -> Difference:
    """Return the mean and its interval; the variance of the mean is `factor` times that of differences."""
    with np.errstate(invalid="ignore"):  # the variance of infinite differences is NaN
        mean, variance = differences.mean(), differences.var(ddof=1)
    half = stats.t.ppf(0.975, len(differences) - 1) * np.sqrt(factor * variance)
    return Difference(float(mean), float(mean - half), float(mean + half), kind)
