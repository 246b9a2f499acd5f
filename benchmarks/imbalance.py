"""
Score age from both spaces when patients of the fit are older than controls (App. C of the paper).

    SEPVAE_DATA=FOLDER python benchmarks/imbalance.py OUT.csv [--seeds 0 1 2]

120 controls and 120 patients of ABIDE 1 are drawn for the fit, on regions: with the same chance for all
("alike"), or with a chance that falls with age for controls and rises with it for patients ("older
patients"). Probes learn age from the codes of all patients of the fitting part, and are scored on patients
of the other part, who are of all ages. Appends one row for each method, draw, seed and space.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from separation import Development, abide, probe

from sepvae import ContrastivePCA, ConVAE, MMcVAE, SepVAE
from sepvae.batch import AnyArray
from sepvae.recipes import load_recipe

PEOPLE = 120  # of each group
SLOPE = {"alike": 0.0, "older patients": 1.0}  # of the log chance, per standard deviation of age


def drawn(data: Development, slope: float, seed: int) -> AnyArray:
    """Rows of the fitting part."""
    age = data.fit.about["AGE_AT_SCAN"].to_numpy(float)
    rng, rows = np.random.default_rng(seed), []
    for group, sign in ((0, -1), (1, 1)):
        of_group = np.flatnonzero(data.fit.y == group)
        chance = np.exp(sign * slope * (age[of_group] - age.mean()) / age.std())
        rows.append(rng.choice(of_group, PEOPLE, replace=False, p=chance / chance.sum()))
    return np.concatenate(rows)


def contenders(seed: int) -> dict[str, Any]:
    """Defaults, and the paper's weights for neuroimaging (App. E.3)."""
    recipe, found = load_recipe("autism-regions"), {}
    quiet = {"progress_bar": False, "accelerator": "cpu", "validation_fraction": 0, "random_state": seed}
    quiet |= {"background": 0}
    for method in (SepVAE, ConVAE, MMcVAE):
        name = method.__name__
        found[name] = method(**quiet, batch_size=32)
        paper = method.presets["paper"] | recipe.keywords(name, "paper")
        found[f"{name} (paper)"] = method(**paper | quiet)
    return found | {"ContrastivePCA": ContrastivePCA(background=0, random_state=seed)}


def main() -> None:
    """Fit and score all, appending as results come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    data = abide()
    ages = [part.about["AGE_AT_SCAN"].to_numpy(float)[part.y == 1] for part in (data.fit, data.score)]
    for seed in options.seeds:
        for draw, slope in SLOPE.items():
            rows = drawn(data, slope, seed)
            age, y = data.fit.about["AGE_AT_SCAN"].to_numpy(float)[rows], data.fit.y[rows]
            print(f"{draw}, seed {seed}: mean age {age[y == 0].mean():.1f} and {age[y == 1].mean():.1f}")
            for name, model in contenders(seed).items():
                model.fit(data.fit.x[rows], y)
                codes = [model.encode(part.x[part.y == 1]) for part in (data.fit, data.score)]
                found = []
                for space in ("common", "salient"):
                    fit, score = (getattr(part, f"{space}_mean") for part in codes)
                    r2 = probe(fit, ages[0], score, ages[1], is_tree=False)["score"]
                    found.append({"draw": draw, "seed": seed, "method": name, "space": space, "r2": r2})
                pd.DataFrame(found).to_csv(
                    options.out, mode="a", header=not options.out.exists(), index=False
                )
                print(name, *(f"{row['space']} {row['r2']:.2f}" for row in found), flush=True)


if __name__ == "__main__":
    main()
