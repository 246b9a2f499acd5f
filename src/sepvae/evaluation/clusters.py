"""Clusters of codes by Gaussian mixtures or k-means, and the gap between them by Hartigan's dip."""

from typing import Literal

import numpy as np
from scipy.optimize import isotonic_regression
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from sepvae.batch import FloatArray, IntArray
from sepvae.checks import check_number
from sepvae.errors import DataError

MIN_PEOPLE = 30  # whose codes are clustered
MAX_COMPONENTS, PEOPLE_PER_COMPONENT = 10, 10
LEAST_VARIANCE = 0.05  # share of the first component's variance, below which a component is left out
STARTS = 3  # of each clustering; the best is kept

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
        self._pca = components(codes)
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


def components(codes: FloatArray) -> PCA:
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
