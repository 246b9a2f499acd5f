"""Tests of group differences in maps: against closed forms, and their error rates over simulated cohorts."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats

from sepvae.errors import DataError
from sepvae.evaluation.map_inference import cluster_table, difference_test, p_by_largest, t_test

MASK = np.zeros((8, 8, 8), dtype=bool)
MASK[1:7, 1:7, 1:7] = True
N = 24


NEIGHBOURS = np.stack([ndimage.gaussian_filter(one, 1.0)[MASK] for one in np.eye(8**3).reshape(-1, 8, 8, 8)])


def cohort(seed: int, n: int = N) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Noise of n people in MASK with neighbours alike, groups, and covariates of both."""
    rng = np.random.default_rng((seed, 1))
    ages = pd.DataFrame({"age": rng.normal(60, 9, n), "sex": rng.choice(["f", "m"], n)})
    noise = rng.normal(size=(n, 8**3)) * np.repeat([3.0, 1.0], 256)  # more of it in one half
    return noise @ NEIGHBOURS, rng.permutation(np.arange(n) % 2 == 1), ages


def test_t_and_difference_are_those_of_least_squares() -> None:
    x, y, covariates = cohort(0)
    design = np.column_stack([np.ones(N), y, covariates["age"], covariates["sex"] == "m"]).astype(float)
    effects, _, _, _ = np.linalg.lstsq(design, x)
    variance = ((x - design @ effects) ** 2).sum(axis=0) / (N - 4)
    expected = effects[1] / np.sqrt(variance * np.linalg.inv(design.T @ design)[1, 1])
    np.testing.assert_allclose(t_test(x, y, covariates, n_permutations=0).statistic, expected)
    np.testing.assert_allclose(difference_test(x, y, covariates, n_permutations=0).statistic, effects[1])


@pytest.mark.parametrize("test", [difference_test, t_test])
def test_covariates_that_say_the_same_count_once(test) -> None:
    x, y, covariates = cohort(0)
    once, twice = (
        test(x, y, some, n_permutations=19)
        for some in (
            covariates,
            covariates.assign(
                gender=covariates["sex"].map({"f": "female", "m": "male"}), months=12 * covariates["age"]
            ),
        )
    )
    np.testing.assert_allclose(twice.statistic, once.statistic)
    np.testing.assert_allclose(twice.logp, once.logp)
    assert twice.forming == pytest.approx(once.forming)


def test_without_covariates_t_is_that_of_scipy_and_goes_with_cohens_d() -> None:
    x, y, _ = cohort(1)
    t = t_test(x, y, n_permutations=0).statistic
    np.testing.assert_allclose(t, stats.ttest_ind(x[y], x[~y]).statistic)
    pooled = np.sqrt((x[y].var(axis=0, ddof=1) + x[~y].var(axis=0, ddof=1)) / 2)
    d = (x[y].mean(axis=0) - x[~y].mean(axis=0)) / pooled
    np.testing.assert_allclose(t, d * np.sqrt(N / 4))


def test_p_counts_the_permutations_that_reach_as_far() -> None:
    x, y, _ = cohort(2)
    found = difference_test(x, y, n_permutations=200, random_state=5)
    rng, largest = np.random.default_rng(5), []
    for _ in range(200):
        order = rng.permutation(N)
        largest.append(np.abs(x[y[order]].mean(axis=0) - x[~y[order]].mean(axis=0)).max())
    exceed = (np.array(largest)[:, None] >= np.abs(found.statistic)).sum(axis=0)
    np.testing.assert_allclose(10**-found.logp, (1 + exceed) / 201)
    assert p_by_largest(np.array([0.0, 2.0, 99.0]), [1.0, 2.0]).tolist() == [1.0, 2 / 3, 1 / 3]


@pytest.mark.parametrize(("test", "tables"), [(difference_test, 300), (t_test, 200)])
def test_a_null_cohort_has_a_find_in_5_percent(test, tables: int) -> None:
    alarms = sum(test(*cohort(seed), n_permutations=19).found.any() for seed in range(tables))
    assert stats.binomtest(int(alarms), tables, 0.05).pvalue > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("test", [difference_test, t_test])
def test_clusters_of_a_null_cohort_have_a_find_in_5_percent(test) -> None:
    found = [test(*cohort(seed), MASK, n_permutations=39) for seed in range(150)]
    alarms = sum((10**-one.cluster_logp <= 0.05).any() for one in found)
    assert stats.binomtest(int(alarms), 150, 0.05).pvalue > 0.01


def test_a_covariate_that_goes_with_the_groups_is_adjusted_for() -> None:
    wrong = {True: 0, False: 0}
    for seed in range(100):
        x, y, covariates = cohort(seed)
        covariates["age"] += 12 * y
        x = x + 0.4 * np.outer((covariates["age"] - 60) / 9, np.ones(x.shape[1]))
        for adjusted in wrong:
            given = covariates if adjusted else None
            wrong[adjusted] += int(difference_test(x, y, given, n_permutations=19).found.any())
    assert stats.binomtest(wrong[True], 100, 0.05).pvalue > 0.01
    assert wrong[False] > 50


def test_an_effect_is_found_at_its_place() -> None:
    x, y, covariates = cohort(3, 40)
    place = np.zeros(MASK.shape, dtype=bool)
    place[5:7, 2:4, 2:4] = True
    x[:, place[MASK]] -= 1.5 * y[:, None]
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = -10, 0, 5
    for test in (difference_test, t_test):
        found = test(x, y, covariates, MASK, n_permutations=199)
        assert found.found[place[MASK]].all()
        volumes = [np.zeros(MASK.shape) for _ in range(3)]
        for volume, values in zip(volumes, (found.statistic, found.logp, found.cluster_logp), strict=True):
            volume[MASK] = values
        first = cluster_table(volumes[0], volumes[1:], found.forming, affine).iloc[0]
        i, j, k = np.linalg.inv(affine)[:3] @ [first["x_mm"], first["y_mm"], first["z_mm"], 1]
        assert place[round(i), round(j), round(k)]
        assert first["statistic"] < 0
        assert first["size_mm3"] >= 8 * 12
        assert first["p_peak"] == pytest.approx(1 / 200)
        assert first["p_cluster"] == pytest.approx(1 / 200, rel=0.01)  # of nilearn: 1 / 199


def test_a_map_without_differences_has_no_find() -> None:
    x, y = np.full((N, MASK.sum()), 7.0), np.arange(N) % 2 == 1
    for test in (difference_test, t_test):
        found = test(x, y, None, MASK, n_permutations=99)
        assert not found.outlined.any()
    assert t_test(x, y).logp.max() == 0


def test_a_mask_of_one_slice_is_an_image() -> None:
    x, y, _ = cohort(4)
    found = t_test(x[:, :36], y, None, MASK[1:7, 1:7, 3:4], n_permutations=19)
    assert found.cluster_logp.shape == (36,)


def test_what_cannot_be_tested_is_said() -> None:
    x, y, covariates = cohort(5)
    with pytest.raises(DataError, match="2 held-out people of each group or more, got 23 and 1"):
        t_test(x, np.arange(N) == 0)
    with pytest.raises(DataError, match="cannot adjust for age, sex, site: they explain the groups"):
        difference_test(x, y, covariates.assign(site=np.where(y, "a", "b")))
    with pytest.raises(DataError, match="24 held-out people are too few"):
        difference_test(x, y, covariates.assign(site=[f"s{i}" for i in range(N)]))
