"""Contrastive PCA (Abid et al., 2018): directions in which targets vary more than the background does."""

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
CANDIDATES = np.geomspace(0.1, 1000, 40)  # the paper's values of alpha
CLUSTERS = 3  # of subspaces, one proposed alpha each
MOST = 1000  # directions of the data that are kept, as in the authors' program
AT_ONCE = 2048  # rows or columns that are turned to float64 at a time


@dataclass(frozen=True)
class ContrastiveAxes:  # numpydoc ignore=PR02
    """
    Orthonormal directions, and how much the background counted.

    Shapes: common (common_dim, features); salient (salient_dim, features); alphas (proposed,).
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
    Find the salient directions, and the common ones among what they leave.

    Both lie in the span of the samples. Where that has more than 1000 dimensions, as many leading principal
    directions stand for it.

    Shapes: x (n, features); target (n,).

    Examples
    --------
    >>> x = np.array([[-3.0, 0.0], [3.0, 0.0], [-3.0, -1.0], [3.0, -1.0], [-3.0, 1.0], [3.0, 1.0]])
    >>> contrastive_axes(x, np.arange(6) > 1, 1, 1, alpha=2.0).salient
    array([[0., 1.]])
    """
    wanted = common_dim + salient_dim
    inside, span = _span(x, max(MOST, wanted), seed)
    if len(span) < wanted:
        raise DataError(
            f"common_dim and salient_dim: wanted {wanted} directions, but {len(x)} samples of {x.shape[1]} "
            f"feature(s) span only {len(span)}; ask for fewer"
        )
    covariances = _covariance(inside[target]), _covariance(inside[~target])
    if alpha == "auto":
        alphas, chosen = propose_alphas(*covariances, salient_dim, seed)
    else:
        alphas, chosen = np.array([alpha], dtype=np.float64), float(alpha)
    salient = _leading(covariances[0] - chosen * covariances[1], salient_dim)
    rest = qr(salient)[0][:, salient_dim:]  # orthogonal to the salient directions
    common = rest @ _leading(rest.T @ _covariance(inside) @ rest, common_dim)
    axes = np.concatenate([salient, common], axis=1).T.astype(x.dtype) @ span
    # Rounding leaves rows of the span a little oblique where the data hardly vary.
    axes = _signed(qr(axes.T.astype(np.float64), mode="economic")[0].T)
    return ContrastiveAxes(axes[salient_dim:], axes[:salient_dim], chosen, alphas)


def propose_alphas(target: Matrix, background: Matrix, dim: int, seed: int = 0) -> tuple[Matrix, float]:
    """
    Choose alpha by the subspaces that it leads to (Algorithm 2 of the paper).

    The subspaces of 40 values from 0.1 to 1000 are clustered by their affinity, the product of the cosines of
    their principal angles; the medoid of each cluster is proposed. The paper leaves the choice among them to
    the eye; here it is the middle one, for the least is near to PCA of the targets, and the largest looks for
    whatever happens to vary least in the background.

    Shapes: target, background (features, features); returns (3,).

    Examples
    --------
    >>> alphas, alpha = propose_alphas(np.diag([6.0, 4.0, 0.1]), np.diag([4.0, 0.1, 1e-4]), 1)
    >>> alphas.round(1), round(alpha, 1)
    (array([ 0.1,  0.5, 46.4]), 0.5)
    """
    subspaces = np.stack([_leading(target - alpha * background, dim) for alpha in CANDIDATES])
    affinity = _affinity(subspaces)
    clusters = SpectralClustering(CLUSTERS, affinity="precomputed", random_state=seed).fit_predict(affinity)
    found = []
    for cluster in np.unique(clusters):
        members = np.flatnonzero(clusters == cluster)
        closeness = affinity[np.ix_(members, members)].sum(axis=0)
        found.append(members[closeness.argmax()])
    alphas = CANDIDATES[sorted(found)]
    return alphas, float(alphas[len(alphas) // 2])


def _affinity(subspaces: Matrix) -> Matrix:
    """Product of the cosines of the principal angles of every two; subspaces of shape (n, features, dim)."""
    inner = subspaces[:, None].swapaxes(-1, -2) @ subspaces[None]
    # The cosines are the singular values, whose product is the determinant. Spectral clustering wants a
    # connected graph: no affinity is quite zero.
    affinity: Matrix = np.clip(np.abs(np.linalg.det(inner)), np.finfo(np.float64).eps, 1)
    return affinity


def _span(x: Array, most: int, seed: int) -> tuple[Array, Array]:
    """Orthonormal rows that span the samples, and the samples' coordinates along them."""
    if min(x.shape) > most:
        left, deviations, rows = randomized_svd(x, most, random_state=seed)
        return left * deviations, rows
    if x.shape[1] <= len(x):
        _, vectors = _positive(_second_moment(x), max(x.shape))
        return x @ vectors.astype(x.dtype), vectors.T.astype(x.dtype)
    deviations, vectors = _positive(_second_moment(x.T), max(x.shape))
    rows = np.empty((len(deviations), x.shape[1]), x.dtype)
    for part in chunks(x.shape[1], AT_ONCE):  # in float64, for small deviations magnify what rounding leaves
        rows[:, part] = (vectors / deviations).T @ x[:, part].astype(np.float64)
    return vectors * deviations, rows


def _positive(gram: Matrix, size: int) -> tuple[Array, Array]:
    """Square roots of the eigenvalues that are not zero but for rounding, descending, and their vectors."""
    values, vectors = eigh(gram)
    kept = np.flatnonzero(values > values[-1] * size * np.finfo(np.float64).eps)[::-1]
    return np.sqrt(values[kept]), vectors[:, kept]


def _second_moment(x: Array) -> Matrix:
    """Sum of the outer products of rows, in float64."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for part in chunks(len(x), AT_ONCE):
        rows = x[part].astype(np.float64)
        total += rows.T @ rows
    return total


def _covariance(x: Array) -> Matrix:
    return _second_moment(x - x.mean(axis=0)) / (len(x) - 1)


def _leading(symmetric: Matrix, dim: int) -> Matrix:
    """Eigenvectors of the largest eigenvalues, descending, as columns."""
    n = len(symmetric)
    vectors: Matrix = eigh(symmetric, subset_by_index=[n - dim, n - 1])[1]
    return vectors[:, ::-1]


def _signed(axes: Array) -> Array:
    """Make the largest entry of each row positive, for eigenvectors come with any sign."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return np.where(largest < 0, -axes, axes)
