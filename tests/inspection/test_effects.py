"""Effect sizes and p-values against scikit-learn, scipy and numbers by hand."""

import numpy as np
import pytest
from scipy.stats import fisher_exact, mannwhitneyu
from scipy.stats.contingency import association
from sklearn.metrics import roc_auc_score

from sepvae.inspection.confounds import compare_classes, compare_numbers, holm


def test_numbers_agree_with_scikit_learn_and_scipy():
    rng = np.random.default_rng(0)
    background, target = rng.normal(size=40), rng.integers(-1, 3, size=60).astype(float)
    effect = compare_numbers(background, target)
    y, values = np.repeat([0, 1], [40, 60]), np.concatenate([background, target])
    assert effect.auc == pytest.approx(roc_auc_score(y, values))
    assert effect.p == mannwhitneyu(background, target).pvalue
    assert effect.means == (background.mean(), target.mean())


def test_d_is_the_difference_over_the_pooled_deviation():
    # Variances 2 and 8 of 2 and 3 values: the pooled one is (2 + 2 * 4) / 3.
    effect = compare_numbers(np.array([1.0, 3.0]), np.array([4.0, 6.0, 8.0]))
    assert effect.d == pytest.approx(4 / np.sqrt(10 / 3))


def test_numbers_that_do_not_vary():
    same = compare_numbers(np.ones(3), np.ones(4))
    assert (same.d, same.auc, same.p) == (0, 0.5, 1)
    assert compare_numbers(np.ones(3), np.zeros(4)).d == -np.inf


def test_v_of_two_equal_classes_is_the_difference_of_shares():
    background, target = np.repeat(["a", "b"], [8000, 2000]), np.repeat(["a", "b"], [2000, 8000])
    assert compare_classes(background, target).cramers_v == pytest.approx(0.6, abs=1e-3)


def test_v_corrects_that_of_scipy_for_its_bias():
    rng = np.random.default_rng(0)
    background, target = rng.choice(list("abc"), 50, p=[0.6, 0.3, 0.1]), rng.choice(list("abc"), 50)
    table = [[np.sum(side == value) for value in "abc"] for side in (background, target)]
    phi2 = association(table, method="cramer") ** 2  # of two rows it is phi
    expected = np.sqrt((phi2 - 2 / 99) / (1 - 1 / 99))
    assert compare_classes(background, target).cramers_v == pytest.approx(expected)


def test_v_does_not_shrink_where_labels_are_unequal():
    background, target = np.repeat(["a", "b"], [8000, 2000]), np.repeat(["a", "b"], [200, 800])
    assert compare_classes(background, target).cramers_v == pytest.approx(0.6, abs=0.01)


def test_small_tables_are_tested_by_chance_itself():
    background, target = np.repeat(["a", "b"], [5, 1]), np.repeat(["a", "b"], [1, 6])
    exact = fisher_exact([[5, 1], [1, 6]]).pvalue
    assert compare_classes(background, target).p == pytest.approx(exact, abs=0.01)


def test_the_class_that_differs_most_is_named():
    effect = compare_classes(np.array(list("aaab")), np.array(list("abbb")))
    assert (effect.value, effect.shares) == ("a", (0.75, 0.25))


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.02, 0.001, 0.9, 0.015]), [0.045, 0.004, 0.9, 0.045])
    assert len(holm([])) == 0
