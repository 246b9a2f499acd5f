"""`ContrastivePCA`: both spaces linear, found without training (Abid, Zhang, Bagaria and Zou, 2018)."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from sepvae.batch import AnyArray, IntArray, Source, chunks, gather, in_unit_range
from sepvae.checks import check_number
from sepvae.codes import Codes
from sepvae.errors import DataError
from sepvae.methods._contrastive_axes import contrastive_axes
from sepvae.methods._estimator import ContrastiveEstimator, FloatArray

# A code is exact. Its variance is nearly nothing instead, so that all that codes hold is finite.
LOGVAR = np.log(1e-6)
FLAT = 1e-6  # a deviation of less than this share of the largest is rounding
# What is learnt, by the names of attributes.
STATE = (*("alpha", "alphas", "center", "common_axes", "salient_axes", "common_scale", "salient_scale"),)


@dataclass(eq=False, repr=False)
class ContrastivePCA(ContrastiveEstimator):  # numpydoc ignore=PR02
    """
    Contrastive PCA: linear salient and common codes.

    Salient directions are those in which targets vary most, less `alpha` times what the background varies:
    the leading eigenvectors of the difference of the two covariances. Common directions are the principal
    components of all samples in what is left. All are orthonormal, so that one sum decodes both codes, around
    the mean of the background; s = 0 is as a background sample. Codes have a deviation of 1: salient ones
    over the training targets, common ones over all training samples.

    Nothing is trained, and the same data give the same model. Data that span more than 1000 dimensions are
    first brought to their 1000 leading principal components, as in the authors' program.

    Parameters
    ----------
    common_dim : int, default=16
        Common directions. With the salient ones no more than the training samples span.
    salient_dim : int, default=16
        Salient directions.
    alpha : float or "auto", default="auto"
        Weight of the background's covariance: 0 is PCA of the targets, a large one asks for directions in
        which the background hardly varies. "auto" tries 40 values from 0.1 to 1000, clusters the salient
        subspaces that they give in 3 (Algorithm 2 of the paper), and takes the medoid in the middle. The
        paper leaves this last choice to the eye; to make it yourself, fit again with another of `alphas_`.
    background : label or None, default=None
        Which label is the background; None names the first in sorted order.
    space : {"both", "common", "salient"}, default="both"
        What `transform` gives.
    residualise : sequence of str or None, default=None
        Covariates to take out of a table: attributes of a source, or columns of a DataFrame, which then are
        no features. Their effects are learnt from the controls of the training part; samples are seen as
        w-scores, and come back in the units of X. Classes that no such control has (a new site) are refused.
    random_state : int or None, default=0
        Seed of the clustering, and of the principal components of large data; None draws one.

    Attributes
    ----------
    alpha_ : float
        The weight that was used.
    alphas_ : ndarray of shape (3,)
        Medoids of all clusters, ascending; only `alpha` where that is a number.
    center_ : ndarray of the shape of a sample
        Mean of the background's training samples, of tables in standardised units.
    common_axes_, salient_axes_ : ndarray of shape (dimensions, features)
        Orthonormal directions, pixels in the order of a flattened image.
    common_scale_, salient_scale_ : ndarray of shape (dimensions,)
        Deviations by which codes are divided.
    classes_ : ndarray of shape (2,)
        Labels, sorted.
    background_ : label
        Which of them is the background.
    validation_indices_ : ndarray of int
        Empty: all samples are learnt from.
    residualizer_ : Residualizer or None
        What takes covariates out of tables.
    scaler_ : TableScaler or None
        What standardises tables and fills their gaps.
    sample_shape_ : tuple of int
        Shape of one sample.
    grid_ : Grid or None
        Where the voxels of volumes are, if their source says it.
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
        taken = ([_flat(source.take(rows[part]).x)] for part in chunks(len(rows), self._at_once()))
        x = gather(len(rows), taken)[0]
        if not np.isfinite([x.min(), x.max()]).all():  # of a source that is read; others are checked
            raise DataError("X: wanted finite samples, got NaN or infinite values; fill them in")
        center = x.mean(axis=0, where=~target[:, None], dtype=np.float64)
        x -= center
        axes = contrastive_axes(x, target, self.common_dim, self.salient_dim, self.alpha, seed)
        still = ~x.any(axis=0)  # what never varies, such as all outside of a brain, stays as it is
        axes.common[:, still] = axes.salient[:, still] = 0
        common, salient = x @ axes.common.T.astype(x.dtype), x @ axes.salient.T.astype(x.dtype)
        deviations = common.std(axis=0), salient[target].std(axis=0)
        least = FLAT * max(map(np.max, deviations))
        # Codes of tables are float64: in float32 they hang on the rows around, in the last digit.
        dtype = np.float64 if len(source.sample_shape) == 1 else np.float32
        self.alpha_, self.alphas_ = axes.alpha, axes.alphas
        self.center_ = center.astype(dtype).reshape(source.sample_shape)
        self.common_axes_, self.salient_axes_ = axes.common.astype(dtype), axes.salient.astype(dtype)
        self.common_scale_, self.salient_scale_ = (
            np.where(d > least, d, 1).astype(dtype) for d in deviations
        )

    def _encode(self, source: Source) -> Codes[FloatArray]:
        center = self.center_.ravel()

        def encoded(part: IntArray) -> list[FloatArray]:
            x = _flat(source.take(part).x) - center
            return [
                x @ self.common_axes_.T / self.common_scale_,
                x @ self.salient_axes_.T / self.salient_scale_,
            ]

        common, salient = gather(len(source), map(encoded, chunks(len(source), self._at_once())))
        return Codes(common, np.full_like(common, LOGVAR), salient, np.full_like(salient, LOGVAR))

    def _decode(self, common: FloatArray, salient: FloatArray) -> FloatArray:
        dtype = self.center_.dtype
        x: FloatArray = (common * self.common_scale_).astype(dtype) @ self.common_axes_
        x += (salient * self.salient_scale_).astype(dtype) @ self.salient_axes_
        x += self.center_.ravel()
        if self.center_.ndim == 3:  # an image
            np.clip(x, 0, 1, out=x)
        return x.reshape(len(x), *self.center_.shape)

    def _state(self) -> dict[str, AnyArray]:
        return {name: np.asarray(getattr(self, f"{name}_")) for name in STATE}

    def _set_state(self, arrays: dict[str, AnyArray], sample_shape: tuple[int, ...]) -> None:  # noqa: ARG002
        for name in STATE:
            setattr(self, f"{name}_", arrays[name])
        self.alpha_ = arrays["alpha"].item()  # files hold arrays of one axis or more


def _flat(x: AnyArray) -> FloatArray:
    """Rows of floats; those of images are float32, which is all that 8 bits ask for."""
    dtype = np.float32 if x.ndim > 2 else np.result_type(x.dtype, np.float32)
    flat: FloatArray = in_unit_range(x).astype(dtype, copy=False).reshape(len(x), -1)
    return flat
