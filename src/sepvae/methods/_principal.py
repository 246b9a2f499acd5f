"""Principal component scores of samples, the input of network "linear"."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import IncrementalPCA

from sepvae.batch import AnyArray, IntArray, Source, at_once, chunks, gather, in_unit_range
from sepvae.data.arrays import ArraySource
from sepvae.errors import DataError
from sepvae.grid import Grid

SAMPLES_PER_COMPONENT = 8  # components of fewer samples each are mostly noise, and whitening would amplify it
MOST_COMPONENTS = 256
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PrincipalScores:
    """
    Whitened scores of the leading principal components of the training samples: one for every 8 of them.

    `mean` has shape (values,), `axes` (components, values) and `scale`, the standard deviation of each score,
    (components,). The values are those of a flattened sample, or of its voxels in `valid`.
    """

    mean: Array
    axes: Array
    scale: Array
    sample_shape: tuple[int, ...]
    valid: npt.NDArray[np.bool_] | None = None

    @classmethod
    def fit(cls, source: Source, rows: IntArray) -> Self:
        """Learn from these rows of a source, in chunks, so that it need not fit into memory."""
        valid = valid_values(source.grid)
        values = int(np.prod(source.sample_shape) if valid is None else valid.sum())
        n = int(np.clip(len(rows) // SAMPLES_PER_COMPONENT, 2, min(MOST_COMPONENTS, len(rows) - 1, values)))
        pca = IncrementalPCA(n)
        size = max(2 * n, at_once(source.sample_shape))
        # The last chunk takes the remainder: the estimator refuses a first one of fewer rows than components.
        for part in np.array_split(rows, max(len(rows) // size, 1)):
            pca.partial_fit(_values(source.take(part).x, valid))
        scale = np.sqrt(pca.explained_variance_)
        kept = scale > np.finfo(np.float32).eps * scale.max()
        arrays = pca.mean_, pca.components_[kept], scale[kept]
        mean, axes, scale = (array.astype(np.float32) for array in arrays)
        return cls(mean, axes, scale, source.sample_shape, valid)

    def transform(self, source: Source) -> ArraySource:
        """Return the scores of all samples, a table of shape (n, components), with their ids."""
        parts = chunks(len(source), at_once(source.sample_shape))
        scored = ([(_values(source.take(part).x, self.valid) - self.mean) @ self.axes.T] for part in parts)
        return ArraySource(gather(len(source), scored)[0] / self.scale, source.labels, ids=source.ids)

    def inverse_transform(self, scores: AnyArray) -> Array:
        """Return the samples of scores, of shape (n, *sample_shape); voxels outside of `valid` are 0."""
        values = (scores * self.scale).astype(np.float32) @ self.axes + self.mean
        if self.valid is None:
            return values.reshape(len(scores), *self.sample_shape)
        samples = np.zeros((len(scores), *self.sample_shape), np.float32)
        samples[:, self.valid] = values
        return samples

    def state(self) -> dict[str, Array]:
        """Return the learnt arrays by name."""
        return {"mean": self.mean, "axes": self.axes, "scale": self.scale}


def valid_values(grid: Grid | None) -> npt.NDArray[np.bool_] | None:
    """Return the values of a volume that are valid voxels, of shape (1, d, h, w), or None for all."""
    return None if grid is None or grid.counts.all() else grid.counts[None]


def _values(x: AnyArray, valid: npt.NDArray[np.bool_] | None) -> Array:
    """Return samples as rows of values."""
    values = in_unit_range(x).reshape(len(x), -1) if valid is None else x[:, valid]
    if not np.isfinite(values).all():  # in a source on disk; other data are already checked
        raise DataError("X: wanted finite samples, got NaN or infinite values; fill them in")
    return values.astype(np.float32, copy=False)
