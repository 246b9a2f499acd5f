"""Rank correlations: of predicted with true clinical scores, and of salient axes with attributes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats
from threadpoolctl import threadpool_limits

from sepvae.batch import AnyArray, FloatArray
from sepvae.codes import SPACES, Kind, code_columns
from sepvae.errors import DataError
from sepvae.evaluation.metrics import adjust_p
from sepvae.evaluation.probes import as_numbers, check_columns, known_values, make_probe, probe_questions

RUN = ["contender", "seed", "attribute", "space"]  # key columns of an association
FOUND = ["n", "spearman", "p", "partial", "n_partial", "p_partial"]
PREDICTED = ["id", "attribute", "space", "truth", "predicted"]
COLUMNS = ["attribute", "kind", "population", "axis", "measure", "value", "p_value", "n"]
Alternative = Literal["two-sided", "greater"]
ALIKE = 1e-8  # residuals below this share of the norm of the ranks are rounding errors
MIN_SAMPLES = 4  # with fewer samples, strong correlations of an axis are common by chance


def clinical_scores(table: pd.DataFrame, kinds: Mapping[str, Kind] | None = None) -> list[str]:
    """Return the names of the continuous attributes that only targets have: the clinical scores."""
    return [
        attribute
        for attribute, kind, known in known_values(table, kinds)
        if kind == "continuous" and len(known) and (known["y"] == 1).all()
    ]


def probe_predictions(table: pd.DataFrame, *, kinds: Mapping[str, Kind] | None = None) -> pd.DataFrame:
    """Predict continuous attributes of test targets by ridge probes of training targets, in each space."""
    parts = []
    with threadpool_limits(1):
        for question in probe_questions(table, kinds):
            if question.population != "target" or question.kind != "continuous" or question.unlearnable:
                continue
            rows = question.test[["id"]].assign(attribute=question.attribute, truth=question.test["value"])
            for space in SPACES if len(rows) else ():
                train, test = question.samples(space)
                values, _ = as_numbers(train, test, "continuous")
                probe = make_probe("continuous").fit(train.codes, values)
                parts.append(rows.assign(space=space, predicted=probe.predict(test.codes))[PREDICTED])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=PREDICTED)


def partial_spearman(
    x: AnyArray,
    y: AnyArray,
    covariates: pd.DataFrame | None = None,
    *,
    alternative: Alternative = "two-sided",
) -> tuple[float, float]:
    """
    Return the rank correlation of two variables, adjusted for covariates.

    The ranks of x and y are regressed on the covariates by least squares, and the residuals are correlated.
    Numeric covariates enter as ranks, all others as an indicator of each class. Without covariates the result
    is Spearman's rho.

    Parameters
    ----------
    x, y : ndarray of shape (n,)
        Two numeric variables, finite.
    covariates : DataFrame of n rows, default=None
        Numbers or classes (text, booleans, categories), without missing values.
    alternative : {"two-sided", "greater"}, default="two-sided"
        Alternative hypothesis of p: any correlation, or a positive one.

    Returns
    -------
    rho : float
        In [-1, 1]; NaN if no variance of x or y is left.
    p : float
        By Student's t with n - 2 - k degrees of freedom, where k is the rank of the covariates; NaN without
        degrees of freedom.

    Examples
    --------
    >>> age = np.arange(20.0)
    >>> x, y = age + 8 * np.sin(7 * age), age + 8 * np.cos(7 * age)
    >>> round(partial_spearman(x, y)[0], 2), round(partial_spearman(x, y, pd.DataFrame({"age": age}))[0], 2)
    (0.49, 0.09)
    """
    design = np.column_stack([np.ones(len(x)), *_design_columns(covariates)])
    ranks = np.column_stack([stats.rankdata(x), stats.rankdata(y)])
    left = ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
    spread = np.linalg.norm(left, axis=0)
    freedom = len(x) - 1 - np.linalg.matrix_rank(design)
    if freedom < 1 or (spread <= ALIKE * np.linalg.norm(ranks, axis=0)).any():
        return np.nan, np.nan
    rho = float(np.clip(left[:, 0] @ left[:, 1] / spread.prod(), -1, 1))
    with np.errstate(divide="ignore"):
        t = rho * np.sqrt(freedom / np.float64(1 - rho**2))
    return rho, float(stats.t.sf(t, freedom) if alternative == "greater" else 2 * stats.t.sf(abs(t), freedom))


def _design_columns(covariates: pd.DataFrame | None) -> list[FloatArray]:
    """Return columns of shape (n,): ranks of numbers, indicators of all classes but the first."""
    columns: list[FloatArray] = []
    for _, values in () if covariates is None else covariates.items():
        if _are_amounts(values):
            ranks = stats.rankdata(values.to_numpy(float))
            columns.append((ranks - ranks.mean()) / len(ranks))  # the magnitude of an indicator
        else:
            columns += [(values == name).to_numpy(float) for name in sorted(values.unique(), key=str)[1:]]
    return columns


def _are_amounts(values: "pd.Series[Any]") -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def clinical_associations(
    predictions: pd.DataFrame,
    about: pd.DataFrame,
    *,
    scores: Sequence[str],
    adjust_for: Sequence[str] = (),
    kinds: Mapping[str, Kind] | None = None,
) -> pd.DataFrame:
    """
    Correlate predicted clinical scores of held-out subjects with the true scores.

    Each fold has its own model and axes, so predictions, in the unit of the score, are pooled over the folds,
    never codes. Without any association, a prediction is the mean of its training part, which is low where
    the test part is high, so the expected rho lies somewhat below 0. Only a positive rho is evidence of an
    association. Two-sided p-values would be small for negative rows, and would loosen the false discovery
    rate of positive rows.

    Parameters
    ----------
    predictions : DataFrame
        Columns contender and seed, then those of `probe_predictions`; rows of all folds.
    about : DataFrame
        One row per sample: id, group (the subject), and the covariates.
    scores : sequence of str
        Attributes that are clinical scores.
    adjust_for : sequence of str, default=()
        Covariates of the partial correlation, such as age, sex, site. Subjects without a value are excluded
        from the partial correlation only.
    kinds : mapping, default=None
        "categorical" or "continuous" by covariate; numbers are continuous by default.

    Returns
    -------
    DataFrame
        One row per contender, seed, attribute and space: n, spearman, p, partial, n_partial, p_partial
        (missing without covariates), p_adjusted and p_partial_adjusted (false discovery rate over all rows,
        Benjamini and Hochberg). All p are one-sided. NaN if too few subjects or no variance are left.

    Raises
    ------
    DataError
        If a covariate is missing from `about`, or a subject was predicted twice.

    Examples
    --------
    >>> people = pd.DataFrame({"id": range(6), "group": range(6), "age": [50.5, 40, 60, 45, 55, 65]})
    >>> guesses = people[["id"]].assign(contender="SepVAE", seed=0, attribute="ados", space="salient")
    >>> guesses = guesses.assign(truth=[3.5, 1, 5, 2, 4, 6], predicted=[3, 2, 4, 1, 5, 6])
    >>> clinical_associations(guesses, people, scores=["ados"])[["n", "spearman"]].round(2).values.tolist()
    [[6.0, 0.89]]
    """
    if missing := [name for name in adjust_for if name not in about]:
        raise DataError(f"adjust_for: there is no attribute {missing[0]!r}; name others")
    chosen = predictions[predictions["attribute"].isin(scores)]
    people = about.drop_duplicates("id").set_index("id")
    chosen = chosen.assign(group=people["group"].reindex(chosen["id"]).to_numpy())
    if (twice := chosen.duplicated([*RUN, "group"])).any():
        person = chosen.loc[twice, "group"].iloc[0]
        raise DataError(
            f"predictions: {person!r} was predicted twice; an association takes people as independent, so "
            "give one sample of each"
        )
    covariates = _as_kinds(people[list(adjust_for)], kinds or {})
    runs = chosen.groupby(RUN, sort=False)
    answers = [(*run, *_association(rows, covariates.reindex(rows["id"]))) for run, rows in runs]
    found = pd.DataFrame(answers, columns=[*RUN, *FOUND]).astype({"n_partial": "Int64"})
    return found.assign(p_adjusted=adjust_p(found["p"]), p_partial_adjusted=adjust_p(found["p_partial"]))


def _association(rows: pd.DataFrame, covariates: pd.DataFrame) -> tuple[float | int | None, ...]:
    """Return the columns `FOUND` of one row."""
    truth, predicted = rows["truth"].to_numpy(float), rows["predicted"].to_numpy(float)
    plain = (len(rows), *partial_spearman(predicted, truth, alternative="greater"))
    if not len(covariates.columns):
        return (*plain, np.nan, None, np.nan)
    known = covariates.notna().all(axis=1).to_numpy()
    partial, p = partial_spearman(predicted[known], truth[known], covariates[known], alternative="greater")
    return (*plain, partial, int(known.sum()), p)


def _as_kinds(covariates: pd.DataFrame, kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """Return categorical covariates as text, even numeric ones, and others as floats, NaN if not finite."""
    columns: dict[object, pd.Series] = {}
    for name, values in covariates.items():
        if kinds.get(str(name), "continuous" if _are_amounts(values) else "categorical") == "categorical":
            columns[name] = values.astype(object).map(str, na_action="ignore")
        else:
            numbers = values.astype(float)
            columns[name] = numbers.where(np.isfinite(numbers))
    return pd.DataFrame(columns, index=covariates.index)


def salient_correlations(table: pd.DataFrame, *, kinds: Mapping[str, Kind] | None = None) -> pd.DataFrame:
    """
    Correlate each salient axis with each attribute and with the label, over the people of the test part.

    An attribute that only targets have is correlated among targets, any other among all people. Samples of a
    person (column group) count once, by their means; with classes, once in each class that the person has.
    A probe with its interval over groups (`score_codes`) is stronger evidence.

    Parameters
    ----------
    table : DataFrame
        Table of codes: split, y (0 background, 1 target), attributes, salient0, ..; group, if samples are
        not of one person each.
    kinds : mapping, default=None
        "categorical" or "continuous" by attribute; by default amounts are continuous, and up to 20 whole
        numbers, text and booleans are categorical.

    Returns
    -------
    DataFrame
        One row per attribute ("label" for y) and axis: attribute, kind (categorical or continuous),
        population (all or target), axis, measure, value, p_value, n, p_adjusted (false discovery rate over
        all rows, Benjamini and Hochberg). The measure is Spearman's rho ("spearman", -1 to 1) if continuous,
        else the correlation ratio ("eta", 0 to 1, the root of the between-class share of the variance) with
        the p-value of the F-test. NaN if an axis or an attribute does not vary, or with fewer than 4 samples.

    Raises
    ------
    DataError
        If the table lacks a column, or has no test samples.

    Examples
    --------
    >>> table = pd.DataFrame({"split": "test", "y": [0, 0, 1, 1, 1, 1], "age": [50, 61.5, 40, 45, 50, 55]})
    >>> table["salient0"] = [0.0, 1.0, 2.0, 2.5, 3.0, 3.5]
    >>> salient_correlations(table)[["attribute", "measure", "value"]].round(2).values.tolist()
    [['label', 'eta', 0.89], ['age', 'spearman', 0.03]]
    """
    check_columns(table, "split", "y", "salient0")
    if not (table["split"] == "test").any():
        raise DataError("column split names no sample 'test'; correlations are of test samples")
    rows: list[tuple[object, ...]] = []
    for attribute, kind, known in known_values(table, kinds):
        population = "all" if attribute == "label" or (known["y"] == 0).any() else "target"
        test = _once_a_person(known[known["split"] == "test"], kind, code_columns(table, "salient"))
        measure, correlate = ("spearman", _spearman) if kind == "continuous" else ("eta", _eta)
        for axis in code_columns(table, "salient"):
            value, p = correlate(test[axis].to_numpy(float), test["value"].to_numpy())
            rows.append((attribute, kind, population, axis, measure, value, p, len(test)))
    found = pd.DataFrame(rows, columns=COLUMNS)
    return found.assign(p_adjusted=adjust_p(found["p_value"]))


def _once_a_person(rows: pd.DataFrame, kind: Kind, axes: list[str]) -> pd.DataFrame:
    """Return the means of the samples of each person, of classes those of each person and class."""
    keys = ["group"] if kind == "continuous" else ["group", "value"]
    if "group" not in rows or not rows.duplicated(keys).any():
        return rows
    numbers = rows.astype({"value": float}) if kind == "continuous" else rows
    averaged = axes if kind == "categorical" else [*axes, "value"]
    return numbers.groupby(keys, sort=False)[averaged].mean().reset_index()


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
