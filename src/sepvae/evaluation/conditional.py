"""Disease or covariate: what salient knows of covariates among background, and of the label beyond them."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sepvae.codes import Kind, code_columns
from sepvae.evaluation.information import label_information
from sepvae.evaluation.information_scores import MIN_SUBJECTS, has_labels, named, parts_of, subjects_of
from sepvae.evaluation.probes import MAX_CLASSES, known_values, probe_question, score_probe

LEAST_KNOWN = 0.5  # share of background and of targets for whom a covariate is known
RARE = 5  # training samples, below which classes of a covariate are taken together


def conditional_scores(
    table: pd.DataFrame,
    *,
    kinds: Mapping[str, Kind] | None = None,
    n_permutations: int,
    n_bootstraps: int,
    random_state: int = 0,
) -> pd.DataFrame:
    """
    Return what salient knows of each attribute among background, and of the label beyond what everyone has.

    The rows of population background are probes, as `score_probe` makes them; permutations within a label
    say what salient knows of the attribute apart from the label. `label_information_given` an attribute, and
    `information_given_covariates`, of all of them, are in nats; their permutations exchange the labels of
    people with about the same probability of the label by the covariates.
    """
    how = {"n_permutations": n_permutations, "n_bootstraps": n_bootstraps, "random_state": random_state}
    parts = []
    for attribute, kind, known in known_values(table, kinds):
        question = probe_question(known[known["y"] == 0], attribute, "background", kind)
        if attribute != "label" and not question.obstacle:
            found = score_probe(*question.samples("salient"), kind, **how)
            parts.append(found.assign(attribute=attribute, population="background"))
    parts.append(pd.DataFrame(_beyond(table, dict(covariates(table, kinds)), **how)))
    return pd.concat(parts, ignore_index=True).assign(space="salient")


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
    train, test = parts_of(table, random_state)
    if min(train["group"].nunique(), test["group"].nunique()) < MIN_SUBJECTS or not has_labels(train, test):
        return
    counts = {"n_train": len(train), "n_test": len(test), "n_test_groups": test["group"].nunique()}
    about = {"population": "all", "chance": 0.0, **counts}
    codes, test_codes = (part[code_columns(part, "salient")].to_numpy(float) for part in (train, test))
    y, test_y = (part["y"].to_numpy(int) for part in (train, test))
    found: dict[tuple[str, ...], dict[str, object]] = {}
    for names in dict.fromkeys([*((name,) for name in kinds), *([tuple(kinds)] if kinds else [])]):
        encoder = _encoder({name: kinds[name] for name in names})
        given = encoder.fit_transform(_values(train, kinds)), encoder.transform(_values(test, kinds))
        evidence = label_information(codes, y, subjects_of(train), test_codes, test_y, given)
        found[names] = about | named(evidence.score(subjects_of(test), **how, random_state=random_state))
    for name in kinds:
        yield found[name,] | {"attribute": name, "metric": "label_information_given"}
    if kinds:
        yield found[tuple(kinds)] | {"attribute": "label", "metric": "information_given_covariates"}


def _values(rows: pd.DataFrame, kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """Return covariates as text, "missing" among it, and as numbers, NaN among them."""
    return pd.DataFrame(
        {
            name: rows[name].astype(object).where(rows[name].notna(), "missing").astype(str)
            if kind == "categorical"
            else rows[name].astype(float).replace([np.inf, -np.inf], np.nan)
            for name, kind in kinds.items()
        }
    )


def _encoder(kinds: Mapping[str, Kind]) -> ColumnTransformer:
    """Return an unfitted encoder of covariates as numbers: classes one-hot, gaps filled and marked."""
    one_hot = OneHotEncoder(min_frequency=RARE, handle_unknown="infrequent_if_exist", sparse_output=False)
    filled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True))
    steps = {"categorical": one_hot, "continuous": filled}
    return ColumnTransformer(
        [(name, steps[kind], [name]) for name, kind in kinds.items()], sparse_threshold=0
    )
