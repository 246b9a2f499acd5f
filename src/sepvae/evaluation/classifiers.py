"""Scores of classifiers: targets against background, and classes of images with a changed salient part."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sepvae.batch import FloatArray, IntArray
from sepvae.codes import Kind, attribute_columns, attribute_kind, code_columns
from sepvae.errors import DataError
from sepvae.evaluation.metrics import METRICS, resampling_weights
from sepvae.evaluation.probes import check_columns
from sepvae.evaluation.scores import COLUMNS
from sepvae.process_wide import ignoring

MAX_ITER = 500  # epochs of the MLP; most fits converge long before
REMOVAL_COLUMNS = ["attribute", "images", "population", "wanted", "metric", "score", "low", "high", "chance"]
REMOVAL_COLUMNS += ["n_train", "n_test", "n_test_groups"]
MIN_TRAIN = 10  # training samples of a class, below which it is left out
MAX_CLASSES = 20  # attributes with more classes are taken for names
NOT_USED = -1
ANOTHER = "another"  # wanted class: any but the sample's own
Comparison = tuple[str, str, str, npt.NDArray[np.bool_], IntArray, IntArray]


def mlp_probabilities(codes: pd.DataFrame, *, random_state: int = 0) -> FloatArray:
    """Return target probabilities of the test rows (n_test,), by an MLP on frozen, scaled salient codes."""
    train, test = _train_and_test(codes, "salient0")
    columns = code_columns(codes, "salient")
    # One hidden layer as wide as the salient space, as in SepVAE's own classifier (App. D of the paper).
    mlp = MLPClassifier((len(columns),), max_iter=MAX_ITER, random_state=random_state)
    model = make_pipeline(StandardScaler(), mlp)
    # The score of a fit that has not converged is still a valid score.
    with threadpool_limits(1), ignoring("", category=ConvergenceWarning):
        model.fit(train[columns].to_numpy(float), train["y"].to_numpy())
    return np.asarray(model.predict_proba(test[columns].to_numpy(float))[:, 1])


def group_scores(
    codes: pd.DataFrame, probability: FloatArray, probe: str, *, n_bootstraps: int = 1000
) -> pd.DataFrame:
    """Score probabilities (n_test,) of test rows, as `score_codes` does; `probe` names their source."""
    train, test = _train_and_test(codes)
    if probability.shape != (len(test),):
        raise DataError(
            f"probability: wanted one number for each of {len(test)} test rows, got shape {probability.shape}"
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise DataError("probability: wanted numbers in [0, 1], got others; give probabilities, not logits")
    truth, groups = test["y"].to_numpy(), test["group"].astype(str).to_numpy(str)
    outputs = {"predict": (probability > 0.5).astype(int), "decision_function": probability}
    weights, n_groups = resampling_weights(groups, n_bootstraps)
    counts = (len(train), len(test), n_groups)
    rows = []
    for metric in METRICS["categorical"]:
        scored = metric.with_interval(truth, outputs[metric.reads], weights, n_groups)
        chance = metric.chance(train["y"].to_numpy(), truth)
        rows.append(("salient", "label", "all", metric.name, *scored, chance, np.nan, *counts))
    return pd.DataFrame(rows, columns=COLUMNS).assign(probe=probe).astype({"n_train": "Int64"})


def _train_and_test(codes: pd.DataFrame, *columns: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training rows and the test rows; raise unless each part has both labels."""
    check_columns(codes, "split", "y", *columns)
    train, test = (codes[codes["split"] == name] for name in ("train", "test"))
    for name, part in (("test", test), ("train", train)):
        if (labels := sorted(part["y"].unique().tolist())) != [0, 1]:
            wanted = f"wanted 0 (background) and 1 (target) in split {name!r}"
            raise DataError(f"column y: {wanted}, got {labels[:5]}")
    return train, test


@dataclass(frozen=True)
class Question:
    """Attribute that a classifier predicts: the label, or one that only targets have."""

    attribute: str
    names: list[str]  # of its classes, the background first
    classes: IntArray  # indices for all rows: 0 for background samples, -1 for unknown or too rare classes


@dataclass(frozen=True)
class Readings:
    """Predicted classes for n test samples and the images decoded from their codes, each of shape (n,)."""

    real: IntArray
    full: IntArray  # decoded from [c, s]
    removed: IntArray  # from [c, 0]
    swapped: IntArray  # from [c, s] with c of a sample of the other label
    without: Mapping[str, IntArray] = field(default_factory=dict)  # from [c, s] without a salient block


