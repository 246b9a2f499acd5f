"""
False alarms and power of the scores that ask whether salient shows the disease or a covariate.

    python benchmarks/conditional.py --out conditional.csv --draws 0 1 2

Codes of 4 salient dimensions are drawn for n people, turned at random, with a covariate that goes with the
label; half of the people are for training. Where salient knows the covariate only, nothing of the label is
left beyond it; where it knows the disease only (one standard deviation in one direction), nothing of the
covariate is left among the background. Each draw has one row for each question, written as it comes.
"""

import argparse
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit

from sepvae.batch import AnyArray, FloatArray
from sepvae.evaluation.conditional import conditional_scores

SIZES, DIMS = (100, 400, 1000), 4
HOW = {"n_permutations": 39, "n_bootstraps": 100}
Rng = np.random.Generator
Drawn = tuple[AnyArray, pd.DataFrame, FloatArray]  # label, covariates, signals of covariates (n, any)


def two_sites(n: int, rng: Rng) -> Drawn:
    """Site a has 4 patients to 1 control, site b 1 to 4."""
    y = np.arange(n) % 2
    site = np.where(rng.uniform(size=n) < 0.8, y, 1 - y)
    return y, pd.DataFrame({"site": np.array(["a", "b"])[site]}), 2.0 * site[:, None]


def sixteen_sites(n: int, rng: Rng) -> Drawn:
    """Shares of patients from a tenth to nine tenths."""
    site = rng.integers(0, 16, n)
    y = (rng.uniform(size=n) < np.linspace(0.1, 0.9, 16)[site]).astype(int)
    signal = rng.normal(size=16)[site] + np.linspace(-2, 2, 16)[site]
    return y, pd.DataFrame({"site": np.char.add("site", site.astype(str))}), signal[:, None]


def age(n: int, rng: Rng) -> Drawn:
    """Patients are older, by one standard deviation."""
    y = np.arange(n) % 2
    years = rng.normal(size=n) + y
    return y, pd.DataFrame({"age": 60 + 10 * years}), years[:, None]


def bent_age(n: int, rng: Rng) -> Drawn:
    """Patients are young or old, controls between; salient knows the distance from the middle."""
    years = rng.normal(size=n)
    y = (rng.uniform(size=n) < expit(2 * (years**2 - 0.6))).astype(int)
    return y, pd.DataFrame({"age": 60 + 10 * years}), years[:, None] ** 2


def several(n: int, rng: Rng) -> Drawn:
    """Age, sex, motion and 4 sites, each with a part in the label; one value of motion in ten is missing."""
    years, motion = rng.normal(size=(2, n))
    sex, site = rng.integers(0, 2, n), rng.integers(0, 4, n)
    y = rng.uniform(size=n) < expit(0.7 * years + 0.7 * motion + 0.7 * (sex - 0.5) + 0.5 * (site - 1.5))
    signal = np.stack([years + motion, sex + 0.5 * site - motion], axis=1)
    about = {"age": years, "motion": np.where(rng.uniform(size=n) < 0.1, np.nan, motion)}
    return y.astype(int), pd.DataFrame(about | {"sex": sex.astype(str), "site": site.astype(str)}), signal


CASES: dict[str, Callable[[int, Rng], Drawn]] = {
    "two sites": two_sites,
    "16 sites": sixteen_sites,
    "age": age,
    "age, bent": bent_age,
    "age, sex, motion, 4 sites": several,
}
KNOWS = {"covariate": (1.0, 0.0), "disease": (0.0, 1.0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draws", type=int, nargs="+", default=range(40), help="numbers of the draws")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    given = parser.parse_args()
    for draw, n, case, knows in product(given.draws, given.sizes, CASES, KNOWS):
        found = conditional_scores(drawn(n, case, knows, np.random.default_rng([draw, n])), **HOW)
        found = found[found["metric"].isin(["balanced_accuracy", "r2", "information_given_covariates"])]
        found = found[["attribute", "population", "metric", "score", "low", "chance", "p_value", "n_test"]]
        rows = found.assign(case=case, knows=knows, n=n, draw=draw).round(4)
        rows.to_csv(given.out, mode="a", header=not given.out.exists(), index=False)


def drawn(n: int, case: str, knows: str, rng: Rng) -> pd.DataFrame:
    """Return a table of codes whose salient space knows the covariate, or the disease."""
    y, about, signal = CASES[case](n, rng)
    of_covariate, of_disease = KNOWS[knows]
    codes = rng.normal(size=(n, DIMS))
    codes[:, : signal.shape[1]] += of_covariate * signal
    codes[:, -1] += of_disease * y
    codes = codes @ stats.ortho_group.rvs(DIMS, random_state=rng)
    people = rng.permutation(n)
    table = pd.DataFrame({"id": people, "group": people, "y": y, "common0": 0.0})
    table["split"] = np.where(people < n // 2, "train", "test")
    names = [f"salient{i}" for i in range(DIMS)]
    return pd.concat([table, about, pd.DataFrame(codes, columns=names)], axis=1)


if __name__ == "__main__":
    main()
