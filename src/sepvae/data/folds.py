"""Cross-validation folds with whole groups: drawn at random, or one per value of an attribute."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from sepvae.batch import AnyArray, IntArray
from sepvae.data.splits import _check_arrays
from sepvae.errors import DataError


def make_folds(
    labels: AnyArray | Sequence[Any],
    groups: AnyArray | Sequence[Any],
    n_folds: int,
    *,
    stratify: AnyArray | Sequence[Any] | None = None,
    random_state: int = 0,
) -> list[tuple[IntArray, IntArray]]:
    """
    Return (train, test) positions of folds that are stratified by label and keep groups whole.

    `stratify`, such as the site, may have missing values. Within a label, its values with fewer groups than
    folds are pooled.

    >>> folds = make_folds(["ill"] * 6 + ["well"] * 4, range(10), 2)
    >>> [len(test) for _, test in folds]
    [5, 5]
    """
    label, group = np.asarray(labels), np.asarray(groups)
    _check_arrays(label, group, stratify)
    for name in np.unique(label):
        if (n := len(np.unique(group[label == name]))) < n_folds:
            raise DataError(f"folds: wanted {n_folds} groups or more of each label, got {n} of {name}")
    strata = label if stratify is None else _strata(label, group, np.asarray(stratify, dtype=object), n_folds)
    drawn = StratifiedGroupKFold(n_folds, shuffle=True, random_state=random_state)
    folds = [(np.sort(train), np.sort(test)) for train, test in drawn.split(strata, strata, group)]
    for number, (_, test) in enumerate(folds):
        if lacking := _lacking(label, test):
            raise DataError(
                f"folds: fold {number} gets no sample of label {lacking[0]!r}; take fewer folds than "
                f"{n_folds}, or another split_seed"
            )
    return folds


def leave_out_folds(
    labels: AnyArray | Sequence[Any], groups: AnyArray | Sequence[Any], values: AnyArray | Sequence[Any]
) -> tuple[list[tuple[IntArray, IntArray]], str]:
    """
    Return (train, test) positions of one fold per value of an attribute, and a text on values never left out.

    A value that lacks a label cannot be scored, so it stays in every training part. So do samples without a
    value.

    >>> labels, sites = ["ill", "well"] * 2 + ["ill"], ["Bonn", "Bonn", "Lyon", "Lyon", "Rome"]
    >>> folds, never = leave_out_folds(labels, range(5), sites)
    >>> [test.tolist() for _, test in folds]
    [[0, 1], [2, 3]]
    >>> never
    'Rome (no sample of well) is never left out'
    """
    label, group = np.asarray(labels), np.asarray(groups)
    _check_arrays(label, group, values)
    value = pd.Series(np.asarray(values, dtype=object)).map(str, na_action="ignore")
    numbers, names = pd.factorize(group)
    of_group = value.groupby(numbers).nunique()
    if several := of_group.index[of_group > 1].tolist():
        raise DataError(
            f"folds: {len(several)} groups have several values of what is left out, such as "
            f"{names[several[0]]}; leave those groups out, or take folds"
        )
    value = value.groupby(numbers).transform("first")  # fills missing values from the same group
    tests = {name: np.flatnonzero(value == name) for name in sorted(value.dropna().unique())}
    lacking = {name: _lacking(label, test) for name, test in tests.items()}
    kept = [test for name, test in tests.items() if not lacking[name]]
    if len(kept) < 2:
        raise DataError(
            f"folds: wanted two values or more that have samples of every label, got {len(kept)} of "
            f"{len(tests)}; leave out another attribute, or take folds"
        )
    everyone = np.arange(len(label))
    never = [f"{name} (no sample of {', '.join(map(str, of))})" for name, of in lacking.items() if of]
    if missing := int(value.isna().sum()):
        never.append(f"what has no value ({missing} samples)")
    verb = " is never left out" if len(never) == 1 else " are never left out"
    return [(np.setdiff1d(everyone, test), test) for test in kept], ", ".join(never) + verb * bool(never)


def _lacking(label: AnyArray, rows: IntArray) -> list[Any]:
    """Return the labels of which these rows have no sample."""
    return sorted(set(label.tolist()) - set(label[rows].tolist()), key=str)


def _strata(label: AnyArray, group: AnyArray, extra: AnyArray, n_folds: int) -> IntArray:
    """Number the pairs of label and extra; within a label, values with few groups share a number."""
    table = pd.DataFrame({"label": label, "extra": pd.factorize(extra)[0], "group": group})  # -1: missing
    strata = np.empty(len(table), dtype=np.intp)
    for number, (_, rows) in enumerate(table.groupby("label", sort=False)):
        n_groups = rows.groupby("extra")["group"].nunique().sort_values(ascending=False, kind="stable")
        rare = set(n_groups.index[n_groups < n_folds])
        pooled = rows.loc[rows["extra"].isin(rare), "group"].nunique()
        home = n_groups.index[0] if pooled < n_folds else -2  # too few even if pooled: join the largest
        chosen = rows["extra"].where(~rows["extra"].isin(rare), home)
        strata[rows.index] = number * (len(table) + 2) + chosen + 2
    return strata
