"""`score_codes`: all scores of a table of codes, as one tidy table, from probes and from the codes alone."""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from sepvae.codes import SPACES, Blocks, Kind, code_columns
from sepvae.errors import DataError
from sepvae.evaluation.conditional import conditional_scores
from sepvae.evaluation.information_scores import information_scores
from sepvae.evaluation.metrics import interval, resampling_weights
from sepvae.evaluation.probes import SCORE_COLUMNS, ProbeQuestion, check_columns, probe_questions, score_probe
from sepvae.run_folder import N_PERMUTATIONS

COLUMNS = ["space", "attribute", "population", *SCORE_COLUMNS]
PROBED: tuple[str, ...] = (*SPACES, "both")
MIN_PERMUTATIONS = 19  # for a p-value of 0.05
RECONSTRUCTION_METRICS = ("reconstruction_error", "explained_variance")
ACTIVE_VARIANCE = 0.01  # a dimension whose posterior means vary less is inactive


def score_codes(
    table: pd.DataFrame,
    *,
    reconstruction_error: pd.DataFrame | None = None,
    kinds: Mapping[str, Kind] | None = None,
    blocks: Blocks | None = None,
    quality: pd.DataFrame | None = None,
    least_squares: bool = False,
    information: bool | None = None,
    n_permutations: int = N_PERMUTATIONS,
    n_bootstraps: int = 1000,
    random_state: int = 0,
    n_jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """
    Score a table of codes: probes of each attribute in each space, and the separation of the labels.

    Probes are fitted on the rows of split "train" and scored on those of split "test". Rows of split
    "validation" serve neither purpose: the model was not fitted on them, but they decided when training
    stopped. An attribute that only targets have is probed among targets, any other among all samples and
    among targets; the label is probed among all samples. `left_out` lists what has no probe.

    Parameters
    ----------
    table : DataFrame
        Table of codes: id, split, group, y (0 background, 1 target), attributes, common0, .., salient0, ...
    reconstruction_error : DataFrame or None, default=None
        As for `separation_scores`, of test samples.
    kinds : mapping, default=None
        "categorical" or "continuous" by attribute; by default amounts are continuous, and up to 20 whole
        numbers, text and booleans are categorical.
    blocks : dict of str to slice, default=None
        Blocks of the salient space that are scored as spaces of their own, as in `salient_blocks_`.
    quality : DataFrame or None, default=None
        Column id, and numbers of each image or volume, such as its sharpness: salient is asked for them among
        background.
    least_squares : bool, default=False
        Score only continuous attributes, by probes without a penalty, as in the paper. With about as many
        code dimensions as training samples the predictions are poor.
    information : bool or None, default=None
        Whether to compute the information that spaces share and hold of the label; None with 19 permutations
        or more, since without a null a bound says little. What is conditional on covariates needs these 19.
    n_permutations : int, default=100
        Shuffles for each p-value; 0 for none.
    n_bootstraps : int, default=1000
        Resamples for each interval; 0 for none.
    random_state : int, default=0
        Seed of each probe, so that no score depends on which other attributes the table has.
    n_jobs : int, default=1
        Processes that fit probes in parallel, as in joblib.
    progress : callable or None, default=None
        Called as `progress(done, total)` after each probe.

    Returns
    -------
    DataFrame
        Columns space (common, salient, both, blocks), attribute ("label" for y), population (all, background,
        target), metric (balanced_accuracy, accuracy, auc, mae, r2, variance_ratio, active_units,
        information, shared_information, information_share, label_information_given,
        information_given_covariates, reconstruction_error, explained_variance), score, low, high, chance,
        p_value, n_train, n_test, n_test_groups. Columns that do not apply to a row are missing.
        `score_probe`, `information_scores`, `conditional_scores` and `separation_scores` define them.

    Raises
    ------
    DataError
        If the table lacks a column, a split or a label, has a group in both train and test, or has codes that
        are not finite numbers.

    Examples
    --------
    >>> y, codes = np.arange(80) // 2 % 2, np.random.default_rng(0).normal(size=80)
    >>> table = pd.DataFrame({"id": range(80), "split": ["train", "test"] * 40, "group": range(80), "y": y})
    >>> scores = score_codes(table.assign(common0=codes, salient0=y * codes), n_permutations=0)
    >>> scores.loc[scores["metric"] == "active_units", ["space", "score"]].values.tolist()
    [['common', 1.0], ['salient', 1.0]]
    """
    _check(table)
    questions = [q for q in probe_questions(table, kinds) if not q.obstacle]
    if least_squares:
        questions = [q for q in questions if q.kind == "continuous"]
    cells = list(product(questions, (*PROBED, *(blocks or ()))))
    how = {"blocks": blocks} | {
        "least_squares": least_squares,
        "n_permutations": n_permutations,
        "n_bootstraps": n_bootstraps,
    }
    answers = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_answer)(question, space, random_state=random_state, **how) for question, space in cells
    )
    parts: list[pd.DataFrame] = []
    with threadpool_limits(1):  # matrix products this small are slower on several threads
        for answer in answers:
            parts.append(answer)
            if progress is not None:
                progress(len(parts), len(cells))
        null = {"n_permutations": n_permutations, "n_bootstraps": n_bootstraps, "random_state": random_state}
        has_null = n_permutations >= MIN_PERMUTATIONS
        if not least_squares and (has_null if information is None else information):
            parts.append(information_scores(table, **null))
        if not least_squares and has_null:
            parts.append(conditional_scores(table, kinds=kinds, quality=quality, **null))
    if not least_squares:
        test = table[table["split"] == "test"]
        resamples = {"n_bootstraps": n_bootstraps, "random_state": random_state}
        parts.append(separation_scores(test, reconstruction_error, blocks, **resamples))
    nothing = pd.DataFrame(columns=COLUMNS)
    scores: pd.DataFrame = pd.concat(parts or [nothing], ignore_index=True)[COLUMNS]
    return scores.astype({"n_train": "Int64"})  # integers with missing values


