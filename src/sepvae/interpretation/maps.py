"""Salient maps: what the salient part adds to each sample, in input units, and its course with severity."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, IntArray, Source, chunk_rows, chunks
from sepvae.grid import Grid
from sepvae.mesh import Mesh
from sepvae.methods.base import ContrastiveEstimator
from sepvae.run_folder import THIRDS


class Maps(NamedTuple):
    """Samples decoded without their salient part, and the difference that it adds, in input units."""

    without: AnyArray  # voxels that are not valid are 0; residualised tables are those of an average control
    added: AnyArray
    strength: AnyArray  # (n,), mean absolute difference over pixels, voxels or standardised features


class SalientMaps:
    """Decoded with own salient part, minus decoded without `block` of it, for all samples, on request."""

    def __init__(self, model: ContrastiveEstimator, source: Source, block: slice = slice(None)) -> None:
        self.model, self.source, self.block = model, source, block
        codes = model.encode(source)
        self._common, self._salient = codes.common_mean, codes.salient_mean
        self.grid: Grid | None = model.grid_ if model.grid_ is not None else source.grid
        self.mesh = Mesh.of_features(self.feature_names)
        self.is_image = len(source.sample_shape) == 3
        self.unit = self._unit()  # one network unit in input units, one number for each volume

    @property
    def feature_names(self) -> list[str]:
        """Names of the features of a table; numbers if it has none."""
        names = self.source.feature_names
        if names is None:
            names = getattr(self.model, "feature_names_in_", None)
        if names is None:
            names = [f"feature{i}" for i in range(self.source.sample_shape[0])]
        return list(map(str, names))

    def __iter__(self) -> Iterator[tuple[IntArray, Maps]]:
        """Yield positions and maps of all samples, in chunks that fit into memory."""
        for part in chunks(len(self.source), chunk_rows(self.source.sample_shape)):
            yield part, self.decode(part)

    def decode(self, positions: IntArray) -> Maps:
        """Return the maps of the samples at these positions."""
        common, salient = self._common[positions], self._salient[positions]
        standardised = self.model.scaler_ is not None  # volumes leave their w-scores
        given: Any = {"standardised": standardised, "covariates": self.source.attributes.iloc[positions]}
        added = self.model.decode(common, salient, **given)
        salient[:, self.block] = 0
        without = self.model.decode(common, salient, **given)
        added -= without
        size = np.abs(added).reshape(len(added), -1).sum(axis=1, dtype=np.float64)
        counts = np.prod(added.shape[1:]) if self.grid is None else self.grid.valid_mask.sum()
        if added.ndim == 2:  # columns that the scaler dropped have no difference
            whole = np.zeros((len(added), len(self.unit)))
            whole[:, self.model.scaler_.kept_] = added
            return Maps(self._table_in_units(without), whole * self.unit, size / counts)
        unit = self.unit[positions] if self.grid is not None else self.unit
        return Maps(self.in_units(without, positions), added * unit, size / counts * unit.ravel())

    def in_units(self, x: AnyArray, positions: IntArray) -> AnyArray:
        """Convert volumes to the units of their files, with 0 at voxels that are not valid; keep images."""
        native = self.source.native
        if self.grid is None or native is None:
            return x
        mean = _column(native["mean"].to_numpy()[positions])
        return np.asarray((x * self.unit[positions] + mean) * self.grid.valid_mask)

    def _unit(self) -> AnyArray:
        if self.model.scaler_ is not None:
            ends = np.repeat([[0.0], [1.0]], self.model.scaler_.kept_.sum(), axis=1)
            zero, one = self._table_in_units(ends)
            return np.asarray(np.nan_to_num(one - zero))  # no change where all values were missing
        if self.grid is None:
            return np.ones(1, dtype=np.float32)
        native = self.source.native
        return _column(np.ones(len(self.source)) if native is None else native["sd"].to_numpy())

    def _table_in_units(self, table: AnyArray) -> AnyArray:
        """Convert a standardised table to the units of the input, with covariates of an average control."""
        scaler, residualizer = self.model.scaler_, self.model.residualizer_
        table = scaler.inverse_transform(table)
        return table if residualizer is None else residualizer.inverse_transform(table, None)


def axis_maps(model: ContrastiveEstimator) -> AnyArray:
    """
    Return what 1 on each salient axis adds to the sample of c = 0: (salient_dim, ...), tables standardised.

    Of a linear decoder, these are the loadings, whatever c is; but for severities, whose decoder gets y s
    with the severity that it expects of s.
    """
    n = model.salient_dim
    salient = np.eye(n + 1, n)  # the last row is s' = 0
    standardised = model.scaler_ is not None
    decoded = model.decode(np.zeros((n + 1, model.common_dim)), salient, standardised=standardised)
    return np.asarray(decoded[:-1] - decoded[-1])


def members(model: ContrastiveEstimator, source: Source) -> tuple[IntArray, IntArray]:
    """Return the positions of background and target samples; other labels are in neither."""
    labels = np.asarray(source.labels)
    background = labels == model.background_
    target = np.isin(labels, model.classes_) & ~background
    return np.flatnonzero(background), np.flatnonzero(target)


def spread(positions: IntArray, n: int) -> IntArray:
    """Return at most n positions, evenly spread over their order."""
    if not len(positions):
        return positions
    return np.asarray(positions[np.unique(np.linspace(0, len(positions) - 1, n).astype(int))])


def at_quantiles(values: AnyArray, quantiles: Sequence[float]) -> IntArray:
    """
    Return the positions of the values at some quantiles; of as many values or fewer all, the least first.

    >>> at_quantiles(np.array([5.0, 1.0, 4.0, 2.0, 3.0]), (0.25, 0.5, 0.75)).tolist()
    [3, 4, 2]
    """
    order, n = np.argsort(values, kind="stable"), len(values)
    return np.asarray(order if n <= len(quantiles) else order[(n * np.asarray(quantiles)).astype(int)])


def axial(volumes: AnyArray, level: int) -> AnyArray:
    """Return an axial slice (.., y, x) of RAS volumes (.., x, y, z): front at the top, left on the left."""
    return np.asarray(volumes[..., ::-1, level].swapaxes(-1, -2))


def grey_levels(slices: AnyArray, valid_mask: AnyArray) -> AnyArray:
    """Scale each slice to [0, 1] from percentile 1 to 99 of its valid pixels, with 0 elsewhere."""
    if not valid_mask.any():
        return np.zeros(slices.shape, dtype=np.float32)
    low, high = np.percentile(slices[..., valid_mask], (1, 99), axis=-1)[..., None, None]
    scaled = (slices - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    return np.asarray((scaled.clip(0, 1) * valid_mask).astype(np.float32))


IN_MEAN = 64  # samples in a mean image
EDGE = 0.05  # share of the range of an image by which voxels differ from its border


def mean_image(maps: SalientMaps) -> AnyArray:
    """Return the mean of up to 64 volumes in the units of their files, on the window."""
    shown, image = spread(np.arange(len(maps.source)), IN_MEAN), Moments()
    for part in chunks(len(shown), chunk_rows(maps.source.sample_shape)):
        image.add(maps.in_units(maps.source.take(shown[part]).x, shown[part]))
    return np.asarray(image.mean[0])


def foreground(image: AnyArray) -> npt.NDArray[np.bool_]:
    """
    Return where an image (x, y, z) is not background: voxels that differ from its border by over 5 %.

    100 % is what 2 % of the voxels exceed. If the border itself varies by more, all voxels are returned.
    """
    faces = [np.take(image, (0, -1), axis).ravel() for axis in range(3)]
    border = np.median(np.concatenate(faces))
    least = EDGE * np.percentile(np.abs(image - border), 98)
    if np.percentile(np.abs(np.concatenate(faces) - border), 75) > least:
        return np.ones(image.shape, dtype=bool)
    return np.asarray(np.abs(image - border) > least)


def _column(values: AnyArray) -> AnyArray:
    """Return one float32 number per volume, of shape (n, 1, 1, 1, 1)."""
    return values.astype(np.float32).reshape(-1, 1, 1, 1, 1)


ROUNDING = 1e-6  # in network units: smaller standard deviations are rounding errors


@dataclass
class Moments:
    """Mean and variance of arrays that arrive in batches and are not kept, in float64."""

    n: int = 0
    mean: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))
    _squares: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))

    @property
    def sd(self) -> npt.NDArray[np.float64]:
        """Square root of the variance."""
        return np.sqrt(self.variance)

    @property
    def variance(self) -> npt.NDArray[np.float64]:
        """Unbiased variance; 0 for a single sample."""
        return np.asarray(self._squares / max(self.n - 1, 1))

    def add(self, some: AnyArray) -> None:
        """Update the moments with samples of shape (n, ...)."""
        if not len(some):
            return
        # Merge as in Chan, Golub and LeVeque (1983): sums of squares would lose small deviations.
        mean = some.mean(axis=0, dtype=np.float64)
        n, apart = self.n + len(some), mean - self.mean
        self._squares = self._squares + ((some - mean) ** 2).sum(axis=0)
        self._squares += apart**2 * (self.n * len(some) / n)
        self.mean = self.mean + apart * (len(some) / n)
        self.n = n


def effect_size(background: Moments, target: Moments, unit: Any) -> npt.NDArray[np.float64] | None:
    """Return Cohen's d, 0 where the deviation is a rounding error in network units; None if undefined."""
    free = background.n + target.n - 2
    if min(background.n, target.n) < 1 or free < 1:
        return None
    pooled = np.sqrt(((background.n - 1) * background.variance + (target.n - 1) * target.variance) / free)
    d = np.zeros(pooled.shape)
    np.divide(target.mean - background.mean, pooled, out=d, where=pooled > ROUNDING * unit)
    return d


