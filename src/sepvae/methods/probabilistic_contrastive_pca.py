"""`ProbabilisticContrastivePCA`: linear codes with a posterior, in closed form (Li, Jones and Engelhardt)."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from scipy.optimize import brentq

from sepvae.batch import AnyArray
from sepvae.checks import check_number
from sepvae.errors import DataError
from sepvae.methods.linear import LinearEstimator
from sepvae.methods.principal import axes_of_samples, complement, covariance, spanning_axes

Matrix = npt.NDArray[np.float64]
LARGEST = 1 - 1e-3  # of gamma m / n: the likelihood has no maximum from 1 on
AUTO = 0.9  # share of the largest possible gamma that "auto" takes


@dataclass(eq=False, repr=False)
class ProbabilisticContrastivePCA(LinearEstimator):
    """
    Probabilistic contrastive PCA: linear codes, with a posterior of each sample.

    The salient model is x ~ N(m, W W' + noise I). Its loadings W and its noise maximise
    p(targets) / p(background)^gamma, in closed form [1]_. Common loadings, which the paper does not have, are
    those of probabilistic PCA of all samples in the orthogonal complement. Codes are posterior means with
    their variance; s = 0 is decoded as a background sample.

    Several targets are taken together. No network is trained, and the same data give the same model. Data
    that span more than 1000 dimensions are first reduced to their 1000 leading principal components.

    Parameters
    ----------
    common_dim, salient_dim : int, default=16
        Number of directions of each space; training samples must span as many together.
    gamma : float or "auto", default="auto"
        Weight of the background's log-likelihood. 0 is probabilistic PCA of the targets. It must be below
        n / m, for n targets and m background samples, and leave a positive noise variance. "auto" is 0.9
        times the largest such value.
    random_state : int or None, default=0
        Seed of the principal components of large data; None draws one.

    Attributes
    ----------
    gamma_ : float
        The weight used.
    common_noise_var_, salient_noise_var_ : float
        Variance of what the loadings of each space leave, per feature.
    common_scale_, salient_scale_ : ndarray of shape (dimensions,)
        Lengths of the loadings: W is the transpose of the axes times these.

    References
    ----------
    .. [1] D. Li, A. Jones, B. E. Engelhardt, "Probabilistic contrastive principal component analysis",
       arXiv:2012.07977, 2020.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 5))
    >>> y = np.repeat(["healthy", "ill"], 30)
    >>> X[y == "ill", 0] += rng.normal(0, 3, size=30)
    >>> model = ProbabilisticContrastivePCA(common_dim=2, salient_dim=1).fit(X, y)
    >>> int(np.abs(model.salient_axes_[0]).argmax())
    0
    """

    _: KW_ONLY
    gamma: float | Literal["auto"] = "auto"

    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}, "ppca": {"gamma": 0.0}}
    _scalars: ClassVar[tuple[str, ...]] = ("gamma", "common_noise_var", "salient_noise_var")

    def _check_keywords(self) -> None:
        super()._check_keywords()
        if self.gamma != "auto":
            check_number("gamma", self.gamma, least=0, or_else='"auto"')

    def _learn_axes(self, x: AnyArray, target: AnyArray, seed: int) -> None:
        n_features = int((x != x[:1]).any(axis=0).sum())
        inside, span = spanning_axes(x, self.common_dim + self.salient_dim, seed)
        moments = covariance(inside[target]), covariance(inside[~target])
        ratio = target.sum() / (~target).sum()  # n / m
        largest = largest_alpha(*moments, self.salient_dim) * ratio
        gamma = AUTO * largest if self.gamma == "auto" else self.gamma
        if gamma >= largest:
            raise DataError(
                f"gamma: wanted less than {largest:.4g} for these samples or 'auto', got {gamma:g}"
            )
        alpha = gamma / ratio
        salient = loadings((moments[0] - alpha * moments[1]) / (1 - alpha), self.salient_dim, n_features)
        rest, n_left = complement(salient.axes.T), n_features - self.salient_dim
        common = loadings(rest.T @ covariance(inside) @ rest, self.common_dim, n_left)
        axes = axes_of_samples(np.concatenate([salient.axes, common.axes @ rest.T]), span)
        self.salient_axes_, self.common_axes_ = axes[: self.salient_dim], axes[self.salient_dim :]
        self.salient_scale_, self.salient_noise_var_ = salient.lengths, salient.noise_var
        self.common_scale_, self.common_noise_var_ = common.lengths, common.noise_var
        self.gamma_ = float(alpha * ratio)

    def _noise_var(self, space: str) -> float:
        return self.salient_noise_var_ if space == "salient" else self.common_noise_var_


class Loadings(NamedTuple):
    """W as orthonormal rows of shape (dim, features) and their lengths, and the variance of the noise."""

    axes: Matrix
    lengths: Matrix
    noise_var: float


def loadings(covariance: Matrix, dim: int, n_features: int) -> Loadings:
    """
    Return the maximum likelihood estimates of probabilistic PCA for a covariance.

    Eigenvalues l of features outside of the covariance, of which there are n_features in all, are 0:

        noise = mean of the last n_features - dim of l        W = U (l - noise)^1/2
    """
    values, vectors = eigh(covariance)
    noise_var = float(values[:-dim].sum() / max(n_features - dim, 1))  # 0 if no feature is left
    leading = values[: -dim - 1 : -1]
    lengths = np.sqrt(np.maximum(leading - noise_var, 1e-12 * leading[0]))  # not 0: codes are divided by it
    return Loadings(vectors[:, : -dim - 1 : -1].T, lengths, noise_var)


def largest_alpha(target: Matrix, background: Matrix, dim: int) -> float:
    """Return the alpha = gamma m / n below which the noise variance is positive."""

    def noise(alpha: float) -> float:
        return float(np.linalg.eigvalsh(target - alpha * background)[:-dim].sum())

    return LARGEST if noise(LARGEST) > 0 else float(brentq(noise, 0, LARGEST, xtol=1e-6))
