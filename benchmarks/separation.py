"""
Score separation on development data, for the search for the defaults (docs/results/separation.md).

    SEPVAE_DATA=FOLDER python benchmarks/separation.py OUT.csv --data digits16 abide --seeds 0 1 \
        [--name NAME] [--set key=value ...]
    python benchmarks/separation.py OUT.csv --show

Appends one row for each score, space and probe. The development data are parts of training parts; no sample
that a results page scores is read, but for abide and mice, whose results pages score every sample in folds.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sepvae import ContrastivePCA, SepVAE
from sepvae.batch import AnyArray
from sepvae.cli.fitting import split_pairs
from sepvae.data import ArraySource, load_digits_on_photos, read_image_folder, split
from sepvae.training.attribute_classifier import train_attribute_classifier

SALIENT = ("digit", "Genotype", "subtype")  # attributes that only targets have


class Part(NamedTuple):
    """Samples, whether each is a target, and what is known of it."""

    x: AnyArray
    y: AnyArray
    about: pd.DataFrame


class Development(NamedTuple):
    """Two parts of a training part; attributes that only targets have, and those that all have."""

    fit: Part
    score: Part
    salient: tuple[str, ...]
    common: tuple[str, ...]
    keywords: dict[str, Any]


def digits(*, small: bool = False) -> Development:
    """Training part of the digits on photographs; as a table of 16 x 16 if `small`."""
    source = load_digits_on_photos()[0]
    x = source.take(np.arange(len(source))).x
    if small:
        x = x[:, 0].reshape(len(x), 16, 2, 16, 2).mean((2, 4)).reshape(len(x), -1)
    y = (np.asarray(source.labels) == "target").astype(int)
    keywords = {"max_epochs": 60} if small else {"max_epochs": 40}
    return _cut(x, y, source.attributes, np.arange(len(y)), ("digit",), ("photo", "brightness"), keywords)


def abide() -> Development:
    """Regions of ABIDE 1; what only patients have is hardly to be seen in them, and not scored."""
    frame = pd.read_csv(_data("abide-fs6", "abide1_fs6_aparc_aseg_pheno.csv"))
    names = [name for name in frame if name.startswith(("lh_", "rh_", "aseg_"))]
    names.remove("aseg_IntraCranialVol")
    y = (frame["DX_GROUP"] == 1).astype(int).to_numpy()
    common = ("AGE_AT_SCAN", "SEX", "SITE_ID")
    about = frame[list(common)].assign(SEX=frame["SEX"].astype(str))
    keywords = {"max_epochs": 60, "batch_size": 32}
    return _cut(frame[names].to_numpy(float), y, about, np.arange(len(y)), (), common, keywords)


def mice() -> Development:
    """Protein levels of mice, split by mouse; genotype is the target-only attribute."""
    from mice_protein import read

    source, _ = read()
    y = (np.asarray(source.labels) == "target").astype(int)
    return _cut(source.x, y, source.attributes, np.asarray(source.groups), ("Genotype",), (), {})


def cancer() -> Development:
    """scikit-learn's breast cancer table: no attributes, so label and reconstruction only."""
    x, is_benign = load_breast_cancer(return_X_y=True)
    keywords = {"common_dim": 4, "salient_dim": 2, "max_epochs": 60}
    return _cut(x, 1 - is_benign, pd.DataFrame(index=range(len(x))), np.arange(len(x)), (), (), keywords)


def xrays() -> Development:
    """Chest X-rays, 2400 of them drawn, 48 x 48, split by patient; the subtype of pneumonia is scored."""
    source = read_image_folder(
        _data("kermany96", "chest_xray", "train"),
        image_size=48,
        pattern=[r"(?P<subject>person\d+)_(?P<subtype>virus|bacteria)", r"(?P<subject>(NORMAL2-)?IM-\d+)"],
    )
    source = source.select(np.random.default_rng(0).permutation(len(source))[:2400])
    x = source.take(np.arange(len(source))).x
    y = (np.asarray(source.labels) == "PNEUMONIA").astype(int)
    return _cut(x, y, source.attributes, np.asarray(source.groups), ("subtype",), (), {"max_epochs": 30})