def left_out(table: pd.DataFrame, *, kinds: Mapping[str, Kind] | None = None) -> pd.DataFrame:
    """
    List the attributes that get no probe, and the classes that a probe leaves out.

    Parameters
    ----------
    table, kinds : DataFrame and mapping
        As for `score_codes`.

    Returns
    -------
    DataFrame
        Columns attribute, population and reason (a sentence); no rows if nothing is left out.

    Raises
    ------
    DataError
        As for `score_codes`.
    """
    _check(table)
    reasons = [
        (question.attribute, question.population, reason)
        for question in probe_questions(table, kinds)
        for reason in (question.rare, question.obstacle)
        if reason
    ]
    return pd.DataFrame(reasons, columns=["attribute", "population", "reason"])


def _answer(question: ProbeQuestion, space: str, *, blocks: Blocks | None, **how: Any) -> pd.DataFrame:
    scores = score_probe(*question.samples(space, blocks), question.kind, **how)
    return scores.assign(space=space, attribute=question.attribute, population=question.population)


def _check(table: pd.DataFrame) -> None:
    """Raise unless columns, labels, groups and codes are those of a table of codes."""
    check_columns(table, "id", "split", "group", "y", "common0", "salient0")
    if not table["y"].isin([0, 1]).all():
        some = table["y"].unique().tolist()[:5]
        raise DataError(f"column y must hold 0 (background) and 1 (target); it holds {some}")
    train, test = (table[table["split"] == split] for split in ("train", "test"))
    for split, rows in (("train", train), ("test", test)):
        if len(labels := rows["y"].unique()) < 2:
            what = f"only y = {labels[0]}" if len(labels) else "no rows"
            raise DataError(f"split {split!r} has {what}; scores need background and target samples in it")
    if table["group"].isna().any():
        raise DataError("column group has empty cells; where no group is known, repeat the id")
    if len(shared := test.loc[test["group"].isin(train["group"]), "group"].unique()):
        raise DataError(
            f"{len(shared)} subjects are in train and in test, such as {shared[0]}; "
            "a fair score needs a split that keeps subjects whole"
        )
    codes = table[code_columns(table, "both")]
    for name, dtype in codes.dtypes.items():
        if not pd.api.types.is_numeric_dtype(dtype):
            raise DataError(f"codes must be numbers; column {name} holds {dtype}")
    if len(bad := table.loc[~np.isfinite(codes.to_numpy(float)).all(axis=1), "id"]):
        raise DataError(f"codes must be finite; {len(bad)} samples have others, such as id {bad.iloc[0]}")


