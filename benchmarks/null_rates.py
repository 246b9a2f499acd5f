"""
False positive rates of associations with clinical scores, on noise.

    python benchmarks/null_rates.py [--tables 300] [--rows 36] [--people 100] [--folds 5] [--dimensions 8]

A table has one row for each of some codes, all noise. Ridge probes predict the score of each fold from
the other folds, and the pooled predictions are correlated with the score. Prints the share of rows with
p <= 0.05, and of tables with a positive row whose p is below 0.05 after Benjamini and Hochberg, by
two-sided and by one-sided p.
"""

import argparse

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from sepvae.evaluation.correlations import partial_spearman
from sepvae.evaluation.probes import make_probe


def draw_row(
    people: int, folds: int, dimensions: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Rank correlation of out-of-fold predictions of noise from noise, its two-sided and its one-sided p."""
    codes, score = rng.normal(size=(people, dimensions)), rng.normal(size=people)
    fold, predicted = rng.permutation(people) % folds, np.empty(people)
    for k in range(folds):
        probe = make_probe("continuous").fit(codes[fold != k], score[fold != k])
        predicted[fold == k] = probe.predict(codes[fold == k])
    rho, two_sided = partial_spearman(predicted, score)
    return rho, two_sided, partial_spearman(predicted, score, alternative="greater")[1]


def main() -> None:
    """Draw tables and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default in {"tables": 300, "rows": 36, "people": 100, "folds": 5, "dimensions": 8}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    rng, rows, tables = np.random.default_rng(0), [], []
    with threadpool_limits(1):
        for _ in range(options.tables):
            table = np.array(
                [
                    draw_row(options.people, options.folds, options.dimensions, rng)
                    for _ in range(options.rows)
                ]
            )
            found = np.isfinite(table).all(axis=1)
            rho, *p = table[found].T
            rows.append([(values <= 0.05).mean() for values in p])
            adjusted = [stats.false_discovery_control(values) for values in p]
            tables.append([bool(((values < 0.05) & (rho > 0)).any()) for values in adjusted])
    for name, of_rows, of_tables in zip(
        ("two-sided", "one-sided"), np.mean(rows, axis=0), np.mean(tables, axis=0), strict=True
    ):
        print(f"{name}: {of_rows:.3f} of rows, {of_tables:.3f} of tables with a positive adjusted p < 0.05")


if __name__ == "__main__":
    main()