DATA = {
    "digits": digits,
    "digits16": lambda: digits(small=True),
    "abide": abide,
    "mice": mice,
    "cancer": cancer,
    "xrays": xrays,
}


def _data(*names: str) -> Path:
    return Path(os.environ["SEPVAE_DATA"], *names)


def _cut(
    x: AnyArray,
    y: AnyArray,
    about: pd.DataFrame,
    person: AnyArray,
    salient: tuple[str, ...],
    common: tuple[str, ...],
    keywords: dict[str, Any],
) -> Development:
    """Cut a quarter off to score on, whole people, stratified by label; always the same."""
    train, test = split(y, person, test_size=0.25, random_state=2024)
    parts = [Part(x[part], y[part], about.iloc[part].reset_index(drop=True)) for part in (train, test)]
    return Development(*parts, salient, common, keywords)


def measure(model: Any, data: Development) -> Iterator[dict[str, Any]]:
    """Fit, then give one row for each attribute, population, probe and space."""
    started = time.monotonic()
    model.fit(data.fit.x, data.fit.y)
    seconds = time.monotonic() - started
    codes = [model.encode(part.x) for part in (data.fit, data.score)]
    spaces = {name: [getattr(part, f"{name}_mean") for part in codes] for name in ("salient", "common")}
    spaces["both"] = [np.hstack([spaces["salient"][i], spaces["common"][i]]) for i in (0, 1)]
    for is_tree in (False, True):
        for space, (fit, score) in spaces.items():
            how = {"probe": "tree" if is_tree else "linear", "space": space}
            yield (
                how
                | {"attribute": "label", "population": "all"}
                | probe(fit, data.fit.y.astype(str), score, data.score.y.astype(str), is_tree)
            )
            among = data.fit.y == 1, data.score.y == 1
            for name in (*data.salient, *data.common):
                known = [
                    (part.about[name].notna() & one).to_numpy()
                    for part, one in zip((data.fit, data.score), among, strict=True)
                ]
                values = [
                    part.about[name][one].to_numpy()
                    for part, one in zip((data.fit, data.score), known, strict=True)
                ]
                found = probe(fit[known[0]], values[0], score[known[1]], values[1], is_tree)
                yield how | {"attribute": name, "population": "target"} | found
    yield {"attribute": "seconds", "score": seconds}
    if not model.capabilities.decoder:
        return
    real, rebuilt = (_standard(data, x) for x in (data.score.x, model.reconstruct(data.score.x)))
    r2 = 1 - np.nansum((rebuilt - real) ** 2) / np.nansum((real - np.nanmean(real, axis=0)) ** 2)
    yield {"attribute": "reconstruction", "metric": "r2", "score": r2, "chance": 0.0}
    if data.fit.x.ndim > 2:
        yield from _pictures(model, data)


def _pictures(model: Any, data: Development) -> Iterator[dict[str, Any]]:
    """How many pictures three classifiers, which learnt from real images, call background."""
    source = ArraySource(data.fit.x, data.fit.y)
    judges = [train_attribute_classifier(source, data.fit.y, random_state=seed) for seed in range(3)]
    background, target = (data.score.x[data.score.y == group] for group in (0, 1))
    others = background[np.arange(len(target)) % len(background)]
    pictures = {
        "full, background": model.reconstruct(background),
        "full, target": model.reconstruct(target),
        "removed": model.reconstruct(target, salient="none"),
        "target with s of background": model.swap(target, others),
        "background with s of target": model.swap(others, target),
    }
    for name, x in pictures.items():
        share = np.mean([judge.predict(x.astype(np.float32)) == 0 for judge in judges])
        yield {"attribute": f"{name}: background", "metric": "accuracy", "score": share, "chance": 0.5}


def _standard(data: Development, x: AnyArray) -> AnyArray:
    """Images in [0, 1], tables in units of their standard deviation."""
    if x.ndim > 2:
        return x / 255 if x.dtype == np.uint8 else x
    return (x - np.nanmean(data.fit.x, axis=0)) / np.maximum(np.nanstd(data.fit.x, axis=0), 1e-9)


