"""Contrastive PCA (Abid et al., 2018): directions in which targets vary more than the background."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh, qr
from sklearn.cluster import SpectralClustering
from sklearn.utils.extmath import randomized_svd

from sepvae.batch import chunks
from sepvae.errors import DataError

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float64]
CANDIDATES = np.geomspace(0.1, 1000, 40)  # values of alpha in the paper
CLUSTERS = 3  # clusters of subspaces, each of which proposes one alpha
MOST = 1000  # principal directions kept of large data, as in the authors' program
AT_ONCE = 2048  # rows or columns converted to float64 at a time


@dataclass(frozen=True)
class ContrastiveAxes:
    """
    Orthonormal common and salient directions as rows, of shape (dim, features), in float64.

    `alpha` is the weight of the background covariance, `alphas` the values it was chosen from, ascending.
    """

    common: Array
    salient: Array
    alpha: float
    alphas: Matrix


def contrastive_axes(
    x: Array,
    target: npt.NDArray[np.bool_],
    common_dim: int,
    salient_dim: int,
    alpha: float | Literal["auto"] = "auto",
    seed: int = 0,
) -> ContrastiveAxes:
    """
    Return the salient directions, and the leading directions of all samples orthogonal to them.

    The samples x, of shape (n, features), must be centred on the background mean. Samples that span more than
    1000 dimensions are reduced to their 1000 leading principal directions. The largest absolute entry of each
    direction is positive.

    >>> x = np.array([[-3.0, 0.0], [3.0, 0.0], [-3.0, -1.0], [3.0, -1.0], [-3.0, 1.0], [3.0, 1.0]])
    >>> contrastive_axes(x, np.arange(6) > 1, 1, 1, alpha=2.0).salient
    array([[0., 1.]])
    """
    inside, span = spanning_axes(x, common_dim + salient_dim, seed)
    covariances = _covariance(inside[target]), _covariance(inside[~target])
    if alpha == "auto":
        alphas, chosen = propose_alphas(*covariances, salient_dim, seed)
    else:
        alphas, chosen = np.array([alpha], dtype=np.float64), float(alpha)
    salient = _leading(covariances[0] - chosen * covariances[1], salient_dim)
    rest = qr(salient)[0][:, salient_dim:]  # orthogonal to the salient directions
    common = rest @ _leading(rest.T @ _covariance(inside) @ rest, common_dim)
    axes = np.concatenate([salient, common], axis=1).T.astype(x.dtype) @ span
    # Orthonormalise again: rounding leaves rows of the span slightly oblique where the data hardly vary.
    axes = signed(qr(axes.T.astype(np.float64), mode="economic")[0].T)
    return ContrastiveAxes(axes[salient_dim:], axes[:salient_dim], chosen, alphas)


def propose_alphas(target: Matrix, background: Matrix, dim: int, seed: int = 0) -> tuple[Matrix, float]:
    """
    Return up to 3 proposed values of alpha, ascending, and the middle one (Algorithm 2 of the paper).

    Subspaces of 40 values from 0.1 to 1000 are clustered by affinity, the product of the cosines of their
    principal angles; each cluster proposes its medoid. The paper leaves the choice among them to the user.
    The smallest is close to PCA of the targets, and the largest selects whatever varies least in the
    background.

    >>> alphas, alpha = propose_alphas(np.diag([6.0, 4.0, 0.1]), np.diag([4.0, 0.1, 1e-4]), 1)
    >>> alphas.round(1), round(alpha, 1)
    (array([ 0.1,  0.5, 46.4]), 0.5)
    """
    subspaces = np.stack([_leading(target - alpha * background, dim) for alpha in CANDIDATES])
    affinity = subspace_affinity(subspaces)
    clusters = SpectralClustering(CLUSTERS, affinity="precomputed", random_state=seed).fit_predict(affinity)
    found = []
    for cluster in np.unique(clusters):
        members = np.flatnonzero(clusters == cluster)
        closeness = affinity[np.ix_(members, members)].sum(axis=0)
        found.append(members[closeness.argmax()])
    alphas = CANDIDATES[sorted(found)]
    return alphas, float(alphas[len(alphas) // 2])


def subspace_affinity(subspaces: Matrix) -> Matrix:
    """Return the product of cosines of the principal angles of all pairs of (n, features, dim) subspaces."""
    inner = subspaces[:, None].swapaxes(-1, -2) @ subspaces[None]
    # The cosines are singular values; their product is the absolute determinant. Spectral clustering needs a
    # connected graph, hence no affinity of 0.
    affinity: Matrix = np.clip(np.abs(np.linalg.det(inner)), np.finfo(np.float64).eps, 1)
    return affinity


def spanning_axes(x: Array, wanted: int, seed: int) -> tuple[Array, Array]:
    """Return `sample_span` of samples that span `wanted` directions or more; raise DataError for others."""
    inside, span = sample_span(x, max(MOST, wanted), seed)
    if len(span) < wanted:
        raise DataError(
            f"common_dim and salient_dim: wanted {wanted} directions, but {len(x)} samples of {x.shape[1]} "
            f"feature(s) span only {len(span)}; ask for fewer"
        )
    return inside, span


def sample_span(x: Array, most: int, seed: int) -> tuple[Array, Array]:
    """Return coordinates of the samples, and the orthonormal rows that span them."""
    if min(x.shape) > most:
        left, deviations, rows = randomized_svd(x, most, random_state=seed)
        return left * deviations, rows
    coordinates, rows, _ = principal_axes(x, most)
    return coordinates, rows


def principal_axes(x: Array, most: int) -> tuple[Array, Array, Array]:
    """Return the scores of centred samples on at most `most` principal axes, the axes as rows, and norms."""
    tall = x.shape[1] <= len(x)
    norms, vectors = _positive(second_moment(x if tall else x.T), max(x.shape))
    norms, vectors = norms[:most], vectors[:, :most]
    if tall:
        return x @ vectors.astype(x.dtype), vectors.T.astype(x.dtype), norms
    rows, weights = np.empty((len(norms), x.shape[1]), x.dtype), vectors / norms
    for part in chunks(x.shape[1], AT_ONCE):  # in float64: small norms magnify rounding errors
        rows[:, part] = weights.T @ x[:, part].astype(np.float64)
    return vectors * norms, rows, norms


def _positive(gram: Matrix, size: int) -> tuple[Array, Array]:
    """Return square roots and eigenvectors of the numerically positive eigenvalues, descending."""
    values, vectors = eigh(gram)
    kept = np.flatnonzero(values > values[-1] * size * np.finfo(np.float64).eps)[::-1]
    return np.sqrt(values[kept]), vectors[:, kept]


def second_moment(x: Array) -> Matrix:
    """Return x.T @ x in float64."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for part in chunks(len(x), AT_ONCE):
        rows = x[part].astype(np.float64)
        total += rows.T @ rows
    return total


def _covariance(x: Array) -> Matrix:
    return second_moment(x - x.mean(axis=0)) / (len(x) - 1)


def _leading(symmetric: Matrix, dim: int) -> Matrix:
    """Return the eigenvectors of the largest eigenvalues as columns, descending."""
    n = len(symmetric)
    vectors: Matrix = eigh(symmetric, subset_by_index=[n - dim, n - 1])[1]
    return vectors[:, ::-1]


def signed(axes: Array) -> Array:
    """Make the largest absolute entry of each row positive: the sign of an eigenvector is arbitrary."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return np.where(largest < 0, -axes, axes)
