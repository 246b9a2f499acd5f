"""Splits into train and test, and folds: similar shares of labels on both sides, no patient on both."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, train_test_split

from sepvae.batch import AnyArray, IntArray
from sepvae.data.cells import read_cells
from sepvae.errors import DataError

SIDES = {"train": ("train", "training", "val", "valid", "validation"), "test": ("test", "testing")}
Values = AnyArray | Sequence[Any]
N_DRAWS = 200  # number of grouped splits to choose from


def split(
    labels: Values,
    groups: Values,
    *,
    test_size: float = 0.2,
    stratify: Values | None = None,
    random_state: int = 0,
) -> tuple[IntArray, IntArray]:
    """
    Split samples in two, stratified by label, with every group on one side.

    If every sample is its own group, the shares are exact to one sample. Otherwise groups stay whole: of 200
    random grouped splits, the one is taken in which the test share of each label is nearest to `test_size` on
    average (within 0.005 for a thousand small groups, 0.1 for tens).

    Parameters
    ----------
    labels, groups : array-like of shape (n,)
        Label of each sample, and its patient or animal, which must stay on one side.
    test_size : float, default=0.2
        Share of the samples in the test set, in (0, 1).
    stratify : array-like of shape (n,), default=None
        Second variable with similar shares on both sides within each label; it may have missing values.
    random_state : int, default=0
        Seed of the split.

    Returns
    -------
    train, test : ndarray of int
        Positions, in ascending order.

    Raises
    ------
    DataError
        If a label would be missing on one side.

    Examples
    --------
    >>> train, test = split(["ill"] * 6 + ["well"] * 4, [0, 0, 0, 1, 1, 1, 2, 2, 3, 3], test_size=0.5)
    >>> len(train), len(test)
    (5, 5)
    """
    label, group = np.asarray(labels), np.asarray(groups)
    if not 0 < test_size < 1:
        raise DataError(f"--test-size: wanted a share between 0 and 1, got {test_size}")
    _check_arrays(label, group, stratify)
    n_groups = pd.Series(group).groupby(label).nunique()
    if scarce := n_groups.index[n_groups < 2].tolist():
        wanted = "wanted two subjects or more of each label, one for each side"
        raise DataError(f"split: label {scarce[0]!r} has samples of one subject only; {wanted}")
    # Numbers of strata, which also work if strings are mixed with missing values.
    table = pd.DataFrame({"label": label, "extra": 0 if stratify is None else np.asarray(stratify)})
    strata = np.asarray(table.groupby(["label", "extra"], dropna=False, sort=False).ngroup(), dtype=np.intp)
    group_codes, kinds = pd.factorize(group)
    if len(kinds) == len(group):
        how = {"test_size": test_size, "stratify": strata, "random_state": random_state}
        try:
            train, test = train_test_split(np.arange(len(strata)), **how)
        except ValueError as error:
            few = f"{len(strata)} samples of {max(strata) + 1} kinds are too few for --test-size {test_size}"
            remedy = "give more of each kind, a --test-size nearer to 0.5, or leave stratify out"
            raise DataError(f"split: {few}; {remedy}") from error
    else:
        train, test = _split_groups(pd.factorize(label)[0], strata, group_codes, test_size, random_state)
    remedy = f"give more subjects of it, or a --test-size nearer to 0.5 than {test_size}"
    _check_sides(train, test, label, remedy)
    return np.sort(train), np.sort(test)


def side_of(part: Any) -> str | None:
    """Return "train" or "test" for the name of a part, such as "Validation"; None for any other word."""
    return next((side for side, names in SIDES.items() if str(part).lower() in names), None)


def given_split(parts: AnyArray, groups: AnyArray, labels: AnyArray) -> tuple[IntArray, IntArray]:
    """Return positions (train, test) of samples by the names of their parts; None is in neither."""
    sides = np.array([side_of(part) for part in parts], dtype=object)
    if unknown := parts[pd.isna(sides) & ~pd.isna(parts)].tolist():
        raise DataError(f"split: wanted train, validation or test, got {str(unknown[0])!r}; rename that part")
    train, test = (np.flatnonzero(sides == name) for name in SIDES)
    if shared := sorted(set(groups[train].tolist()) & set(groups[test].tolist()), key=str):
        raise DataError(
            f"split: {len(shared)} subjects have samples on both sides, such as {shared[0]}; scores would "
            "be optimistically biased, so move each to one side, or have the split drawn (of a folder, by "
            "naming only its part for training)"
        )
    _check_sides(train, test, labels, "name samples of it for both sides")
    return train, test


def read_split(path: str | Path, ids: AnyArray) -> AnyArray:
    """Return the part of each id, None if unnamed, from a file such as the `split.csv` of a run."""
    table = read_cells(Path(path))
    for name in ("id", "split"):
        if (n := list(table.columns).count(name)) != 1:
            raise DataError(
                f"{path}: {n or 'no'} columns {name!r}; wanted id and split, as in a run's split.csv"
            )
    if twice := table.index[table["id"].duplicated()].tolist():
        sample = table["id"][twice[0]]
        raise DataError(f"{path} line {twice[0]}: {sample!r} stands there twice; give each sample one part")
    part = table["split"]
    if unknown := part.index[part.notna() & part.map(side_of).isna()].tolist():
        got = f"wanted train, validation or test, got {part[unknown[0]]!r}"
        raise DataError(f"{path} line {unknown[0]}: {got}; rename that part")
    wanted = [str(id_).strip() for id_ in ids.tolist()]
    if not table["id"].isin(wanted).any():
        found = f"it has {table['id'].iloc[0]!r}, ids in the data look like {wanted[0]!r}"
        raise DataError(f"{path}: names none of the samples; {found}")
    part_of = dict(zip(table["id"], part.astype(object).where(part.notna(), None), strict=True))
    return np.array([part_of.get(id_) for id_ in wanted], dtype=object)


def choose_split(
    about: pd.DataFrame,
    *,
    file: str | Path | None = None,
    test_size: float = 0.2,
    stratify: AnyArray | None = None,
    random_state: int = 0,
) -> tuple[IntArray, IntArray, str]:
    """Return train, test and a description: split by `file`, else by parts in the data, else at random."""
    ids, groups, labels = (about[name].to_numpy(dtype=str) for name in ("id", "group", "label"))
    parts, how = about["split"].to_numpy(dtype=object), "as the folders say"
    if file is not None:
        parts, how = read_split(file, ids), f"as {Path(file).name} says"
    if file is None and not SIDES.keys() <= set(map(side_of, parts)):
        train, test = split(labels, groups, test_size=test_size, stratify=stratify, random_state=random_state)
        return train, test, f"drawn with seed {random_state}, {test_size:g} for the test"
    train, test = given_split(parts, groups, labels)
    out = len(about) - len(train) - len(test)
    return train, test, how + f"; {out} samples are in no part" * (out > 0)


def make_folds(
    labels: Values, groups: Values, n_folds: int, *, stratify: Values | None = None, random_state: int = 0
) -> list[tuple[IntArray, IntArray]]:
    """
    Return (train, test) positions of folds that are stratified by label and keep groups whole.

    `stratify`, such as the site, may have missing values. Within a label, its values with fewer groups than
    folds are pooled.
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
            remedy = f"take fewer folds than {n_folds}, or another split_seed"
            raise DataError(f"folds: fold {number} gets no sample of label {lacking[0]!r}; {remedy}")
    return folds


