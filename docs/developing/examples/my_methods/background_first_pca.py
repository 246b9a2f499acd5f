"""Principal components of the background, then of what they leave of the targets."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from sepvae.batch import AnyArray, IntArray, Source, chunks, gather, in_unit_range
from sepvae.codes import Codes
from sepvae.errors import DataError
from sepvae.methods.base import ContrastiveEstimator
from sepvae.model_files import Shapes

LOGVAR = np.log(1e-6)  # codes are exact; a log-variance must be finite


@dataclass(eq=False, repr=False)
class BackgroundFirstPCA(ContrastiveEstimator):
    """
    Linear baseline that learns the common space from the background alone.

    m is the mean of the background and U_c are its `common_dim` leading principal axes. U_s are the
    `salient_dim` leading axes of what these leave of the targets, (I - U_c' U_c)(x - m):

        c = U_c (x - m) / d_c        d_c: deviations over the background
        s = U_s (x - m) / d_s        d_s: root mean square over the targets
        x = m + W_c' c + W_s' s      W_c = d_c U_c, W_s = d_s U_s

    U_s is orthogonal to U_c, and s = 0 is decoded as a background sample.

    Parameters
    ----------
    common_dim, salient_dim : int, default=16
        Number of axes; more than the training samples span raises DataError.

    Attributes
    ----------
    mean_ : ndarray of the shape of a sample
        Mean of the background, m; for tables, in standardised units.
    common_loadings_, salient_loadings_ : ndarray of shape (dimensions, features)
        W_c and W_s.
    """

    def _learn(
        self,
        source: Source,
        y: AnyArray,
        parts: tuple[IntArray, IntArray],
        seed: int,
    ) -> None:
        """Learn from standardised samples; y = 0 is the background."""
        train, _ = parts
        x, background = _rows(source, train), y[train] == 0
        mean = x[background].mean(axis=0)
        x -= mean
        self.mean_ = mean.reshape(source.sample_shape)
        self.common_loadings_ = _loadings(x[background], self.common_dim)
        targets = x[~background]
        residuals = targets - _codes(targets, self.common_loadings_) @ self.common_loadings_
        self.salient_loadings_ = _loadings(residuals, self.salient_dim)

    def _encode(self, source: Source) -> Codes[AnyArray]:
        def encoded(rows: IntArray) -> list[AnyArray]:
            x = _rows(source, rows) - self.mean_.ravel()
            return [_codes(x, self.common_loadings_), _codes(x, self.salient_loadings_)]

        common, salient = gather(len(source), map(encoded, chunks(len(source), 512)))
        return Codes(common, np.full_like(common, LOGVAR), salient, np.full_like(salient, LOGVAR))

    def _decode(self, common: AnyArray, salient: AnyArray) -> AnyArray:
        x = common @ self.common_loadings_ + salient @ self.salient_loadings_
        x = x.reshape(len(x), *self.mean_.shape) + self.mean_
        return x.clip(0, 1) if self.mean_.ndim == 3 else x  # images are in [0, 1]

    def _state(self) -> dict[str, AnyArray]:
        """Return the arrays of the model file."""
        return {
            "mean": self.mean_,
            "common_loadings": self.common_loadings_,
            "salient_loadings": self.salient_loadings_,
        }

    def _state_shapes(
        self,
        arrays: Mapping[str, AnyArray],
        sample_shape: tuple[int, ...],
    ) -> Shapes:
        """Return the shape and kind ("f": floats) that each array of a model file must have."""
        n = prod(sample_shape)
        return {
            "mean": (sample_shape, "f"),
            "common_loadings": ((self.common_dim, n), "f"),
            "salient_loadings": ((self.salient_dim, n), "f"),
        }

    def _set_state(self, arrays: dict[str, AnyArray], sample_shape: tuple[int, ...]) -> None:
        for name, array in arrays.items():
            setattr(self, f"{name}_", array)


def _rows(source: Source, rows: IntArray) -> AnyArray:
    """Return flattened samples of shape (n, features)."""
    return in_unit_range(source.take(rows).x).astype(np.float64).reshape(len(rows), -1)


def _loadings(x: AnyArray, dim: int) -> AnyArray:
    """Return the leading principal axes of rows around 0, each as long as its deviation."""
    _, deviations, axes = np.linalg.svd(x / np.sqrt(len(x)), full_matrices=False)
    if (rank := int((deviations > 1e-6 * deviations.max()).sum())) < dim:
        raise DataError(f"X: wanted samples that span {dim} dimensions or more, got {rank}")
    return deviations[:dim, None] * axes[:dim]


def _codes(x: AnyArray, loadings: AnyArray) -> AnyArray:
    """Return the coordinates of rows along orthogonal axes."""
    return x @ loadings.T / (loadings**2).sum(axis=1)