def target_severities(
    model: ContrastiveEstimator, source: Source, targets: IntArray
) -> npt.NDArray[np.float64]:
    """Return the severity of targets (n,) in the attribute that a model was fitted by; NaN for all others."""
    severities, name = np.full(len(source), np.nan), model.get_params().get("severity")
    if name is not None and name in source.attributes:
        # File names are text where nothing says that this is a number, as for new samples without labels.
        severities[targets] = pd.to_numeric(source.attributes[name], errors="coerce").to_numpy(float)[targets]
    return severities


class SeverityMaps:
    """
    Means of thirds, and the least-squares slope, of maps that arrive in chunks and are not kept.

    `severities` (n,) are those of all samples of the maps, NaN where a sample is not to be used. Equal
    severities are in one third.
    """

    def __init__(self, severities: npt.NDArray[np.float64]) -> None:
        known = np.flatnonzero(np.isfinite(severities))
        self.severities, values = severities, severities[known]
        edges = np.quantile(values, (1 / 3, 2 / 3)) if len(values) else np.zeros(2)
        third = np.searchsorted(edges, values)
        self.thirds = {name: known[third == i] for i, name in enumerate(THIRDS)}
        self.possible = all(map(len, self.thirds.values()))
        self._means = {name: Moments() for name in THIRDS}
        self._centred = np.nan_to_num(severities - (values.mean() if len(values) else 0.0))
        self._product: npt.NDArray[np.float64] = np.zeros(())  # sum of centred severities times maps

    def add(self, positions: IntArray, added: AnyArray) -> None:
        """Update with the maps of the samples at these positions."""
        for name, third in self.thirds.items():
            self._means[name].add(added[np.isin(positions, third)])
        self._product = self._product + np.tensordot(self._centred[positions], added.astype(float), axes=1)

    def maps(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return the mean of each third, and the slope per unit of severity; no maps if a third is empty."""
        if not self.possible:
            return {}
        means = {f"mean{name}": moments.mean for name, moments in self._means.items()}
        return means | {"slope": self._product / float((self._centred**2).sum())}

    def table(self, strength: AnyArray) -> pd.DataFrame:
        """Return one row per third: its number of targets, severities, and mean absolute map."""
        thirds = [(name, self.severities[third], strength[third]) for name, third in self.thirds.items()]
        rows = [(name, len(y), y.min(), y.max(), added.mean()) for name, y, added in thirds]
        return pd.DataFrame(rows, columns=["third", "n", "least", "most", "mean_absolute"])
