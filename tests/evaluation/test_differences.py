"""Differences between contenders, each against another way to the same interval."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sepvae.errors import DataError
from sepvae.evaluation import score_codes
from sepvae.evaluation.differences import (
    difference_over_runs,
    mean_over_runs,
    nadeau_bengio,
    paired_bootstrap,
    seed_interval,
)
from sepvae.evaluation.probes import make_probe


def make_codes(signal, seed):
    """The same samples for every seed; how well codes know label, site and age is `signal`."""
    rng = np.random.default_rng(0)
    n = 200
    table = pd.DataFrame({"id": [f"scan{i}" for i in range(n)], "group": np.arange(n) // 2})
    table["split"] = np.repeat(["train", "test"], [120, 80])
    table["y"], site = rng.integers(0, 2, n), rng.integers(0, 3, n)
    table["site"], table["age"] = np.array(["a", "b", "c"])[site], rng.normal(50, 9, n)
    known = np.c_[table["y"], site == 0, site == 1, (table["age"] - 50) / 9]
    codes = signal * known + np.random.default_rng(seed).normal(size=(n, 4))
    names = [f"salient{i}" for i in range(4)]
    return pd.concat([table.assign(common0=0.5), pd.DataFrame(codes, columns=names)], axis=1)


def auc(truth, decision):
    """Share of pairs in order."""
    return (decision[truth == 1][:, None] > decision[truth == 0]).mean()


@pytest.fixture
def good():
    return make_codes(2, 1)


@pytest.fixture
def poor():
    return make_codes(1, 2)


@pytest.mark.parametrize(
    ("attribute", "population", "metric"),
    [
        ("label", "all", "auc"),
        ("label", "all", "balanced_accuracy"),
        ("site", "all", "balanced_accuracy"),
        ("site", "target", "accuracy"),
        ("age", "all", "mae"),
        ("age", "target", "r2"),
    ],
)
def test_the_difference_is_that_of_score_codes(good, poor, attribute, population, metric):
    keys = ["attribute", "population", "space", "metric"]
    a, b = (
        score_codes(table, n_permutations=0, n_bootstraps=0).set_index(keys)["score"]
        for table in (good, poor)
    )
    found = paired_bootstrap(good, poor, attribute, population, "salient", metric, n_bootstraps=0)
    place = (attribute, population, "salient", metric)
    assert found.difference == pytest.approx(a[place] - b[place], abs=1e-12)
    assert np.isnan([found.low, found.high]).all()


def test_the_interval_is_that_of_groups_drawn_together(good, poor):
    found = paired_bootstrap(good, poor, "label", "all", "salient", "auc")
    names = [f"salient{i}" for i in range(4)]
    decisions = [
        make_probe("categorical").fit(t[names][:120], t["y"][:120]).decision_function(t[names][120:])
        for t in (good, poor)
    ]
    truth, rng, pairs = good["y"].to_numpy()[120:], np.random.default_rng(3), np.arange(80).reshape(40, 2)
    drawn = [pairs[rng.integers(0, 40, 40)].ravel() for _ in range(1000)]
    scores = [[auc(truth[i], d[i]) for i in drawn] for d in decisions]
    low, high = np.quantile(np.subtract(*scores), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)
    assert found.kind == "paired bootstrap over 40 test groups"


def test_a_table_does_not_differ_from_itself_in_another_order(good):
    shuffled = good.sample(frac=1, random_state=0)
    found = paired_bootstrap(good, shuffled, "site", "all", "salient", "accuracy")
    assert found[:3] == (0, 0, 0)


def test_pairing_narrows_the_interval(good):
    near = good.assign(salient0=good["salient0"] + 0.3 * np.random.default_rng(4).normal(size=200))
    found = paired_bootstrap(good, near, "label", "all", "salient", "auc")
    alone = score_codes(good, n_permutations=0).set_index(["attribute", "space", "metric"])
    width = np.ptp(alone.loc[[("label", "salient", "auc")], ["low", "high"]].to_numpy())
    assert found.high - found.low < width


def test_swapped_tables_change_the_sign_alone(good, poor):
    found, back = (
        paired_bootstrap(*tables, "age", "all", "salient", "mae") for tables in ((good, poor), (poor, good))
    )
    assert back[:3] == pytest.approx((-found.difference, -found.high, -found.low))


def test_a_kind_given_by_the_user_is_used(good, poor):
    whole = [table.assign(age=table["age"].round()) for table in (good, poor)]
    found = paired_bootstrap(*whole, "age", "all", "salient", "mae", kinds={"age": "continuous"})
    assert found.high < 0


def test_one_test_group_has_no_interval(good, poor):
    alone = [t.assign(group=t["group"].where(t["split"] != "test", 999)) for t in (good, poor)]
    assert np.isnan(paired_bootstrap(*alone, "label", "all", "salient", "auc")[1:3]).all()


def test_what_cannot_be_compared_is_refused(good, poor):
    with pytest.raises(DataError, match="got 80 and 79, 79 of them in both"):
        paired_bootstrap(good, poor[:-1], "label", "all", "salient", "auc")
    with pytest.raises(DataError, match=r"such as id scan1\d\d; compare contenders on the same data"):
        paired_bootstrap(good, poor.assign(age=51.5 + poor["y"]), "age", "all", "salient", "mae")
    with pytest.raises(DataError, match="metric: wanted one of balanced_accuracy, accuracy, got 'auc'"):
        paired_bootstrap(good, poor, "site", "all", "salient", "auc")
    with pytest.raises(DataError, match="height is not probed among all samples"):
        paired_bootstrap(good, poor, "height", "all", "salient", "mae")
    with pytest.raises(DataError, match="fewer than two distinct values"):
        paired_bootstrap(good.assign(site="a"), poor, "site", "all", "salient", "accuracy")


def test_over_seeds_it_is_scipys_paired_interval():
    a, b = np.random.default_rng(0).normal([[0.9], [0.85]], 0.02, size=(2, 7))
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    found = seed_interval(a - b)
    assert found[:3] == pytest.approx((np.mean(a - b), expected.low, expected.high))
    assert found.kind == "t interval over 7 seeds"


def test_fewer_than_five_seeds_have_no_interval():
    found = seed_interval([0.1, 0.2, 0.3, 0.2, np.nan])
    assert found.difference == pytest.approx(0.2)
    assert np.isnan([found.low, found.high]).all()
    assert found.kind == "4 seeds, no interval below 5"
    assert np.isnan(seed_interval([]).difference)


def test_an_infinite_difference_has_no_interval():
    found = seed_interval([np.inf, 1, 2, 3, 4])
    assert found.difference == np.inf
    assert np.isnan([found.low, found.high]).all()


def test_over_folds_it_is_the_closed_form():
    # Mean 3, variance 2.5, 4 degrees of freedom (t = 2.7764451), 1/5 + 20/80 = 0.45.
    found = nadeau_bengio([1, 2, 3, 4, 5], n_train=80, n_test=20)
    half = 2.7764451 * np.sqrt(0.45 * 2.5)
    assert found[:3] == pytest.approx((3, 3 - half, 3 + half), rel=1e-5)


def test_the_correction_vanishes_with_the_share_of_test_samples():
    differences = [0.1, 0.3, 0.2, 0.4, 0.1]
    plain, corrected = seed_interval(differences), nadeau_bengio(differences, 1e12, 1)
    assert corrected[:3] == pytest.approx(plain[:3])


def test_one_fold_has_no_interval_and_no_samples_are_refused():
    assert nadeau_bengio([0.1, np.nan], 80, 20).kind == "1 folds, no interval below 2"
    with pytest.raises(DataError, match="n_train"):
        nadeau_bengio([0.1, 0.2], 0, 20)


def runs(scores, fold=None, **columns):
    table = pd.DataFrame({"seed": range(len(scores)), "fold": fold, "score": scores})
    return table.assign(**{"n_train": 80, "n_test": 20} | columns)


def test_runs_are_paired_by_seed():
    a, b = runs([1, 2, 3, 4, 5.5, 9]), runs([1, 1, 1, 1, 1])[::-1]
    assert difference_over_runs(a, b) == seed_interval([0, 1, 2, 3, 4.5])


def test_seeds_of_a_fold_are_averaged_first():
    of_folds = runs([4, 3, 2, 2], fold=range(4), seed=0)
    twice = pd.concat(
        [of_folds.assign(score=of_folds["score"] + d, seed=seed) for seed, d in enumerate((1, -1))]
    )
    zero = twice.assign(score=0.0)
    assert difference_over_runs(twice, zero) == nadeau_bengio([4, 3, 2, 2], 80, 20)


def test_a_mean_over_runs_is_a_difference_from_nothing():
    of_folds = runs([4, 3, 2, 2], fold=range(4), seed=0)
    assert mean_over_runs(of_folds) == difference_over_runs(of_folds, of_folds.assign(score=0.0))
    assert mean_over_runs(of_folds) == nadeau_bengio([4, 3, 2, 2], 80, 20)
    assert mean_over_runs(runs([1, 2, 3, 4, 6])) == seed_interval([1, 2, 3, 4, 6])


def test_runs_are_paired_by_fold():
    a, b = (runs(scores, fold=range(4), seed=0) for scores in ([4, 3, 2, 2], [1, 1, 1, 1.5]))
    assert difference_over_runs(a, b[::-1]) == nadeau_bengio([3, 2, 1, 0.5], 80, 20)
    missing = pd.array([pd.NA] * 4, dtype="Int64")
    found = difference_over_runs(a.assign(n_train=missing), b)
    assert found.difference == 1.625
    assert found.kind == "4 folds, no interval without n_train"
