"""
Compare harmonisation inside and outside of the folds on regions of a cohort of several sites.

    python benchmarks/harmonisation.py abide1_fs6_aparc_aseg_pheno.csv --out harmonisation.csv

Ways: none; ComBat fitted on controls, or on all people, of the training part (inside); the same on the whole
table before it is split, held-out people included (outside). Folds: five, stratified by site and diagnosis,
and each site left out once (inside, its people are taken as measured at an average site). Per fold, ridge
classifiers on training people predict the site and the diagnosis of held-out people, from the features
themselves and from both spaces of a method.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sepvae
from sepvae.preprocessing import Harmonizer

SITE, LABEL, PRESERVED = "SITE_ID", "DX_GROUP", ["AGE_AT_SCAN", "SEX"]
WAYS = "none", "inside, controls", "inside, all", "outside, controls", "outside, all"


def main() -> None:
    """Score every way and fold, and write one row for each score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("table", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--method", default="ContrastivePCA")
    args = parser.parse_args()
    people = pd.read_csv(args.table)
    features = [c for c in people if c.startswith(("lh_", "rh_", "aseg_")) and "IntraCranial" not in c]
    rows: list[dict[str, Any]] = []
    for folds, train, test in _folds(people):
        for way in WAYS:
            for space, score in _scores(people, features, train, test, way, args.method):
                rows.append({"folds": folds, "way": way, "space": space, **score})
            pd.DataFrame(rows).to_csv(args.out, index=False)
    table = pd.DataFrame(rows).groupby(["folds", "space", "way"], sort=False)[["site", "diagnosis"]]
    print(table.agg(["mean", "std"]).round(3).to_string())


def _folds(people: pd.DataFrame) -> Iterator[tuple[str, Any, Any]]:
    strata = people[SITE].astype(str) + people[LABEL].astype(str)
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(people, strata):
        yield "stratified", train, test
    for train, test in LeaveOneGroupOut().split(people, groups=people[SITE]):
        yield "site left out", train, test


def _scores(
    people: pd.DataFrame, features: list[str], train: Any, test: Any, way: str, method: str
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each space with its scores: balanced accuracy of the site, AUC of the diagnosis."""
    is_control = (people[LABEL] == 2).to_numpy()
    keywords: dict[str, Any] = {}
    x = people[features].astype(float)
    if way.startswith("outside"):
        model = Harmonizer(SITE, PRESERVED)
        fitted = is_control if way.endswith("controls") else None
        x = pd.DataFrame(model.fit(x, people, fitted).transform(x, people), columns=features)
    if way.startswith("inside"):
        on = way.removeprefix("inside, ")
        keywords = {"harmonise": SITE, "preserve": PRESERVED, "harmonise_on": on, "unseen_site": "reference"}
    table = pd.concat([x, people[[SITE, *PRESERVED]].astype({"AGE_AT_SCAN": float})], axis=1)
    if not keywords:
        table = x
    model = getattr(sepvae, method)(background=2, **keywords)
    if "progress_bar" in model.get_params():
        model.set_params(progress_bar=False)
    codes = model.fit_encode(table.iloc[train], people[LABEL].iloc[train])
    new = model.encode(table.iloc[test])
    both = [model.prepare(table.iloc[rows]) for rows in (train, test)]
    spaces = {
        "features": [source.take(np.arange(len(source))).x for source in both],
        "common": [codes.common_mean, new.common_mean],
        "salient": [codes.salient_mean, new.salient_mean],
    }
    for space, (of_train, of_test) in spaces.items():
        score = {"site": np.nan}
        if len(set(people[SITE].iloc[test])) > 1:
            site = _probe(of_train, people[SITE].iloc[train]).predict(of_test)
            score["site"] = float(balanced_accuracy_score(people[SITE].iloc[test], site))
        probe = _probe(of_train, people[LABEL].iloc[train] == 1)
        of_label = people[LABEL].iloc[test] == 1
        score["diagnosis"] = float(roc_auc_score(of_label, probe.decision_function(of_test)))
        yield space, score | {"n_test": len(test)}


def _probe(x: Any, y: Any) -> Any:
    """Fit a ridge classifier, its strength chosen by leave-one-out on training people."""
    ridge = RidgeClassifierCV(np.logspace(0, 5, 11), class_weight="balanced")
    return make_pipeline(StandardScaler(), ridge).fit(x, y)


if __name__ == "__main__":
    main()
