"""Maps: what the salient part adds to each sample, in the units of the input, and what groups have of it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sepvae.batch import AnyArray, IntArray, Source, at_once, chunks
from sepvae.grid import Grid
from sepvae.methods._estimator import ContrastiveEstimator


class Maps(NamedTuple):  # numpydoc ignore=PR02
    """
    Some samples, decoded without their salient part, and what it adds.

    Shapes: without, added (n, *sample_shape); strength (n,).
    """

    without: AnyArray
    added: AnyArray
    strength: AnyArray


class SalientMaps:
    """
    Own salient minus salient removed, decoded alike for all samples of a source; labels are not looked at.

    Samples are encoded once; only those that are asked for are decoded.
    """

    def __init__(self, model: ContrastiveEstimator, source: Source) -> None:
        self.model, self.source = model, source
        codes = model.encode(source)
        self._common, self._salient = codes.common_mean, model._shown(codes.salient_mean)
        self.grid: Grid | None = model.grid_ if model.grid_ is not None else source.grid
        self.unit = self._unit()

    def __iter__(self) -> Iterator[tuple[IntArray, Maps]]:
        """Go through all samples, as many at a time as memory may hold: their positions, and their maps."""
        for part in chunks(len(self.source), at_once(self.source.sample_shape)):
            yield part, self.decode(part)

    @property
    def is_image(self) -> bool:  # numpydoc ignore=RT01,SS05
        """Whether samples are images of two dimensions."""
        return len(self.source.sample_shape) == 3

    def decode(self, positions: IntArray) -> Maps:
        """Decode some samples with their salient part and without it."""
        common, salient = self._common[positions], self._salient[positions]
        with self.model._inference():
            added = self.model._decode(common, salient)
            without = self.model._decode(common, np.zeros_like(salient))
        added -= without
        size = np.abs(added).reshape(len(added), -1).sum(axis=1, dtype=np.float64)
        counts = np.prod(added.shape[1:]) if self.grid is None else self.grid.counts.sum()
        if added.ndim == 2:
            return Maps(self.model._in_units(without), self._all_features(added), size / counts)
        unit = self.unit[positions] if self.grid is not None else self.unit
        return Maps(self.in_units(without, positions), added * unit, size / counts * unit.ravel())

    def in_units(self, x: AnyArray, positions: IntArray) -> AnyArray:
        """
        Bring volumes to the units of their files, images as they are.

        Shapes: x (n, *sample_shape); returns (n, *sample_shape).
        """
        native = self.source.native
        if self.grid is None or native is None:
            return x
        mean = _column(native["mean"].to_numpy()[positions])
        voxels: AnyArray = (x * self.unit[positions] + mean) * self.grid.counts
        return voxels

    def _unit(self) -> AnyArray:
        if self.model.scaler_ is not None:
            ends = np.repeat([[0.0], [1.0]], self.model.scaler_.kept_.sum(), axis=1)
            zero, one = self.model._in_units(ends)
            return np.asarray(np.nan_to_num(one - zero))  # what was all missing stays as it is
        if self.grid is None:
            return np.ones(1, dtype=np.float32)
        native = self.source.native
        return _column(np.ones(len(self.source)) if native is None else native["sd"].to_numpy())

    def _all_features(self, added: AnyArray) -> AnyArray:
        """Back to all columns of the input; those that say nothing were dropped, and nothing is added."""
        kept = self.model.scaler_.kept_  # type: ignore[union-attr]
        whole = np.zeros((len(added), len(kept)))
        whole[:, kept] = added
        return whole * self.unit


def members(model: ContrastiveEstimator, source: Source) -> tuple[IntArray, IntArray]:
    """Tell the groups of a source."""
    labels = np.asarray(source.labels)
    background = labels == model.background_
    target = np.isin(labels, model.classes_) & ~background
    return np.flatnonzero(background), np.flatnonzero(target)


def spread(positions: IntArray, n: int) -> IntArray:
    """
    Take some, evenly over their order.

    Examples
    --------
    >>> spread(np.arange(10, 20), 3).tolist()
    [10, 14, 19]
    """
    if not len(positions):
        return positions
    chosen: IntArray = positions[np.unique(np.linspace(0, len(positions) - 1, n).astype(int))]
    return chosen


def axial(volumes: AnyArray, level: int) -> AnyArray:
    """
    Cut volumes across, to be looked at from above: the front is at the top, the left on the left.

    Shapes: volumes (.., x, y, z); returns (.., y, x).
    """
    slices: AnyArray = volumes[..., ::-1, level].swapaxes(-1, -2)
    return slices


def grey_levels(slices: AnyArray, counts: AnyArray) -> AnyArray:
    """
    Scale slices of volumes to be looked at.

    Shapes: slices (n, channels, h, w); counts (h, w); returns (n, channels, h, w).
    """
    if not counts.any():
        return np.zeros(slices.shape, dtype=np.float32)
    low, high = np.percentile(slices[..., counts], (1, 99), axis=-1)[..., None, None]
    scaled = (slices - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    levels: AnyArray = (scaled.clip(0, 1) * counts).astype(np.float32)
    return levels


def _column(values: AnyArray) -> AnyArray:
    """One number for each volume (n, 1, x, y, z)."""
    return values.astype(np.float32).reshape(-1, 1, 1, 1, 1)
