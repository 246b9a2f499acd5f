"""Arrays (npy, npz) of images or features, with a table that describes their rows."""

from pathlib import Path

import numpy as np

from sepvae.batch import chunks
from sepvae.checks import ROUNDING, check_images
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.cells import read_cell_table
from sepvae.data.formats.base import ARRAY, TABLES, Format, Measured
from sepvae.data.manifest import Manifest
from sepvae.data.mapped import MappedArray, map_array
from sepvae.data.quality_metrics import measure_source
from sepvae.data.rows import about_rows, rules_of
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.progress import Progress

CHUNK = 256  # rows that are checked at once


class Array(Format):
    """Array of images or features: images are read on demand, features into memory."""

    name, kind, title = "array", ARRAY, "an array"
    needs_label = False  # its table does

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        beside = _table_beside(path) if spec.table is None else spec.table
        if labelled:
            self.need_label(beside, spec)
        array, table = map_array(path), read_cell_table(beside, rules_of(spec))
        if (n := len(table.cells)) != array.shape[0]:
            raise DataError(
                f"{beside}: wanted one row for each of the {array.shape[0]} samples in {path.name}, got {n}"
            )
        rows = about_rows(table, beside, spec, [str(i) for i in range(n)])
        return Manifest(path, **rows, format=self, array=array)

    def read(
        self,
        manifest: Manifest,
        spec: DataSpec,
        *,
        grid: Grid | None = None,
        progress: Progress | None = None,
    ) -> tuple[ArraySource | StreamSource, None]:
        return read_rows(manifest), None

    def measure(self, manifest: Manifest, progress: Progress | None = None) -> Measured:
        return measure_source(self.read(manifest, DataSpec())[0]), {}


def read_rows(manifest: Manifest) -> ArraySource | StreamSource:
    """Return rows of an array as a source: images memory-mapped, features in memory."""
    if (array := manifest.array) is None:
        raise DataError(f"{manifest.data}: wanted rows of an array, found other samples")
    if len(array.shape) == 3:  # grey images without a channel axis
        array = array.grey()
    if len(array.shape) == 2:
        with np.errstate(invalid="ignore"):  # signalling NaN would warn
            features = array(np.arange(len(manifest))).astype(np.float64)
        return ArraySource(features, **manifest.described)
    try:
        check_images(np.broadcast_to(np.zeros(1, dtype=array.dtype), array.shape))  # shape and type
    except DataError as error:
        raise DataError(f"{manifest.data}: {str(error).removeprefix('X: ')}") from error
    if array.dtype.kind == "f":
        _check_values(manifest, array)
    return StreamSource(array, array.shape[1:], **manifest.described)


def _check_values(manifest: Manifest, array: MappedArray) -> None:
    """Raise unless the floats of all listed rows lie in [0, 1], up to rounding."""
    for rows in chunks(len(manifest), CHUNK):
        x = array(rows).reshape(len(rows), -1)
        low, high = x.min(axis=1), x.max(axis=1)
        if (
            wrong := np.flatnonzero(~((low >= -ROUNDING) & (high <= 1 + ROUNDING)))
        ).size:  # NaN is not in [0, 1] either
            bad = wrong[0]
            found = "NaN" if np.isnan(low[bad]) else f"{low[bad]:g} to {high[bad]:g}"
            raise DataError(
                f"{manifest.data}: wanted values in [0, 1], got {found} in row "
                f"{array.rows[rows[bad]]} (from 0); scale all rows, or leave that one out"
            )


def _table_beside(path: Path) -> Path:
    """Return the table with the same name as an array."""
    found = [beside for suffix in sorted(TABLES) if (beside := path.with_suffix(suffix)).is_file()]
    if not found:
        raise DataError(
            f"{path}: wanted a table beside it with one row per sample, such as "
            f"{path.with_suffix('.csv').name}; name it by --table"
        )
    return found[0]
