"""
Fit methods on a simulated cohort, and score their maps and codes by the known pathology.

    python benchmarks/simulated_vbm.py --out simulated-vbm

simulates the cohort (200 people, 48 x 48 x 48 voxels), fits every method with every seed on three quarters of
the people, and scores the rest. Rows are added to OUT/scores.csv as they come; what is there already is not
fitted again. OUT/maps.npz and OUT/maps.png hold mean maps of each subtype, truth first.

The reference learns no codes: it is each voxel's deviation from its expectation for age, sex and site, by a
linear regression on the training controls.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sepvae.batch import Source
from sepvae.data import ArraySource, simulate_vbm_cohort, split
from sepvae.data.formats.tables import read_volumes
from sepvae.data.simulated import true_map
from sepvae.evaluation import map_scores
from sepvae.evaluation.correlations import probe_predictions
from sepvae.evaluation.scores import score_codes
from sepvae.interpretation.maps import SalientMaps
from sepvae.methods import (
    CLVM,
    ContrastivePCA,
    ConVAE,
    MMcVAE,
    ProbabilisticContrastivePCA,
    RbVAE,
    SepCLR,
    SepVAE,
)
from sepvae.methods.base import ContrastiveEstimator
from sepvae.preprocessing.residualizer import Residualizer
from sepvae.runs.scoring import encoded

KINDS = {"age": "continuous", "sex": "categorical", "site": "categorical"}
KINDS |= {"severity": "continuous", "subtype": "categorical"}
VAE = {"validation_fraction": 0.0, "progress_bar": False, "background": "control"}
LINEAR = "deviation from controls (linear)"


def contenders(networks: list[str], epochs: int, seed: int) -> dict[str, ContrastiveEstimator]:
    """All methods with their defaults; linear decompositions once, for they have no seed that matters."""
    found: dict[str, ContrastiveEstimator] = {}
    for network in networks:
        keywords = VAE | ({} if network == "linear" else {"max_epochs": epochs})
        for method in (SepVAE, ConVAE, MMcVAE, CLVM, RbVAE, SepCLR):
            name = f"{method.__name__} ({network})"
            found[name] = method(**keywords, network=network, random_state=seed)
    if seed == 0:
        found["ContrastivePCA"] = ContrastivePCA(16, 16)
        found["ContrastivePCA (pca)"] = ContrastivePCA.from_preset("pca", common_dim=16, salient_dim=16)
        found["ProbabilisticContrastivePCA"] = ProbabilisticContrastivePCA(16, 16)
    return found


def score_maps(
    cohort: Path, mask: np.ndarray, ids: list[str], subtypes: list[str], maps: np.ndarray
) -> dict[str, float]:
    """Maps of patients against the truth, person by person, and the mean map of each subtype."""
    truths = np.stack([true_map(cohort, id_) for id_ in ids])
    people = [map_scores(found, true, mask) for found, true in zip(maps, truths, strict=True)]
    row = {
        "person_correlation": float(np.mean([p.correlation for p in people])),
        "person_dice": float(np.mean([p.dice for p in people])),
    }
    for subtype in sorted(set(subtypes)):
        of = np.array([s == subtype for s in subtypes])
        mean = map_scores(maps[of].mean(axis=0), truths[of].mean(axis=0), mask)
        row |= {f"{subtype}_correlation": mean.correlation, f"{subtype}_dice": mean.dice}
    return row


def score_method(model: ContrastiveEstimator, train: Source, test: Source) -> dict[str, float]:
    """What probes read in the codes of held-out people."""
    codes = pd.concat([encoded(model, train, "train"), encoded(model, test, "test")], ignore_index=True)
    scores = score_codes(codes, kinds=KINDS, n_permutations=0, n_bootstraps=0)
    asked = {
        "subtype": "balanced_accuracy",
        "severity": "r2",
        "age": "r2",
        "sex": "balanced_accuracy",
        "site": "balanced_accuracy",
        "label": "auc",
    }
    row = {}
    for attribute, metric in asked.items():
        population = "all" if attribute in ("age", "sex", "site", "label") else "target"
        which = (scores["attribute"] == attribute) & (scores["metric"] == metric)
        for space in ("salient", "common"):
            found = scores[which & (scores["space"] == space) & (scores["population"] == population)]
            row[f"{space}_{attribute}"] = float(found["score"].iloc[0])
    predicted = probe_predictions(codes, kinds=KINDS).query("attribute == 'severity' and space == 'salient'")
    row["salient_severity_spearman"] = float(
        predicted["truth"].corr(predicted["predicted"], method="spearman")
    )
    return row


def deviations(train: ArraySource, test: ArraySource) -> np.ndarray:
    """The reference: what age, sex and site do not explain, in the units of the network."""
    covariates = ["age", "sex", "site"]
    counts = train.grid.valid_mask
    inside_train, inside_test = (part.x[:, 0][:, counts].astype(np.float64) for part in (train, test))
    controls = np.asarray(train.labels) == "control"
    learnt = Residualizer().fit(inside_train, train.attributes[covariates], controls)
    maps = np.zeros((len(test), *counts.shape))
    maps[:, counts] = learnt.transform(inside_test, test.attributes[covariates]) * learnt.scale_
    return maps


def in_units(maps: np.ndarray, source: ArraySource, patients: np.ndarray) -> np.ndarray:
    """Maps on the whole grid, in the units of the files."""
    units = source.native["sd"].to_numpy()[patients, None, None, None]
    return np.stack([source.grid.back(one) for one in maps * units])


def draw(maps: dict[str, np.ndarray], file: Path) -> None:
    """An axial and a coronal slice of every mean map, subtype by subtype, on one scale a subtype."""
    names = list(dict.fromkeys(name.rsplit("|", 1)[0] for name in maps))
    figure = Figure(figsize=(1.9 * len(names), 8), layout="compressed")
    axes = figure.subplots(4, len(names), squeeze=False)
    for s, subtype in enumerate(("A", "B")):
        true = maps[f"truth|{subtype}"]
        limit = np.abs(true).max()
        _, y, z = np.unravel_index(np.abs(true).argmax(), true.shape)
        for column, name in enumerate(names):
            found = maps[f"{name}|{subtype}"]
            for row, (plane, view) in enumerate(((found[:, :, z], "axial"), (found[:, y], "coronal"))):
                ax = axes[2 * s + row, column]
                ax.imshow(plane.T, origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit)
                ax.set_xticks([])
                ax.set_yticks([])
                if 2 * s + row == 0:
                    ax.set_title(name.replace(" (", "\n("), fontsize=9)
                if column == 0:
                    ax.set_ylabel(f"subtype {subtype}, {view}", fontsize=9)
    figure.savefig(file, dpi=110)


def main() -> None:
    """Simulate, fit, score, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--networks", nargs="+", default=["linear"], help="also: cnn3d, 20 minutes a fit")
    parser.add_argument("--epochs", type=int, default=100, help="of networks other than linear")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--cohort-seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    cohort = args.out / "cohort"
    if not cohort.is_dir():
        simulate_vbm_cohort(cohort, n_subjects=args.people, side=args.side, random_state=args.cohort_seed)
    source = read_volumes(
        cohort / "participants.tsv",
        images="{participant_id}/anat/{participant_id}_GM.nii.gz",
        label="group",
        attributes=KINDS,
        mask=cohort / "truth" / "brain_mask.nii.gz",
    )
    strata = source.attributes["subtype"].to_numpy()
    places = split(source.labels, source.groups, test_size=0.25, stratify=strata, random_state=0)
    train, test = (source.select(part) for part in places)
    patients = np.flatnonzero(np.asarray(test.labels) == "patient")
    ids, subtypes = test.ids[patients].tolist(), test.attributes["subtype"].iloc[patients].tolist()

    file, kept = args.out / "scores.csv", args.out / "maps.npz"
    rows = pd.read_csv(file).to_dict("records") if file.is_file() else []
    means = dict(np.load(kept)) if kept.is_file() else {}
    truths = np.stack([true_map(cohort, id_) for id_ in ids])

    def note(name: str, seed: int, row: dict[str, float], maps: np.ndarray | None) -> None:
        if maps is not None:
            row |= score_maps(cohort, source.grid.mask, ids, subtypes, maps)
        rows.append({"method": name, "seed": seed, **row})
        pd.DataFrame(rows).to_csv(file, index=False)
        if maps is not None and seed == args.seeds[0]:
            for subtype in ("A", "B"):
                of = np.array([s == subtype for s in subtypes])
                means[f"truth|{subtype}"] = truths[of].mean(axis=0)
                means[f"{name}|{subtype}"] = maps[of].mean(axis=0)
            np.savez_compressed(kept, **means)
            draw(means, args.out / "maps.png")
        print(pd.Series(rows[-1]).to_string(), flush=True)

    done = {(row["method"], row["seed"]) for row in rows}
    if (LINEAR, 0) not in done:
        note(LINEAR, 0, {}, in_units(deviations(train, test)[patients], test, patients))
    for seed in args.seeds:
        for name, model in contenders(args.networks, args.epochs, seed).items():
            if (name, seed) in done:
                continue
            started = time.monotonic()
            model.fit(train)
            seconds = time.monotonic() - started
            row = {"seconds": seconds, **score_method(model, train, test)}
            if not model.capabilities.decoder:
                note(name, seed, row, None)
                continue
            of_all = SalientMaps(model, test)
            added = np.concatenate([maps.added[:, 0] for _, maps in of_all])
            strengths = np.concatenate([maps.strength for _, maps in of_all])
            row["controls_over_patients"] = float(
                np.delete(strengths, patients).mean() / strengths[patients].mean()
            )
            whole = np.stack([source.grid.back(one) for one in added[patients]])
            note(name, seed, row, whole)


if __name__ == "__main__":
    main()
