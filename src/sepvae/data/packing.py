"""`pack`: write the volumes of a table to one store, so that fits of any size need little memory."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray
from sepvae.data.nifti import Header, Volumes
from sepvae.data.packed import FORMAT, VERSION, Progress, digest, verify
from sepvae.data.parallel import in_order
from sepvae.data.volumes import common_grid, on_grid, settled
from sepvae.errors import DataError
from sepvae.files import whole_folder
from sepvae.grid import Grid

if TYPE_CHECKING:
    import zarr


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

    Voxels are stored in RAS on the most common grid; normalising, masking and cropping are choices of a fit.
    They keep the type of the files, or float32 where a header scales the values or a volume is interpolated.
    Several types are stored as the numpy type that holds them all. `files` are the names for messages.
    """
    out = Path(out)
    if out.exists() or out.is_symlink():
        raise DataError(f"{out}: wanted a new store, but it exists; delete it, or choose another name")
    if not len(volumes) == len(cells) == len(files):
        raise DataError(f"wanted one row and one file for each of {len(volumes)} volumes to pack")
    volumes = settled(volumes)
    headers = list(in_order(volumes.header, len(volumes)))
    grid = common_grid(headers, volumes, resample=resample)
    with whole_folder(out) as whole:
        _write(whole, volumes, headers, grid, progress)
        _write_table(whole, cells, files, [header.grid.axes for header in headers])
        if damaged := verify(whole, progress=_later(progress)):
            raise DataError(
                f"{out}: {damaged[0]} ({len(damaged)} of {len(volumes)}) was not read back as it was "
                "written; look at disk and memory, and pack again"
            )


def _write(
    whole: Path, volumes: Volumes, headers: Sequence[Header], grid: Grid, progress: Progress | None
) -> None:
    """Write all voxels; headers only suggest the type, so all are written again if reading finds another."""
    import zarr

    group = zarr.open_group(whole, mode="w", zarr_format=3)
    group.attrs.update(
        {
            "format": FORMAT,
            "version": VERSION,
            "affine": grid.affine.tolist(),
            "axes": "RAS",
            "oriented": grid.oriented,
        }
    )
    first = headers[0].dtype  # if one header scales the values, mostly all do
    others = {header.dtype for header in headers} - {first}
    dtype = _common_type([_voxels(volumes, headers, grid, 0).dtype, *map(np.dtype, others)])
    while True:
        sums, found = _write_as(dtype, group, volumes, headers, grid, progress)
        if dtype == (dtype := _common_type(found)):
            break
    _small(group, "sha256", np.frombuffer(b"".join(sums), dtype=np.uint8).reshape(-1, 32))


def _write_as(
    dtype: np.dtype[Any],
    group: "zarr.Group",
    volumes: Volumes,
    headers: Sequence[Header],
    grid: Grid,
    progress: Progress | None,
) -> tuple[list[bytes], set[np.dtype[Any]]]:
    """Write the voxels as `dtype`; return the SHA-256 of each volume, and the types found."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    array = group.create_array(
        "voxels",
        shape=(len(volumes), *grid.shape),
        chunks=(1, *grid.shape),
        dtype=dtype,
        compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"), Crc32cCodec()],
        chunk_key_encoding={"name": "default", "separator": "."},  # one file per volume, without subfolders
        config={"write_empty_chunks": True},  # so that a missing chunk means a lost one
        dimension_names=("subject", "R", "A", "S"),
        overwrite=True,
    )

    def write(i: int) -> tuple[bytes, np.dtype[Any]]:
        voxels = _voxels(volumes, headers, grid, i)
        if not np.can_cast(voxels.dtype, dtype):
            return b"", voxels.dtype  # all volumes are written again
        array[i] = (kept := voxels.astype(dtype))
        return digest(kept), voxels.dtype

    sums, found = [], set()
    with closing(in_order(write, len(volumes))) as written:  # type: ignore[type-var]
        for i, (one, kind) in enumerate(written):
            sums.append(one)
            found.add(kind)
            if progress is not None:
                progress(i + 1, 2 * len(volumes))
    return sums, found


def _voxels(volumes: Volumes, headers: Sequence[Header], grid: Grid, i: int) -> AnyArray:
    voxels = on_grid(volumes(i), headers[i].grid, grid)
    if voxels.dtype.kind not in "iuf":
        raise DataError(f"{volumes.name(i)}: wanted a number in each voxel, found {voxels.dtype}; convert it")
    return voxels.astype(np.float64) if voxels.dtype.itemsize > 8 else voxels


def _common_type(found: Sequence[np.dtype[Any]] | set[np.dtype[Any]]) -> np.dtype[Any]:
    return np.result_type(*found).newbyteorder("=")


def _write_table(whole: Path, cells: pd.DataFrame, files: Sequence[str], axes: Sequence[str]) -> None:
    """Write the table as JSON in an array: zarr reads metadata in every process, without a checksum."""
    import zarr

    rows = cells.astype(object).where(cells.notna(), None)
    about = {
        "columns": cells.columns.tolist(),
        "lines": cells.index.tolist(),
        "rows": rows.to_numpy().tolist(),
        "files": list(files),
        "axes": list(axes),
    }
    content = json.dumps(about, ensure_ascii=False).encode()
    _small(zarr.open_group(whole, mode="r+"), "table", np.frombuffer(content, dtype=np.uint8))


def _small(group: "zarr.Group", name: str, values: AnyArray) -> None:
    from zarr.codecs import Crc32cCodec, ZstdCodec

    group.create_array(
        name, data=values, chunks=values.shape, compressors=[ZstdCodec(level=5), Crc32cCodec()]
    )


def _later(progress: Progress | None) -> Progress | None:
    """Return the progress of the second half of the work, the verification."""
    return None if progress is None else lambda done, total: progress(total + done, 2 * total)
