"""Separation of targets from background in the two spaces, measured on the codes alone."""

import numpy as np
import pandas as pd

from sepvae.codes import SPACES, Space, code_columns
from sepvae.errors import DataError

ACTIVE_VARIANCE = 0.01  # a dimension whose posterior means vary less is inactive


def variance_ratio(table: pd.DataFrame, space: Space) -> float:
    """
    Return the variance of the codes of targets over that of background samples.

    Variance is the trace of the covariance of posterior means. The ratio is far above 1 in a salient space
    that separates the labels, and near 1 in a common space.

    Parameters
    ----------
    table : DataFrame
        Table of codes, with at least two samples of each label.
    space : {"common", "salient", "both"}
        Space of the codes.

    Returns
    -------
    float
        At least 0. Infinite if background codes do not vary; NaN if no codes vary, or a label has one sample.

    Examples
    --------
    >>> table = pd.DataFrame({"y": [0, 0, 1, 1], "salient0": [-1.0, 1.0, -3.0, 3.0]})
    >>> variance_ratio(table, "salient")
    9.0
    """
    codes = table[code_columns(table, space)]
    background, target = (codes[table["y"] == y].var().sum(skipna=False) for y in (0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(target, background))


def active_units(table: pd.DataFrame, space: Space) -> int:
    """
    Count the dimensions that are active among targets.

    Parameters
    ----------
    table : DataFrame
        Table of codes, with at least two targets.
    space : {"common", "salient", "both"}
        Space of the dimensions.

    Returns
    -------
    int
        Number of dimensions whose posterior means have a variance above 0.01 over the targets.

    Examples
    --------
    >>> active_units(pd.DataFrame({"y": [1, 1], "salient0": [-1.0, 1.0], "salient1": [0.0, 0.01]}), "salient")
    1
    """
    variances = table.loc[table["y"] == 1, code_columns(table, space)].var()
    return int((variances > ACTIVE_VARIANCE).sum())


def separation_scores(table: pd.DataFrame, reconstruction_error: pd.DataFrame | None = None) -> pd.DataFrame:
    """
    Compute the scores without a probe: variance ratio, active units and, if given, reconstruction error.

    Parameters
    ----------
    table : DataFrame
        Table of codes of the test samples only.
    reconstruction_error : DataFrame or None, default=None
        Columns id, full, common_only: mean squared error per pixel of each sample, decoded from both codes
        and from the common code alone. It may cover only some of the samples.

    Returns
    -------
    DataFrame
        Columns space, population, metric, score, n_test, n_test_groups. Each of the two spaces has a
        variance_ratio (population all) and active_units (population target). reconstruction_error is a mean
        over samples, with populations background and target, and with space both for full and common for
        common_only.

    Raises
    ------
    DataError
        If `reconstruction_error` lacks a column, repeats an id, or has one that is no test sample.
    """
    target = table[table["y"] == 1]
    rows: list[tuple[str, str, str, float, int, int]] = []
    for space in SPACES:
        rows.append((space, "all", "variance_ratio", variance_ratio(table, space), *_counts(table)))
        rows.append((space, "target", "active_units", active_units(table, space), *_counts(target)))
    if reconstruction_error is not None:
        rows += _reconstruction_rows(table, reconstruction_error)
    return pd.DataFrame(
        rows, columns=["space", "population", "metric", "score", "n_test", "n_test_groups"]
    ).astype({"score": float})


def _reconstruction_rows(
    table: pd.DataFrame, errors: pd.DataFrame
) -> list[tuple[str, str, str, float, int, int]]:
    missing = [name for name in ("id", "full", "common_only") if name not in errors.columns]
    if missing:
        raise DataError(f"the reconstruction errors need columns id, full, common_only; {missing} not found")
    # Reading a CSV file may have converted the ids of only one table to numbers.
    samples = table.assign(id=table["id"].astype(str))
    errors = errors.assign(id=errors["id"].astype(str))
    unknown = errors.loc[~errors["id"].isin(samples["id"]) | errors["id"].duplicated(), "id"]
    if len(unknown):
        raise DataError(
            f"reconstruction errors are wanted once for each test sample; "
            f"{len(unknown)} ids are no test samples or come twice, such as {unknown.iloc[0]}"
        )
    merged = samples[["id", "y", "group"]].merge(errors, on="id")
    return [
        (space, population, "reconstruction_error", float(rows[column].mean()), *_counts(rows))
        for column, space in (("full", "both"), ("common_only", "common"))
        for population, rows in (
            ("background", merged[merged["y"] == 0]),
            ("target", merged[merged["y"] == 1]),
        )
        if len(rows)
    ]


def _counts(rows: pd.DataFrame) -> tuple[int, int]:
    return len(rows), rows["group"].nunique()
