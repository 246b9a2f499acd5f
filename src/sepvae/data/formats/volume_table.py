"""Tables that name volumes (NIfTI, Analyze, FreeSurfer), one per row, such as a participants.tsv."""

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from sepvae.codes import Kind
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.cells import read_cells
from sepvae.data.columns import rules_of, takes_group, with_person
from sepvae.data.formats import TABLE, Volumes
from sepvae.data.formats.image_table import ImageTable, images_of
from sepvae.data.manifest import Manifest
from sepvae.data.nifti import OTHER_FORMATS, NiftiFiles, check_orientation
from sepvae.data.spec import MEMORY, DataSpec
from sepvae.errors import DataError
from sepvae.grid import Shape
from sepvae.progress import Progress

SUFFIXES = (".nii", ".nii.gz", *OTHER_FORMATS)


class VolumeTable(Volumes):
    """Table of volumes, which their suffixes tell from images."""

    name, kind, title = "volumes", TABLE, "a table of volumes"

    def detect(self, path: Path, spec: DataSpec) -> bool:
        if spec.images is None:
            return False
        cells = read_cells(path, rules_of(spec))
        names = cells[spec.images].dropna() if spec.images in cells else [spec.images]
        return any(name.lower().endswith(SUFFIXES) for name in names)

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        check_orientation(spec.assume_orientation)
        spec = with_person(spec, read_cells(path, rules_of(spec)))
        manifest = ImageTable().list(path, spec, labelled=labelled)
        files = [Path(str(file)) for file in manifest.files]
        if others := [file for file in files if not file.name.lower().endswith(SUFFIXES)]:
            wanted = "a volume (.nii, .nii.gz, .mgz, .img) like the others"
            raise DataError(f"{others[0]}: wanted {wanted}; convert it, or take it out")
        folder = path.parent if spec.root is None else spec.root
        like = _like(files, images_of(path, spec), folder)
        known: dict[str, Any] = {"files": (), "volumes": NiftiFiles(files, spec.assume_orientation)}
        known["unlisted"] = [file.relative_to(folder).as_posix() for file in like]
        return replace(manifest, format=self, **known)


@takes_group
def read_volumes(
    path: str | Path,
    *,
    images: str,
    label: str,
    root: str | Path | None = None,
    subject: str | None = None,
    id: str | None = None,  # noqa: A002  (the word of this library)
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    size: int | Shape | None = None,
    mask: str | Path | None = None,
    mask_threshold: float | None = None,
    resample: bool = False,
    assume_orientation: str | None = None,
    memory: float = MEMORY,
    progress: Progress | None = None,
    missing: Sequence[str | float] = (),
    not_missing: Sequence[str | float] = (),
    encoding: str | None = None,
) -> ArraySource | StreamSource:
    """
    Read the NIfTI volumes that a table names, such as a participants.tsv.

    Volumes of any orientation are turned to RAS; all must then lie on one grid. Each is cropped or padded to
    `size` and normalised to mean 0 and standard deviation 1 over the voxels of the mask (App. E.3). Voxels
    outside the mask are 0.

    Parameters
    ----------
    path : str or Path
        A text table, as in `read_image_table`.
    images : str
        Column of volumes, relative to `root`; or a template of columns, such as
        "{participant_id}/anat/{participant_id}_GM.nii.gz". A volume has three axes, or four with a last axis
        of length 1.
    label, root, subject, id, attributes, missing, not_missing, encoding : object
        As in `read_image_table`.
    size : int, tuple of three int or None, default=None
        Input size of the network in voxels along R, A, S, cropped or padded about the centre. None for all.
    mask : str, Path or None, default=None
        A volume of two values on the same grid: 0 (or NaN) outside, another inside. None for all voxels.
    mask_threshold : float or None, default=None
        Threshold for a mask of probabilities; voxels above it are inside.
    resample : bool, default=False
        Interpolate volumes on other grids to the most frequent grid, instead of raising.
    assume_orientation : str or None, default=None
        Orientation, such as "RAS", of files whose header has none (sform_code = qform_code = 0). They get the
        position of the other files if shape and voxel size agree. None raises if other files have one.
    memory : float, default=4.0
        Gigabytes of volumes, as float32, to cache. Volumes beyond are read each time they are taken, by
        worker processes while a model is fitted.
    progress : callable, default=None
        Called as `progress(done, total)` after every volume.

    Returns
    -------
    ArraySource or StreamSource
        Volumes as float32 of shape (1, *size), all of them in memory or not, with their `grid`; `native` has
        the mean, sd and orientation of each before normalisation.

    Raises
    ------
    DataError
        If the table or a cell is invalid, grids differ, or a volume cannot be read, has NaN inside the mask,
        or has one value only.

    Examples
    --------
    >>> source = read_volumes(
    ...     "participants.tsv",
    ...     images="{participant_id}/anat/{participant_id}_GM.nii.gz",
    ...     label="group",
    ...     attributes={"age": "continuous", "site": "categorical"},
    ...     mask="brain_mask.nii.gz",
    ... )  # doctest: +SKIP
    """
    fields = locals()
    return VolumeTable().load(image_size=fields.pop("size"), **fields)


def _like(files: Sequence[Path], images: str, folder: Path) -> list[Path]:
    """Return volumes that no row names: of the same template, or in a folder with several of the others."""
    if re.search(r"\{[^{}]+\}", images):
        words = re.split(r"\{[^{}]+\}", images)
        found = [folder / name for name in glob.glob("*".join(map(glob.escape, words)), root_dir=folder)]  # noqa: PTH207
    else:
        parents = pd.Series([file.parent for file in files]).value_counts()
        beside = [
            file for parent in parents.index[parents > 1] if parent.is_dir() for file in parent.iterdir()
        ]
        suffixes = (".nii", ".nii.gz", ".mgz")
        found = [f for f in beside if f.name.lower().endswith(suffixes) and not f.name.startswith(".")]
    return sorted(set(found) - set(files))
