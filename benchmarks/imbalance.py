"""
Score age from both spaces when patients of the fit are older than controls (App. C of the paper).

    SEPVAE_DATA=FOLDER python benchmarks/imbalance.py OUT.csv [--data brains] [--seeds 0 1 2]

120 controls and 120 patients are drawn for the fit: with the same chance for all ("alike"), or with a chance
that falls with age for controls and rises with it for patients ("older patients"). They are regions of
ABIDE 1, or simulated brains of 826 people. Probes learn age from the codes of all patients of the fitting
part, and are scored on patients of the other part, who are of all ages. Appends one row for each method,
draw, seed and space.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from separation import abide, probe

from sepvae import ContrastivePCA, ConVAE, MMcVAE, SepVAE
from sepvae.batch import AnyArray
from sepvae.data import ArraySource, simulate_vbm_cohort, split
from sepvae.data.formats.tables import read_volumes
from sepvae.recipes import load_recipe

PEOPLE = 120  # of each group
SLOPE = {"alike": 0.0, "older patients": 1.0}  # of the log chance, per standard deviation of age


class Part(NamedTuple):
    """Samples, whether each is a patient, and their ages in years."""

    samples: ArraySource
    y: AnyArray
    age: AnyArray


def regions() -> tuple[Part, Part]:
    """People of ABIDE 1: those to fit on, and those to score."""
    data = abide()
    return tuple(
        Part(ArraySource(part.x, part.y), part.y, part.about["AGE_AT_SCAN"].to_numpy(float))
        for part in (data.fit, data.score)
    )


def brains() -> tuple[Part, Part]:
    """Simulated people, as many as in ABIDE 1: three quarters to fit on, the others to score."""
    with tempfile.TemporaryDirectory() as folder:
        table = simulate_vbm_cohort(Path(folder, "cohort"), n_subjects=826, side=32, random_state=7)
        source = read_volumes(
            table,
            images="{participant_id}/anat/{participant_id}_GM.nii.gz",
            label="group",
            attributes={"age": "continuous"},
            mask=table.parent / "truth" / "brain_mask.nii.gz",
        )
    y = (np.asarray(source.labels) == "patient").astype(int)
    age = source.attributes["age"].to_numpy(float)
    parts = split(y, source.groups, test_size=0.25, random_state=2024)
    return tuple(Part(source.select(part), y[part], age[part]) for part in parts)


DATA = {"abide": regions, "brains": brains}


def drawn(part: Part, slope: float, seed: int) -> AnyArray:
    """Rows of the fitting part."""
    rng, rows = np.random.default_rng(seed), []
    for group, sign in ((0, -1), (1, 1)):
        of_group = np.flatnonzero(part.y == group)
        chance = np.exp(sign * slope * (part.age[of_group] - part.age.mean()) / part.age.std())
        rows.append(rng.choice(of_group, PEOPLE, replace=False, p=chance / chance.sum()))
    return np.concatenate(rows)


def contenders(seed: int, network: str) -> dict[str, Any]:
    """Defaults, and the paper's weights for neuroimaging (App. E.3) with a network that fits the data."""
    recipe, found = load_recipe("autism-regions"), {}
    quiet = {"progress_bar": False, "accelerator": "cpu", "validation_fraction": 0, "random_state": seed}
    for method in (SepVAE, ConVAE, MMcVAE):
        name = method.__name__
        found[name] = method(**quiet, batch_size=32)
        paper = method.presets["paper"] | recipe.keywords(name, "paper") | {"network": network}
        found[f"{name} (paper)"] = method(**paper | quiet)
    return found | {"ContrastivePCA": ContrastivePCA(random_state=seed)}


def main() -> None:
    """Fit and score all, appending as results come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", choices=DATA, default="abide")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    fit, score = DATA[options.data]()
    network = {"abide": "mlp", "brains": "linear"}[options.data]
    patients = [part.samples.select(np.flatnonzero(part.y == 1)) for part in (fit, score)]
    ages = [part.age[part.y == 1] for part in (fit, score)]
    for seed in options.seeds:
        for draw, slope in SLOPE.items():
            rows = drawn(fit, slope, seed)
            age, y = fit.age[rows], fit.y[rows]
            print(f"{draw}, seed {seed}: mean age {age[y == 0].mean():.1f} and {age[y == 1].mean():.1f}")
            for name, model in contenders(seed, network).items():
                model.set_params(background=fit.samples.labels[fit.y == 0][0]).fit(fit.samples.select(rows))
                codes = [model.encode(part) for part in patients]
                found = []
                for space in ("common", "salient"):
                    learnt, scored = (getattr(part, f"{space}_mean") for part in codes)
                    r2 = probe(learnt, ages[0], scored, ages[1], is_tree=False)["score"]
                    row = {"data": options.data, "draw": draw, "seed": seed, "method": name}
                    found.append(row | {"space": space, "r2": r2})
                pd.DataFrame(found).to_csv(
                    options.out, mode="a", header=not options.out.exists(), index=False
                )
                print(name, *(f"{row['space']} {row['r2']:.2f}" for row in found), flush=True)


if __name__ == "__main__":
    main()
