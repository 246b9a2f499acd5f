"""Arrays (npy, npz) of images or features, memory-mapped, with a table that describes their rows."""

import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from sepvae.batch import AnyArray, IntArray, chunks
from sepvae.checks import ROUNDING, check_images
from sepvae.codes import Kind
from sepvae.data.arrays import ArraySource, StreamSource, as_tensors_take
from sepvae.data.cells import read_cell_table
from sepvae.data.columns import about_rows, takes_group
from sepvae.data.formats import ARRAY, TABLES, Format, Read, need_label
from sepvae.data.manifest import Manifest
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError
from sepvae.process_wide import ignoring
from sepvae.progress import Progress

CHUNK = 256  # rows that are checked at once
MOST_OF_HEADER, MOST_AXES = 10_000, 64  # bytes and axes; the limits of numpy


class Array(Format):
    """Array of images or features: images are read on demand, features into memory."""

    name, kind, title = "array", ARRAY, "an array"
    needs_label = False  # its table does

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        if len(spec.tables) > 1:
            raise DataError(f"{path}: wanted one --table, in the order of the array, got {len(spec.tables)}")
        beside = spec.tables[0] if spec.tables else _table_beside(path)
        if labelled:
            need_label(beside, spec)
        array, (table, notes) = map_array(path), read_cell_table(beside, spec)
        if (n := len(table)) != array.shape[0]:
            wanted = f"one row for each of the {array.shape[0]} samples in {path.name}"
            raise DataError(f"{beside}: wanted {wanted}, got {n}")
        rows = about_rows(table, notes, beside, spec, [str(i) for i in range(n)])
        return Manifest(path, **rows, format=self, array=array)

    def read(self, manifest: Manifest, spec: DataSpec, progress: Progress | None = None) -> Read:
        if (array := manifest.array) is None:
            raise DataError(f"{manifest.data}: wanted rows of an array, found other samples")
        if len(array.shape) == 3:  # grey images without a channel axis
            array = replace(array, shape=(array.shape[0], 1, *array.shape[1:]))
        if len(array.shape) == 2:
            with np.errstate(invalid="ignore"):  # signalling NaN would warn
                features = array(np.arange(len(manifest))).astype(np.float64)
            return ArraySource(features, **manifest.described), None
        try:
            check_images(np.broadcast_to(np.zeros(1, dtype=array.dtype), array.shape))  # shape and type
        except DataError as error:
            raise DataError(f"{manifest.data}: {str(error).removeprefix('X: ')}") from error
        if array.dtype.kind == "f":
            _check_values(manifest, array)
        return StreamSource(array, array.shape[1:], **manifest.described), None


@takes_group
def read_array(
    path: str | Path,
    *,
    table: str | Path,
    label: str,
    subject: str | None = None,
    id: str | None = None,  # noqa: A002
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    missing: Sequence[str | float] = (),
    not_missing: Sequence[str | float] = (),
    encoding: str | None = None,
) -> ArraySource | StreamSource:
    """
    Read the rows of a `.npy` or `.npz` file on demand, with a table that describes them.

    Parameters
    ----------
    path : str or Path
        A `.npy` file, or an uncompressed `.npz` file with one array or one named `x`: images of shape (n,
        channels, h, w) or, if grey, (n, h, w), as uint8 or as floats in [0, 1]; or features (n, features).
    table : str or Path
        Text table as in `read_image_table`, with n rows in the same order.
    label, subject, id, attributes, missing, not_missing, encoding : object
        As in `read_image_table`; by default ids are row numbers.

    Returns
    -------
    ArraySource or StreamSource
        Images, streamed, or features, in memory.

    Raises
    ------
    DataError
        If the array, the table, a column or a cell is invalid, or the lengths differ.
    """
    return Array().load(**locals())


@dataclass(frozen=True)
class MappedArray:
    """Some rows of an array in a `.npy` or `.npz` file, which worker processes open themselves."""

    path: Path
    shape: tuple[int, ...]  # of the whole array
    dtype: np.dtype[Any]
    offset: int  # bytes before the first value
    order: Literal["C", "F"]
    rows: IntArray  # positions in the whole array

    def __call__(self, positions: IntArray) -> AnyArray:
        """Read the rows at these positions."""
        how: dict[str, Any] = {"dtype": self.dtype, "offset": self.offset, "order": self.order}
        whole = np.memmap(self.path, mode="r", shape=self.shape, **how)
        return as_tensors_take(np.ascontiguousarray(whole[self.rows[positions]]))

    def select(self, positions: IntArray) -> Self:
        """Return the rows at these positions, without reading them."""
        return replace(self, rows=self.rows[positions])


