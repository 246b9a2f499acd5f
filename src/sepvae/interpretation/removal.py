"""Removal and swap scores of a fitted model: attribute classifiers read its decoded test samples."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, IntArray, Source, chunk_rows, chunks, in_unit_range
from sepvae.codes import Kind, code_columns
from sepvae.errors import DataError
from sepvae.evaluation.classifiers import Question, Readings, removal_questions, removal_scores
from sepvae.methods.base import ContrastiveEstimator
from sepvae.progress import Progress, Say
from sepvae.training.attribute_classifier import (
    AttributeClassifier,
    batch_size,
    most_steps,
    train_attribute_classifier,
)

TOO_SHORT = (
    "its classifiers would take longer than this short fit; --removal, or "
    "`sepvae evaluate RUN DATA --complete`, trains them all the same"
)
# Fewer steps are too few to train a classifier: balanced accuracy on ten digits is 0.60 after 25 steps,
# 0.75 after 50, 0.85 after 100, 0.93 after 200, 0.94 after 300, 0.97 after 600.
MIN_STEPS = 50
CHUNK = 512  # most samples decoded at a time; only predictions are kept


def score_removal(
    model: ContrastiveEstimator,
    train: Source,
    test: Source,
    codes: pd.DataFrame,
    *,
    kinds: Mapping[str, Kind] | None = None,
    budget: int | None = None,
    say: Say = print,
    progress: Progress | None = None,
) -> pd.DataFrame | None:
    """
    Train attribute classifiers on real training samples, and return their scores on decoded test samples.

    One classifier is trained for the label, and one for each categorical attribute that only targets have, on
    split "train" only. For swaps, each test sample gives its salient part once, to the common part of a
    random sample of the other label. If targets have salient blocks, each block is removed alone, too.
    `budget` bounds the images that all classifiers together train on. None is returned without a decoder, and
    where budget or samples are too few to train.
    """
    if not model.capabilities.decoder:
        say(f"note: {type(model).__name__} has no decoder: no reconstructions, removal, swaps or maps")
        return None
    questions, left_out = removal_questions(codes, kinds=kinds)
    for sentence in left_out:
        say(f"removal: {sentence}")
    if not questions:
        return None
    n_steps, shape = most_steps(train.sample_shape), train.sample_shape
    if budget is not None and len(shape) > 1:  # a table takes about a second
        of_all = sum(batch_size(len(question.names), shape) for question in questions)
        n_steps = min(n_steps, budget // of_all)
        if n_steps < MIN_STEPS:
            say(f"removal: left out; {TOO_SHORT}")
            return None
    rows, size = codes[codes["split"] == "test"], chunk_rows(shape, CHUNK)
    kinds_decoded = 4 + len(model.salient_blocks_)
    total, done = len(questions) * n_steps + kinds_decoded * -(-len(rows) // size), count(1)

    def tick(*_: int) -> None:
        if progress is not None:
            progress(min(next(done), total), total)

    classifiers = _train(model, train, codes, questions, n_steps=n_steps, progress=tick)
    readings = _read(model, classifiers, test, rows, tick)
    pairs = zip(questions, readings, strict=True)
    scores = [removal_scores(question, codes, reading) for question, reading in pairs]
    return pd.concat(scores, ignore_index=True)


def _train(
    model: ContrastiveEstimator, train: Source, codes: pd.DataFrame, questions: list[Question], **how: Any
) -> list[AttributeClassifier]:
    """Return a classifier of each attribute, trained on the samples of split "train"."""
    learnt = (codes["split"] == "train").to_numpy()
    places, samples = _positions(train, codes["id"][learnt]), model.prepare(train)
    if model.capabilities.epochs:
        how |= {"num_workers": model.num_workers, "accelerator": model.accelerator}
    classifiers = []
    for question in questions:
        classes = np.full(len(train), -1)
        classes[places] = question.classes[learnt]
        classifiers.append(train_attribute_classifier(samples, classes, **how))
    return classifiers


def _positions(source: Source, ids: "pd.Series[Any]") -> IntArray:
    """Return the positions of samples in their source, by id."""
    found: IntArray = pd.Index(np.asarray(source.ids).astype(str)).get_indexer(ids.astype(str))
    if (found < 0).any():
        raise DataError(
            f"codes: {(found < 0).sum()} samples are not in the data, such as {ids[found < 0].iloc[0]}; "
            "give the data that the model was fitted and scored on"
        )
    return found


def _read(
    model: ContrastiveEstimator,
    classifiers: list[AttributeClassifier],
    test: Source,
    rows: pd.DataFrame,
    tick: Callable[[], None],
) -> list[Readings]:
    """Return the predictions of each classifier on real, reconstructed and changed test samples."""
    read: list[dict[str, IntArray]] = [{} for _ in classifiers]
    for kind, images in _decoded(model, test, rows).items():
        parts = []
        for x in map(images, chunks(len(rows), chunk_rows(test.sample_shape, CHUNK))):
            parts.append([classifier.predict(x) for classifier in classifiers])
            tick()
        for reading, answers in zip(read, zip(*parts, strict=True), strict=True):
            reading[kind] = np.concatenate(answers)
    return [
        Readings(r.pop("real"), r.pop("full"), r.pop("removed"), r.pop("swapped"), without=r) for r in read
    ]


def _decoded(
    model: ContrastiveEstimator, test: Source, rows: pd.DataFrame
) -> dict[str, Callable[[IntArray], AnyArray]]:
    """Return, by name, functions that make samples of the test rows at some positions; blocks come last."""
    real, places = model.prepare(test), _positions(test, rows["id"])
    common, salient = (
        np.array(rows[code_columns(rows, space)], dtype=np.float32) for space in ("common", "salient")
    )
    other = partners(rows["y"].to_numpy(), np.random.default_rng(0))

    def decode(of_common: IntArray, s: AnyArray) -> AnyArray:
        covariates = test.attributes.iloc[places[of_common]]
        return model.decode(common[of_common], s, standardised=True, covariates=covariates)

    def without(block: slice, part: IntArray) -> AnyArray:
        kept = salient[part]
        kept[:, block] = 0
        return decode(part, kept)

    return {
        "real": lambda part: in_unit_range(real.take(places[part]).x),
        "full": lambda part: decode(part, salient[part]),
        "removed": partial(without, slice(None)),
        "swapped": lambda part: decode(other[part], salient[part]),
        **{name: partial(without, block) for name, block in model.salient_blocks_.items()},
    }


def partners(y: npt.NDArray[Any], rng: np.random.Generator) -> IntArray:
    """Return a sample of the other label for each sample, without repeats unless that label is rarer."""
    partners = np.zeros(len(y), dtype=np.intp)
    for label in (0, 1):
        mine, others = np.flatnonzero(y == label), np.flatnonzero(y != label)
        partners[mine] = np.resize(rng.permutation(others), len(mine))
    return partners
