"""Memory-mapped arrays: only the requested rows are read."""

import math
import struct
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal, Self

import numpy as np

from sepvae.batch import AnyArray, IntArray
from sepvae.data.conversion import as_tensors_take
from sepvae.errors import DataError
from sepvae.process_wide import ignoring

MOST_OF_HEADER, MOST_AXES = 10_000, 64  # bytes and axes; the limits of numpy
UNREADABLE = (  # errors of numpy and zipfile; the header is the Python literal of a dict
    *(ValueError, OSError, SyntaxError, TokenError, TypeError, RecursionError, MemoryError, OverflowError),
    *(zipfile.BadZipFile, NotImplementedError, struct.error, EOFError),
)


@dataclass(frozen=True)
class MappedArray:
    """
    Some rows of an array in a `.npy` or `.npz` file.

    It holds the path, not the content, so that worker processes open the file themselves.
    """

    path: Path
    shape: tuple[int, ...]  # of the whole array
    dtype: np.dtype[Any]
    offset: int  # bytes before the first value
    order: Literal["C", "F"]
    rows: IntArray  # positions in the whole array

    def __call__(self, positions: IntArray) -> AnyArray:
        """Read the rows at these positions."""
        return as_tensors_take(np.ascontiguousarray(self.whole()[self.rows[positions]]))

    def whole(self) -> AnyArray:
        """Return the whole array, memory-mapped."""
        mapped: AnyArray = np.memmap(
            self.path, dtype=self.dtype, mode="r", offset=self.offset, shape=self.shape, order=self.order
        )
        return mapped

    def grey(self) -> Self:
        """Return grey images of shape (n, h, w) as (n, 1, h, w)."""
        return replace(self, shape=(self.shape[0], 1, *self.shape[1:]))

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
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be read as an array ({reason}); save it again") from error
    if dtype.hasobject:
        raise DataError(f"{path}: holds Python objects, which are not read; save one array of numbers")
    if dtype.kind not in "buif":
        raise DataError(f"{path}: wanted an array of numbers, found {dtype}; save the numbers alone")
    if not shape:
        raise DataError(f"{path}: wanted one row per sample, found a single number")
    if len(shape) >= MOST_AXES:
        raise DataError(
            f"{path}: wanted one row per sample, found an array of {len(shape)} axes; save it again"
        )
    if min(shape) < 1:
        raise DataError(f"{path}: wanted one row per sample, found an array of shape {shape}; save it again")
    if path.stat().st_size < offset + dtype.itemsize * math.prod(shape):
        raise DataError(f"{path}: is shorter than its {shape[0]} rows need; copy or save it again")
    return MappedArray(path, shape, dtype, offset, "F" if fortran else "C", np.arange(shape[0]))


def _member(path: Path) -> int:
    """Return the offset, in bytes, of the array in a zip file."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        name = next(iter(members)) if len(members) == 1 else "x"
        if name not in members:
            raise DataError(
                f"{path}: wanted one array, or one named x, found "
                f"{', '.join(members) or 'none'}; save it alone"
            )
        info = members[name]
        if info.compress_type != zipfile.ZIP_STORED:
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
