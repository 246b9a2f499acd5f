"""
Fit several targets with one salient space, and with a shared part and a block for each target.

    python benchmarks/several_targets.py OUT.csv [--data digits brains mice] [--seeds 0 1 2] [--forms ..]

digits: photos with a digit, which both targets have, and a mark whose place varies: at the left edge for
target A, at the upper edge for target B; as tables of 16 x 16 pixels. brains: `simulate_vbm_cohort` with the
subtypes A and B as targets, which share nothing. mice: the development split of mouse proteins (SEPVAE_DATA
has the folder mice-protein), with control and trisomic mice as targets. Adds one row for each score to
OUT.csv, and prints the means over seeds as tables.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sepvae import SepVAE
from sepvae.batch import Source
from sepvae.data import ArraySource, load_digits_on_photos, simulate_vbm_cohort, split
from sepvae.data.formats.tables import read_volumes
from sepvae.data.simulated import true_map
from sepvae.evaluation import map_scores, score_codes
from sepvae.runs.scoring import encoded

FORMS: dict[str, dict[str, Any]] = {  # of 16 salient dimensions
    "one space": {},
    "8 shared": {"shared_dim": 8},
    "none shared": {"shared_dim": 0},
}
PLACES, JITTER, SIDE = (2, 10, 18, 26), 1, 4  # of a mark along its edge, and its side, in pixels
METRICS = ("balanced_accuracy", "r2")
KEYS = ["data", "attribute", "population", "metric", "form", "space"]
COLUMNS = [*KEYS, "seed", "score", "chance", "p_value", "n_train", "n_test", "n_test_groups", "seconds"]


class Task(NamedTuple):
    """Training and test part of one data set, kinds of its attributes, keywords of its fits."""

    train: Source
    test: Source
    kinds: dict[str, Any]
    keywords: dict[str, Any]
    cohort: Path | None = None  # of simulated brains, with the true maps


def digits() -> Task:
    """Digits on photos with a mark of each target; the defaults were chosen on other digits."""
    parts = [_marked(part, np.random.default_rng(seed)) for seed, part in enumerate(load_digits_on_photos(1))]
    return Task(*parts, {}, {"max_epochs": 60, "background": "background"})


def _marked(source: ArraySource, rng: np.random.Generator) -> ArraySource:
    """Divide the targets into A and B at random, and add the mark of each."""
    x, labels = source.x.copy(), np.asarray(source.labels).astype(object)
    targets = np.flatnonzero(labels == "target")
    labels[targets] = rng.permutation(np.resize(["A", "B"], len(targets)))
    place = rng.integers(len(PLACES), size=len(x))
    at = np.array(PLACES)[place] + rng.integers(-JITTER, JITTER + 1, size=len(x))
    for i in targets:
        along, across = slice(at[i], at[i] + SIDE), slice(SIDE)
        mark = (0, along, across) if labels[i] == "A" else (0, across, along)
        x[i][mark] = np.minimum(x[i][mark] + 0.5, 1)
    about = source.attributes[["digit", "photo", "brightness"]].copy()
    for label in ("A", "B"):
        about[f"place of {label}"] = np.where(labels == label, place.astype(str), None)
    small = x.reshape(len(x), 16, 2, 16, 2).mean(axis=(2, 4)).reshape(len(x), -1)
    return ArraySource(small, labels.astype(str), ids=source.ids, attributes=about)


def brains(folder: Path) -> Task:
    """A simulated cohort, a quarter of its people to score, with each subtype under a label of its own."""
    cohort = folder / "cohort"
    people = pd.read_csv(simulate_vbm_cohort(cohort), sep="\t")
    people["dx"] = people["subtype"].fillna("control")
    for subtype in ("A", "B"):
        people[f"severity of {subtype}"] = people["severity"].where(people["subtype"] == subtype)
    people.to_csv(cohort / "targets.tsv", sep="\t", index=False)
    kinds: dict[str, Any] = dict.fromkeys(("age", "severity of A", "severity of B"), "continuous")
    kinds |= dict.fromkeys(("sex", "site"), "categorical")
    source = read_volumes(
        cohort / "targets.tsv",
        images="{participant_id}/anat/{participant_id}_GM.nii.gz",
        label="dx",
        attributes=kinds,
        mask=cohort / "truth" / "brain_mask.nii.gz",
    )
    parts = split(source.labels, source.groups, test_size=0.25, random_state=0)
    keywords = {"network": "linear", "background": "control"}
    return Task(*(source.select(part) for part in parts), kinds, keywords, cohort)


def mice() -> Task:
    """The development split of benchmarks/separation.py, with both genotypes as targets."""
    from mice_protein import read

    source, classes = read()
    is_target = (np.asarray(source.labels) == "target").astype(int)
    labels = np.where(is_target, classes.str[:1].map({"c": "control", "t": "trisomic"}), "background")
    named = ArraySource(source.x, labels, ids=source.ids, groups=source.groups)
    parts = split(is_target, source.groups, test_size=0.25, random_state=2024)
    return Task(*(named.select(part) for part in parts), {}, {"background": "background"})


def measure(task: Task, form: str, seed: int) -> Iterator[pd.DataFrame]:
    """Fit one form with one seed, and give the scores of its codes and of its maps."""
    quiet = {"validation_fraction": 0.0, "progress_bar": False, "accelerator": "cpu"}
    started = time.monotonic()
    model = SepVAE(**quiet, **task.keywords, **FORMS[form], random_state=seed).fit(task.train)
    seconds = round(time.monotonic() - started, 1)
    codes = pd.concat([encoded(model, task.train, "train"), encoded(model, task.test, "test")])
    how: dict[str, Any] = {"kinds": task.kinds, "blocks": model.salient_blocks_}
    scores = score_codes(codes.reset_index(drop=True), **how, n_permutations=19, n_bootstraps=0)
    yield scores[scores["metric"].isin((*METRICS, "active_units"))].assign(seconds=seconds)
    if task.cohort is not None:
        yield pd.DataFrame(_maps(model, task.test, task.cohort)).assign(seconds=seconds)


def _maps(model: SepVAE, test: Source, cohort: Path) -> Iterator[dict[str, Any]]:
    """
    Give the correlation of maps with the truth in the brain, and their strength, by block and target.

    The strength is the mean absolute map over that of whole salient maps of all patients.
    """
    own, labels = model.reconstruct(test), np.asarray(test.labels)
    unit = test.native["sd"].to_numpy()[:, None, None, None]
    without = {"salient": model.reconstruct(test, "none")}
    without |= {name: model.reconstruct(test, without=name) for name in model.salient_blocks_}
    whole = np.abs(test.grid.back((own - without["salient"])[:, 0] * unit)[labels != "control"]).mean()
    for space, removed in without.items():
        maps = test.grid.back((own - removed)[:, 0] * unit)
        for label in ("A", "B", "control"):
            rows = np.flatnonzero(labels == label)
            about = {"space": space, "attribute": "map", "population": label, "n_test": len(rows)}
            yield about | {"metric": "strength", "score": float(np.abs(maps[rows]).mean() / whole)}
            if label != "control":
                truths = [true_map(cohort, test.ids[i]) for i in rows]
                pairs = zip(maps[rows], truths, strict=True)
                found = [map_scores(one, true, test.grid.mask).correlation for one, true in pairs]
                yield about | {"metric": "correlation", "score": float(np.mean(found)), "chance": 0.0}


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, with the standard deviation, one column for each form and space."""
    rows = rows.assign(attribute=rows["attribute"].fillna("dimensions in use")).fillna({"population": "all"})
    groups = rows.groupby(KEYS, sort=False)["score"]
    text = groups.mean().map("{:.2f}".format) + groups.std().map(" ± {:.2f}".format)
    columns = {"columns": ["form", "space"], "values": "score"}
    wide = text.reset_index().pivot_table(index=KEYS[:4], **columns, aggfunc="first", sort=False).fillna("-")
    wide.columns = [f"{space}, {form}" for form, space in wide.columns]
    chance = rows.groupby(KEYS[:4], sort=False)["chance"].mean().round(2)
    return wide.assign(chance=chance)


