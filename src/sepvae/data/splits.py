"""Train and test: labels in like shares on both sides, no patient on both."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from sepvae.batch import AnyArray, IntArray, Source
from sepvae.errors import DataError

N_DRAWS = 200  # grouped splits to choose from


def split(
    labels: AnyArray | Sequence[Any],
    groups: AnyArray | Sequence[Any],
    *,
    test_size: float = 0.2,
    stratify: AnyArray | Sequence[Any] | None = None,
    random_state: int = 0,
) -> tuple[IntArray, IntArray]:
    """
    Split samples in two, stratified by label, with every group whole on one side.

    Where every sample is its own group, the shares are exact to one sample. Otherwise groups come whole and
    the shares cannot be exact: of 200 random grouped splits that one is taken in which the test's share of
    each label is nearest to `test_size` on average (within 0.005 for a thousand small groups, 0.1 for tens).

    Parameters
    ----------
    labels : array-like of shape (n,)
        The label of each sample.
    groups : array-like of shape (n,)
        What must stay on one side: the patient, the mouse.
    test_size : float, default=0.2
        Share of the samples for the test, in (0, 1).
    stratify : array-like of shape (n,), default=None
        A second variable to keep in like shares, within each label; it may have missing values.
    random_state : int, default=0
        Draws the split.

    Returns
    -------
    train, test : ndarray of int
        Positions, in order.

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
    _check(label, group, stratify, test_size)
    # Numbers for names: they also serve where strings stand beside missing values.
    table = pd.DataFrame({"label": label, "extra": 0 if stratify is None else np.asarray(stratify)})
    strata = np.asarray(table.groupby(["label", "extra"], dropna=False, sort=False).ngroup(), dtype=np.intp)
    group_codes, kinds = pd.factorize(group)
    if len(kinds) == len(group):
        train, test = _split_samples(strata, test_size, random_state)
    else:
        train, test = _split_groups(pd.factorize(label)[0], strata, group_codes, test_size, random_state)
    for side, rows in (("training", train), ("test", test)):
        if lacking := sorted(set(label.tolist()) - set(label[rows].tolist()), key=str):
            raise DataError(
                f"split: the {side} side gets no sample of label {lacking[0]!r} with test_size={test_size}; "
                "give more groups of it, or a test_size nearer to 0.5"
            )
    return np.sort(train), np.sort(test)


def split_table(source: Source, parts: Mapping[str, npt.ArrayLike]) -> pd.DataFrame:
    """
    Which sample went where: what `split.csv` holds.

    Parameters
    ----------
    source : Source
        The samples.
    parts : dict of str to array-like of int
        Positions of the samples of each part, such as {"train": .., "test": ..}.

    Returns
    -------
    DataFrame
        Columns id, group, label, split, in the order of the source; samples of no part are left out.

    Raises
    ------
    DataError
        If a sample stands in two parts.
    """
    name = np.full(len(source), None, dtype=object)
    for part, rows in parts.items():
        rows = np.asarray(rows, dtype=np.intp)
        if taken := rows[pd.notna(name[rows])].tolist():
            sample, other = str(source.ids[taken[0]]), name[taken[0]]
            raise DataError(
                f"parts: {sample!r} stands in both {other!r} and {part!r}; give each sample one part"
            )
        name[rows] = part
    table = pd.DataFrame({"id": source.ids, "group": source.groups, "label": source.labels, "split": name})
    return table.dropna(subset="split").reset_index(drop=True)


def _check(label: AnyArray, group: AnyArray, stratify: Any, test_size: float) -> None:
    """Refuse what cannot be split, with the reason that a user can see in the data."""
    if not 0 < test_size < 1:
        raise DataError(f"test_size: wanted a share between 0 and 1, got {test_size}")
    for name, values in (("groups", group), ("stratify", stratify)):
        if values is not None and len(values) != len(label):
            raise DataError(f"{name}: wanted one per sample ({len(label)}), got {len(values)}")
    for name, values in (("labels", label), ("groups", group)):
        if missing := int(pd.isna(values).sum()):
            raise DataError(
                f"{name}: {missing} of {len(values)} are missing; drop those samples or fill them in"
            )
    n_groups = pd.Series(group).groupby(label).nunique()
    if scarce := n_groups.index[n_groups < 2].tolist():
        raise DataError(
            f"split: label {scarce[0]!r} has samples of one group only; "
            "wanted two groups or more of each label, one for each side"
        )


def _split_samples(strata: IntArray, test_size: float, seed: int) -> tuple[IntArray, IntArray]:
    """Every sample is its own group."""
    try:
        train, test = train_test_split(
            np.arange(len(strata)), test_size=test_size, stratify=strata, random_state=seed
        )
    except ValueError as error:
        raise DataError(
            f"split: {len(strata)} samples of {max(strata) + 1} kinds are too few for test_size={test_size}; "
            "give more of each kind, a test_size nearer to 0.5, or leave stratify out"
        ) from error
    return train, test


def _split_groups(
    label: IntArray, strata: IntArray, group: IntArray, test_size: float, seed: int
) -> tuple[IntArray, IntArray]:
    """Best of many grouped splits: each side has every label, then the mean distance of shares is least."""
    n_label, n_strata = np.bincount(label), np.bincount(strata)

    def distance(sides: tuple[IntArray, IntArray]) -> tuple[bool, float]:
        n_test = np.bincount(label[sides[1]], minlength=len(n_label))
        shares = np.bincount(strata[sides[1]], minlength=len(n_strata)) / n_strata
        return bool(((n_test == 0) | (n_test == n_label)).any()), float(np.abs(shares - test_size).mean())

    draws = GroupShuffleSplit(N_DRAWS, test_size=test_size, random_state=seed)
    train, test = min(draws.split(strata, groups=group), key=distance)
    return train, test
