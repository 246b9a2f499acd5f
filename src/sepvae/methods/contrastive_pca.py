"""`ContrastivePCA`: linear codes, found without training (Abid, Zhang, Bagaria and Zou, 2018)."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from sepvae.batch import AnyArray
from sepvae.checks import check_number
from sepvae.methods.contrastive_axes import contrastive_axes
from sepvae.methods.linear import LinearEstimator

FLAT = 1e-6  # standard deviations below this share of the largest are rounding errors


@dataclass(eq=False, repr=False)
class ContrastivePCA(LinearEstimator):
    """
    Contrastive PCA: linear salient and common codes.

    Salient directions are the leading eigenvectors of the covariance of targets minus `alpha` times that of
    the background. Common directions are the principal components of all samples in the orthogonal
    complement. All are orthonormal, so that one sum around the mean of the background decodes both codes;
    s = 0 is as in a background sample. Codes have a standard deviation of 1: salient codes over the training
    targets, common codes over all training samples.

    No network is trained, and the same data give the same model. Data that span more than 1000 dimensions are
    first reduced to their 1000 leading principal components, as in the authors' program.

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
    background : label or None, default=None
        Label of the background; None means the first in sorted order.
    space : {"both", "common", "salient"}, default="both"
        Codes that `transform` returns.
    residualise : sequence of str or None, default=None
        Covariates to regress out of a table: attributes of a source, or columns of a DataFrame, which then
        are not features. Their effects are learnt from the controls of the training part. The model works
        on w-scores and returns samples in the units of X. Classes that no such control has (a new site)
        raise an error.
    random_state : int or None, default=0
        Seed of the clustering, and of the principal components of large data; None draws one.

    Attributes
    ----------
    alpha_ : float
        The weight used.
    alphas_ : ndarray of shape (3,)
        Medoids of all clusters, ascending; only `alpha` if that is a number.
    center_ : ndarray of the shape of a sample
        Mean of the background's training samples; for tables, in standardised units.
    common_axes_, salient_axes_ : ndarray of shape (dimensions, features)
        Orthonormal directions; pixels are in the order of a flattened image.
    common_scale_, salient_scale_ : ndarray of shape (dimensions,)
        Standard deviations that codes are divided by.
    classes_ : ndarray of shape (2,)
        Labels, sorted.
    background_ : label
        Label of the background.
    validation_indices_ : ndarray of int
        Empty: all samples are used for learning.
    residualizer_ : Residualizer or None
        Fitted regression of tables on covariates.
    scaler_ : TableScaler or None
        Fitted standardisation and imputation of tables.
    sample_shape_ : tuple of int
        Shape of one sample.
    grid_ : Grid or None
        Positions of the voxels of volumes, if their source provides them.
    n_features_in_ : int
        Number of features, for tables.
    feature_names_in_ : ndarray of str
        Names of features, for DataFrames.

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
    scalars: ClassVar[tuple[str, ...]] = ("alpha",)
    lists: ClassVar[tuple[str, ...]] = ("alphas",)

    def _check_keywords(self, y: AnyArray) -> None:
        super()._check_keywords(y)
        if self.alpha != "auto":
            check_number("alpha", self.alpha, least=0, or_else='"auto"')

    def _learn_axes(self, x: AnyArray, target: AnyArray, seed: int) -> None:
        axes = contrastive_axes(x, target, self.common_dim, self.salient_dim, self.alpha, seed)
        still = ~x.any(axis=0)  # constant features, such as voxels outside of the brain, stay constant
        axes.common[:, still] = axes.salient[:, still] = 0
        common, salient = x @ axes.common.T.astype(x.dtype), x @ axes.salient.T.astype(x.dtype)
        deviations = common.std(axis=0), salient[target].std(axis=0)
        least = FLAT * max(map(np.max, deviations))
        self.alpha_, self.alphas_ = axes.alpha, axes.alphas
        self.common_axes_, self.salient_axes_ = axes.common, axes.salient
        self.common_scale_, self.salient_scale_ = (np.where(d > least, d, 1) for d in deviations)
