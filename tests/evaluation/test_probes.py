"""Probes, their shuffles and their resamples, each against another way to the same number."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sepvae.evaluation.metrics import METRICS, resampling_weights
from sepvae.evaluation.probes import Samples, make_probe, score_probe, shuffle_by_group

REFERENCE = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "auc": metrics.roc_auc_score,
    "mae": metrics.mean_absolute_error,
    "r2": metrics.r2_score,
}


def split(codes, values, n_train=120, groups=None):
    groups = np.arange(len(codes)) if groups is None else groups
    return (
        Samples(codes[:n_train], values[:n_train], groups[:n_train]),
        Samples(codes[n_train:], values[n_train:], groups[n_train:]),
    )


def by_metric(*args, **kwargs):
    return score_probe(*args, **kwargs).set_index("metric")


@pytest.fixture
def codes():
    return np.random.default_rng(0).normal(size=(200, 3)) * [1, 10, 0.1]


def test_scores_of_classes_are_those_of_a_pipeline_built_by_hand(codes):
    values = np.where(codes[:, 1] + np.random.default_rng(1).normal(size=200) * 10 > 0, "yes", "no")
    train, test = split(codes, values)
    probe = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=1000))
    probe.fit(train.codes, train.values)
    scores = by_metric(train, test, "categorical", n_permutations=0)["score"]
    predicted = probe.predict(test.codes)
    assert scores["accuracy"] == metrics.accuracy_score(test.values, predicted)
    assert scores["balanced_accuracy"] == metrics.balanced_accuracy_score(test.values, predicted)
    auc = metrics.roc_auc_score(np.equal(test.values, "yes"), probe.decision_function(test.codes))
    assert scores["auc"] == pytest.approx(auc, abs=0.002)


def test_scores_of_amounts_are_those_of_the_probe(codes):
    train, test = split(codes, codes[:, 2] + np.random.default_rng(1).normal(size=200))
    predicted = make_probe("continuous").fit(train.codes, train.values).predict(test.codes)
    scores = by_metric(train, test, "continuous", n_permutations=5)["score"]
    assert scores["mae"] == pytest.approx(metrics.mean_absolute_error(test.values, predicted))
    assert scores["r2"] == pytest.approx(metrics.r2_score(test.values, predicted))


def test_least_squares_are_those_without_a_penalty(codes):
    train, test = split(codes, codes[:, 2] + np.random.default_rng(1).normal(size=200))
    predicted = LinearRegression().fit(train.codes, train.values).predict(test.codes)
    scores = by_metric(train, test, "continuous", least_squares=True, n_permutations=5)["score"]
    assert scores["mae"] == pytest.approx(metrics.mean_absolute_error(test.values, predicted))


def test_shuffled_ridge_probes_solved_together_are_those_solved_alone(codes):
    values = codes[:, 1] + np.random.default_rng(1).normal(size=200) * 30
    train, test = split(codes, values)
    rng = np.random.default_rng(np.random.SeedSequence(7).spawn(2)[0])
    targets, truths = ([rng.permutation(part.values) for _ in range(19)] for part in (train, test))
    alone = [
        metrics.r2_score(truth, make_probe("continuous").fit(train.codes, target).predict(test.codes))
        for target, truth in zip(targets, truths, strict=True)
    ]
    score = by_metric(train, test, "continuous", n_permutations=19, random_state=7).loc["r2"]
    assert score["p_value"] == (np.sum(np.array(alone) >= score["score"]) + 1) / 20


def test_no_auc_with_three_classes(codes):
    train, test = split(codes, np.arange(200) % 3)
    assert list(by_metric(train, test, "categorical", n_permutations=1).index) == [
        "balanced_accuracy",
        "accuracy",
    ]


@pytest.mark.parametrize(("kind", "metric"), [(kind, metric) for kind in METRICS for metric in METRICS[kind]])
def test_a_weighted_metric_is_scikit_learns_on_literally_resampled_samples(kind, metric):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 50) if kind == "categorical" else rng.normal(size=50) + 2000
    output = rng.integers(0, 2, 50) if metric.reads == "predict" else rng.normal(size=50).round(1)  # ties
    weights, _ = resampling_weights(np.arange(50) // 3, 20, rng)
    drawn = [np.repeat(np.arange(50), row.astype(int)) for row in weights]
    expected = [REFERENCE[metric.name](truth[i], output[i]) for i in drawn]
    np.testing.assert_allclose(metric.function(truth, output, weights), expected)


def test_resampling_draws_whole_groups_with_replacement():
    groups = np.array(["b", "a", "b", "c", "a"])
    weights, _ = resampling_weights(groups, 4000, np.random.default_rng(0))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(axis=1), 3)
    # A group is missed with probability (2/3)^3.
    np.testing.assert_allclose((weights == 0).mean(axis=0), 8 / 27, atol=0.03)


def test_twins_within_groups_widen_the_interval(codes):
    values = codes[:, 0] + np.random.default_rng(1).normal(size=200)
    train, test = split(codes, values)
    twins = Samples(*(np.repeat(part, 4, axis=0) for part in vars(test).values()))
    strangers = Samples(twins.codes, twins.values, np.arange(320))
    width = [
        by_metric(train, samples, "continuous", n_permutations=0).eval("high - low")["mae"]
        for samples in (test, twins, strangers)
    ]
    assert width[1] == pytest.approx(width[0])
    assert width[2] == pytest.approx(width[0] / 2, rel=0.2)


def test_one_test_group_has_no_interval(codes):
    train, test = split(codes, np.arange(200) % 2)
    test = Samples(test.codes, test.values, np.zeros(80))
    assert by_metric(train, test, "categorical", n_permutations=1)[["low", "high"]].isna().all(axis=None)


def test_shuffle_without_groups_is_a_plain_permutation():
    values = np.arange(30)
    shuffled = shuffle_by_group(values, np.arange(30), np.random.default_rng(0))
    assert (shuffled == np.random.default_rng(0).permutation(30)).all()


def test_shuffle_keeps_groups_of_one_value_constant():
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(10), np.arange(1, 11)))
    shuffled = pd.Series(shuffle_by_group(groups * 10, groups, np.random.default_rng(1)))
    of_group = shuffled.groupby(groups).unique()
    assert of_group.map(len).eq(1).all()
    assert sorted(of_group.str[0]) == list(range(0, 100, 10))


def test_shuffle_gives_each_group_the_block_of_one_donor_where_groups_vary_inside():
    groups = np.array(["b", "a", "b", "c", "a", "c", "c"])
    values = np.array([3, 1, 4, 5, 2, 6, 7])  # sorted by group: 1 2, 3 4, 5 6 7
    seen = {
        tuple(
            shuffle_by_group(values, groups, np.random.default_rng(seed))[np.argsort(groups, kind="stable")]
        )
        for seed in range(50)
    }
    blocks = {"a": (1, 2, 1), "b": (3, 4, 3), "c": (5, 6, 7)}  # resized to three, the first two are taken
    orders = ["abc", "acb", "bac", "bca", "cab", "cba"]
    assert seen == {blocks[x][:2] + blocks[y][:2] + blocks[z] for x, y, z in orders}


def test_shuffle_of_equal_groups_lays_whole_blocks_in_another_order():
    values, groups = np.arange(60) ** 2, np.arange(60) // 4
    expected = values.reshape(15, 4)[np.random.default_rng(3).permutation(15)].ravel()
    assert (shuffle_by_group(values, groups, np.random.default_rng(3)) == expected).all()


@pytest.mark.slow
def test_p_is_uniform_where_groups_are_unequal_and_vary_inside():
    # Laid end to end, blocks lost their groups: 0.09 of these 400 had p <= 0.05.
    rng, found = np.random.default_rng(0), []
    for _ in range(400):
        groups = np.repeat(np.arange(40), rng.integers(1, 13, 40))
        codes, values = (
            rng.normal(size=(40, k))[groups] + 0.3 * rng.normal(size=(len(groups), k)) for k in (2, 1)
        )
        samples = split(codes, values[:, 0], int((groups < 20).sum()), groups)
        found.append(
            by_metric(*samples, "continuous", n_permutations=19, n_bootstraps=0).loc["r2", "p_value"]
        )
    assert 0.02 < np.mean(np.array(found) <= 0.05) < 0.08  # a deviation is 0.011


@pytest.mark.parametrize("classes", [2, 3])
def test_a_shuffle_that_loses_a_class_is_none_that_does_worse(classes, codes):
    groups = np.repeat(np.arange(8), [60, 2, 30, 8, 60, 2, 30, 8])
    values = np.where(np.isin(groups, [1, 5]), 1, np.where(np.isin(groups, [3, 7]), classes - 1, 0))
    values[np.isin(groups, [1, 5]) & (np.arange(200) % 2 == 0)] = 0
    scores = by_metric(*split(codes, values, 100, groups), "categorical", n_permutations=19)
    assert scores["p_value"].between(0.05, 1).all()


def test_a_leak_in_the_only_dimension_is_found(codes):
    # A shuffled probe would be right about all true test values half of the time.
    train, test = split(codes[:, :1], codes[:, 0] > 0)
    assert (by_metric(train, test, "categorical", n_permutations=99)["p_value"] == 0.01).all()


def test_a_planted_leak_is_found(codes):
    train, test = split(codes, codes[:, 2] > 0)
    scores = by_metric(train, test, "categorical", n_permutations=99)
    assert (scores["p_value"] == 0.01).all()
    assert (scores["low"] > scores["chance"]).all()


def test_random_codes_are_at_chance_and_p_is_uniform():
    rng = np.random.default_rng(0)
    scores = pd.concat(
        by_metric(*split(rng.normal(size=(80, 2)), rng.normal(size=80), 50), "continuous", n_permutations=39)
        for _ in range(200)
    ).loc["r2"]
    # The mean of 200 uniform numbers has a standard deviation of 0.02, the share below 0.1 one of 0.021.
    assert scores["p_value"].mean() == pytest.approx(0.5, abs=0.06)
    assert (scores["p_value"] <= 0.1).mean() == pytest.approx(0.1, abs=0.06)
    assert ((scores["low"] <= scores["chance"]) & (scores["chance"] <= scores["high"])).mean() > 0.8


def test_groups_that_look_alike_do_not_pass_for_a_leak():
    # Ten samples of a patient share code and sex: only a shuffle by group sees how few patients there are.
    rng = np.random.default_rng(0)
    found = {"by group": [], "by sample": []}
    for _ in range(50):
        codes = np.repeat(rng.normal(size=(40, 2)), 10, axis=0) + 0.1 * rng.normal(size=(400, 2))
        sex = np.repeat(rng.integers(0, 2, 40), 10)
        for name, groups in (("by group", np.repeat(np.arange(40), 10)), ("by sample", np.arange(400))):
            scores = by_metric(
                *split(codes, sex, 200, groups), "categorical", n_permutations=9, n_bootstraps=0
            )
            found[name].append(scores.loc["auc", "p_value"] <= 0.1)
    assert np.mean(found["by group"]) == pytest.approx(0.1, abs=0.1)
    assert np.mean(found["by sample"]) > 0.3


def test_chance_is_what_one_knows_without_codes(codes):
    values = np.random.default_rng(1).exponential(size=200)
    train, test = split(codes, values)
    chance = by_metric(train, test, "continuous", n_permutations=0)["chance"]
    assert chance["mae"] == pytest.approx(
        metrics.mean_absolute_error(test.values, np.full(80, np.median(train.values)))
    )
    assert chance["r2"] == pytest.approx(metrics.r2_score(test.values, np.full(80, np.mean(train.values))))

    train, test = split(codes, np.where(values > 1, "high", "low"))
    chance = by_metric(train, test, "categorical", n_permutations=0)["chance"]
    assert chance["accuracy"] == np.mean(np.equal(test.values, "low"))
    assert chance["balanced_accuracy"] == chance["auc"] == 0.5


def test_the_seed_settles_everything_and_the_global_one_is_left_alone(codes):
    train, test = split(codes, np.arange(200) % 2)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (score_probe(train, test, "categorical", random_state=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_no_permutations_and_no_bootstraps_leave_gaps(codes):
    train, test = split(codes, codes[:, 0])
    scores = score_probe(train, test, "continuous", n_permutations=0, n_bootstraps=0)
    assert scores[["low", "high", "p_value"]].isna().all(axis=None)
    assert scores["score"].notna().all()