def map_array(path: Path) -> MappedArray:
    """Map the array of a .npy file, or of an uncompressed .npz file with one array or one named x."""
    if not path.is_file():
        raise DataError(f"{path}: wanted an array in a .npy or .npz file, found nothing")
    try:
        start = _member(path) if path.suffix.lower() == ".npz" else 0
        with path.open("rb") as file, ignoring(""):  # warnings of Python and numpy on a header
            file.seek(start)
            shape, fortran, dtype = _header(file)
            offset = file.tell()
    except DataError:
        raise
    except Exception as error:  # the header is the Python literal of a dict, which fails in many ways
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be read as an array ({reason}); save it again") from error
    if dtype.hasobject:
        raise DataError(f"{path}: holds Python objects, which are not read; save one array of numbers")
    if dtype.kind not in "buif":
        raise DataError(f"{path}: wanted an array of numbers, found {dtype}; save the numbers alone")
    if not 0 < len(shape) < MOST_AXES or min(shape) < 1:
        found = f"of {len(shape)} axes" if len(shape) >= MOST_AXES else f"of shape {shape}"
        found = f"an array {found}; save it again" if shape else "a single number"
        raise DataError(f"{path}: wanted one row per sample, found {found}")
    if path.stat().st_size < offset + dtype.itemsize * math.prod(shape):
        raise DataError(f"{path}: is shorter than its {shape[0]} rows need; copy or save it again")
    return MappedArray(path, shape, dtype, offset, "F" if fortran else "C", np.arange(shape[0]))


def _member(path: Path) -> int:
    """Return the offset, in bytes, of the array in a zip file."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    name = next(iter(members)) if len(members) == 1 else "x"
    if name not in members:
        found = ", ".join(members) or "none"
        raise DataError(f"{path}: wanted one array, or one named x, found {found}; save it alone")
    if (info := members[name]).compress_type != zipfile.ZIP_STORED:
        raise DataError(
            f"{path}: is compressed, so it cannot be mapped; save it by numpy.save or numpy.savez"
        )
    with path.open("rb") as file:  # a local header is 30 bytes, then the name and an extra field
        file.seek(info.header_offset + 26)
        lengths = np.frombuffer(file.read(4), "<u2")
    return info.header_offset + 30 + int(lengths.sum())


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the shape, order (True for Fortran) and dtype in the header of an array."""
    version = np.lib.format.read_magic(file)
    start, size = file.tell(), 2 if version == (1, 0) else 4
    if int.from_bytes(file.read(size), "little") > MOST_OF_HEADER:  # numpy would allocate it first
        raise ValueError("its header is too long")
    file.seek(start)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return tuple(map(int, shape)), fortran, dtype  # the header may hold True for 1


def _check_values(manifest: Manifest, array: MappedArray) -> None:
    """Raise unless the floats of all listed rows lie in [0, 1], up to rounding."""
    for rows in chunks(len(manifest), CHUNK):
        x = array(rows).reshape(len(rows), -1)
        low, high = x.min(axis=1), x.max(axis=1)
        outside = ~((low >= -ROUNDING) & (high <= 1 + ROUNDING))  # NaN is not in [0, 1] either
        if outside.any():
            bad = int(outside.argmax())
            found = "NaN" if np.isnan(low[bad]) else f"{low[bad]:g} to {high[bad]:g}"
            got = f"wanted values in [0, 1], got {found} in row {array.rows[rows[bad]]} (from 0)"
            raise DataError(f"{manifest.data}: {got}; scale all rows, or leave that one out")


def _table_beside(path: Path) -> Path:
    """Return the table with the same name as an array."""
    for suffix in sorted(TABLES):
        if (beside := path.with_suffix(suffix)).is_file():
            return beside
    wanted = f"a table beside it with one row per sample, such as {path.with_suffix('.csv').name}"
    raise DataError(f"{path}: wanted {wanted}; name it by --table")
