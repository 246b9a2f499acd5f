"""Atlases: numbers of regions in a volume, with their names from a table, a colour table or nilearn."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray
from sepvae.data.cells import read_cells
from sepvae.data.nifti import NiftiFiles
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError, listed, nearest, reason_of
from sepvae.grid import Grid

NUMBERS = ("index", "id", "value", "number", "label")  # names of columns, the first that fits is taken
NAMES = ("name", "region", "label", "structure")
COLOUR_TABLE = re.compile(r"\s*(-?\d+)\s+(\S+)(\s+\d+)*\s*")  # number, name, colours, as FreeSurfer's
WHOLE = re.compile(r"-?\d+(\.0*)?")
IMAGE = re.compile(r".*\.(nii|nii\.gz|mgz|img|hdr)", re.IGNORECASE)


class Fetched(NamedTuple):
    """An atlas of nilearn: its function `fetch_atlas_..`, keywords of that, its image in nilearn's folder."""

    fetcher: str
    keywords: Mapping[str, Any]
    file: str


def _harvard_oxford(part: str) -> Fetched:
    name = f"{part}-maxprob-thr25-2mm"
    file = f"fsl/data/atlases/HarvardOxford/HarvardOxford-{name}.nii.gz"
    return Fetched("harvard_oxford", {"atlas_name": name}, file)


def _schaefer(n: int) -> Fetched:
    file = f"schaefer_2018/Schaefer2018_{n}Parcels_7Networks_order_FSLMNI152_2mm.nii.gz"
    return Fetched("schaefer_2018", {"n_rois": n, "resolution_mm": 2}, file)


KNOWN = {
    "aal": Fetched("aal", {}, "aal_3v2/AAL3/AAL3v1.nii"),
    "destrieux": Fetched("destrieux_2009", {}, "destrieux_2009/destrieux2009_rois_lateralized.nii.gz"),
    "harvard-oxford": _harvard_oxford("cortl"),
    "harvard-oxford-subcortical": _harvard_oxford("sub"),
    **{f"schaefer-{n}": _schaefer(n) for n in (100, 200, 400)},
}


@dataclass(frozen=True, eq=False)
class Atlas:
    """Regions of a brain."""

    name: str  # of its file, or in `KNOWN`
    numbers: npt.NDArray[np.int32]  # (x, y, z) along R, A, S: the region of each voxel, 0 for none
    grid: Grid
    names: Mapping[int, str]  # of regions that have one

    def on(self, grid: Grid) -> AnyArray:
        """Return the numbers on another grid: those of the nearest voxels, 0 outside of the atlas."""
        from nibabel.nifti1 import Nifti1Image
        from nilearn.image import resample_img

        image = Nifti1Image(self.numbers, self.grid.affine)
        return np.asarray(resample_img(image, grid.affine, grid.shape, interpolation="nearest").dataobj)


def read_atlas(atlas: str | Path, labels: str | Path | None = None, *, download: bool = False) -> Atlas:
    """Read an atlas, given the file of its image or a name in `KNOWN`, with names from the file `labels`."""
    name, file, names = str(atlas), Path(atlas), dict[int, str]()
    if name in KNOWN:
        file, names = _fetched(name, download=download)
    elif not (IMAGE.fullmatch(name) or file.exists()):
        wanted = "wanted the file of a label image, or an atlas that nilearn fetches"
        raise DataError(f"--atlas: {wanted}, got {name!r}; {nearest(name, KNOWN)}")
    else:
        name = file.name
    names = names if labels is None else read_region_names(Path(labels))
    image = NiftiFiles([file])
    values, grid = image(0), image.header(0).grid
    odd = values[~(values == np.round(values))]  # NaN, too
    if odd.size or np.abs(values).max(initial=0) > np.iinfo(np.int32).max:
        got = f"got {odd[0]:.3g} in one of its voxels" if odd.size else "got numbers beyond 32 bits"
        wanted = "wanted the number of a region in each voxel"
        raise DataError(f"{file}: {wanted}, {got}; give a label image, not probabilities")
    return Atlas(name, values.astype(np.int32), grid, names)


def _fetched(name: str, *, download: bool) -> tuple[Path, dict[int, str]]:
    """Return image and names of an atlas in nilearn's folder; it is downloaded only if that is asked for."""
    from nilearn import datasets

    fetcher, keywords, file = KNOWN[name]
    folders = [Path(folder) for folder in datasets.get_data_dirs()]
    if not download and not any((folder / file).is_file() for folder in folders):
        where = " or ".join(map(str, folders))
        raise DataError(f"atlas {name}: is not in nilearn's folder ({where}); give --download to fetch it")
    try:
        found = getattr(datasets, f"fetch_atlas_{fetcher}")(**keywords, verbose=int(download))
    except Exception as error:  # of the network, of archives and of files
        advice = "try again, or give the file of a label image"
        raise DataError(f"atlas {name}: could not be fetched ({reason_of(error)}); {advice}") from error
    rows = found.lut[["index", "name"]].itertuples(index=False)
    return Path(found.get("filename", found.maps)), {int(number): str(word) for number, word in rows}


def read_region_names(file: Path) -> dict[int, str]:
    """
    Read the names of regions by number; the format is recognised by the content.

    It is a table with columns index and name (`*_dseg.tsv` of BIDS, CSV), or it has no head, and each line is
    a number, a name and colours (`FreeSurferColorLUT.txt`). Names that occur twice get their number.
    """
    text = file.read_text("utf-8", errors="replace") if file.is_file() else ""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = [COLOUR_TABLE.fullmatch(line) for line in lines]
    pairs = [(int(line[1]), line[2]) for line in found if line]
    if not pairs or len(pairs) < len(lines):
        pairs = _pairs(file, read_cells(file, DataSpec(encoding="utf-8")))
    number, times = Counter(number for number, _ in pairs).most_common(1)[0]
    if times > 1:
        raise DataError(f"{file}: wanted one name for each region, but {number} stands {times} times")
    words = Counter(word for _, word in pairs)
    return {number: f"{word} ({number})" if words[word] > 1 else word for number, word in pairs}


def _pairs(file: Path, table: pd.DataFrame) -> list[tuple[int, str]]:
    """Return number and name of each row of a table that has both."""
    columns = {str(name).lower(): table.iloc[:, i] for i, name in enumerate(table)}
    whole = {name for name, cells in columns.items() if cells.dropna().str.fullmatch(WHOLE).all()}
    number = next((name for name in NUMBERS if name in whole), "")
    word = next((name for name in NAMES if name in columns.keys() - whole), "")
    if number and word:
        rows = zip(columns[number], columns[word], strict=True)
        if pairs := [(int(float(n)), str(w)) for n, w in rows if n is not None and w is not None]:
            return pairs
    wanted = "wanted columns index (whole numbers) and name, or lines of a number, a name and colours"
    raise DataError(f"{file}: {wanted}, got columns {listed([*table], 6)}")