def main() -> None:
    """Fit all cells, one after the other; cells that are in the table are not fitted again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", nargs="+", default=["digits", "brains", "mice"])
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    found = [pd.read_csv(options.out)] if options.out.is_file() else []
    done = {key for part in found for key in zip(part["data"], part["form"], part["seed"], strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.data:
            cells = [(form, seed) for seed in options.seeds for form in options.forms]
            cells = [cell for cell in cells if (name, *cell) not in done]
            if not cells:
                continue
            task = {"digits": digits, "brains": lambda: brains(Path(folder)), "mice": mice}[name]()
            for form, seed in cells:
                parts = list(measure(task, form, seed))
                found += [part.assign(data=name, form=form, seed=seed) for part in parts]
                pd.concat(found)[COLUMNS].round(4).to_csv(options.out, index=False)
                print(f"{name}, {form}, seed {seed}: {parts[0]['seconds'].iloc[0]:.0f} s", flush=True)
    for name, rows in pd.concat(found, ignore_index=True).groupby("data", sort=False):
        wide = table(rows).reset_index().astype(str).fillna("-")
        print(
            f"\n{name}\n", *(f"| {' | '.join(row)} |" for row in [wide.columns, *wide.to_numpy()]), sep="\n"
        )


if __name__ == "__main__":
    main()
