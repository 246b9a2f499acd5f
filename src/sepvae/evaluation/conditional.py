"""Disease or covariate: what salient knows of covariates among background, and of the label beyond them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import OneHotEncoder

from sepvae.batch import AnyArray, FloatArray
from sepvae.codes import Kind, code_columns
from sepvae.evaluation.information import FOLDS, label_information
from sepvae.evaluation.information_scores import MIN_SUBJECTS, has_labels, named, parts_of, subjects_of
from sepvae.evaluation.metrics import METRICS, resampling_weights
from sepvae.evaluation.probes import (
    MAX_CLASSES,
    SCORE_COLUMNS,
    Samples,
    as_numbers,
    known_values,
    make_probe,
    probe_question,
    shuffle_by_group,
)

LEAST_KNOWN = 0.5  # share of background and of targets for whom a covariate is known
LEAST_IN_CLASS = 5  # training samples of a class, such as a site, below which nothing adjusts for it


def conditional_scores(
    table: pd.DataFrame,
    *,
    kinds: Mapping[str, Kind] | None = None,
    quality: pd.DataFrame | None = None,
    n_permutations: int,
    n_bootstraps: int,
    random_state: int = 0,
) -> pd.DataFrame:
    """
    Return what salient knows of each attribute among background, and of the label beyond what everyone has.

    The rows of population background are those of probes that all training samples fit, since salient codes
    of the background that a model was fitted on hardly vary; permutations are of test values alone.
    `label_information_given` an attribute, and `information_given_covariates`, of all of them, are in nats;
    their permutations exchange the labels of people with about the same probability of the label by the
    covariates. `quality` has numbers of images by id. What a disease does to an image changes them too, so
    only background is asked for them.
    """
    how: dict[str, Any] = {"n_permutations": n_permutations, "n_bootstraps": n_bootstraps}
    how["random_state"] = random_state
    parts = []
    for attribute, kind, known in chain(known_values(table, kinds), _of_quality(table, quality)):
        question = probe_question(known, attribute, "background", kind)
        question = replace(question, test=question.test[question.test["y"] == 0])
        enough = question.test["group"].nunique() >= MIN_SUBJECTS
        if attribute != "label" and enough and not question.obstacle:
            found = _among_background(*question.samples("salient"), kind, **how)
            parts.append(found.assign(attribute=attribute, population="background"))
    parts.append(pd.DataFrame(_beyond(table, dict(covariates(table, kinds)), **how)))
    found = pd.concat(parts, ignore_index=True).assign(space="salient")
    return found.reindex(columns=["space", "attribute", "population", *SCORE_COLUMNS])


def _among_background(
    train: Samples, test: Samples, kind: Kind, *, n_permutations: int, n_bootstraps: int, random_state: int
) -> pd.DataFrame:
    """Score a probe of all training samples on test samples of the background."""
    values, truth = as_numbers(train, test, kind)
    probe = make_probe(kind).fit(train.codes, values)
    shuffling, resampling = map(np.random.default_rng, np.random.SeedSequence(random_state).spawn(2))
    shuffled = (shuffle_by_group(truth, test.groups, shuffling) for _ in range(n_permutations))
    truths = np.stack([truth, *shuffled])
    weights, n_groups = resampling_weights(test.groups, n_bootstraps, resampling)
    rows = []
    for metric in METRICS[kind]:
        if metric.reads == "decision_function" and len(np.unique(values)) > 2:
            continue
        output = np.asarray(getattr(probe, metric.reads)(test.codes))
        chance, outputs = metric.chance(values, truth), np.broadcast_to(output, truths.shape)
        if kind == "continuous":
            outputs = _in_scale(output, truths, test.groups)
            chance = metric.once(truth, _in_scale(0 * output, truths[:1], test.groups)[0])
        score, low, high = metric.with_interval(truth, outputs[0], weights, n_groups)
        null = np.array([metric.once(*row) for row in zip(truths[1:], outputs[1:], strict=True)])
        b = np.sum(~(metric.better * null < metric.better * score - 1e-12))
        numbers = chance, (b + 1) / (n_permutations + 1), len(values), len(truth), n_groups
        rows.append((metric.name, score, low, high, *numbers))
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def _in_scale(output: FloatArray, truths: AnyArray, groups: AnyArray) -> FloatArray:
    """Fit a line from output (n,) to each row of truths (k, n) on other folds: codes of new people spread."""
    x, fitted = np.stack([np.ones_like(output), output], axis=1), np.empty(truths.shape)
    for learnt, other in GroupKFold(FOLDS).split(x, groups=groups):
        line = np.linalg.lstsq(x[learnt], truths[:, learnt].T, rcond=None)[0]
        fitted[:, other] = (x[other] @ line).T
    return fitted


def _of_quality(
    table: pd.DataFrame, quality: pd.DataFrame | None
) -> Iterator[tuple[str, Kind, pd.DataFrame]]:
    """Yield name, kind and known rows of each number of images that is no attribute."""
    if quality is not None:
        of_id = quality.set_index(quality["id"].astype(str))
        for name in quality.columns.difference(table.columns, sort=False):
            values = table["id"].astype(str).map(of_id[name]).astype(float)
            yield str(name), "continuous", table.assign(value=values)[np.isfinite(values)]


def covariates(table: pd.DataFrame, kinds: Mapping[str, Kind] | None = None) -> Iterator[tuple[str, Kind]]:
    """Yield name and kind of the attributes that at least half of either group have, and that vary."""
    n = table["y"].value_counts()
    for attribute, kind, known in known_values(table, kinds):
        shares = known["y"].value_counts().reindex([0, 1], fill_value=0) / n
        classes = known.loc[known["split"] == "train", "value"].nunique()
        names = kind == "categorical" and classes > MAX_CLASSES
        if attribute != "label" and shares.min() >= LEAST_KNOWN and classes > 1 and not names:
            yield attribute, kind


def _beyond(
    table: pd.DataFrame, kinds: Mapping[str, Kind], *, random_state: int, **how: int
) -> Iterator[dict[str, object]]:
    """Yield what salient tells of the label, one covariate given, then all of them given."""
    asked = dict.fromkeys([*((name,) for name in kinds), *([tuple(kinds)] if kinds else [])])
    found: dict[tuple[str, ...], dict[str, object]] = {}
    for names in asked:
        of_names: dict[str, Kind] = {name: kinds[name] for name in names}
        train, test = _of_frequent_classes(*parts_of(table, random_state), of_names)
        n_groups = test["group"].nunique()
        if min(train["group"].nunique(), n_groups) < MIN_SUBJECTS or not has_labels(train, test):
            continue
        encoder = _encoder(of_names)
        given = encoder.fit_transform(_values(train, of_names)), encoder.transform(_values(test, of_names))
        codes, test_codes = (part[code_columns(part, "salient")].to_numpy(float) for part in (train, test))
        y, test_y = (part["y"].to_numpy(int) for part in (train, test))
        groups = subjects_of(test)
        people: dict[str, Any] = {"test_groups": groups, "given": given}
        evidence = label_information(codes, y, subjects_of(train), test_codes, test_y, **people)
        found[names] = named(evidence.score(groups, **how, random_state=random_state))
        counts = {"n_train": len(train), "n_test": len(test), "n_test_groups": n_groups}
        found[names] |= {"population": "all", "chance": 0.0, **counts}
    for names, row in found.items():
        if len(names) == 1:
            yield row | {"attribute": names[0], "metric": "label_information_given"}
        if names == tuple(kinds):
            yield row | {"attribute": "label", "metric": "information_given_covariates"}


def _of_frequent_classes(
    train: pd.DataFrame, test: pd.DataFrame, kinds: Mapping[str, Kind]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows without classes, such as a site, of which too few are known to adjust for them."""
    for name, kind in kinds.items():
        if kind == "categorical":
            counts = _text(train[name]).value_counts()
            classes = counts.index[counts >= LEAST_IN_CLASS]
            train, test = (part[_text(part[name]).isin(classes)] for part in (train, test))
    return train, test


def _text(values: "pd.Series[Any]") -> "pd.Series[str]":
    """Return classes as text; a gap is a class of its own."""
    return values.astype(object).where(values.notna(), "missing").astype(str)


def _values(rows: pd.DataFrame, kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """Return covariates as text, and as numbers, NaN among them."""
    return pd.DataFrame(
        {
            name: _text(rows[name])
            if kind == "categorical"
            else rows[name].astype(float).replace([np.inf, -np.inf], np.nan)
            for name, kind in kinds.items()
        }
    )


def _encoder(kinds: Mapping[str, Kind]) -> ColumnTransformer:
    """Return an unfitted encoder of covariates as numbers: classes one-hot, gaps filled and marked."""
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    gaps = {"add_indicator": True, "keep_empty_features": True}  # all missing where sites are frequent
    steps = {"categorical": one_hot, "continuous": SimpleImputer(strategy="median", **gaps)}
    return ColumnTransformer(
        [(name, steps[kind], [name]) for name, kind in kinds.items()], sparse_threshold=0
    )
