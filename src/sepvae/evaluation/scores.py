"""`score_codes`: all scores of a table of codes, as one tidy table."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from sepvae.codes import SPACES, Kind, Space, code_columns
from sepvae.errors import DataError
from sepvae.evaluation.probes import SCORE_COLUMNS, Samples, score_probe
from sepvae.evaluation.questions import ProbeQuestion, probe_questions
from sepvae.evaluation.separation import separation_scores
from sepvae.run_folder import N_PERMUTATIONS

COLUMNS = ["space", "attribute", "population", *SCORE_COLUMNS]
PROBED: tuple[Space, ...] = (*SPACES, "both")


def score_codes(
    table: pd.DataFrame,
    *,
    reconstruction_error: pd.DataFrame | None = None,
    kinds: Mapping[str, Kind] | None = None,
    least_squares: bool = False,
    n_permutations: int = N_PERMUTATIONS,
    n_bootstraps: int = 1000,
    random_state: int = 0,
    n_jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """
    Score a table of codes: probes of each attribute in each space, and the separation of the labels.

    Probes are fitted on the rows of split "train" and scored on those of split "test". Rows of split
    "validation" serve neither purpose: the model was not fitted on them, so they are no training samples, but
    they decided when training stopped, so they are not held out. An attribute that only targets have is
    probed among targets, any other among all samples and among targets; the label is probed among all
    samples. `left_out` lists what has no probe.

    Parameters
    ----------
    table : DataFrame
        Table of codes, as returned by `sepvae.codes.codes_table`: id, split, group, y (0 background, 1
        target), attributes, common0, .., salient0, ...
    reconstruction_error : DataFrame or None, default=None
        Columns id, full, common_only: mean squared error per pixel of test samples.
    kinds : mapping, default=None
        "categorical" or "continuous" by attribute; `attribute_kind` decides for all others.
    least_squares : bool, default=False
        Score only continuous attributes, by probes without a penalty, as in the paper. With about as many
        code dimensions as training samples the predictions are poor.
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
        Columns space (common, salient, both), attribute ("label" for y), population (all, background,
        target), metric (balanced_accuracy, accuracy, auc, mae, r2, variance_ratio, active_units,
        reconstruction_error), score, low, high, chance, p_value, n_train, n_test, n_test_groups. Columns that
        do not apply to a row are missing. `score_probe` and `separation_scores` define the scores.

    Raises
    ------
    DataError
        If the table lacks a column, a split or a label, has a group in both train and test, or has codes that
        are not finite numbers.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"id": range(80), "split": ["train", "test"] * 40, "group": range(80)})
    >>> table["y"] = rng.integers(0, 2, 80)
    >>> table["common0"], table["salient0"] = rng.normal(size=80), table["y"] * rng.normal(size=80)
    >>> scores = score_codes(table, n_permutations=0)
    >>> scores.loc[scores["metric"] == "active_units", ["space", "score"]].values.tolist()
    [['common', 1.0], ['salient', 1.0]]
    """
    _check(table)
    questions = [q for q in probe_questions(table, kinds) if not q.obstacle]
    last = []
    if least_squares:
        questions = [q for q in questions if q.kind == "continuous"]
    else:
        last = [separation_scores(table[table["split"] == "test"], reconstruction_error)]
    cells = list(product(questions, PROBED))
    answers = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_answer)(
            question,
            space,
            least_squares=least_squares,
            n_permutations=n_permutations,
            n_bootstraps=n_bootstraps,
            random_state=random_state,
        )
        for question, space in cells
    )
    parts: list[pd.DataFrame] = []
    with threadpool_limits(1):  # matrix products this small are slower on several threads
        for answer in answers:
            parts.append(answer)
            if progress is not None:
                progress(len(parts), len(cells))
    nothing = pd.DataFrame(columns=COLUMNS)
    scores: pd.DataFrame = pd.concat([*parts, *last] or [nothing], ignore_index=True)[COLUMNS]
    return scores.astype({"n_train": "Int64"})  # integers with missing values


def left_out(table: pd.DataFrame, *, kinds: Mapping[str, Kind] | None = None) -> pd.DataFrame:
    """
    List the attributes that get no probe, and the classes that a probe leaves out.

    Parameters
    ----------
    table : DataFrame
        Table of codes, as for `score_codes`.
    kinds : mapping, default=None
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


def _answer(question: ProbeQuestion, space: Space, **how: Any) -> pd.DataFrame:
    train, test = (
        Samples(
            rows[code_columns(rows, space)].to_numpy(float),
            rows["value"].to_numpy(),
            rows["group"].astype(str).to_numpy(str),
        )
        for rows in (question.train, question.test)
    )
    scores = score_probe(train, test, question.kind, **how)
    return scores.assign(space=space, attribute=question.attribute, population=question.population)


def _check(table: pd.DataFrame) -> None:
    missing = [name for name in ("id", "split", "group", "y") if name not in table.columns]
    missing += [f"{space}0" for space in SPACES if not code_columns(table, space)]
    if missing:
        raise DataError(
            "a table of codes needs columns id, split, group, y, common0, .., salient0, ..; "
            f"it lacks {', '.join(missing)}"
        )
    _check_labels(table)
    _check_groups(table)
    _check_numbers(table)


def _check_labels(table: pd.DataFrame) -> None:
    if not table["y"].isin([0, 1]).all():
        some = table["y"].unique().tolist()[:5]
        raise DataError(f"column y must hold 0 (background) and 1 (target); it holds {some}")
    for split in ("train", "test"):
        labels = table.loc[table["split"] == split, "y"].unique()
        if len(labels) < 2:
            what = f"only y = {labels[0]}" if len(labels) else "no rows"
            raise DataError(f"split {split!r} has {what}; scores need background and target samples in it")


def _check_groups(table: pd.DataFrame) -> None:
    if table["group"].isna().any():
        raise DataError("column group has empty cells; where no group is known, repeat the id")
    train, test = (table.loc[table["split"] == split, "group"] for split in ("train", "test"))
    shared = test[test.isin(train)].unique()
    if len(shared):
        raise DataError(
            f"{len(shared)} subjects are in train and in test, such as {shared[0]}; "
            "a fair score needs a split that keeps subjects whole"
        )


def _check_numbers(table: pd.DataFrame) -> None:
    codes = table[code_columns(table, "both")]
    for name, dtype in codes.dtypes.items():
        if not pd.api.types.is_numeric_dtype(dtype):
            raise DataError(f"codes must be numbers; column {name} holds {dtype}")
    bad = table.loc[~np.isfinite(codes.to_numpy(float)).all(axis=1), "id"]
    if len(bad):
        raise DataError(f"codes must be finite; {len(bad)} samples have others, such as id {bad.iloc[0]}")