def removal_questions(
    table: pd.DataFrame, *, kinds: Mapping[str, Kind] | None = None
) -> tuple[list[Question], list[str]]:
    """
    Choose the attributes that show whether a salient part was removed or swapped.

    These are the label and each categorical attribute that only targets have, with the background as one more
    class. Classes with fewer than 10 training samples are left out, then attributes with fewer than 2
    remaining classes among targets (1 for the label) or more than 20. The second list has one sentence per
    omission. No attribute is chosen if the background itself is too rare.
    """
    background = table["y"] == 0
    rare = int((background & (table["split"] == "train")).sum())
    if rare < MIN_TRAIN:
        return [], [f"label: {rare} training samples of the background, at least {MIN_TRAIN} are needed"]
    of_targets = [
        attribute
        for attribute in attribute_columns(table)
        if table.loc[background, attribute].isna().all()
        and not table.loc[~background, attribute].equals(table.loc[~background, "label"])
        and attribute_kind(table[attribute], kinds) == "categorical"
    ]
    questions: list[Question] = []
    left_out: list[str] = []
    for attribute in ("label", *of_targets):
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
        left_out = f"{len(rare)} classes left out, fewer than {MIN_TRAIN} training samples"
        sentences = [f"{attribute}: {left_out}: {some}"]
    least = 1 if attribute == "label" else 2  # a single class only repeats the label
    if not least <= len(kept) <= MAX_CLASSES:
        return [], [*sentences, f"{attribute}: left out, {len(kept)} classes, not {least} to {MAX_CLASSES}"]
    return kept, sentences


def removal_scores(
    question: Question, table: pd.DataFrame, readings: Readings, *, n_bootstraps: int = 1000
) -> pd.DataFrame:
    """
    Score the classes predicted in real, reconstructed and changed test images against the wanted classes.

    The score is balanced accuracy if several classes are wanted, else the share of images that are predicted
    as the one wanted class. Chance is 1 / number of classes. A target without its own salient block should
    be read as another class, other targets without that block as their own. The population of swapped images,
    and the groups of their bootstrap, are those of the donors, each of which gives its salient part once.
    Rows without test samples are left out.
    """
    test = (table["split"] == "test").to_numpy()
    groups, own = table.loc[test, "group"].astype(str).to_numpy(), question.classes[test]
    n_train = int(((table["split"] == "train") & (question.classes != NOT_USED)).sum())
    rows = []
    compared = _comparisons(own, readings) + _without_blocks(question, own, readings)
    for images, population, wanted, used, truths, read in compared:
        if not used.any():
            continue
        truth, of_group = truths[used], groups[used]
        metric = "balanced_accuracy" if len(np.unique(truth)) > 1 else "share"
        weights, n_groups = resampling_weights(of_group, n_bootstraps)
        # For one wanted class, balanced accuracy is the share predicted as wanted.
        scored = METRICS["categorical"][0].with_interval(truth, read[used], weights, n_groups)
        of_one = 1 / len(question.names)
        numbers = (*scored, 1 - of_one if wanted == ANOTHER else of_one, n_train, len(truth), n_groups)
        rows.append((question.attribute, images, population, wanted, metric, *numbers))
    return pd.DataFrame(rows, columns=REMOVAL_COLUMNS)


def _comparisons(own: IntArray, readings: Readings) -> list[Comparison]:
    """Return images, population and wanted class in words, then samples, wanted and predicted classes."""
    known, target, background, nothing = own >= 0, own > 0, own == 0, np.zeros_like(own)
    real, full, removed, swapped = readings.real, readings.full, readings.removed, readings.swapped
    return [
        ("real", "all", "own", known, own, real),  # test accuracy of the classifier itself
        ("full", "all", "own", known, own, full),  # accuracy that is left after reconstruction
        ("full", "target", "own", target, own, full),  # upper limit of what a swap can transfer
        ("full", "target", "background", target, nothing, full),  # loss by reconstruction alone
        ("salient removed", "target", "background", target, nothing, removed),
        ("salient removed", "background", "background", background, nothing, removed),  # no change
        ("swapped", "target", "donor's", target, own, swapped),  # background with a target's salient part
        ("swapped", "background", "background", background, nothing, swapped),  # the reverse
    ]


def _without_blocks(question: Question, own: IntArray, readings: Readings) -> list[Comparison]:
    """Return, as `_comparisons`, what is read in targets without the salient block of one of them."""
    found: list[Comparison] = []
    for block, read in readings.without.items() if question.attribute == "label" else ():
        name = block.removeprefix("salient of ")
        if name in question.names[1:] and name != block:
            mine, images = own == question.names.index(name), f"without {block}"
            of_others, lost = (own > 0) & ~mine, (read != own).astype(np.int64)
            found.append((images, f"target {name}", ANOTHER, mine, np.ones_like(own), lost))
            found.append((images, "other targets", "own", of_others, own, read))
    return found