def variance_ratio(table: pd.DataFrame, space: str, blocks: Blocks | None = None) -> float:
    """
    Return the variance of the codes of targets over that of background samples.

    Variance is the trace of the covariance of posterior means. The ratio is near 1 in a common space, and far
    above 1 in a salient space that separates the labels.

    Parameters
    ----------
    table : DataFrame
        Table of codes, with at least two samples of each label.
    space : {"common", "salient", "both"} or str
        Space of the codes, or a key of `blocks`.
    blocks : dict of str to slice, default=None
        Blocks of the salient space, as in `salient_blocks_`.

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
    codes = table[code_columns(table, space, blocks)]
    background, target = (codes[table["y"] == y].var().sum(skipna=False) for y in (0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(target, background))


def active_units(table: pd.DataFrame, space: str, blocks: Blocks | None = None) -> int:
    """
    Count the dimensions whose posterior means have a variance above 0.01 over the targets.

    Parameters
    ----------
    table : DataFrame
        Table of codes, with at least two targets.
    space : {"common", "salient", "both"} or str
        Space of the dimensions, or a key of `blocks`.
    blocks : dict of str to slice, default=None
        Blocks of the salient space, as in `salient_blocks_`.

    Returns
    -------
    int
        Number of active dimensions.

    Examples
    --------
    >>> active_units(pd.DataFrame({"y": [1, 1], "salient0": [-1.0, 1.0], "salient1": [0.0, 0.01]}), "salient")
    1
    """
    variances = table.loc[table["y"] == 1, code_columns(table, space, blocks)].var()
    return int((variances > ACTIVE_VARIANCE).sum())


def separation_scores(
    table: pd.DataFrame,
    reconstruction_error: pd.DataFrame | None = None,
    blocks: Blocks | None = None,
    *,
    n_bootstraps: int = 1000,
    random_state: int = 0,
) -> pd.DataFrame:
    """
    Compute the scores without a probe: variance ratio, active units and, if given, those of reconstructions.

    Parameters
    ----------
    table : DataFrame
        Table of codes of the test samples only.
    reconstruction_error : DataFrame or None, default=None
        Columns id, full, common_only: mean squared error per pixel of some or all samples, decoded from both
        codes and from the common code alone; of_mean, too, if known: that of their mean.
    blocks : dict of str to slice, default=None
        Blocks of the salient space, as in `salient_blocks_`, which are scored like spaces.
    n_bootstraps : int, default=1000
        Resamples of the groups for the interval of explained_variance.
    random_state : int, default=0
        Seed of the resamples.

    Returns
    -------
    DataFrame
        Columns space, population, metric, score, low, high, n_test, n_test_groups. Each space has a
        variance_ratio (population all) and active_units (population target). reconstruction_error is a mean
        over samples of population background or target, with space both for full and common for common_only.
        explained_variance is 1 less this mean over that of the errors of the mean of all samples.

    Raises
    ------
    DataError
        If `reconstruction_error` lacks a column, repeats an id, or has one that is no test sample.
    """
    target = table[table["y"] == 1]
    rows: list[dict[str, object]] = []
    for space in (*SPACES, *(blocks or ())):
        about = {"space": space, "population": "all", **_counts(table)}
        rows.append(about | {"metric": "variance_ratio", "score": variance_ratio(table, space, blocks)})
        about = {"space": space, "population": "target", **_counts(target)}
        rows.append(about | {"metric": "active_units", "score": active_units(table, space, blocks)})
    if reconstruction_error is not None:
        merged, rng = _with_errors(table, reconstruction_error), np.random.default_rng(random_state)
        for column, space in (("full", "both"), ("common_only", "common")):
            for population, y in (("background", 0), ("target", 1)):
                part = merged[merged["y"] == y]
                about = {"space": space, "population": population, **_counts(part)}
                rows += [about | row for row in _of_errors(part, column, n_bootstraps, rng)]
    columns = ["space", "population", "metric", "score", "low", "high", "n_test", "n_test_groups"]
    return pd.DataFrame(rows, columns=columns).astype({"score": float})


def _of_errors(
    rows: pd.DataFrame, column: str, n_bootstraps: int, rng: np.random.Generator
) -> Iterator[dict[str, object]]:
    """Yield the mean error, and the share of the variance around the mean of all that is explained."""
    if rows.empty:
        return
    error = rows[column].to_numpy(float)
    yield {"metric": "reconstruction_error", "score": float(error.mean())}
    if "of_mean" in rows:
        weights, n_groups = resampling_weights(rows["group"].astype(str).to_numpy(str), n_bootstraps, rng)
        weights = np.concatenate([np.ones((1, len(rows))), weights])
        with np.errstate(divide="ignore", invalid="ignore"):  # samples that are all the same
            shares = 1 - (weights @ error) / (weights @ rows["of_mean"].to_numpy(float))
        low, high = interval(shares[1:], float(shares[0]), n_groups, scale="r2")
        yield {"metric": "explained_variance", "score": float(shares[0]), "low": low, "high": high}


def _with_errors(table: pd.DataFrame, errors: pd.DataFrame) -> pd.DataFrame:
    """Return the samples that have reconstruction errors, with their errors."""
    if missing := [name for name in ("id", "full", "common_only") if name not in errors.columns]:
        raise DataError(f"the reconstruction errors need columns id, full, common_only; {missing} not found")
    # Reading a CSV file may have converted the ids of only one table to numbers.
    samples, errors = (rows.assign(id=rows["id"].astype(str)) for rows in (table, errors))
    if len(unknown := errors.loc[~errors["id"].isin(samples["id"]) | errors["id"].duplicated(), "id"]):
        raise DataError(
            f"reconstruction errors are wanted once for each test sample; "
            f"{len(unknown)} ids are no test samples or come twice, such as {unknown.iloc[0]}"
        )
    return samples[["id", "y", "group"]].merge(errors, on="id")


def _counts(rows: pd.DataFrame) -> dict[str, object]:
    return {"n_test": len(rows), "n_test_groups": rows["group"].nunique()}
