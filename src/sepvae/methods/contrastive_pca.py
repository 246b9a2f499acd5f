"""`ContrastivePCA`: linear codes, found without training (Abid, Zhang, Bagaria and Zou, 2018)."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from sklearn.cluster import SpectralClustering

from sepvae.batch import AnyArray
from sepvae.checks import check_number
from sepvae.methods.linear import LinearEstimator
from sepvae.methods.principal import axes_of_samples, complement, covariance, spanning_axes

Matrix = npt.NDArray[np.float64]
FLAT = 1e-6  # standard deviations below this share of the largest are rounding errors
CANDIDATES = np.geomspace(0.1, 1000, 40)  # values of alpha in the paper
CLUSTERS = 3  # clusters of subspaces, each of which proposes one alpha


@dataclass(eq=False, repr=False)
class ContrastivePCA(LinearEstimator):
    """
    Contrastive PCA: linear salient and common codes.

    Salient directions are the leading eigenvectors of the covariance of targets minus `alpha` times that of
    the background. Common directions are the principal components of all samples in the orthogonal
    complement. All are orthonormal, so that one sum around the mean of the background decodes both codes;
    s = 0 is as in a background sample. Codes have a standard deviation of 1: salient codes over the training
    targets, common codes over all training samples.

    Several targets are taken together. No network is trained, and the same data give the same model. Data
    that span more than 1000 dimensions are first reduced to their 1000 leading principal components, as in
    the authors' program.

    Parameters
    ----------
    common_dim : int, default=16
        Number of common directions. Training samples must span common_dim + salient_dim dimensions.
    salient_dim : int, default=16
        Number of salient directions.
    alpha : float or "auto", default="auto"
        Weight of the background covariance: 0 is PCA of the targets, a large value selects directions in
        which the background hardly varies. "auto" tries 40 values from 0.1 to 1000, clusters their salient
        subspaces into 3 (Algorithm 2 of the paper), and takes the middle medoid. The paper leaves this last
        choice to the user; to make it yourself, fit again with another of `alphas_`.
    random_state : int or None, default=0
        Seed of the clustering, and of the principal components of large data; None draws one.

    Attributes
    ----------
    alpha_ : float
        The weight used.
    alphas_ : ndarray of shape (3,)
        Medoids of all clusters, ascending; only `alpha` if that is a number.
    common_scale_, salient_scale_ : ndarray of shape (dimensions,)
        Standard deviations that codes are divided by.

    References
    ----------
    .. [1] A. Abid, M. J. Zhang, V. K. Bagaria, J. Zou, "Exploring patterns enriched in a dataset with
       contrastive principal component analysis", Nature Communications 9, 2134, 2018.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 5))
    >>> y = np.repeat(["healthy", "ill"], 30)
    >>> X[y == "ill", 0] += rng.normal(0, 3, size=30)
    >>> model = ContrastivePCA(common_dim=2, salient_dim=1).fit(X, y)
    >>> int(np.abs(model.salient_axes_[0]).argmax())
    0
    """

    _: KW_ONLY
    alpha: float | Literal["auto"] = "auto"

    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}, "pca": {"alpha": 0.0}}
    _scalars: ClassVar[tuple[str, ...]] = ("alpha",)
    _lists: ClassVar[tuple[str, ...]] = ("alphas",)

    def _check_keywords(self) -> None:
        super()._check_keywords()
        if self.alpha != "auto":
            check_number("alpha", self.alpha, least=0, or_else='"auto"')

    def _learn_axes(self, x: AnyArray, target: AnyArray, seed: int) -> None:
        axes = contrastive_axes(x, target, self.common_dim, self.salient_dim, self.alpha, seed)
        common, salient = x @ axes.common.T.astype(x.dtype), x @ axes.salient.T.astype(x.dtype)
        deviations = common.std(axis=0), salient[target].std(axis=0)
        least = FLAT * max(map(np.max, deviations))
        self.alpha_, self.alphas_ = axes.alpha, axes.alphas
        self.common_axes_, self.salient_axes_ = axes.common, axes.salient
        self.common_scale_, self.salient_scale_ = (np.where(d > least, d, 1) for d in deviations)


@dataclass(frozen=True)
class ContrastiveAxes:
    """Orthonormal common and salient directions as rows, of shape (dim, features), in float64."""

    common: AnyArray
    salient: AnyArray
    alpha: float  # weight of the background covariance
    alphas: Matrix  # values it was chosen from, ascending


def contrastive_axes(
    x: AnyArray,
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
    covariances = covariance(inside[target], ddof=1), covariance(inside[~target], ddof=1)
    if alpha == "auto":
        alphas, chosen = propose_alphas(*covariances, salient_dim, seed)
    else:
        alphas, chosen = np.array([alpha], dtype=np.float64), float(alpha)
    salient = _leading(covariances[0] - chosen * covariances[1], salient_dim)
    rest = complement(salient)
    common = rest @ _leading(rest.T @ covariance(inside, ddof=1) @ rest, common_dim)
    axes = axes_of_samples(np.concatenate([salient, common], axis=1).T, span)
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


def _leading(symmetric: Matrix, dim: int) -> Matrix:
    """Return the eigenvectors of the largest eigenvalues as columns, descending."""
    n = len(symmetric)
    vectors: Matrix = eigh(symmetric, subset_by_index=[n - dim, n - 1])[1]
    return vectors[:, ::-1]
