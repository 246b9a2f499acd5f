"""Rows of tables and of volumes: least squares in chunks that fit into memory, and whether they match."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sepvae.batch import AnyArray, FloatArray, IntArray, Source, chunk_rows, chunks, gather
from sepvae.data.arrays import ArraySource, StreamSource, refuse_infinite
from sepvae.errors import DataError
from sepvae.grid import Grid

Step = Callable[[FloatArray, IntArray], FloatArray]  # rows, and their positions in the source


@dataclass(frozen=True)
class VoxelRows:
    """Valid voxels of the volumes of a source, one row each; every step is applied when rows are read."""

    source: Source
    steps: tuple[Step, ...] = ()
    positions: IntArray | None = None  # of the rows in the source; None for all

    def __len__(self) -> int:
        return len(self.source if self.positions is None else self.positions)

    @property
    def valid_mask(self) -> npt.NDArray[np.bool_]:
        """Valid voxels, of the shape of a sample without channels."""
        grid = self.source.grid
        return np.ones(self.source.sample_shape[1:], bool) if grid is None else grid.valid_mask

    @property
    def n_columns(self) -> int:
        """Number of channels times that of valid voxels."""
        return self.source.sample_shape[0] * int(self.valid_mask.sum())

    def select(self, positions: IntArray) -> "VoxelRows":
        """Return only the rows at these positions of the source."""
        return replace(self, positions=positions)

    def then(self, step: Step) -> "VoxelRows":
        """Return the same rows after one step more."""
        return replace(self, steps=(*self.steps, step))

    def read(self, places: IntArray) -> FloatArray:
        """Return the rows at these places, (n, n_columns)."""
        positions = places if self.positions is None else self.positions[places]
        x = self.source.take(positions).x[..., self.valid_mask]
        rows: FloatArray = x.reshape(len(x), -1).astype(np.float64)
        for step in self.steps:
            rows = step(rows, positions)
        return rows

    def volumes(self, places: IntArray) -> AnyArray:
        """Return rows as volumes, 0 outside of the mask."""
        return as_volumes(self.read(places), self.source.sample_shape, self.valid_mask)

    def as_source(self) -> Source:
        """Return a source of these volumes, in memory if the original is."""
        of, n = self.source, len(self.source)
        about: dict[str, Any] = {"groups": of.groups, "ids": of.ids, "attributes": of.attributes}
        about |= {"grid": of.grid, "native": of.native}
        if not isinstance(of, ArraySource):
            return StreamSource(self.volumes, of.sample_shape, of.labels, **about)
        parts = chunks(n, chunk_rows(of.sample_shape))
        return ArraySource(gather(n, ([self.volumes(part)] for part in parts))[0], of.labels, **about)


Rows = FloatArray | VoxelRows


def feature_table(x: npt.ArrayLike, names: Sequence[str] | None) -> FloatArray:
    """Return features as floats; raise if one is infinite, while gaps are allowed."""
    table = np.asarray(x, dtype=np.float64)
    refuse_infinite(table, names)
    return table


def as_volumes(rows: FloatArray, shape: tuple[int, ...], valid_mask: npt.NDArray[np.bool_]) -> AnyArray:
    """Return rows (n, channels x valid voxels) as float32 volumes (n, *shape), 0 outside of the mask."""
    x = np.zeros((len(rows), *shape), np.float32)
    x[..., valid_mask] = rows.reshape(len(rows), shape[0], -1)
    return x


def gap_patterns(x: Rows) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield rows that have a value, and all columns that have one in exactly these rows."""
    if isinstance(x, VoxelRows):
        yield np.arange(len(x)), np.arange(x.n_columns)
        return
    patterns, which = np.unique(~np.isnan(x), axis=1, return_inverse=True)
    for i, there in enumerate(patterns.T):
        yield np.flatnonzero(there), np.flatnonzero(which.ravel() == i)


def row_chunks(x: Rows, rows: IntArray, columns: IntArray) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield rows of `rows`, and their values in these columns: a table at once, volumes in chunks."""
    if isinstance(x, VoxelRows):
        for part in chunks(len(rows), chunk_rows(x.source.sample_shape)):
            yield rows[part], x.read(rows[part])
    else:
        yield rows, x[np.ix_(rows, columns)]


def least_squares(
    x: Rows, design: FloatArray, rows: IntArray, columns: IntArray, unit: FloatArray | float = 1.0
) -> tuple[FloatArray, FloatArray, int]:
    """Return coefficients (k, columns) of x / unit on a design, sums of squared residuals, and the rank."""
    left, singular, right = np.linalg.svd(design[rows], full_matrices=False)
    rank = int((singular > singular[0] * max(design.shape) * np.finfo(float).eps).sum())
    inverse = right[:rank].T / singular[:rank] @ left[:, :rank].T  # (k, rows)
    effects: FloatArray = np.zeros((design.shape[1], len(columns)))
    squares: FloatArray = np.zeros(len(columns))
    for part, y in row_chunks(x, rows, columns):
        effects += inverse[:, np.searchsorted(rows, part)] @ (y / unit)
    for part, y in row_chunks(x, rows, columns):  # a second pass: differences of large sums would cancel
        squares += ((y / unit - design[part] @ effects) ** 2).sum(axis=0)
    return effects, squares, rank


def check_feature_names(names: Sequence[str] | None, fitted: Sequence[str] | None) -> None:
    """
    Raise DataError unless the names equal the fitted ones, in the same order; None on either side passes.

    >>> check_feature_names(["lh", "age"], ["lh", "rh"])
    Traceback (most recent call last):
    sepvae.errors.DataError: X: feature 2 is 'age', where the model was fitted on 'rh'; give the same features
    """
    if names is None or fitted is None or list(names) == list(fitted):
        return
    if len(names) != len(fitted):
        got = f"the model was fitted on {len(fitted)} features, got {len(names)}"
    else:
        i = next(i for i, (name, known) in enumerate(zip(names, fitted, strict=True)) if name != known)
        got = f"feature {i + 1} is {names[i]!r}, where the model was fitted on {fitted[i]!r}"
    raise DataError(f"X: {got}; give the same features")


def check_grid(grid: Grid | None, fitted: Grid | None) -> None:
    """Raise unless volumes lie on the fitted grid, with the same mask; None on either side passes."""
    if grid is None or fitted is None:
        return
    if not grid.same_place(fitted):
        found = f"the model was fitted on {fitted}, got {grid}, or at another place"
        raise DataError(f"X: {found}; resample the new volumes alike")
    valid, wanted = grid.valid_mask, fitted.valid_mask
    if not np.array_equal(valid, wanted):
        found = f"the model was fitted with {wanted.sum()} voxels that count, got {valid.sum()}, or others"
        raise DataError(f"X: {found}; read the new volumes with the same mask and size")
