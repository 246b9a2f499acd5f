"""False alarms and power of the test for subtypes, on simulated codes of patients.

    python benchmarks/subtypes.py --out subtypes.csv --draws 40 --sizes 60 200

One row per case, number of patients and dimensions, and draw: p-values, number of clusters, whether
subtypes are found, and the adjusted Rand index of the clusters with the true ones. With --fits 3, the
codes are turned and given noise of a third of a cluster's deviation, three times: consensus subtypes.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from sepvae.evaluation.consensus import find_consensus
from sepvae.evaluation.subtypes import find_subtypes

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.87]])  # of a triangle of side 1


def single(noise: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]):
    """Return a case without clusters."""
    return lambda rng, n, dims: (noise(rng, (n, dims)) * np.linspace(2, 1, dims), np.zeros(n, int))


def clusters(n_clusters: int, distance: float, share: float | None = None):
    """Return a case of clusters so many standard deviations apart; of two, `share` are in the first."""

    def draw(rng: np.random.Generator, n: int, dims: int) -> tuple[np.ndarray, np.ndarray]:
        truth = np.arange(n) % n_clusters if share is None else (np.arange(n) >= share * n).astype(int)
        codes = rng.normal(size=(n, dims))
        codes[:, :2] += distance * CORNERS[truth]
        return codes @ np.linalg.qr(rng.normal(size=(dims, dims)))[0], truth

    return draw


CASES = {
    "one Gaussian": single(lambda rng, size: rng.normal(size=size)),
    "heavy tails (Student's t, 4 degrees of freedom)": single(
        lambda rng, size: rng.normal(size=size) / np.sqrt(rng.chisquare(4, (size[0], 1)) / 4)
    ),
    "skewed (exponential in each dimension)": single(lambda rng, size: rng.exponential(size=size)),
    "a continuum (uniform in each dimension)": single(lambda rng, size: rng.uniform(size=size)),
    "2 clusters, 2 apart": clusters(2, 2),
    "2 clusters, 3 apart": clusters(2, 3),
    "2 clusters, 4 apart": clusters(2, 4),
    "2 clusters, 5 apart": clusters(2, 5),
    "2 clusters of 80 and 20 %, 4 apart": clusters(2, 4, 0.8),
    "3 clusters, 4 apart": clusters(3, 4),
    "3 clusters, 5 apart": clusters(3, 5),
}


def consensus_of(
    codes: np.ndarray, truth: np.ndarray, n_fits: int, n_null: int, seed: int
) -> dict[str, object]:
    """Return p-value, number, agreement and Rand index of a consensus of turned codes with noise."""
    rng, dims = np.random.default_rng((seed, 1)), codes.shape[1]
    turns = [np.linalg.qr(rng.normal(size=(dims, dims)))[0] for _ in range(n_fits)]
    fits = [codes @ turn + rng.normal(size=codes.shape) / 3 for turn in turns]
    found = find_consensus(fits, np.ones((n_fits, len(codes)), bool), n_null=n_null, random_state=seed)
    row: dict[str, object] = {"p": found.p_value, "clusters": found.n_clusters, "stability": found.agreement}
    return row | {"found": found.found, "rand": adjusted_rand_score(truth, found.subtype)}


def subtypes_of(codes: np.ndarray, truth: np.ndarray, n_null: int, seed: int) -> dict[str, object]:
    """Return p-values, number, stability and Rand index of the subtypes of one fit."""
    found = find_subtypes(codes, n_null=n_null, random_state=seed)
    row: dict[str, object] = {f"p_{name}": p for name, p in found.p_values.items()}
    row |= {"clusters": found.clusters.n_clusters, "stability": found.stability, "found": found.found}
    return row | {"rand": adjusted_rand_score(truth, found.clusters.assign(codes))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100])
    parser.add_argument("--dims", type=int, nargs="+", default=[4])
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    parser.add_argument("--null", type=int, default=19)
    parser.add_argument("--fits", type=int, default=1)
    args = parser.parse_args()
    rows: list[dict[str, object]] = []
    for seed in range(
        args.first, args.first + args.draws
    ):  # the outer loop, so that a stopped run has some draws of all
        for n in args.sizes:
            for dims in args.dims:
                for case, draw in CASES.items():
                    codes, truth = draw(np.random.default_rng((seed, n, dims)), n, dims)
                    how = {"n_null": args.null, "seed": seed}
                    if args.fits > 1:
                        found = consensus_of(codes, truth, args.fits, **how)
                    else:
                        found = subtypes_of(codes, truth, **how)
                    rows.append({"case": case, "people": n, "dimensions": dims, "draw": seed} | found)
        pd.DataFrame(rows).to_csv(args.out, index=False)
        print(f"draw {seed} is done", flush=True)


if __name__ == "__main__":
    main()
