"""Correlations of salient axes with attributes: a first indication of the meaning of each axis."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from sepvae.batch import AnyArray, FloatArray
from sepvae.codes import Kind, code_columns
from sepvae.errors import DataError
from sepvae.evaluation.metrics import adjust_p
from sepvae.evaluation.probes import known_values

COLUMNS = ["attribute", "kind", "population", "axis", "measure", "value", "p_value", "n"]
MIN_SAMPLES = 4  # with fewer samples, strong correlations are common by chance


def salient_correlations(table: pd.DataFrame, *, kinds: Mapping[str, Kind] | None = None) -> pd.DataFrame:
    """
    Correlate each salient axis with each attribute and with the label, over the test samples.

    An attribute that only targets have is correlated among targets, any other among all samples. The p-values
    assume independent samples: they are too small if groups have several samples. A probe with its interval
    over groups (`score_codes`) is stronger evidence.

    Parameters
    ----------
    table : DataFrame
        Table of codes, as returned by `sepvae.codes.codes_table`: split, y (0 background, 1 target),
        attributes, salient0, ...
    kinds : mapping, default=None
        "categorical" or "continuous" by attribute; `attribute_kind` decides for all others.

    Returns
    -------
    DataFrame
        One row per attribute ("label" for y) and axis: attribute, kind (categorical or continuous),
        population (all or target), axis, measure, value, p_value, n, p_adjusted. The measure of a continuous
        attribute is Spearman's rho ("spearman", -1 to 1). The measure of a categorical attribute is the
        correlation ratio ("eta", 0 to 1, the root of the between-class share of the variance of the axis)
        with the p-value of the F-test. Adjusted p-values control the false discovery rate over all rows
        (Benjamini and Hochberg). Value and p-values are NaN if an axis or an attribute does not vary, or with
        fewer than 4 samples.

    Raises
    ------
    DataError
        If the table lacks a column, or has no test samples.

    Examples
    --------
    >>> table = pd.DataFrame({"split": "test", "y": [0, 0, 1, 1, 1, 1], "age": [50, 61.5, 40, 45, 50, 55]})
    >>> table["salient0"] = [0.0, 1.0, 2.0, 2.5, 3.0, 3.5]
    >>> found = salient_correlations(table).set_index("attribute")
    >>> found["measure"].to_dict()
    {'label': 'eta', 'age': 'spearman'}
    >>> round(float(found.loc["label", "value"]), 2)
    0.89
    """
    axes = code_columns(table, "salient")
    missing = [name for name in ("split", "y") if name not in table] + ([] if axes else ["salient0"])
    if missing:
        raise DataError(f"a table of codes needs columns split, y, salient0, ..; it lacks {missing}")
    if not (table["split"] == "test").any():
        raise DataError("column split names no sample 'test'; correlations are of test samples")
    rows: list[tuple[object, ...]] = []
    for attribute, kind, known in known_values(table, kinds):
        population = "all" if attribute == "label" or (known["y"] == 0).any() else "target"
        test = known[known["split"] == "test"]
        measure = "spearman" if kind == "continuous" else "eta"
        for axis in axes:
            value, p = _MEASURES[measure](test[axis].to_numpy(float), test["value"].to_numpy())
            rows.append((attribute, kind, population, axis, measure, value, p, len(test)))
    found = pd.DataFrame(rows, columns=COLUMNS)
    return found.assign(p_adjusted=adjust_p(found["p_value"]))


def _spearman(axis: FloatArray, values: AnyArray) -> tuple[float, float]:
    if len(axis) < MIN_SAMPLES or np.ptp(axis) == 0 or np.ptp(values.astype(float)) == 0:
        return np.nan, np.nan
    found = stats.spearmanr(axis, values.astype(float))
    return float(found.statistic), float(found.pvalue)


def _eta(axis: FloatArray, values: AnyArray) -> tuple[float, float]:
    """Return the root of the between-class share of the variance, and the p-value of the F-test."""
    classes, class_of, sizes = np.unique(values, return_inverse=True, return_counts=True)
    within_freedom, between_freedom = len(axis) - len(classes), len(classes) - 1
    if len(axis) < MIN_SAMPLES or np.ptp(axis) == 0 or min(within_freedom, between_freedom) < 1:
        return np.nan, np.nan
    means = np.bincount(class_of, weights=axis) / sizes
    between = float(sizes @ (means - axis.mean()) ** 2)
    within = float(((axis - means[class_of]) ** 2).sum())
    f = np.inf if within == 0 else (between / between_freedom) / (within / within_freedom)
    return float(np.sqrt(between / (between + within))), float(stats.f.sf(f, between_freedom, within_freedom))


_MEASURES = {"spearman": _spearman, "eta": _eta}
