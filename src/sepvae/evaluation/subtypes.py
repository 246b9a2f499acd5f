"""Subtypes among salient codes of patients: their number, and the null of a single Gaussian."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from sepvae.batch import FloatArray
from sepvae.checks import check_number
from sepvae.errors import DataError
from sepvae.evaluation.clusters import Clusters, components, gap
from sepvae.evaluation.metrics import MAX_P
from sepvae.progress import Progress

MAX_CLUSTERS = 6
N_RESAMPLES = 10
STABLE = 0.8  # mean adjusted Rand index of resamples, from which clusters count as the same
LEAST_SHARE = 0.05  # of people in the smallest cluster; fewer are outliers


@dataclass(frozen=True)
class SubtypeTest:
    """
    Clusters of the codes of training patients, and whether a single Gaussian explains these codes as well.

    `candidates` has one row per number of clusters: n_clusters, bic, stability (mean adjusted Rand index of
    clusterings of resamples with that of all) and smallest (share of people in the smallest cluster).
    `observed` and `null` have the columns likelihood_ratio (two Gaussians of one covariance against one) and
    gap (mean dip, the distance from any distribution with a single peak, along the axis from each cluster to
    its nearest).
    """

    clusters: Clusters
    candidates: pd.DataFrame
    observed: "pd.Series[float]"
    null: pd.DataFrame  # one row per sample of the single Gaussian

    @property
    def p_values(self) -> "pd.Series[float]":
        """Share of the null, with the observed value among it, that is at least as large."""
        return ((self.null >= self.observed - 1e-12).sum() + 1) / (len(self.null) + 1)

    @property
    def stability(self) -> float:
        """Stability of the chosen number of clusters."""
        return float(self.candidates.set_index("n_clusters")["stability"][self.clusters.n_clusters])

    @property
    def found(self) -> bool:
        """Whether there are subtypes: no single Gaussian, with a gap between clusters, that are stable."""
        return bool((self.p_values <= MAX_P).all() and self.stability >= STABLE)

    @property
    def verdict(self) -> str:
        """The answer in a sentence."""
        gaussian, gap = self.p_values["likelihood_ratio"], self.p_values["gap"]
        if gaussian > MAX_P:
            return f"no subtypes: a single Gaussian explains the codes as well (p = {gaussian:.2g})"
        if gap > MAX_P:
            return (
                f"no subtypes: the codes are no single Gaussian (p = {gaussian:.2g}), but no gap parts them "
                f"(p = {gap:.2g}): they are skewed, or a continuum"
            )
        again = f"mean adjusted Rand index {self.stability:.2f} over resamples"
        if self.stability < STABLE:
            return f"no subtypes: clusters do not return ({again}, wanted {STABLE})"
        n = self.clusters.n_clusters
        p = max(gaussian, gap)
        return f"{n} subtypes: a gap parts the codes (p = {p:.2g}), and clusters return ({again})"


def find_subtypes(
    codes: FloatArray, *, n_null: int = 199, random_state: int = 0, progress: Progress | None = None
) -> SubtypeTest:
    """
    Cluster the codes of patients, and compare them with samples of a single Gaussian (parametric bootstrap).

    The number of clusters, from 2 to 6, is that of the lowest BIC among those that return in resamples and
    have no cluster below 5 % of people; without such a one, the most stable. The null draws as many people
    from a Gaussian of the same covariance and computes both statistics anew, with clusters of the same number
    and their axes.

    Parameters
    ----------
    codes : ndarray of shape (n, dimensions)
        Salient posterior means, one row per training patient, 30 or more.
    n_null : int, default=199
        Samples of the null, 19 or more.
    random_state : int, default=0
        Seed of starts, resamples and null.
    progress : callable or None, default=None
        Called as `progress(done, total)`.

    Returns
    -------
    SubtypeTest
        Clusters, candidates, statistics and their null.

    Raises
    ------
    DataError
        If codes are too few, do not vary or are not finite.

    References
    ----------
    .. [1] Y. Liu, D. N. Hayes, A. Nobel, J. S. Marron, "Statistical Significance of Clustering for
       High-Dimension, Low-Sample Size Data", Journal of the American Statistical Association 103, 2008.
    .. [2] J. A. Hartigan, P. M. Hartigan, "The Dip Test of Unimodality", Annals of Statistics 13, 1985.

    Examples
    --------
    >>> codes = np.random.default_rng(0).normal(size=(60, 1))
    >>> find_subtypes(codes + 6 * (np.arange(60) % 2)[:, None], n_null=19).found
    True
    """
    check_number("n_null", n_null, least=19, whole=True)
    if not np.isfinite(codes).all():
        raise DataError("subtypes: some salient codes are not finite numbers")
    rng = np.random.default_rng(random_state)
    report = progress or _no_report
    points, candidates, null = components(codes).transform(codes), [], []
    with threadpool_limits(1), config_context(assume_finite=True, skip_parameter_validation=True):
        for n_clusters in range(1, MAX_CLUSTERS + 1):
            candidates.append(_candidate(points, n_clusters, rng))
            report(n_clusters * N_RESAMPLES, MAX_CLUSTERS * N_RESAMPLES + n_null)
        n_clusters = best_number(table := pd.DataFrame(candidates))
        for i, draw in enumerate(single_gaussian(points, n_null, rng), start=1):
            null.append(statistics(draw, n_clusters))
            report(MAX_CLUSTERS * N_RESAMPLES + i, MAX_CLUSTERS * N_RESAMPLES + n_null)
        observed = pd.Series(statistics(points, n_clusters))
    return SubtypeTest(Clusters(codes, n_clusters), table, observed, pd.DataFrame(null))


def _no_report(done: int, total: int) -> None:
    """Show no progress."""


def single_gaussian(codes: FloatArray, n_draws: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield samples (n, dimensions) of a single Gaussian with the mean and covariance of these codes."""
    mean, covariance = codes.mean(axis=0), np.cov(codes, rowvar=False).reshape(codes.shape[1], -1)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0))
    for _ in range(n_draws):
        yield mean + rng.normal(size=codes.shape) @ root.T


