"""Differences of several values between two groups: by scipy, by simulation, and where nothing varies."""

import numpy as np
import pytest
from scipy import stats

from sepvae.evaluation.group_effects import compare_groups


def groups(n: int, m: int, shifts: list[float], *, sd: float = 1.0, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, len(shifts))), rng.normal(shifts, sd, size=(m, len(shifts)))]


def test_d_is_the_difference_in_pooled_standard_deviations() -> None:
    background, target = groups(12, 20, [0.0, 1.0], sd=2.0)
    found = compare_groups(background, target, n_permutations=9)
    t = stats.ttest_ind(target, background).statistic
    np.testing.assert_allclose(found["d"], t * np.sqrt(1 / 12 + 1 / 20))
    np.testing.assert_allclose(found["difference"], target.mean(axis=0) - background.mean(axis=0))


def test_intervals_are_those_of_a_bootstrap_of_each_group() -> None:
    background, target = groups(40, 60, [0.5], sd=1.5)

    def d(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        n, m = a.shape[axis], b.shape[axis]
        pooled = ((n - 1) * a.var(axis=axis, ddof=1) + (m - 1) * b.var(axis=axis, ddof=1)) / (n + m - 2)
        return np.asarray((b.mean(axis=axis) - a.mean(axis=axis)) / np.sqrt(pooled))

    how = {"vectorized": True, "n_resamples": 5000, "method": "percentile", "rng": 1}
    ends = stats.bootstrap((background[:, 0], target[:, 0]), d, **how).confidence_interval
    found = compare_groups(background, target, n_permutations=9, n_bootstraps=5000).iloc[0]
    assert found["d_low"] == pytest.approx(ends.low, abs=0.06)
    assert found["d_high"] == pytest.approx(ends.high, abs=0.06)


def test_intervals_hold_where_few_targets_vary_more() -> None:
    """Ends by a noncentral t, which assumes equal variances, hold for 75 % of such values."""
    background, target = groups(60, 15, [0.0] * 400, sd=3.0)
    found = compare_groups(background, target, n_permutations=9)
    assert ((found["d_low"] <= 0) & (found["d_high"] >= 0)).mean() > 0.91


def test_p_is_that_of_welch_by_permutations() -> None:
    background, target = groups(6, 8, [0.0, 1.0, 2.0], sd=2.0)
    found = compare_groups(background, target)
    how = stats.PermutationMethod(n_resamples=4999, rng=0)
    by_scipy = stats.ttest_ind(target, background, equal_var=False, method=how).pvalue
    np.testing.assert_allclose(found["p"], by_scipy, atol=0.02)
    np.testing.assert_allclose(found["p_adjusted"], stats.false_discovery_control(found["p"]))
    assert found["p"].min() >= 1 / 10_000


def test_without_an_effect_about_5_percent_are_found_by_chance() -> None:
    found = compare_groups(*groups(40, 15, [0.0] * 400, sd=3.0), n_permutations=499)
    assert 0.02 < (found["p"] <= 0.05).mean() < 0.09
    assert not (found["p_adjusted"] <= 0.05).any()


def test_the_largest_difference_counts_not_the_largest_d() -> None:
    background, target = groups(20, 20, [1.5, 0.0, 0.0])
    steady = np.linspace(-1e-3, 1e-3, 20)
    background[:, 1], target[:, 1] = steady, steady + 5e-3
    found = compare_groups(background, target, n_permutations=999)
    assert found["d"].abs().idxmax() == 1
    assert found["difference"].abs().idxmax() == 0
    assert (found["p_difference"] <= 0.05).tolist() == [True, False, False]
    assert found["p_adjusted"][1] <= 0.05


def test_nothing_is_said_of_what_does_not_vary_or_of_one_person() -> None:
    background, target = groups(5, 5, [0.0, 0.0])
    background[:, 1] = target[:, 1] = 0.1
    found = compare_groups(background, target, n_permutations=9)
    assert found["d"].notna().tolist() == [True, False]
    assert found["p_difference"].notna().tolist() == [True, False]
    alone = compare_groups(background, target[:1])
    assert alone["difference"].notna().all()
    assert alone.drop(columns="difference").isna().all(axis=None)
    assert compare_groups(background[:0], target).isna().all(axis=None)
