"""`sepvae pack`: write the volumes of a table into one store."""

from pathlib import Path
from typing import Any

from sepvae.cli.plain import plain
from sepvae.data.cells import CellRules, read_cells
from sepvae.data.columns import PERSON
from sepvae.data.formats.volume_table import VolumeTable
from sepvae.data.packed import open_packed, pack
from sepvae.data.spec import read_spec
from sepvae.data.volumes import all_there
from sepvae.errors import DataError
from sepvae.progress import progress_bar


def pack_table(table: Path, out: Path, **fields: Any) -> list[str]:
    """Pack the volumes of a table into a store, and return the lines to print."""
    spec = read_spec(fields)
    if spec.images is None:
        raise DataError(f"{table}: name the column of volumes, such as --images path")
    rules = CellRules(encoding=spec.encoding)
    cells, folder = read_cells(table, rules), table.parent if spec.root is None else spec.root
    # A subject may have several scans; their files distinguish them.
    person = PERSON if PERSON in cells else None
    manifest = VolumeTable().list(table, spec.model_copy(update={"subject": person}), labelled=False)
    volumes = all_there(manifest)
    files = [Path(volumes.name(i)).relative_to(folder).as_posix() for i in range(len(volumes))]
    with progress_bar("packing") as progress:
        pack(volumes, cells, out, files=files, resample=spec.resample, progress=progress)
    packed = open_packed(out).volumes
    header = packed.header(0)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    lines = [
        f"{out}: {len(files)} volumes of {header.grid}, {header.dtype}, all read back and compared; "
        f"{size / 1e6:.1f} MB for {packed.array.nbytes / 1e6:.1f} MB of voxels"
    ]
    if not header.grid.oriented:
        lines.append(
            "note: no header has an orientation; nibabel's LAS is taken (--assume-orientation names another)"
        )
    if n := len(manifest.unlisted):
        lines.append(f"note: {n} volumes have no row, such as {plain(manifest.unlisted[0])}; left out")
    return lines
