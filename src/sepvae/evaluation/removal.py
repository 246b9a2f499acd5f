"""Removal and swap scores: what an attribute classifier reads in images whose salient part was changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray
from sepvae.codes import Kind, attribute_columns, attribute_kind
from sepvae.evaluation.metrics import METRICS, interval, resampling_weights

COLUMNS = [
    "attribute",
    "images",
    "population",
    "wanted",
    "metric",
    "score",
    "low",
    "high",
    "chance",
    "n_train",
    "n_test",
    "n_test_groups",
]
MIN_TRAIN = 10  # a class with fewer training samples teaches a classifier little
MAX_CLASSES = 20  # more classes than this are names, not an attribute
NOT_USED = -1
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Question:  # numpydoc ignore=PR02
    """
    What an attribute classifier is asked of each sample.

    Shapes: classes (n,).
    """

    attribute: str
    names: list[str]
    classes: IntArray


@dataclass(frozen=True)
class Readings:  # numpydoc ignore=PR02
    """
    Which class a classifier read, by number, for each of n test samples.

    Shapes: real (n,); full (n,); removed (n,); swapped (n,).
    """

    real: IntArray
    full: IntArray
    removed: IntArray
    swapped: IntArray


def removal_questions(
    table: pd.DataFrame, *, kinds: Mapping[str, Kind] | None = None
) -> tuple[list[Question], list[str]]:
    """
    Choose the attributes that tell whether a salient part was removed or swapped.

    These are the label, and every categorical attribute that only targets have, its classes and the
    background as one more. Classes with fewer than 10 training samples are left out, and attributes that then
    have fewer than 2 classes among targets, or more than 20.

    Examples
    --------
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
    """Classes among targets with samples enough, in order; none if they are too few or too many; and why."""
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
    least = 1 if attribute == "label" else 2  # one class says no more than the label
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
    Score what a classifier read in test images, against what should be read there.

    Eight rows:

    ================  ==========  ==========  ====================================================
    images            population  wanted      what it says
    ================  ==========  ==========  ====================================================
    real              all         own         test accuracy of the classifier itself
    full              all         own         what reconstruction costs
    full              target      own         upper mark of what a swap can carry over
    full              target      background  reference of removal: lost without removing anything
    salient removed   target      background  removal
    salient removed   background  background  should change nothing
    swapped           target      donor's     background with the salient part of a target
    swapped           background  background  target with the salient part of a background sample
    ================  ==========  ==========  ====================================================

    The score is balanced accuracy where several classes are wanted, the mean over them of the share that
    reads as wanted; where one is wanted it is that share. Chance is what a guess among the classes of the
    classifier scores, 1 / classes. The interval is from a bootstrap over groups: of swapped images over those
    of the donors, each of which gave its salient part once.
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
        scored = _score(truth, read, resampling_weights(of_group, n_bootstraps, rng), n_groups)
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
    """What is asked of whom, what is wanted, and what was read."""
    known, target, background, nothing = own >= 0, own > 0, own == 0, np.zeros_like(own)
    yield _Sheet("real", "all", "own", known, own, readings.real)
    yield _Sheet("full", "all", "own", known, own, readings.full)
    yield _Sheet("full", "target", "own", target, own, readings.full)
    yield _Sheet("full", "target", "background", target, nothing, readings.full)
    yield _Sheet("salient removed", "target", "background", target, nothing, readings.removed)
    yield _Sheet("salient removed", "background", "background", background, nothing, readings.removed)
    yield _Sheet("swapped", "target", "donor's", target, own, readings.swapped)
    yield _Sheet("swapped", "background", "background", background, nothing, readings.swapped)


def _score(
    truth: AnyArray, read: AnyArray, weights: npt.NDArray[np.float64], n_groups: int
) -> tuple[float, float, float]:
    """Balanced accuracy and its interval; of one class it is the share that reads as wanted."""
    metric = METRICS["categorical"][0]
    score = float(metric.function(truth, read, np.ones((1, len(truth))))[0])
    return score, *interval(metric.function(truth, read, weights), score, n_groups, scale=metric.scale)
