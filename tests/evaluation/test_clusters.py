"""Clusters that do not depend on scale, and the dip between them."""

import numpy as np
import pytest
from scipy.optimize import linprog

from sepvae.evaluation.clusters import Clusters, dip


def test_mixtures_do_not_depend_on_scale_and_give_probabilities() -> None:
    truth = np.arange(90) % 3 == 0
    codes = np.random.default_rng(0).normal(size=(90, 3)) + 5 * truth[:, None] * [1, 0, 0]
    clusters, scaled = Clusters(codes, 2), Clusters(codes * 1e-3, 2)
    np.testing.assert_array_equal(clusters.assign(codes), scaled.assign(codes * 1e-3))
    probability = clusters.probabilities(codes)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    np.testing.assert_array_equal(probability.argmax(axis=1), clusters.assign(codes))
    assert clusters.probabilities(clusters.centres_).min() < 0.01
    np.testing.assert_array_equal(
        Clusters(codes, 2, algorithm="kmeans").assign(codes), clusters.assign(codes)
    )
    assert clusters.discriminants(codes).shape == (90, 2)
    assert np.abs(np.corrcoef(clusters.discriminants(codes)[:, 0], truth)[0, 1]) > 0.85


def best_unimodal(values: np.ndarray) -> float:
    """The dip by linear programming: the nearest distribution function, convex up to a peak, then concave."""
    x, n = np.sort(values), len(values)
    upper = np.arange(1, n + 1) / n
    best = np.inf
    for peak in range(n):
        # Variables: the function before (n) and at (n) each value, and the distance; it jumps at the peak.
        rows, bounds = [], []
        for i in range(n):
            for offset, truth in ((0, upper[i] - 1 / n), (n, upper[i])):
                for sign in (1, -1):
                    row = np.zeros(2 * n + 1)
                    row[offset + i], row[-1] = sign, -1
                    rows.append(row)
                    bounds.append(sign * truth)
        equal = [np.eye(2 * n + 1)[i] - np.eye(2 * n + 1)[n + i] for i in range(n) if i != peak]
        slope = [
            (np.eye(2 * n + 1)[i + 1] - np.eye(2 * n + 1)[n + i]) / (x[i + 1] - x[i]) for i in range(n - 1)
        ]
        for i in range(n - 2):
            rows.append(slope[i] - slope[i + 1] if i + 1 < peak else slope[i + 1] - slope[i])
            bounds.append(0.0)
            if i + 1 == peak:  # convex ends and concave begins here
                rows[-1] = np.zeros(2 * n + 1)
        rows += [-s for s in slope]
        bounds += [0.0] * (n - 1)
        found = linprog(
            np.eye(2 * n + 1)[-1],
            rows,
            bounds,
            equal or None,
            np.zeros(len(equal)) if equal else None,
            bounds=(None, None),
        )
        best = min(best, found.fun)
    return float(best)


@pytest.mark.parametrize("seed", range(4))
def test_the_dip_is_the_distance_from_the_nearest_single_peak(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(size=7), rng.normal(4 * (seed % 2), size=5)])
    assert dip(values) == pytest.approx(best_unimodal(values), abs=1e-6)
    assert dip(3 * values - 7) == pytest.approx(dip(values))
