"""
How far the scores in nats are from the truth, where it is known: bias, coverage, and false alarms.

    python benchmarks/information.py --out information.csv --draws 20

Two codes of n people are drawn whose mutual information is known, in closed form or by Monte Carlo with the
exact densities, in `dims` dimensions and turned at random; three quarters are for training. Each draw is one
row, written as it comes.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import logsumexp

from sepvae.batch import FloatArray
from sepvae.evaluation.information import Pair, label_information, shared_information

SIZES, DIMS, KINDS = (100, 400, 1000, 5000), (2, 16, 128), ("shared", "label")
Rng = np.random.Generator


def gaussian(nats: float, spread: bool) -> Callable[[int, int, Rng], Pair]:
    """Return codes that share so many nats in one pair of dimensions, or in all pairs alike."""

    def draw(n: int, dims: int, rng: Rng) -> Pair:
        k = dims if spread else 1
        r = np.sqrt(1 - np.exp(-2 * nats / k))
        a, b = rng.normal(size=(2, n, dims))
        b[:, :k] = r * a[:, :k] + np.sqrt(1 - r**2) * b[:, :k]
        return Pair(a, b)

    return draw


def square(n: int, dims: int, rng: Rng) -> Pair:
    """One dimension of b is the square of one of a, with noise: no correlation."""
    a, b = rng.normal(size=(2, n, dims))
    b[:, 0] = (a[:, 0] ** 2 - 1) / np.sqrt(2) + 0.5 * b[:, 0]
    return Pair(a, b)


def clusters(n: int, dims: int, rng: Rng) -> Pair:
    """Two subtypes, 6 standard deviations apart in b, and 2 in a."""
    a, b = rng.normal(size=(2, n, dims))
    subtype = rng.choice([-1, 1], n)
    return Pair(
        a + subtype[:, None] * (np.arange(dims) == 0), b + 3 * subtype[:, None] * (np.arange(dims) == 0)
    )


def monotone(n: int, dims: int, rng: Rng) -> Pair:
    """Gaussian codes of half a nat, each dimension bent: the information is that of before."""
    a, b = gaussian(0.5, False)(n, dims, rng)
    return Pair(a**3, np.sinh(1.5 * b))


def true_square(n: int = 4000) -> float:
    """Monte Carlo: the entropy of b less that of its noise."""
    rng = np.random.default_rng(0)
    means = (rng.normal(size=(2, n)) ** 2 - 1) / np.sqrt(2)
    b = means[0] + 0.5 * rng.normal(size=n)
    log_density = logsumexp(stats.norm.logpdf(b[:, None], means[1], 0.5), axis=1) - np.log(n)
    return float(-log_density.mean() - stats.norm(scale=0.5).entropy())


def true_clusters(n: int = 200_000) -> float:
    """Monte Carlo of the log-ratio, whose densities are mixtures of two Gaussians."""
    rng = np.random.default_rng(0)
    z = rng.choice([-1, 1], n)
    log_a, log_b = (
        np.stack([stats.norm.logpdf(shift * z + rng.normal(size=n), shift * sign) for sign in (-1, 1)])
        for shift in (1, 3)
    )
    joint = logsumexp(log_a + log_b, axis=0) - np.log(2)
    return float((joint - logsumexp(log_a, axis=0) - logsumexp(log_b, axis=0) + 2 * np.log(2)).mean())


def cases() -> Iterator[tuple[str, float, Callable[[int, int, Rng], Pair]]]:
    """Yield name, true nats and the function that draws."""
    yield "independent", 0.0, gaussian(0.0, False)
    for nats in (0.1, 0.5, 1.5):
        yield f"Gaussian, one pair, {nats}", nats, gaussian(nats, False)
    yield "Gaussian, all pairs, 0.5", 0.5, gaussian(0.5, True)
    yield "bent, one pair, 0.5", 0.5, monotone
    yield "square", true_square(), square
    yield "two subtypes", true_clusters(), clusters


def turned(codes: FloatArray, rng: Rng) -> FloatArray:
    """Return codes turned at random: no dimension stands out."""
    return np.asarray(codes @ stats.ortho_group.rvs(codes.shape[1], random_state=rng))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--dims", type=int, nargs="+", default=DIMS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    given = parser.parse_args()
    how = {"n_permutations": 99, "n_bootstraps": 400}
    for n in given.sizes:
        for draw in range(given.draws if n < 5000 else max(given.draws // 4, 1)):
            for dims in given.dims:
                for name, true, function in cases() if "shared" in given.kinds else ():
                    rng = np.random.default_rng([draw, n, dims])
                    pair, learnt, people = function(n, dims, rng), 3 * n // 4, np.arange(n).astype(str)
                    pair = Pair(*(turned(codes, rng) for codes in pair))
                    start = time.perf_counter()
                    evidence = shared_information(
                        Pair(pair.a[:learnt], pair.b[:learnt]),
                        people[:learnt],
                        Pair(pair.a[learnt:][:2000], pair.b[learnt:][:2000]),
                    )
                    found = evidence.score(people[learnt:][:2000], **how)
                    add(given.out, "shared", name, true, n, dims, draw, found, time.perf_counter() - start)
                for shift in (0.0, 1.0, 2.0) if "label" in given.kinds else ():
                    rng = np.random.default_rng([draw, n, dims])
                    y, codes = np.arange(n) % 2, rng.normal(size=(n, dims))
                    codes[:, 0] += shift * y
                    true = of_label(shift)
                    codes, learnt, people = turned(codes, rng), 3 * n // 4, np.arange(n).astype(str)
                    start = time.perf_counter()
                    evidence = label_information(
                        codes[:learnt], y[:learnt], people[:learnt], codes[learnt:], y[learnt:]
                    )
                    found = evidence.score(people[learnt:], **how)
                    name = f"label, groups {shift:g} apart"
                    add(given.out, "label", name, true, n, dims, draw, found, time.perf_counter() - start)


def of_label(shift: float) -> float:
    """Return the nats of a binary label in a dimension where its groups are so many deviations apart."""
    grid = np.linspace(-8, 8 + shift, 4001)
    parts = np.stack([stats.norm.pdf(grid), stats.norm.pdf(grid, shift)]) / 2
    whole = parts.sum(axis=0)
    terms = np.where(parts > 0, parts * np.log(parts / (whole / 2)), 0)
    return float(np.trapezoid(terms.sum(axis=0), grid))


def add(
    out: Path,
    kind: str,
    name: str,
    true: float,
    n: int,
    dims: int,
    draw: int,
    found: tuple[float, float, float, float],
    seconds: float,
) -> None:
    """Append a row to the table."""
    nats, low, high, p_value = found
    row = {"kind": kind, "case": name, "true": round(true, 4), "n": n, "dims": dims, "draw": draw}
    row |= {"nats": nats, "low": low, "high": high, "p_value": p_value, "seconds": round(seconds, 2)}
    pd.DataFrame([row]).round(4).to_csv(out, mode="a", header=not out.exists(), index=False)


if __name__ == "__main__":
    main()
