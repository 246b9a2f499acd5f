"""Sources of NIfTI volumes: listed in a table, brought to one grid, read in parallel."""

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepvae.checks import check_number
from sepvae.codes import Kind
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.cells import CellRules, read_cells
from sepvae.data.columns import takes_group
from sepvae.data.image_table import PERSON, id_column, list_image_table
from sepvae.data.manifest import Manifest
from sepvae.data.nifti import OTHER_FORMATS, NiftiFiles, Volumes, check_orientation
from sepvae.data.packed import PackedVolumes, Progress
from sepvae.data.parallel import PART, in_order
from sepvae.data.quality_metrics import measure_volume
from sepvae.data.volumes import VolumeReader, common_grid, read_mask, settled, with_window
from sepvae.errors import DataError
from sepvae.grid import Grid, Shape

MEMORY = 4.0  # GB of cached images or volumes
SUFFIXES = (".nii", ".nii.gz", *OTHER_FORMATS)


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
    label : str
        Column of labels.
    root, subject, id, attributes : object
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
    missing, not_missing, encoding : object
        As in `read_image_table`.

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
    manifest = list_volumes(
        path,
        images=images,
        label=label,
        root=root,
        subject=subject,
        id=id,
        attributes=attributes,
        assume_orientation=assume_orientation,
        rules=CellRules(missing, not_missing, encoding),
    )
    look: dict[str, Any] = {
        "size": size,
        "mask": mask,
        "mask_threshold": mask_threshold,
        "resample": resample,
    }
    return read_volume_listing(manifest, **look, memory=memory, progress=progress)[0]


@takes_group
def list_volumes(
    path: str | Path,
    *,
    images: str,
    label: str | None,
    root: str | Path | None = None,
    subject: str | None = None,
    id: str | None = None,  # noqa: A002
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    assume_orientation: str | None = None,
    rules: CellRules | None = None,
) -> Manifest:
    """List the volumes that a table names, and as `unlisted` similar files that no row names."""
    check_orientation(assume_orientation)
    id = id_column(read_cells(Path(path), rules), id, subject)  # noqa: A001
    columns: dict[str, Any] = {"label": label, "subject": subject, "id": id, "attributes": attributes}
    manifest = list_image_table(path, images=images, root=root, **columns, rules=rules)
    files = [Path(str(file)) for file in manifest.files]
    if others := [file for file in files if not file.name.lower().endswith(SUFFIXES)]:
        raise DataError(
            f"{others[0]}: wanted a volume (.nii, .nii.gz, .mgz, .img) like the others; "
            "convert it, or take it out"
        )
    folder = Path(path).parent if root is None else Path(root)
    unlisted = [file.relative_to(folder).as_posix() for file in _like(files, images, folder)]
    # If PERSON is the id, every row is one person.
    grouped = manifest.grouped or id == PERSON
    return replace(
        manifest, files=(), volumes=NiftiFiles(files, assume_orientation), unlisted=unlisted, grouped=grouped
    )


def name_volumes(path: Path, images: str, rules: CellRules | None = None) -> bool:
    """Return whether the template, or a cell of the column, ends as volume files do, such as .nii.gz."""
    cells = read_cells(path, rules)
    if images not in cells:
        return images.lower().endswith(SUFFIXES)
    return any(name.lower().endswith(SUFFIXES) for name in cells[images].dropna())


def read_volume_listing(
    manifest: Manifest,
    *,
    size: int | Shape | None = None,
    mask: str | Path | None = None,
    mask_threshold: float | None = None,
    resample: bool = False,
    grid: Grid | None = None,
    memory: float = MEMORY,
    progress: Progress | None = None,
) -> tuple[ArraySource | StreamSource, pd.DataFrame]:
    """
    Read every listed volume once, so that unreadable ones raise here; return the source and quality metrics.

    The `grid` of a fitted model replaces `size` and `mask`. Packed volumes are never cached.
    """
    volumes, n = settled(all_there(manifest), grid), len(manifest)
    if mask is None and mask_threshold is not None:
        raise DataError("mask_threshold has no meaning without a mask; name one (--mask), or leave it out")
    check_number("memory", memory, least=0)
    headers = list(in_order(volumes.header, n))
    place = common_grid(headers, volumes, resample=resample, grid=grid)
    if grid is None:
        place = with_window(place, size)
        if mask is not None:
            assume = volumes.assume if isinstance(volumes, NiftiFiles) else None
            of_mask: dict[str, Any] = {"threshold": mask_threshold, "assume_orientation": assume}
            place = replace(place, mask=read_mask(mask, place, resample=resample, **of_mask))
    reader = VolumeReader(volumes, place, resample)
    kept = 0 if isinstance(volumes, PackedVolumes) else min(n, int(memory * 1e9 / (4 * np.prod(place.size))))
    reader.kept = np.empty((kept, 1, *place.size), dtype=np.float32)

    def read(
        i: int,
    ) -> tuple[dict[str, Any], Any, float, float] | DataError:
        """Return quality metrics, the volume if it is cached, its mean and sd; or the error."""
        try:
            voxels = volumes(i)
            window, mean, sd = reader.normalised(i, voxels)
        except DataError as error:
            return error
        except MemoryError:
            return DataError(
                f"{volumes.name(i)}: takes more memory than there is; free some, or leave it out"
            )
        valid_mask = place.mask if headers[i].grid.same_place(place) else None
        return measure_volume(voxels, headers[i], valid_mask), window if i < kept else None, mean, sd

    quality_metrics, native = [], []
    # Workers return results in parts; parts of several cached volumes would take gigabytes on many cores.
    for i, found in enumerate(in_order(read, n, part=1 if kept else PART)):
        if isinstance(found, DataError):
            raise found
        measured, window, mean, sd = found
        quality_metrics.append(measured)
        native.append((mean, sd, headers[i].grid.axes))
        if window is not None:
            reader.kept[i, 0] = window
        if progress:
            progress(i + 1, n)
    about = manifest.described | {"grid": place}
    about["native"] = pd.DataFrame(native, columns=["mean", "sd", "axes"])
    if kept == n:
        return ArraySource(reader.kept, **about), pd.DataFrame(quality_metrics)
    return StreamSource(reader, (1, *place.size), **about), pd.DataFrame(quality_metrics)


def all_there(manifest: Manifest) -> Volumes:
    """Return the listed volumes; raise if a file does not exist."""
    if manifest.volumes is None:
        raise DataError(f"{manifest.data}: wanted volumes, found other samples")
    manifest.refuse_missing("volumes")
    return manifest.volumes


def _like(files: Sequence[Path], images: str, folder: Path) -> list[Path]:
    """Return volumes that no row names: of the same template, or in a folder with several of the others."""
    if re.search(r"\{[^{}]+\}", images):
        words = re.split(r"\{[^{}]+\}", images)
        found = [folder / name for name in glob.glob("*".join(map(glob.escape, words)), root_dir=folder)]  # noqa: PTH207
    else:
        parents = pd.Series([file.parent for file in files]).value_counts()
        found = [
            file
            for parent in parents.index[parents > 1]
            if parent.is_dir()
            for file in parent.iterdir()
            if file.name.lower().endswith((".nii", ".nii.gz", ".mgz")) and not file.name.startswith(".")
        ]
    return sorted(set(found) - set(files))