def _candidate(codes: FloatArray, n_clusters: int, rng: np.random.Generator) -> dict[str, float]:
    """Return BIC, stability over resamples of people, and smallest cluster of a number of clusters."""
    clusters = Clusters(codes, n_clusters)
    of_all, agreements = clusters.assign(codes), []
    for _ in range(N_RESAMPLES if n_clusters > 1 else 0):
        resample = codes[rng.integers(len(codes), size=len(codes))]
        agreements.append(adjusted_rand_score(of_all, Clusters(resample, n_clusters).assign(codes)))
    smallest = np.bincount(of_all, minlength=n_clusters).min() / len(codes)
    stability = float(np.mean(agreements)) if agreements else np.nan
    return {"n_clusters": n_clusters, "bic": clusters.bic_, "stability": stability, "smallest": smallest}


def best_number(candidates: pd.DataFrame) -> int:
    """Return the number of clusters of lowest BIC among stable ones, or the most stable number."""
    several = candidates[candidates["n_clusters"] > 1].set_index("n_clusters")
    stable = several[(several["stability"] >= STABLE) & (several["smallest"] >= LEAST_SHARE)]
    best = stable["bic"].argmin() if len(stable) else several["stability"].argmax()
    return int((stable if len(stable) else several).index[int(best)])


def statistics(codes: FloatArray, n_clusters: int) -> dict[str, float]:
    """Return the likelihood ratio of two Gaussians against one, and the gap between clusters."""
    one, two = (Clusters(codes, n) for n in (1, 2))
    several = two if n_clusters == 2 else Clusters(codes, n_clusters)
    return {"likelihood_ratio": 2 * (two.log_likelihood_ - one.log_likelihood_), "gap": gap(several, codes)}
