"""Effect sizes and p-values of the difference between two labels in one variable."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import chi2_contingency, mannwhitneyu, random_table

from sepvae.batch import AnyArray, FloatArray

N_TABLES = 9999  # random tables for a p-value if counts are too small for the chi-square distribution


@dataclass(frozen=True)
class NumbersEffect:
    """
    Comparison of numbers between background and target; pairs are in this order.

    `d` is Cohen's d, target minus background over the pooled standard deviation, infinite if only the means
    differ. `auc` is the probability that a random target has the greater number, with ties as half. `p` is
    that of the two-sided Mann-Whitney U test.
    """

    means: tuple[float, float]
    sds: tuple[float, float]
    d: float
    auc: float
    p: float


@dataclass(frozen=True)
class ClassesEffect:
    """
    Comparison of classes between background and target.

    `cramers_v` takes both labels as equally frequent, and is corrected for bias. `p` is that of the
    chi-square test, or of random tables if an expected count is below 5. `value` is the class whose share
    differs most, and `shares` are its shares among background and target.
    """

    cramers_v: float
    p: float
    value: object
    shares: tuple[float, float]


def compare_numbers(background: AnyArray, target: AnyArray) -> NumbersEffect:
    """
    Compare finite numbers of background and target, two or more each, of shape (n,).

    >>> effect = compare_numbers(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]))
    >>> round(effect.d, 3), round(effect.auc, 3)
    (1.0, 0.778)
    """
    sides = np.asarray(background, dtype=float), np.asarray(target, dtype=float)
    means, sds = (tuple(float(f(x)) for x in sides) for f in (np.mean, lambda x: np.std(x, ddof=1)))
    n = [len(x) for x in sides]
    pooled = np.sqrt(sum((k - 1) * s**2 for k, s in zip(n, sds, strict=True)) / (sum(n) - 2))
    difference = means[1] - means[0]
    d = difference / pooled if pooled else np.copysign(np.inf, difference) if difference else 0.0
    test = mannwhitneyu(sides[1], sides[0])
    p = float(test.pvalue) if np.isfinite(test.pvalue) else 1.0  # all numbers are the same
    return NumbersEffect(
        (means[0], means[1]), (sds[0], sds[1]), float(d), float(test.statistic) / n[0] / n[1], p
    )


def compare_classes(background: AnyArray, target: AnyArray, random_state: int = 0) -> ClassesEffect:
    """
    Compare classes of background and target, without missing values, of shape (n,).

    The bias of Cramer's V is corrected as by Bergsma (2013). With equally frequent labels, V of two equally
    frequent classes is the difference of their shares.

    >>> compare_classes(np.array(["F", "M"] * 50), np.array(["F"] * 100)).shares
    (0.5, 1.0)
    """
    code, values = pd.factorize(np.concatenate([background, target]), sort=False)
    n = len(background), len(target)
    table = np.stack([np.bincount(part, minlength=len(values)) for part in (code[: n[0]], code[n[0] :])])
    shares = table / table.sum(axis=1, keepdims=True)
    phi2 = float((np.diff(shares, axis=0)[0] ** 2 / (2 * shares.sum(axis=0))).sum())
    size = 4 / (1 / n[0] + 1 / n[1])  # equivalent number of samples with equally frequent labels
    unbiased = max(0.0, phi2 - (len(values) - 1) / (size - 1))
    v = min(1.0, float(np.sqrt(unbiased / (1 - 1 / (size - 1)))))
    differs = int(np.abs(np.diff(shares, axis=0)[0]).argmax())
    return ClassesEffect(
        v,
        _p_of_table(table, random_state),
        values[differs],
        (float(shares[0, differs]), float(shares[1, differs])),
    )


def _p_of_table(table: npt.NDArray[np.int64], seed: int) -> float:
    test = chi2_contingency(table, correction=False)
    expected = test.expected_freq
    if expected.min() >= 5:
        return float(test.pvalue)
    drawn = random_table(table.sum(axis=1), table.sum(axis=0)).rvs(N_TABLES, random_state=seed)
    chi2 = ((drawn - expected) ** 2 / expected).sum(axis=(1, 2))
    return float((np.sum(chi2 >= test.statistic - 1e-9) + 1) / (N_TABLES + 1))


def holm(p: Sequence[float]) -> FloatArray:
    """
    Return p-values of shape (tests,), corrected for their number by Holm's method.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1)
    corrected = np.empty_like(values)
    corrected[order] = raised
    return corrected
