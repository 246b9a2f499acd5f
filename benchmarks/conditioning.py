"""
Compare three ways to keep age, sex and site out of the codes: what probes read from them of held-out people.

    python benchmarks/conditioning.py abide1_fs6_aparc_aseg_pheno.csv --out conditioning.csv
    python benchmarks/conditioning.py --out conditioning-simulated.csv

Ways: none; `residualise` (a regression on training controls); `harmonise` (ComBat on training controls,
then age and sex residualised); `condition_on` (the decoder gets them), also at ten times the price of c. With
a table: three of five folds, stratified by site and diagnosis. Without: three simulated cohorts of brains of
three sites, whose patients are older, a quarter of the people held out. Fits are short, of about 600 steps.

Probes are those of `score_probe`: balanced accuracy of classes, R2 of the age. `at` is the share of the
effect of age that `reconstruct(at=)` changes: the change of held-out people between two ages, projected on
the slopes of a regression of the input on age, sex and site (1: all of it).
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import StratifiedKFold

from sepvae import SepVAE
from sepvae.batch import Source
from sepvae.data import read_regions, read_volumes, simulate_vbm_cohort
from sepvae.evaluation import Samples, score_probe

N = 3  # folds of five, or cohorts
WAYS: dict[str, Any] = {
    "none": {},
    "residualise": {"residualise": ["age", "sex", "site"]},
    "harmonise": {"harmonise": "site", "preserve": ["age", "sex"], "residualise": ["age", "sex"]},
    "condition_on": {"condition_on": ["age", "sex", "site"]},
    "condition_on, beta_common=5": {"condition_on": ["age", "sex", "site"], "beta_common": 5.0},
}
KINDS: dict[str, Any] = {"age": "continuous", "sex": "categorical", "site": "categorical"}
Split = tuple[Source, str, dict[str, Any], Any, Any]


def main() -> None:
    """Score every split and way, and write one row for each probe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("table", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed, split in enumerate(_folds(args.table) if args.table else _cohorts()):
        for way in WAYS:
            rows += [{"seed": seed, "way": way, **row} for row in _scores(*split, way, seed)]
            pd.DataFrame(rows).to_csv(args.out, index=False)
    by = pd.DataFrame(rows).groupby(["attribute", "metric", "space", "way"], sort=False)
    print(by[["score", "chance"]].agg({"score": ["mean", "std"], "chance": ["mean"]}).round(3).to_string())


def _folds(table: Path) -> Iterator[Split]:
    renamed = pd.read_csv(table).rename(columns={"AGE_AT_SCAN": "age", "SEX": "sex", "SITE_ID": "site"})
    with tempfile.TemporaryDirectory() as folder:
        renamed.to_csv(path := Path(folder) / "people.csv", index=False)
        features = ["lh_*", "rh_*", "aseg_*"]
        source = read_regions(path, features=features, label="DX_GROUP", attributes=KINDS)
    strata = source.attributes["site"].astype(str) + pd.Series(source.labels).astype(str)
    quick = {"batch_size": 64, "max_epochs": 60}
    for train, test in list(StratifiedKFold(5, shuffle=True, random_state=0).split(strata, strata))[:N]:
        yield source, "2", quick, train, test


def _cohorts() -> Iterator[Split]:
    for seed in range(N):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cohort"
            uneven = {"share_of_targets": (0.2, 0.5, 0.8), "age_gap": 10, "site_effects": 1}
            simulate_vbm_cohort(path, side=24, random_state=seed, **uneven)
            images = "{participant_id}/anat/{participant_id}_GM.nii.gz"
            how = {"label": "group", "attributes": KINDS, "mask": path / "truth/brain_mask.nii.gz"}
            source = read_volumes(path / "participants.tsv", images=images, **how)
            strata = source.attributes["site"].astype(str) + pd.Series(source.labels).astype(str)
            folds = StratifiedKFold(4, shuffle=True, random_state=seed).split(strata, strata)
            train, test = next(folds)
            yield source, "control", {"max_epochs": 70}, train, test


def _scores(
    source: Source, background: str, quick: dict[str, Any], train: Any, test: Any, way: str, seed: int
) -> Iterator[dict[str, Any]]:
    """Yield the score of each attribute in each space, with its chance level, and the share of `at`."""
    how = {"progress_bar": False, "validation_fraction": 0, "random_state": seed, "learning_rate": 2e-3}
    model = SepVAE(background=background, **how, **quick, **WAYS[way])
    codes, new = model.fit_encode(source.select(train)), model.encode(source.select(test))
    if way != "none":
        share = _share(model, source.select(train), source.select(test))
        yield {"space": "decoded", "attribute": "age", "metric": "at", "score": share, "chance": 0.0}
    attributes = source.attributes.assign(diagnosis=np.asarray(source.labels))
    for space in ("common", "salient"):
        of_train, of_test = (getattr(part, f"{space}_mean") for part in (codes, new))
        for name in (*KINDS, "diagnosis"):
            values = attributes[name].to_numpy()
            parts = [
                Samples(z.astype(float), values[rows], np.asarray(source.groups)[rows])
                for z, rows in ((of_train, train), (of_test, test))
            ]
            kind = KINDS.get(name, "categorical")
            table = score_probe(*parts, kind, n_permutations=0, n_bootstraps=0)
            metric = "r2" if name == "age" else "auc" if name == "diagnosis" else "balanced_accuracy"
            row = table.set_index("metric").loc[metric]
            yield {"space": space, "attribute": name, "metric": metric, **row[["score", "chance"]]}


def _share(model: SepVAE, train: Source, test: Source) -> float:
    """Return the share of the effect of age, in standard deviations of the input, that `at` changes."""
    x = train.take(np.arange(len(train))).x.reshape(len(train), -1).astype(float)
    spread = np.nanstd(x, axis=0)
    varies = spread > 1e-6
    x = np.nan_to_num((x - np.nanmean(x, axis=0))[:, varies] / spread[varies])
    about = pd.get_dummies(train.attributes[list(KINDS)].astype({"site": str, "sex": str}), dtype=float)
    slopes = LinearRegression().fit(about, x).coef_[:, 0]
    ages = train.attributes["age"].quantile([0.25, 0.75]).tolist()
    young, old = (model.reconstruct(test, at={"age": age}) for age in ages)
    change = (old - young).mean(axis=0).ravel()[varies] / spread[varies] / (ages[1] - ages[0])
    return float(change @ slopes / (slopes @ slopes))


if __name__ == "__main__":
    main()
