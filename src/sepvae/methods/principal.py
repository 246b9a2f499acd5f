"""Principal components: whitened scores, the input of network "linear", and the axes of linear methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh, qr
from sklearn.utils.extmath import randomized_svd

from sepvae.batch import AnyArray, IntArray, Source, chunk_rows, chunks, gather, in_unit_range
from sepvae.data.arrays import ArraySource
from sepvae.errors import DataError
from sepvae.grid import Grid

SAMPLES_PER_COMPONENT = 8  # components of fewer samples each are mostly noise, and whitening would amplify it
MOST_COMPONENTS = 256
MOST_SAMPLES = SAMPLES_PER_COMPONENT * MOST_COMPONENTS  # that define the components
PREFIX = "principal."  # of names in model files
MOST_AXES = 1000  # kept of large data by linear methods, as in the program of contrastive PCA
AT_ONCE = 2048  # rows or columns converted to float64 at a time
FLAT = 1e-5  # deviations below this share of the largest are rounding errors of float32
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PrincipalScores:
    """Whitened scores of the leading principal components of the training samples, one for every 8."""

    mean: Array  # (values,) of a flattened sample, or of its voxels in `valid`
    axes: Array  # (components, values)
    scale: Array  # (components,), the standard deviation of each score
    sample_shape: tuple[int, ...]
    valid: npt.NDArray[np.bool_] | None = None

    @classmethod
    def fit(cls, source: Source, rows: IntArray) -> Self:
        """Learn from these rows, or from 2048 of them, evenly spread, which are held in memory twice."""
        valid = valid_values(source.grid, source.sample_shape)
        if len(rows) > MOST_SAMPLES:
            rows = rows[np.linspace(0, len(rows) - 1, MOST_SAMPLES).astype(int)]
        parts = chunks(len(rows), chunk_rows(source.sample_shape))
        x = gather(len(rows), ([_values(source.take(rows[part]).x, valid)] for part in parts))[0]
        mean = x.mean(axis=0, dtype=np.float64).astype(np.float32)
        x -= mean
        n = int(np.clip(len(rows) // SAMPLES_PER_COMPONENT, 2, min(MOST_COMPONENTS, *x.shape)))
        _, axes, norms = principal_axes(x, n)
        scale = norms / np.sqrt(len(rows) - 1)
        kept = scale > FLAT * scale.max(initial=0)
        if not kept.any():
            raise DataError("X: wanted samples that differ, got equal ones")
        return cls(mean, axes[kept], scale[kept].astype(np.float32), tuple(source.sample_shape), valid)

    def fits(self, source: Source) -> bool:
        """Return whether samples have the shape and the mask of those that were learnt from."""
        valid = valid_values(source.grid, source.sample_shape)
        same_shape = self.sample_shape == tuple(source.sample_shape)
        if valid is None or self.valid is None:
            return same_shape and valid is self.valid
        return same_shape and np.array_equal(valid, self.valid)

    def transform(self, source: Source) -> ArraySource:
        """Return the scores of all samples, a table of shape (n, components), with their ids."""
        parts = chunks(len(source), chunk_rows(source.sample_shape))
        scored = ([(_values(source.take(part).x, self.valid) - self.mean) @ self.axes.T] for part in parts)
        return ArraySource(gather(len(source), scored)[0] / self.scale, source.labels, ids=source.ids)

    def inverse_transform(self, scores: AnyArray) -> Array:
        """Return samples of shape (n, *sample_shape): images in [0, 1], 0 for voxels outside of `valid`."""
        samples = np.zeros((len(scores), *self.sample_shape), np.float32)
        for part in chunks(len(scores), chunk_rows(self.sample_shape)):
            values = (scores[part] * self.scale).astype(np.float32) @ self.axes
            values += self.mean
            if self.valid is None:
                samples[part] = values.reshape(len(part), *self.sample_shape)
            else:
                samples[part[0] : part[-1] + 1, self.valid] = values
        return np.clip(samples, 0, 1, out=samples) if len(self.sample_shape) == 3 else samples

    def state(self) -> dict[str, Array]:
        """Return the learnt arrays, as a model file names them."""
        return {f"{PREFIX}mean": self.mean, f"{PREFIX}axes": self.axes, f"{PREFIX}scale": self.scale}

    @classmethod
    def from_state(
        cls, arrays: Mapping[str, AnyArray], sample_shape: tuple[int, ...], grid: Grid | None
    ) -> Self:
        """Restore the scores from the arrays of a model file."""
        mean, axes, scale = (arrays[f"{PREFIX}{name}"] for name in ("mean", "axes", "scale"))
        return cls(mean, axes, scale, sample_shape, valid_values(grid, sample_shape))


def stored_shapes(
    arrays: Mapping[str, AnyArray], sample_shape: tuple[int, ...], grid: Grid | None
) -> tuple[tuple[int, ...], dict[str, tuple[tuple[int, ...], str]]]:
    """Return the shape of the scores in a model file, and the expected shapes and kinds of its arrays."""
    valid = valid_values(grid, sample_shape)
    values = prod(sample_shape) if valid is None else int(valid.sum())
    scores = arrays.get(f"{PREFIX}scale", np.ones(1)).shape[:1]
    shapes = {"mean": (values,), "axes": (*scores, values), "scale": scores}
    return scores, {f"{PREFIX}{name}": (shape, "f") for name, shape in shapes.items()}


def valid_values(grid: Grid | None, sample_shape: tuple[int, ...]) -> npt.NDArray[np.bool_] | None:
    """Return the values of a volume that are valid voxels, of shape (channels, d, h, w), or None for all."""
    if grid is None or grid.valid_mask.all():
        return None
    return np.broadcast_to(grid.valid_mask, sample_shape)


def _values(x: AnyArray, valid: npt.NDArray[np.bool_] | None) -> Array:
    """Return samples as rows of values."""
    values = in_unit_range(x).reshape(len(x), -1) if valid is None else x[:, valid]
    if not np.isfinite(values).all():  # in a source on disk; other data are already checked
        raise DataError("X: wanted finite samples, got NaN or infinite values; fill them in")
    return values.astype(np.float32, copy=False)


def spanning_axes(x: AnyArray, wanted: int, seed: int) -> tuple[AnyArray, AnyArray]:
    """Return `sample_span` of samples that span `wanted` directions or more; raise DataError for others."""
    inside, span = sample_span(x, max(MOST_AXES, wanted), seed)
    if len(span) < wanted:
        raise DataError(
            f"common_dim and salient_dim: wanted {wanted} directions, but {len(x)} samples of {x.shape[1]} "
            f"feature(s) span only {len(span)}; ask for fewer"
        )
    return inside, span


def sample_span(x: AnyArray, most: int, seed: int) -> tuple[AnyArray, AnyArray]:
    """Return coordinates of the samples, and the orthonormal rows that span them."""
    if min(x.shape) > most:
        left, deviations, rows = randomized_svd(x, most, random_state=seed)
        return left * deviations, rows
    coordinates, rows, _ = principal_axes(x, most)
    return coordinates, rows


def principal_axes(x: AnyArray, most: int) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return the scores of centred samples on at most `most` principal axes, the axes as rows, and norms."""
    tall = x.shape[1] <= len(x)
    values, vectors = eigh(second_moment(x if tall else x.T))
    kept = np.flatnonzero(values > values[-1] * max(x.shape) * np.finfo(np.float64).eps)[: -most - 1 : -1]
    norms, vectors = np.sqrt(values[kept]), vectors[:, kept]
    if tall:
        return x @ vectors.astype(x.dtype), vectors.T.astype(x.dtype), norms
    rows, weights = np.empty((len(norms), x.shape[1]), x.dtype), vectors / norms
    for part in chunks(x.shape[1], AT_ONCE):  # in float64: small norms magnify rounding errors
        rows[:, part] = weights.T @ x[:, part].astype(np.float64)
    return vectors * norms, rows, norms


def second_moment(x: AnyArray) -> AnyArray:
    """Return x.T @ x in float64."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for part in chunks(len(x), AT_ONCE):
        rows = x[part].astype(np.float64)
        total += rows.T @ rows
    return total


def covariance(x: AnyArray, ddof: int = 0) -> AnyArray:
    """Return the covariance of rows in float64; `ddof=1` is the unbiased one."""
    return second_moment(x - x.mean(axis=0)) / (len(x) - ddof)


def complement(axes: AnyArray) -> AnyArray:
    """Return orthonormal columns that span what is orthogonal to these columns."""
    rest: AnyArray = qr(axes)[0][:, axes.shape[1] :]
    return rest


def axes_of_samples(inside: AnyArray, span: AnyArray) -> AnyArray:
    """Return orthonormal, signed rows over features, from rows of coordinates in a span."""
    axes = inside.astype(span.dtype) @ span
    # Orthonormalise again: rounding leaves rows of the span slightly oblique where the data hardly vary.
    return signed(qr(axes.T.astype(np.float64), mode="economic")[0].T)


def signed(axes: AnyArray) -> AnyArray:
    """Make the largest absolute entry of each row positive: the sign of an eigenvector is arbitrary."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return np.where(largest < 0, -axes, axes)
