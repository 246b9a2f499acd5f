"""Removal and swap scores: classes predicted in images whose salient part was changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import IntArray
from sepvae.codes import Kind, attribute_columns, attribute_kind
from sepvae.evaluation.metrics import METRICS, resampling_weights

COLUMNS = ["attribute", "images", "population", "wanted", "metric", "score", "low", "high", "chance"]
COLUMNS += ["n_train", "n_test", "n_test_groups"]
MIN_TRAIN = 10  # training samples of a class, below which it is left out
MAX_CLASSES = 20  # attributes with more classes are taken for names
NOT_USED = -1


@dataclass(frozen=True)
class Question:
    """
    Attribute that a classifier predicts: the label, or one that only targets have.

    `names` lists its classes, the background first. `classes` of shape (n,) holds their indices for all rows
    of the table: 0 for background samples, -1 for unknown or too rare classes.
    """

    attribute: str
    names: list[str]
    classes: IntArray


@dataclass(frozen=True)
class Readings:
    """
    Predicted classes for n test samples and the images decoded from their codes, each of shape (n,).

    `full` is decoded from [c, s], `removed` from [c, 0], and `swapped` from the salient part of the sample
    and the common part of a sample of the other label.
    """

    real: IntArray
    full: IntArray
    removed: IntArray
    swapped: IntArray


def removal_questions(
    table: pd.DataFrame, *, kinds: Mapping[str, Kind] | None = None
) -> tuple[list[Question], list[str]]:
    """
    Choose the attributes that show whether a salient part was removed or swapped.

    These are the label and each categorical attribute that only targets have, with the background as one more
    class. Classes with fewer than 10 training samples are left out, then attributes with fewer than 2
    remaining classes among targets (1 for the label) or more than 20. The second list has one sentence per
    omission. No attribute is chosen if the background itself is too rare.

    >>> table = pd.DataFrame({"split": "train", "y": [0] * 20 + [1] * 20})
    >>> table["label"] = table["y"].map({0: "well", 1: "ill"})
    >>> table["subtype"] = [None] * 20 + ["mild"] * 10 + ["severe"] * 10
    >>> questions, left_out = removal_questions(table)
    >>> [(question.attribute, question.names) for question in questions]
    [('label', ['well', 'ill']), ('subtype', ['well', 'mild', 'severe'])]
    """
    background = table["y"] == 0
    rare = int((background & (table["split"] == "train")).sum())
    if rare < MIN_TRAIN:
        return [], [f"label: {rare} training samples of the background, at least {MIN_TRAIN} are needed"]
    asked = ["label"]
    for attribute in attribute_columns(table):
        of_targets_only = table.loc[background, attribute].isna().all()
        kind = (kinds or {}).get(attribute) or attribute_kind(table[attribute])
        if of_targets_only and kind == "categorical":
            asked.append(attribute)
    questions: list[Question] = []
    left_out: list[str] = []
    for attribute in asked:
        names, sentences = _classes(table, attribute)
        left_out += sentences
        if names:
            numbers = pd.Index(names).get_indexer(pd.Index(table[attribute].astype(str))) + 1
            known = table[attribute].notna() & (numbers > 0)
            classes = np.where(background, 0, np.where(known, numbers, NOT_USED))
            first = str(table.loc[background, "label"].iloc[0])
            questions.append(Question(attribute, [first, *names], classes.astype(np.int64)))
    return questions, left_out


def _classes(table: pd.DataFrame, attribute: str) -> tuple[list[str], list[str]]:
    """Return the sorted target classes to use, none if too few or too many, and sentences on the others."""
    values = table.loc[(table["y"] == 1) & table[attribute].notna(), ["split", attribute]]
    names = values[attribute].astype(str)
    counts = names[values["split"] == "train"].value_counts().reindex(names.unique(), fill_value=0)
    kept, rare = (sorted(counts.index[part]) for part in (counts >= MIN_TRAIN, counts < MIN_TRAIN))
    sentences = []
    if rare:
        some = ", ".join(rare[:5]) + (", .." if len(rare) > 5 else "")
        sentences = [
            f"{attribute}: {len(rare)} classes left out, fewer than {MIN_TRAIN} training samples: {some}"
        ]
    least = 1 if attribute == "label" else 2  # a single class only repeats the label
    if not least <= len(kept) <= MAX_CLASSES:
        return [], [*sentences, f"{attribute}: left out, {len(kept)} classes, not {least} to {MAX_CLASSES}"]
    return kept, sentences


def removal_scores(
    question: Question,
    table: pd.DataFrame,
    readings: Readings,
    *,
    n_bootstraps: int = 1000,
    random_state: int = 0,
) -> pd.DataFrame:
    """
    Score the classes predicted in real, reconstructed and changed test images against the wanted classes.

    Meaning of the eight rows:

    ================  ==========  ==========  ====================================================
    images            population  wanted      meaning
    ================  ==========  ==========  ====================================================
    real              all         own         test accuracy of the classifier itself
    full              all         own         accuracy that is left after reconstruction
    full              target      own         upper limit of what a swap can transfer
    full              target      background  reference of removal: loss by reconstruction alone
    salient removed   target      background  removal
    salient removed   background  background  should change nothing
    swapped           target      donor's     background with the salient part of a target
    swapped           background  background  target with the salient part of a background sample
    ================  ==========  ==========  ====================================================

    The score is balanced accuracy if several classes are wanted, else the share of images that are predicted
    as the one wanted class. Chance is 1 / number of classes. The population of swapped images, and the groups
    of their bootstrap, are those of the donors, each of which gives its salient part once. Rows without test
    samples are left out.
    """
    test = (table["split"] == "test").to_numpy()
    groups, own = table.loc[test, "group"].astype(str).to_numpy(), question.classes[test]
    n_train = int(((table["split"] == "train") & (question.classes != NOT_USED)).sum())
    rows = []
    for sheet in _sheets(own, readings):
        if not sheet.rows.any():
            continue
        truth, read, of_group = (values[sheet.rows] for values in (sheet.truth, sheet.read, groups))
        metric = "balanced_accuracy" if len(np.unique(truth)) > 1 else "share"
        rng = np.random.default_rng(random_state)
        n_groups = len(np.unique(of_group))
        weights = resampling_weights(of_group, n_bootstraps, rng)
        # For one wanted class, balanced accuracy is the share predicted as wanted.
        scored = METRICS["categorical"][0].with_interval(truth, read, weights, n_groups)
        numbers = (*scored, 1 / len(question.names), n_train, len(truth), n_groups)
        rows.append((question.attribute, sheet.images, sheet.population, sheet.wanted, metric, *numbers))
    return pd.DataFrame(rows, columns=COLUMNS)


class _Sheet(NamedTuple):
    images: str
    population: str
    wanted: str
    rows: npt.NDArray[np.bool_]
    truth: IntArray
    read: IntArray


def _sheets(own: IntArray, readings: Readings) -> Iterator[_Sheet]:
    """Yield images, population, wanted class, used samples, and wanted and predicted classes of each row."""
    known, target, background, nothing = own >= 0, own > 0, own == 0, np.zeros_like(own)
    yield _Sheet("real", "all", "own", known, own, readings.real)
    yield _Sheet("full", "all", "own", known, own, readings.full)
    yield _Sheet("full", "target", "own", target, own, readings.full)
    yield _Sheet("full", "target", "background", target, nothing, readings.full)
    yield _Sheet("salient removed", "target", "background", target, nothing, readings.removed)
    yield _Sheet("salient removed", "background", "background", background, nothing, readings.removed)
    yield _Sheet("swapped", "target", "donor's", target, own, readings.swapped)
    yield _Sheet("swapped", "background", "background", background, nothing, readings.swapped)