def probe(fit: AnyArray, known: AnyArray, score: AnyArray, wanted: AnyArray, is_tree: bool) -> dict[str, Any]:
    """One probe, linear or not, fitted on one part and scored on the other."""
    if np.issubdtype(np.asarray(known).dtype, np.floating):
        model = (
            HistGradientBoostingRegressor(max_iter=60, random_state=0)
            if is_tree
            else make_pipeline(StandardScaler(), Ridge())
        )
        return {
            "metric": "r2",
            "score": r2_score(wanted, model.fit(fit, known).predict(score)),
            "chance": 0.0,
        }
    known, wanted = known.astype(str), wanted.astype(str)
    model = (
        HistGradientBoostingClassifier(max_iter=60, random_state=0)
        if is_tree
        else make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    ).fit(fit, known)
    if len(model.classes_) == 2:
        scored = roc_auc_score(wanted, model.predict_proba(score)[:, 1])
        return {"metric": "auc", "score": scored, "chance": 0.5}
    scored = balanced_accuracy_score(wanted, model.predict(score))
    return {"metric": "balanced_accuracy", "score": scored, "chance": 1 / len(model.classes_)}


def merit(scores: pd.DataFrame) -> pd.Series:
    """
    Figure of merit: mean over attributes and probes of (right space - wrong space) / (both - chance).

    Attributes that even both codes together do not tell (less than 0.05 over chance) are left out.
    """
    keys = ["name", "data", "seed", "attribute", "probe", "chance"]
    of_targets = scores[scores["population"] == "target"]
    wide = of_targets.pivot_table("score", keys, "space").reset_index()
    wide = wide[wide["both"] - wide["chance"] >= 0.05]
    sign = np.where(wide["attribute"].isin(SALIENT), 1.0, -1.0)
    wide["merit"] = sign * (wide["salient"] - wide["common"]) / (wide["both"] - wide["chance"])
    return wide.groupby(["name", "data", "seed"], sort=False)["merit"].mean()


def show(scores: pd.DataFrame) -> str:
    """Means over seeds: one row a setting and data set."""
    scores = scores.assign(
        what=scores["attribute"]
        + "/"
        + scores["space"].fillna("")
        + np.where(scores["probe"] == "tree", "/tree", "")
    )
    wanted = scores[scores["space"] != "both"]
    lines = []
    for data, part in wanted.groupby("data", sort=False):
        table = part.pivot_table(index="name", columns="what", values="score", sort=False).round(2)
        if (part["population"] == "target").any():
            table.insert(0, "merit", merit(scores[scores["data"] == data]).groupby("name").mean().round(3))
        table.insert(0, "fits", part.groupby("name")["seed"].nunique())
        table.columns = [column.removesuffix("/") for column in table.columns]
        lines += [f"## {data}", table.to_string(), ""]
    return "\n".join(lines)


def main() -> None:
    """Run one setting on some data and seeds, appending as results come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", nargs="+", choices=sorted(DATA), default=["digits16"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--name")
    parser.add_argument("--linear", action="store_true", help="contrastive PCA instead")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    if options.show:
        print(show(pd.read_csv(options.out)))
        return
    given = split_pairs(options.set)
    name = options.name or ("contrastive PCA" if options.linear else json.dumps(given)[1:-1] or "default")
    for data_name in options.data:
        data = DATA[data_name]()
        for seed in options.seeds:
            if options.linear:
                dims = {k: v for k, v in data.keywords.items() if k.endswith("_dim")}
                model: Any = ContrastivePCA(**dims, **given, background=0)
            else:
                quiet = {
                    "progress_bar": False,
                    "accelerator": "cpu",
                    "background": 0,
                    "validation_fraction": 0,
                }
                model = SepVAE(**quiet | data.keywords | given, random_state=seed)
            rows = pd.DataFrame(measure(model, data)).assign(name=name, data=data_name, seed=seed)
            rows = rows.reindex(columns=COLUMNS)
            rows.to_csv(options.out, mode="a", header=not options.out.exists(), index=False)
            print(name, data_name, seed, flush=True)


COLUMNS = ["name", "data", "seed", "attribute", "population", "probe", "space", "metric", "score", "chance"]

if __name__ == "__main__":
    main()
