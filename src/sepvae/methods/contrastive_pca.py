"""`ContrastivePCA`: linear codes, found without training (Abid, Zhang, Bagaria and Zou, 2018)."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from math import prod
from typing import Any, ClassVar, Literal

import numpy as np

from sepvae.batch import AnyArray, IntArray, Source, chunks, gather, in_unit_range
from sepvae.checks import check_number
from sepvae.codes import Codes
from sepvae.errors import DataError
from sepvae.methods.base import ContrastiveEstimator
from sepvae.methods.contrastive_axes import contrastive_axes
from sepvae.model_files.schema import Shapes

# Codes are exact. A tiny variance instead of 0 keeps the log-variance finite.
LOGVAR = np.log(1e-6)
FLAT = 1e-6  # standard deviations below this share of the largest are rounding errors
# Learnt attributes, without the trailing underscore.
STATE = (*("alpha", "alphas", "center", "common_axes", "salient_axes", "common_scale", "salient_scale"),)


@dataclass(eq=False, repr=False)
class ContrastivePCA(ContrastiveEstimator):
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

    def _check_keywords(self, y: AnyArray) -> None:
        super()._check_keywords(y)
        if self.alpha != "auto":
            check_number("alpha", self.alpha, least=0, or_else='"auto"')

    def _learn(self, source: Source, y: AnyArray, parts: tuple[IntArray, IntArray], seed: int) -> None:
        rows, target = parts[0], y[parts[0]] > 0
        taken = ([_flat(source.take(rows[part]).x)] for part in chunks(len(rows), self._chunk_rows()))
        x = gather(len(rows), taken)[0]
        if not np.isfinite([x.min(), x.max()]).all():  # in a source on disk; other data are already checked
            raise DataError("X: wanted finite samples, got NaN or infinite values; fill them in")
        center = x.mean(axis=0, where=~target[:, None], dtype=np.float64)
        x -= center
        axes = contrastive_axes(x, target, self.common_dim, self.salient_dim, self.alpha, seed)
        still = ~x.any(axis=0)  # constant features, such as voxels outside of the brain, stay constant
        axes.common[:, still] = axes.salient[:, still] = 0
        common, salient = x @ axes.common.T.astype(x.dtype), x @ axes.salient.T.astype(x.dtype)
        deviations = common.std(axis=0), salient[target].std(axis=0)
        least = FLAT * max(map(np.max, deviations))
        # Tables get float64 codes: in float32 the last digit depends on the other rows of a chunk.
        dtype = np.float64 if len(source.sample_shape) == 1 else np.float32
        self.alpha_, self.alphas_ = axes.alpha, axes.alphas
        self.center_ = center.astype(dtype).reshape(source.sample_shape)
        self.common_axes_, self.salient_axes_ = axes.common.astype(dtype), axes.salient.astype(dtype)
        self.common_scale_, self.salient_scale_ = (
            np.where(d > least, d, 1).astype(dtype) for d in deviations
        )

    def _encode(self, source: Source) -> Codes[AnyArray]:
        center = self.center_.ravel()

        def encoded(part: IntArray) -> list[AnyArray]:
            x = _flat(source.take(part).x) - center
            return [
                x @ self.common_axes_.T / self.common_scale_,
                x @ self.salient_axes_.T / self.salient_scale_,
            ]

        common, salient = gather(len(source), map(encoded, chunks(len(source), self._chunk_rows())))
        return Codes(common, np.full_like(common, LOGVAR), salient, np.full_like(salient, LOGVAR))

    def _decode(self, common: AnyArray, salient: AnyArray) -> AnyArray:
        dtype = self.center_.dtype
        x: AnyArray = (common * self.common_scale_).astype(dtype) @ self.common_axes_
        x += (salient * self.salient_scale_).astype(dtype) @ self.salient_axes_
        x += self.center_.ravel()
        if self.center_.ndim == 3:  # an image
            np.clip(x, 0, 1, out=x)
        return x.reshape(len(x), *self.center_.shape)

    def _state(self) -> dict[str, AnyArray]:
        return {name: np.asarray(getattr(self, f"{name}_")) for name in STATE}

    def _state_shapes(self, arrays: Mapping[str, AnyArray], sample_shape: tuple[int, ...]) -> Shapes:
        alphas = arrays.get("alphas", np.ones(1)).shape[:1]  # one, or several proposed ones
        shapes = {"alpha": (1,), "alphas": alphas, "center": sample_shape}
        for space, dim in (("common", self.common_dim), ("salient", self.salient_dim)):
            shapes |= {f"{space}_axes": (dim, prod(sample_shape)), f"{space}_scale": (dim,)}
        return {name: (shape, "f") for name, shape in shapes.items()}

    def _set_state(self, arrays: dict[str, AnyArray], sample_shape: tuple[int, ...]) -> None:  # noqa: ARG002
        for name in STATE:
            setattr(self, f"{name}_", arrays[name])
        self.alpha_ = arrays["alpha"].item()  # files store scalars with one axis


def _flat(x: AnyArray) -> AnyArray:
    """Return samples as rows of floats: float32 for images and volumes, which is enough for 8 bits."""
    dtype = np.float32 if x.ndim > 2 else np.result_type(x.dtype, np.float32)
    flat: AnyArray = in_unit_range(x).astype(dtype, copy=False).reshape(len(x), -1)
    return flat
