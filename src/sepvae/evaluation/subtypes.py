"""Subtypes among salient codes of patients: clusters, their number, and the null of a single Gaussian."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression
from sklearn import config_context
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from sepvae.batch import FloatArray, IntArray
from sepvae.checks import check_number
from sepvae.errors import DataError
from sepvae.evaluation.metrics import MAX_P
from sepvae.progress import Progress

MAX_CLUSTERS = 6
MIN_PEOPLE = 30  # whose codes are clustered
MAX_COMPONENTS, PEOPLE_PER_COMPONENT = 10, 10
LEAST_VARIANCE = 0.05  # share of the first component's variance, below which a component is left out
STARTS = 3  # of each clustering; the best is kept
N_RESAMPLES = 10
STABLE = 0.8  # mean adjusted Rand index of resamples, from which clusters count as the same
LEAST_SHARE = 0.05  # of people in the smallest cluster; fewer are outliers

Algorithm = Literal["mixture", "kmeans"]


class Clusters:
    """
    Clusters of codes: a Gaussian mixture with one covariance for all, or k-means, on principal components.

    Parameters
    ----------
    codes : ndarray of shape (n, dimensions)
        Codes of training patients, one row each.
    n_clusters : int
        Number of clusters, 1 or more.
    algorithm : {"mixture", "kmeans"}, default="mixture"
        Mixtures give probabilities, and do not depend on the scale of a direction.
    random_state : int, default=0
        Seed of the starts.

    Attributes
    ----------
    centres_ : ndarray of shape (n_clusters, dimensions)
        Centres, the largest cluster first.
    log_likelihood_, bic_ : float
        Log-likelihood and Bayesian information criterion (lower is better) of a mixture; NaN for k-means.

    Raises
    ------
    DataError
        If codes of fewer than 30 people are given, or they do not vary.

    Examples
    --------
    >>> codes = np.random.default_rng(0).normal(size=(60, 2)) + 6 * (np.arange(60) % 3 == 0)[:, None]
    >>> np.bincount(Clusters(codes, 2).assign(codes)).tolist()
    [40, 20]
    """

    def __init__(
        self, codes: FloatArray, n_clusters: int, *, algorithm: Algorithm = "mixture", random_state: int = 0
    ) -> None:
        check_number("n_clusters", n_clusters, least=1, whole=True)
        self.n_clusters = n_clusters
        self._pca = _components(codes)
        points = self._pca.transform(codes)
        means = KMeans(n_clusters, n_init=STARTS, random_state=random_state).fit(points)
        self._model, centres = means, means.cluster_centers_
        self.log_likelihood_ = self.bic_ = np.nan
        if algorithm == "mixture":
            self._model = _mixture(points, centres, means.labels_)
            centres, self.bic_ = self._model.means_, float(self._model.bic(points))
            self.log_likelihood_ = float(len(points) * self._model.score(points))
        found = self._model.predict(points)
        self._order = np.argsort(-np.bincount(found, minlength=n_clusters), kind="stable")
        self.centres_ = self._pca.inverse_transform(centres[self._order])
        self._whiten = self._pca.components_.T @ _whitening(points - centres[found])

    def assign(self, codes: FloatArray) -> IntArray:
        """Return the cluster of each row (m,), 0 the largest."""
        return np.asarray(np.argsort(self._order)[self._model.predict(self._pca.transform(codes))])

    def probabilities(self, codes: FloatArray) -> FloatArray:
        """Return the posterior probability of each cluster (m, n_clusters) under the mixture."""
        return np.asarray(self._model.predict_proba(self._pca.transform(codes))[:, self._order])

    def whitened(self, codes: FloatArray) -> FloatArray:
        """Return codes (m, components) in which clusters have a variance of 1 in each direction."""
        return np.asarray(codes @ self._whiten)

    def discriminants(self, codes: FloatArray) -> FloatArray:
        """Return codes (m, 2) on the directions that tell the clusters apart best, linear discriminants."""
        return np.asarray(
            self.whitened(codes) @ PCA(svd_solver="full").fit(self.whitened(self.centres_)).components_[:2].T
        )


def _components(codes: FloatArray) -> PCA:
    """Return the principal components in use, at most one for 10 people and 10 in all."""
    if len(codes) < MIN_PEOPLE or not codes.var(axis=0).any():
        raise DataError(
            f"subtypes: wanted salient codes of {MIN_PEOPLE} training patients or more that vary, got "
            f"{len(codes)}{'' if len(codes) < MIN_PEOPLE else ' that are all the same'}"
        )
    most = min(MAX_COMPONENTS, codes.shape[1], len(codes) // PEOPLE_PER_COMPONENT)
    variances = PCA(most, svd_solver="full").fit(codes).explained_variance_
    used = int((variances >= LEAST_VARIANCE * variances[0]).sum())
    return PCA(used, svd_solver="full").fit(codes)


def _mixture(points: FloatArray, centres: FloatArray, found: IntArray) -> GaussianMixture:
    """Return the mixture of one covariance that starts from these clusters."""
    whiten = _whitening(points - centres[found])
    start = {
        "weights_init": np.bincount(found, minlength=len(centres)) / len(points),
        "means_init": centres,
        "precisions_init": whiten @ whiten.T,
    }
    return GaussianMixture(len(centres), covariance_type="tied", max_iter=1000, **start).fit(points)


def _whitening(inside: FloatArray) -> FloatArray:
    """Return the matrix (dimensions, dimensions) that gives deviations from centres a variance of 1."""
    covariance = inside.T @ inside / len(inside)
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors / np.sqrt(np.maximum(values, 1e-9 * values.max())))


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
    points, candidates, null = _components(codes).transform(codes), [], []
    with threadpool_limits(1), config_context(assume_finite=True, skip_parameter_validation=True):
        for n_clusters in range(1, MAX_CLUSTERS + 1):
            candidates.append(_candidate(points, n_clusters, rng))
            report(n_clusters * N_RESAMPLES, MAX_CLUSTERS * N_RESAMPLES + n_null)
        n_clusters = _best(table := pd.DataFrame(candidates))
        for i, draw in enumerate(single_gaussian(points, n_null, rng), start=1):
            null.append(_statistics(draw, n_clusters))
            report(MAX_CLUSTERS * N_RESAMPLES + i, MAX_CLUSTERS * N_RESAMPLES + n_null)
        observed = pd.Series(_statistics(points, n_clusters))
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


def _best(candidates: pd.DataFrame) -> int:
    """Return the number of clusters of lowest BIC among stable ones, or the most stable number."""
    several = candidates[candidates["n_clusters"] > 1].set_index("n_clusters")
    stable = several[(several["stability"] >= STABLE) & (several["smallest"] >= LEAST_SHARE)]
    best = stable["bic"].argmin() if len(stable) else several["stability"].argmax()
    return int((stable if len(stable) else several).index[int(best)])


def _statistics(codes: FloatArray, n_clusters: int) -> dict[str, float]:
    """Return the likelihood ratio of two Gaussians against one, and the gap between clusters."""
    one, two = (Clusters(codes, n) for n in (1, 2))
    several = two if n_clusters == 2 else Clusters(codes, n_clusters)
    return {"likelihood_ratio": 2 * (two.log_likelihood_ - one.log_likelihood_), "gap": gap(several, codes)}


def gap(clusters: Clusters, codes: FloatArray) -> float:
    """Return the mean dip, times the root of the number of people, between each cluster and its nearest."""
    points, centres, found = (
        clusters.whitened(codes),
        clusters.whitened(clusters.centres_),
        clusters.assign(codes),
    )
    apart = np.linalg.norm(centres[:, None] - centres, axis=-1) + np.diag(np.full(len(centres), np.inf))
    dips = []
    for one, other in enumerate(apart.argmin(axis=1)):
        both = points[(found == one) | (found == other)]
        dips.append(np.sqrt(len(both)) * dip(both @ (centres[one] - centres[other])) if len(both) else 0.0)
    return float(np.mean(dips))


def dip(values: FloatArray) -> float:
    """
    Return how far the distribution of values (n,) is from one with a single peak, as Hartigan's dip.

    It is the distance of the distribution function from the nearest function that is convex up to some peak
    and concave after it; both parts are fitted on their own. Of evenly spaced values it is 1/(2n), of two
    distant points of half the values each 1/4.

    >>> round(dip(np.arange(50.0)), 6), round(dip(np.repeat([0.0, 1.0], 50)), 6)
    (0.01, 0.25)
    """
    distinct, counts = np.unique(values, return_counts=True)
    share = counts / len(values)

    def distance(peak: int) -> tuple[float, float]:
        """Return how far the part up to the peak is from convex, and that after it from concave."""
        return (
            _from_convex(distinct[: peak + 1], share[: peak + 1]),
            _from_convex(-distinct[peak:][::-1], share[peak:][::-1]),
        )

    low, high = 0, len(distinct) - 1  # the first grows with the peak, the second shrinks
    while low < high:
        middle = (low + high) // 2
        left, right = distance(middle)
        low, high = (low, middle) if left >= right else (middle + 1, high)
    return min(max(distance(peak)) for peak in {low, max(low - 1, 0)}) / 2


def _from_convex(values: FloatArray, share: FloatArray) -> float:
    """Return the largest distance of a distribution function from the greatest convex function below it."""
    upper = np.cumsum(share)
    lower = upper - share
    if len(values) == 1:
        return float(share[0])
    widths = np.diff(values)
    slopes = isotonic_regression(np.diff(lower) / widths, weights=widths).x
    convex = np.concatenate([lower[:1], lower[0] + np.cumsum(slopes * widths)])
    return float((upper - convex).max())
