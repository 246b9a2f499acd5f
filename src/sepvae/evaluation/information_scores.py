"""Rows of `scores.csv` in nats: what common and salient codes share, and what a space holds of the label."""

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray
from sepvae.codes import SPACES, code_columns
from sepvae.evaluation.information import FOLDS, Pair, label_information, shared_information

MAX_TRAIN, MAX_TEST = 5000, 2000  # samples, whose pairs are compared
MIN_SUBJECTS = 10  # of a part, below which nothing is estimated


def information_scores(
    table: pd.DataFrame, *, n_permutations: int, n_bootstraps: int, random_state: int = 0
) -> pd.DataFrame:
    """
    Return the information that the spaces share, among targets and all, and what each holds of the label.

    Metrics are in nats; that of the label is given as a share of its entropy, too. Populations and labels
    with too few subjects are left out.
    """
    how = {"n_permutations": n_permutations, "n_bootstraps": n_bootstraps, "random_state": random_state}
    rows: list[dict[str, object]] = []
    for population, part in (("target", table[table["y"] == 1]), ("all", table)):
        train, test = parts_of(part, random_state)
        if min(train["group"].nunique(), test["group"].nunique()) < MIN_SUBJECTS:
            continue
        counts = {"n_train": len(train), "n_test": len(test), "n_test_groups": test["group"].nunique()}
        about = {"population": population, "chance": 0.0, **counts}
        found = shared_information(_pair(train), subjects_of(train), _pair(test))
        scored = found.score(subjects_of(test), **how)
        rows.append(about | {"space": "both", "metric": "shared_information"} | named(scored))
        if population == "target" or not has_labels(train, test):
            continue
        frequency = np.bincount(test["y"]) / len(test)
        entropy = -float((frequency * np.log(frequency)).sum())
        for space in SPACES:
            x, test_x = (rows_[code_columns(rows_, space)].to_numpy(float) for rows_ in (train, test))
            y, test_y = (rows_["y"].to_numpy(int) for rows_ in (train, test))
            scored = label_information(x, y, subjects_of(train), test_x, test_y).score(
                subjects_of(test), **how
            )
            of_label = about | {"space": space, "attribute": "label"}
            rows.append(of_label | {"metric": "information"} | named(scored))
            shares = tuple(np.clip(np.array(scored[:3]) / entropy, 0, 1).tolist())
            rows.append(of_label | {"metric": "information_share"} | named((*shares, scored[3])))
    return pd.DataFrame(rows)


def has_labels(train: pd.DataFrame, test: pd.DataFrame) -> bool:
    """Return whether every training fold and the test part can have both labels."""
    subjects = train.groupby("y")["group"].nunique().reindex([0, 1], fill_value=0)
    return bool(subjects.min() >= FOLDS and test["y"].nunique() == 2)


def named(scored: tuple[float, ...]) -> dict[str, object]:
    """Return a score, the ends of its interval and its p-value as columns."""
    return dict(zip(("score", "low", "high", "p_value"), scored, strict=True))


def parts_of(table: pd.DataFrame, random_state: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training and test rows, or as many of them, drawn at random, as are compared."""
    parts = (
        (table[table["split"] == name], most) for name, most in (("train", MAX_TRAIN), ("test", MAX_TEST))
    )
    train, test = (
        part.sample(min(len(part), most), random_state=random_state).sort_index() for part, most in parts
    )
    return train, test


def _pair(rows: pd.DataFrame) -> Pair:
    return Pair(*(rows[code_columns(rows, space)].to_numpy(float) for space in SPACES))


def subjects_of(rows: pd.DataFrame) -> AnyArray:
    """Return the subject of each sample (n,) as text."""
    return rows["group"].astype(str).to_numpy(str)