def leave_out_folds(
    labels: Values, groups: Values, values: Values
) -> tuple[list[tuple[IntArray, IntArray]], str]:
    """
    Return (train, test) positions of one fold per value of an attribute, and a text on values never left out.

    A value that lacks a label cannot be scored: it stays in every training part, as samples without a value.
    """
    label, group = np.asarray(labels), np.asarray(groups)
    _check_arrays(label, group, values)
    value = pd.Series(np.asarray(values, dtype=object)).map(str, na_action="ignore")
    numbers, names = pd.factorize(group)
    of_group = value.groupby(numbers).nunique()
    if several := of_group.index[of_group > 1].tolist():
        found = f"{len(several)} groups have several values of what is left out, such as {names[several[0]]}"
        raise DataError(f"folds: {found}; leave those groups out, or take folds")
    value = value.groupby(numbers).transform("first")  # fills missing values from the same group
    tests = {name: np.flatnonzero(value == name) for name in sorted(value.dropna().unique())}
    lacking = {name: _lacking(label, test) for name, test in tests.items()}
    kept = [test for name, test in tests.items() if not lacking[name]]
    if len(kept) < 2:
        got = f"wanted two values or more that have samples of every label, got {len(kept)} of {len(tests)}"
        raise DataError(f"folds: {got}; leave out another attribute, or take folds")
    everyone = np.arange(len(label))
    never = [f"{name} (no sample of {', '.join(map(str, of))})" for name, of in lacking.items() if of]
    if missing := int(value.isna().sum()):
        never.append(f"what has no value ({missing} samples)")
    verb = " is never left out" if len(never) == 1 else " are never left out"
    return [(np.setdiff1d(everyone, test), test) for test in kept], ", ".join(never) + verb * bool(never)


def _check_sides(train: IntArray, test: IntArray, label: AnyArray, remedy: str) -> None:
    """Raise unless every label is on both sides."""
    for side, rows in (("training", train), ("test", test)):
        if lacking := _lacking(label, rows):
            raise DataError(f"split: the {side} side gets no sample of label {lacking[0]!r}; {remedy}")


def _check_arrays(label: AnyArray, group: AnyArray, stratify: Any) -> None:
    """Raise for gaps and unequal lengths; only `stratify` may have gaps."""
    for name, values in (("groups", group), ("stratify", stratify)):
        if values is not None and len(values) != len(label):
            raise DataError(f"{name}: wanted one per sample ({len(label)}), got {len(values)}")
    for name, values in (("labels", label), ("groups", group)):
        if gaps := int(pd.isna(values).sum()):
            raise DataError(
                f"{name}: {gaps} of {len(values)} are missing; drop those samples or fill them in"
            )


def _split_groups(
    label: IntArray, strata: IntArray, group: IntArray, test_size: float, seed: int
) -> tuple[IntArray, IntArray]:
    """Return the best of many grouped splits: labels on both sides, then least mean distance of shares."""
    n_label, n_strata = np.bincount(label), np.bincount(strata)

    def distance(sides: tuple[IntArray, IntArray]) -> tuple[bool, float]:
        n_test = np.bincount(label[sides[1]], minlength=len(n_label))
        shares = np.bincount(strata[sides[1]], minlength=len(n_strata)) / n_strata
        return bool(((n_test == 0) | (n_test == n_label)).any()), float(np.abs(shares - test_size).mean())

    draws = GroupShuffleSplit(N_DRAWS, test_size=test_size, random_state=seed)
    train, test = min(draws.split(strata, groups=group), key=distance)
    return train, test


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
