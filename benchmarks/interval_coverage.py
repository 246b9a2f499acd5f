"""
Coverage of 95 % intervals of test scores: known true values, 10 to 200 groups, one sample a group.

    python benchmarks/interval_coverage.py [--tables 400] [--resamples 1000]
"""

import argparse

import numpy as np
from scipy import stats

from sepvae.evaluation.metrics import METRICS, interval, resampling_weights

METRIC = {metric.name: metric for of_kind in METRICS.values() for metric in of_kind}
CASES = [("auc", 0.6), ("auc", 0.8), ("auc", 0.96), ("balanced_accuracy", 0.6), ("balanced_accuracy", 0.9)]
CASES += [("r2", 0.3), ("r2", 0.8), ("mae", 1.0)]
GROUPS = (10, 20, 30, 50, 100, 200)


def draw(name, value, n, rng):
    """Truth and output of n test samples whose score has a known expectation."""
    if name in ("r2", "mae"):
        noise = rng.normal(size=n)
        if name == "mae":
            return noise * np.sqrt(np.pi / 2) * value, np.zeros(n)
        signal = rng.normal(size=n)
        return np.sqrt(value) * signal + np.sqrt(1 - value) * noise, np.sqrt(value) * signal
    truth = rng.permutation(np.arange(n) % 2)
    if name == "auc":
        return truth, rng.normal(size=n) + truth * np.sqrt(2) * stats.norm.ppf(value)
    return truth, np.where(rng.random(n) < value, truth, 1 - truth)


def main():
    """Print the share of tables whose interval holds the true value."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tables", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    print("| score | true |", " | ".join(f"{n} groups" for n in GROUPS), "|")
    print("| --- " * (2 + len(GROUPS)) + "|")
    for name, value in CASES:
        shares = []
        for n in GROUPS:
            rng = np.random.default_rng([n, len(name), round(100 * value)])
            inside = []
            for _ in range(options.tables):
                truth, output = draw(name, value, n, rng)
                weights, _ = resampling_weights(np.arange(n), options.resamples, rng)
                function = METRIC[name].function
                score = function(truth, output, np.ones((1, n)))[0]
                low, high = interval(function(truth, output, weights), score, n, scale=METRIC[name].scale)
                inside.append(low <= value <= high)
            shares.append(np.mean(inside))
        print(f"| {name} | {value:g} |", " | ".join(f"{share:.2f}" for share in shares), "|", flush=True)


if __name__ == "__main__":
    main()
