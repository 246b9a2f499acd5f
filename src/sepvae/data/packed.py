"""Packed stores: the volumes of a table in one zarr folder, one compressed chunk each, and the table."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, IntArray
from sepvae.data.columns import PERSON
from sepvae.data.nifti import MOST_VOXELS, ORIENTATIONS, Header, Volumes
from sepvae.data.parallel import in_order
from sepvae.data.quality_metrics import digest
from sepvae.data.volumes import common_grid, on_grid, settled
from sepvae.errors import DataError, reason_of
from sepvae.files import whole_folder
from sepvae.grid import Grid
from sepvae.progress import Progress

if TYPE_CHECKING:
    import zarr

FORMAT, VERSION = "sepvae volumes", 1
FARTHEST = 1e38  # mm, within the range of float32
ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, eq=False)
class PackedVolumes:
    """Volumes of a packed store; no file stays open, so worker processes read their own copy."""

    path: Path
    array: "zarr.Array[Any]"  # (m, x, y, z)
    affine: npt.NDArray[np.float64]  # (4, 4), of the common grid
    files: Sequence[str]  # packed file of each of the m volumes
    axes: Sequence[str]  # orientation of each file
    rows: IntArray  # the volumes that are selected
    oriented: bool = True  # False if no file had an orientation

    def __len__(self) -> int:
        return len(self.rows)

    def __call__(self, i: int) -> AnyArray:
        """Read the voxels of one volume, and compare its checksum."""
        row = int(self.rows[i])
        chunk = self.path / self.array.path / self.array.metadata.encode_chunk_key((row, 0, 0, 0))
        if not chunk.is_file():  # zarr would return zeros
            raise DataError(
                f"{self.name(i)}: its voxels are not in the store any more; copy or pack it again"
            )
        try:
            with chunk.open("rb") as file:
                _refuse_more(file.read(8)[4:], math.prod(self.array.shape[1:]) * self.array.dtype.itemsize)
            return np.asarray(self.array[row])
        except Exception as error:  # decoders raise errors of any type
            raise _damaged(self.name(i), error) from error

    def header(self, i: int) -> Header:
        """Return the header of one volume."""
        _, x, y, z = self.array.shape
        axes = self.axes[self.rows[i]]
        grid = Grid((x, y, z), self.affine, axes=axes, oriented=self.oriented)
        return Header(grid, str(self.array.dtype), "known" if self.oriented else "none")

    def name(self, i: int) -> str:
        """Return the names of the store and of the packed file."""
        return f"{self.path}: {self.files[self.rows[i]]}"

    def select(self, rows: IntArray) -> "PackedVolumes":
        """Return these volumes, in that order."""
        return replace(self, rows=self.rows[rows])


def is_packed(path: str | Path) -> bool:
    """Return whether a path names a packed store, valid or damaged."""
    return Path(path).suffix.lower() == ".zarr" or (Path(path) / "zarr.json").is_file()


def verify(path: str | Path, *, progress: Progress | None = None) -> list[str]:
    """Return the ids of volumes that are missing or differ from what was packed (SHA-256)."""
    store = open_packed(Path(path))
    names = store.volumes.files if store.id_column is None else store.cells[store.id_column].tolist()

    def is_sound(i: int) -> bool:
        try:
            return bool(digest(store.volumes(i)) == store.sums[i].tobytes())
        except DataError:
            return False

    sound = in_order(is_sound, len(names), progress=progress)
    return [name for name, good in zip(names, sound, strict=True) if not good]


class Store(NamedTuple):
    """Content of a packed store."""

    volumes: PackedVolumes
    cells: pd.DataFrame  # table of str, as from `read_cells`
    sums: npt.NDArray[np.uint8]  # (n, 32), SHA-256 of each volume
    id_column: str | None  # column of unique ids; None if there is none


def open_packed(path: Path) -> Store:
    """Open and validate a packed store, without reading its voxels."""
    import zarr

    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise DataError(f"{path}: wanted a packed store, found {found}; check the path, or run sepvae pack")
    try:
        group = zarr.open_group(path, mode="r", zarr_format=3)
        attributes = dict(group.attrs)
    except Exception as error:
        raise _damaged(str(path), error) from error
    version = attributes.get("version")
    if attributes.get("format") != FORMAT or not isinstance(version, int):
        raise DataError(f"{path}: is a zarr store, but none that sepvae pack wrote; run sepvae pack")
    if version > VERSION:
        newer = f"was packed by a newer sepvae (format {version}, this one reads {VERSION})"
        raise DataError(f"{path}: {newer}; update it")
    try:
        return _contents(path, group, attributes)
    except Exception as error:
        raise _damaged(str(path), error) from error


def _contents(path: Path, group: "zarr.Group", attributes: Mapping[str, Any]) -> Store:
    array: Any = group["voxels"]
    _refuse_other(array, (1, *array.shape[1:]), "iuf", "blosc")
    sums, table = _small(path, group, "sha256"), _small(path, group, "table")
    about = json.loads(table.tobytes())
    words = [*about["columns"], *about["files"], *(cell for row in about["rows"] for cell in row if cell)]
    "".join(words).encode()  # raises if one is no text, or has a lone surrogate
    lines = [int(line) for line in about["lines"]]
    cells = pd.DataFrame(about["rows"], index=lines, columns=about["columns"], dtype=str)
    affine = np.array(attributes["affine"], dtype=np.float64)
    files, axes = ([str(word) for word in about[name]] for name in ("files", "axes"))
    n = array.shape[0]
    # Sizes that do not match would otherwise be found much later, or never.
    if {len(cells), len(files), len(axes), len(sums)} != {n} or affine.shape != (4, 4) or array.ndim != 4:
        raise ValueError(f"its parts are not of {n} volumes")
    if not ((np.abs(affine) < FARTHEST).all() and np.linalg.det(affine[:3, :3])):
        raise ValueError("its voxels have no place")
    if not ORIENTATIONS.issuperset(axes):
        raise ValueError("wanted orientations such as LAS")
    known = list(cells.columns).count(PERSON) == 1 and cells[PERSON].notna().all() and cells[PERSON].is_unique
    oriented = attributes.get("oriented", True) is not False
    volumes = PackedVolumes(path, array, affine, files, axes, np.arange(n), oriented)
    return Store(volumes, cells, sums, PERSON if known else None)


def _small(path: Path, group: "zarr.Group", name: str) -> npt.NDArray[np.uint8]:
    """Read an array of bytes that lies in one chunk."""
    part: Any = group[name]
    _refuse_other(part, part.shape, "u", "zstd")
    with (path / part.path / part.metadata.encode_chunk_key((0,) * part.ndim)).open("rb") as file:
        about = file.read(18)  # RFC 8878: magic number, descriptor, optional fields, content size
    how, alone = about[4] >> 6, about[4] >> 5 & 1
    start, width = 6 - alone + (0, 1, 2, 4)[about[4] & 3], (alone, 2, 4, 8)[how]
    declared = about[start : start + width] if about.startswith(ZSTD) else b""
    _refuse_more(declared, part.nbytes - 256 * (how == 1))
    return np.asarray(part[:], dtype=np.uint8)


def _refuse_other(part: Any, chunks: tuple[int, ...], kinds: str, compressor: str) -> None:
    """Raise unless chunks, type and codecs are those of `sepvae pack`; others may expand beyond memory."""
    codecs = [codec.to_dict()["name"] for codec in part.metadata.codecs]
    if part.chunks != chunks or part.dtype.kind not in kinds or codecs != ["bytes", compressor, "crc32c"]:
        raise ValueError(f"{part.path} is not laid out as sepvae pack does it")
    if math.prod(chunks) > MOST_VOXELS:
        raise ValueError(f"{part.path} is larger than any that sepvae pack writes")


def _refuse_more(declared: bytes, wanted: int) -> None:
    """Raise unless compressed data declare the expected size, which the decoder allocates."""
    if int.from_bytes(declared, "little") != wanted:
        raise ValueError(f"a chunk is not of the {wanted} bytes that it must be")


def _damaged(what: str, error: Exception) -> DataError:
    damage = f"is damaged in the store, or is none ({reason_of(error)})"
    return DataError(f"{what}: {damage}; copy or pack it again")


def pack(
    volumes: Volumes,
    cells: pd.DataFrame,
    out: str | Path,
    *,
    files: Sequence[str],
    resample: bool = False,
    progress: Progress | None = None,
) -> None:
    """
    Write volumes and their table to one store atomically, and read all of it back to verify it.

    Voxels are stored in RAS on the most common grid, in the type of the files (float32 where a header scales
    the values or a volume is interpolated), or in one that holds all types. `files` are names for messages.
    """
    import zarr

    out = Path(out)
    if out.exists() or out.is_symlink():
        raise DataError(f"{out}: wanted a new store, but it exists; delete it, or choose another name")
    volumes = settled(volumes)
    headers = list(in_order(volumes.header, len(volumes)))
    grid = common_grid(headers, volumes, resample=resample)
    rows = cells.astype(object).where(cells.notna(), None).to_numpy().tolist()
    table = {"columns": cells.columns.tolist(), "lines": cells.index.tolist(), "rows": rows}
    table |= {"files": list(files), "axes": [header.grid.axes for header in headers]}
    about: Any = {"format": FORMAT, "version": VERSION, "affine": grid.affine.tolist()}
    with whole_folder(out) as whole:
        group = zarr.open_group(whole, mode="w", zarr_format=3)
        group.attrs.update(about | {"axes": "RAS", "oriented": grid.oriented})
        sums = _write_voxels(group, volumes, headers, grid, _half(progress))
        _write_small(group, "sha256", np.frombuffer(b"".join(sums), dtype=np.uint8).reshape(-1, 32))
        # As JSON in an array: zarr reads metadata in every process, without a checksum.
        content = json.dumps(table, ensure_ascii=False).encode()
        _write_small(group, "table", np.frombuffer(content, dtype=np.uint8))
        if damaged := verify(whole, progress=_half(progress, second=True)):
            found = f"{damaged[0]} ({len(damaged)} of {len(volumes)}) was not read back as it was written"
            raise DataError(f"{out}: {found}; look at disk and memory, and pack again")


def _write_voxels(
    group: "zarr.Group", volumes: Volumes, headers: Sequence[Header], grid: Grid, progress: Progress | None
) -> list[bytes]:
    """Write all voxels in one type; return the SHA-256 of each volume."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    def voxels_of(i: int) -> AnyArray:
        voxels = on_grid(volumes(i), headers[i].grid, grid)
        if voxels.dtype.kind not in "iuf":
            found = f"wanted a number in each voxel, found {voxels.dtype}"
            raise DataError(f"{volumes.name(i)}: {found}; convert it")
        return voxels.astype(np.float64) if voxels.dtype.itemsize > 8 else voxels

    def write(i: int) -> tuple[bytes, np.dtype[Any]]:
        voxels = voxels_of(i)
        if not np.can_cast(voxels.dtype, dtype):
            return b"", voxels.dtype  # all volumes are written again
        array[i] = (kept := voxels.astype(dtype))
        return digest(kept), voxels.dtype

    # Headers only suggest the type; if one scales the values, mostly all do.
    others = {header.dtype for header in headers} - {headers[0].dtype}
    dtype = np.result_type(voxels_of(0).dtype, *map(np.dtype, others)).newbyteorder("=")
    while True:
        array = group.create_array(
            "voxels",
            shape=(len(volumes), *grid.shape),
            chunks=(1, *grid.shape),
            dtype=dtype,
            compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"), Crc32cCodec()],
            chunk_key_encoding={"name": "default", "separator": "."},  # one file per volume, no subfolders
            config={"write_empty_chunks": True},  # so that a missing chunk means a lost one
            dimension_names=("subject", "R", "A", "S"),
            overwrite=True,
        )
        sums, found = zip(*in_order(write, len(volumes), progress=progress), strict=True)
        if dtype == (dtype := np.result_type(*found).newbyteorder("=")):
            return list(sums)


def _write_small(group: "zarr.Group", name: str, values: AnyArray) -> None:
    from zarr.codecs import Crc32cCodec, ZstdCodec

    codecs = [ZstdCodec(level=5), Crc32cCodec()]
    group.create_array(name, data=values, chunks=values.shape, compressors=codecs)


def _half(progress: Progress | None, *, second: bool = False) -> Progress | None:
    """Return the progress of half of the work: of writing, or of the verification, which is the second."""
    if progress is None:
        return None
    return lambda done, total: progress(done + total * second, 2 * total)
