"""Volumes as the network sees them: on one grid, masked, cropped, normalised; listed ones as a source."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, IntArray
from sepvae.checks import check_number
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.manifest import Manifest
from sepvae.data.nifti import Header, NiftiFiles, Volumes
from sepvae.data.parallel import PART, in_order
from sepvae.data.quality_metrics import OF_VOLUMES, measure_volume
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError
from sepvae.grid import Grid, dims
from sepvae.process_wide import ignoring
from sepvae.progress import Progress

BARE = "sform_code = qform_code = 0; in .mgz goodRASFlag = 0"  # in headers without an orientation
LEAST_SD = 1e-12  # times the largest value, at least 1: a volume that varies less is constant


@dataclass
class VolumeReader:
    """Reader of volumes as the network sees them; the first k are cached in `kept`, (k, 1, *grid.size)."""

    volumes: Volumes
    grid: Grid
    resample: bool = False  # whether volumes on other grids are interpolated linearly
    kept: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, dtype=np.float32))

    def __call__(self, positions: IntArray) -> npt.NDArray[np.float32]:
        """Return the volumes at these positions."""
        x = np.empty((len(positions), 1, *self.grid.size), dtype=np.float32)
        for row, i in enumerate(positions.tolist()):
            kept = i < len(self.kept)
            x[row, 0] = self.kept[i, 0] if kept else self.normalised(i, self.volumes(i))[0]
        return x

    def normalised(self, i: int, voxels: AnyArray) -> tuple[npt.NDArray[np.float32], float, float]:
        """Return the window, with mean 0, sd 1 in valid voxels, 0 elsewhere (App. E.3), and both before."""
        name = self.volumes.name(i)
        if self.resample:
            voxels = on_grid(voxels, self.volumes.header(i).grid, self.grid)
        with np.errstate(over="ignore", invalid="ignore"):  # overflow of float32 is refused below
            window = self.grid.window(voxels).astype(np.float32)
            valid_mask = self.grid.valid_mask
            inside = window[valid_mask].astype(np.float64)
        if bad := int((~np.isfinite(inside)).sum()):
            where = "" if self.grid.mask is None else " inside of the mask"
            found = f"{bad} of {inside.size} voxels{where} are no finite numbers (NaN or infinite)"
            remedy = "save it with 0 for them, give a brain mask (--mask), or leave it out"
            raise DataError(f"{name}: {found}; {remedy}")
        mean, sd = float(inside.mean()), float(inside.std())
        if sd <= LEAST_SD * max(1.0, float(np.abs(inside).max())):
            raise DataError(f"{name}: has one value, {mean:g}, in all voxels that count; leave it out")
        window[valid_mask] = (inside - mean) / sd
        window[~valid_mask] = 0
        return window, mean, sd


def read_volume_files(
    manifest: Manifest, spec: DataSpec, progress: Progress | None = None
) -> tuple[ArraySource | StreamSource, pd.DataFrame]:
    """Return volumes as a source, and quality metrics; a grid of the manifest replaces size and mask."""
    volumes, n = settled(all_there(manifest), manifest.grid), len(manifest)
    headers = list(in_order(volumes.header, n))
    place = _place(volumes, headers, spec, manifest.grid)
    reader = VolumeReader(volumes, place, spec.resample)
    n_fitting = int(spec.memory * 1e9 / (4 * np.prod(place.size)))
    kept = min(n, n_fitting) if isinstance(volumes, NiftiFiles) else 0  # packed volumes are never cached
    reader.kept = np.empty((kept, 1, *place.size), dtype=np.float32)

    def read(i: int) -> tuple[dict[str, Any], Any, float, float]:
        """Return quality metrics, the volume if it is cached, its mean and sd."""
        try:
            voxels = volumes(i)
            window, mean, sd = reader.normalised(i, voxels)
        except MemoryError as error:
            remedy = "free some, or leave it out"
            raise DataError(f"{volumes.name(i)}: takes more memory than there is; {remedy}") from error
        valid_mask = place.mask if headers[i].grid.same_place(place) else None
        return measure_volume(voxels, headers[i], valid_mask), window if i < kept else None, mean, sd

    quality_metrics, native = [], []
    # Workers return results in parts; parts of several cached volumes would take gigabytes on many cores.
    found = in_order(read, n, part=1 if kept else PART, progress=progress)
    for i, (measured, window, mean, sd) in enumerate(found):
        quality_metrics.append(measured)
        native.append((mean, sd, headers[i].grid.axes))
        if window is not None:
            reader.kept[i, 0] = window
    of_native = pd.DataFrame(native, columns=["mean", "sd", "axes"])
    about = manifest.described | {"grid": place, "native": of_native}
    if kept == n:
        return ArraySource(reader.kept, **about), pd.DataFrame(quality_metrics)
    return StreamSource(reader, (1, *place.size), **about), pd.DataFrame(quality_metrics)


def measure_volumes(
    manifest: Manifest, progress: Progress | None = None
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the quality metrics of listed volumes, and by id why a volume cannot be read."""
    volumes, n = all_listed(manifest), len(manifest)

    def measured(i: int) -> dict[str, Any] | str:
        """Return the quality metrics of one volume, or why it cannot be read."""
        try:
            return measure_volume(volumes(i), volumes.header(i))
        except DataError as error:
            return str(error).removeprefix(f"{volumes.name(i)}: ")

    found = list(in_order(measured, n, progress=progress))
    bad = {id_: one for id_, one in zip(manifest.about["id"], found, strict=True) if isinstance(one, str)}
    metrics = [{} if isinstance(one, str) else one for one in found]
    return pd.DataFrame(metrics, index=range(n), columns=OF_VOLUMES), bad


def _place(volumes: Volumes, headers: Sequence[Header], spec: DataSpec, grid: Grid | None) -> Grid:
    """Return the grid of all volumes, with the window and the mask of the spec unless `grid` is given."""
    if spec.mask is None and spec.mask_threshold is not None:
        raise DataError("mask_threshold has no meaning without a mask; name one (--mask), or leave it out")
    place = common_grid(headers, volumes, resample=spec.resample, grid=grid)
    if grid is not None:
        return place
    size = spec.image_size or place.size
    sides = (size, size, size) if isinstance(size, int) else size
    if len(sides) != 3:
        raise DataError(f"image_size: wanted one side or three of 1 voxel or more, got {size!r}")
    place = replace(place, size=sides)
    if spec.mask is None:
        return place
    assume = volumes.assume if isinstance(volumes, NiftiFiles) else None
    of_mask: dict[str, Any] = {"threshold": spec.mask_threshold, "assume_orientation": assume}
    return replace(place, mask=read_mask(spec.mask, place, resample=spec.resample, **of_mask))


def all_there(manifest: Manifest) -> Volumes:
    """Return the listed volumes; raise if a file does not exist."""
    volumes = all_listed(manifest)
    manifest.refuse_missing("volumes")
    return volumes


def all_listed(manifest: Manifest) -> Volumes:
    """Return the listed volumes; raise if the samples are no volumes."""
    if manifest.volumes is None:
        raise DataError(f"{manifest.data}: wanted volumes, found other samples")
    return manifest.volumes


def settled(volumes: Volumes, grid: Grid | None = None) -> Volumes:
    """Return the volumes, those of assumed orientation placed on `grid`, or on the most common known grid."""
    if not isinstance(volumes, NiftiFiles) or volumes.assume is None:
        return volumes
    if grid is None:

        def header(i: int) -> Header | None:
            """Return the header of one volume; None if it cannot be read, since reading will report that."""
            try:
                return volumes.header(i)
            except DataError:
                return None

        headers = in_order(header, len(volumes))
        known = [one for one in headers if one is not None and one.orientation != "assumed"]
        if not known:
            return volumes
        grid = _most_common(known)[1]
    return replace(volumes, like=grid)


def _most_common(headers: Sequence[Header]) -> tuple[int, Grid]:
    """Return the most common grid, and the position of the first volume on it."""
    kinds = kinds_of_grid(headers)
    first = max(kinds, key=lambda i: len(kinds[i]))
    return first, headers[first].grid


def _refuse_mixed(headers: Sequence[Header], volumes: Volumes, grid: Grid | None) -> None:
    """Raise unless all volumes have an orientation, or none has."""
    oriented = any(header.grid.oriented for header in headers) if grid is None else grid.oriented
    wrong = [i for i, header in enumerate(headers) if header.grid.oriented != oriented]
    if wrong and oriented:
        unlike = "the others" if grid is None else "the volumes fitted on"
        raise DataError(
            f"{_named(volumes, wrong)}: its header has no orientation ({BARE}), unlike {unlike}; it may be "
            "mirrored: convert it again, or say what it is to fit or pack, such as "
            "--assume-orientation RAS"
        )
    if wrong:
        found = "has an orientation, but the model was fitted on volumes without one"
        raise DataError(f"{_named(volumes, wrong)}: {found}; fit again with --assume-orientation")


def _named(volumes: Volumes, rows: Sequence[int]) -> str:
    """Return the name of the first of some volumes, with the number of the others."""
    return volumes.name(rows[0]) + (f" (and {len(rows) - 1} more)" if len(rows) > 1 else "")


def common_grid(
    headers: Sequence[Header], volumes: Volumes, *, resample: bool = False, grid: Grid | None = None
) -> Grid:
    """Return `grid`, or else the most common one; raise if a volume is on another, unless `resample`."""
    _refuse_mixed(headers, volumes, grid)
    as_what = "as the model was fitted on"
    if (wanted := grid) is None:
        first, wanted = _most_common(headers)
        as_what = f"as {volumes.name(first)}"
    others = [i for i, header in enumerate(headers) if not header.grid.same_place(wanted)]
    if others and not resample:
        other = headers[others[0]].grid
        got = f"wanted {wanted} at the same place {as_what}, got {other}{_moved(other, wanted)}"
        raise DataError(f"{_named(volumes, others)}: {got}; bring them to one space, or allow --resample")
    return wanted


def kinds_of_grid(headers: Sequence[Header]) -> dict[int, list[int]]:
    """Return the positions of all volumes on each grid, by the position of the first one."""
    kinds: dict[int, list[int]] = {}
    # Raw scans may have a grid each: only those whose first voxels are close are compared.
    origins = np.array([header.grid.affine[:3, 3] for header in headers]).reshape(-1, 3)
    firsts = np.empty(0, dtype=np.intp)
    for i, header in enumerate(headers):
        close = firsts[(np.abs(origins[firsts] - origins[i]) < header.grid.voxel_size.min()).all(axis=1)]
        first = next((k for k in close.tolist() if headers[k].grid.same_place(header.grid)), None)
        if first is None:
            first, firsts = i, np.append(firsts, i)
        kinds.setdefault(first, []).append(i)
    return kinds


def on_grid(voxels: AnyArray, now: Grid, wanted: Grid, *, nearest: bool = False) -> AnyArray:
    """Interpolate a volume to another grid as float32, 0 outside of it; the same grid changes nothing."""
    if now.same_place(wanted):
        return voxels
    from nibabel.nifti1 import Nifti1Image
    from nilearn.image import resample_img

    how = {"target_affine": wanted.affine, "target_shape": wanted.shape, "copy_header": True}
    how |= {"interpolation": "nearest" if nearest else "linear", "force_resample": True}
    # Non-finite voxels stay non-finite, and are refused if they are valid.
    with ignoring("NaNs or infinite values", category=RuntimeWarning), np.errstate(all="ignore"):
        moved = resample_img(Nifti1Image(voxels.astype(np.float32), now.affine), **how)
    return np.asarray(moved.dataobj, dtype=np.float32)


def read_mask(
    file: str | Path,
    grid: Grid,
    *,
    resample: bool = False,
    threshold: float | None = None,
    assume_orientation: str | None = None,
) -> npt.NDArray[np.bool_]:
    """Read a brain mask on `grid`; voxels neither 0 nor NaN, or those above `threshold`, are inside."""
    one = NiftiFiles([Path(file)], assume_orientation, grid)
    if not Path(file).is_file():
        raise DataError(f"{file}: wanted a mask, found nothing; check the path")
    header = one.header(0)
    if header.grid.oriented != grid.oriented:
        bare = f"its header has no orientation ({BARE}), the volumes have one"
        has = bare if grid.oriented else "has an orientation, the volumes have none"
        remedy = "convert it again, or say what it is, such as --assume-orientation RAS"
        raise DataError(f"{file}: {has}; {remedy}")
    if not header.grid.same_place(grid) and not resample:
        got = f"wanted the grid of the volumes, {grid}, got {header.grid}{_moved(header.grid, grid)}"
        raise DataError(f"{file}: {got}; bring it there, or allow --resample")
    inside = _inside(file, one(0), threshold)
    mask: npt.NDArray[np.bool_] = np.nan_to_num(on_grid(inside, header.grid, grid, nearest=True)) != 0
    if not grid.window(mask).any():
        raise DataError(f"{file}: no voxel of the mask lies in what the network sees; fix mask or image size")
    return mask


def _inside(file: str | Path, voxels: AnyArray, threshold: float | None) -> npt.NDArray[np.bool_]:
    """Return which voxels are inside a mask; raise if the values are not those of a mask."""
    values = np.where(np.isnan(voxels), 0, voxels)
    if threshold is not None:
        check_number("mask_threshold", threshold)
        inside: npt.NDArray[np.bool_] = values > threshold
        said = f"above {threshold:g}, of values from {values.min():g} to {values.max():g}"
    else:
        inside, found = values != 0, np.unique(values)
        said = f"one value, {found[0]:g}" if len(found) == 1 else "not 0"
        if len(found) > 2 or (len(found) == 2 and found[0] != 0):
            some = f"{found[0]:g} and {found[1]:g}"
            some = f"{len(found)} values from {found[0]:g} to {found[-1]:g}" if len(found) > 2 else some
            wanted = f"a mask of two values, 0 outside and one above it inside, got {some}"
            remedy = "voxels above a number count with --mask-threshold, such as 0.5"
            raise DataError(f"{file}: wanted {wanted}; {remedy}")
    if inside.all():
        raise DataError(f"{file}: all voxels of the mask count ({said}); leave it out, or correct it")
    if threshold is not None and not inside.any():
        raise DataError(f"{file}: no voxel of the mask counts ({said}); choose another --mask-threshold")
    return inside


def _moved(grid: Grid, wanted: Grid) -> str:
    """Return the distance between two grids of the same shape and voxel size, as text for a message."""
    if grid.shape != wanted.shape or not np.allclose(grid.voxel_size, wanted.voxel_size):
        return ""
    apart = np.abs(grid.affine[:3, 3] - wanted.affine[:3, 3])
    return f" {dims(apart.round(2))} mm away" if apart.max() > 1e-3 else " at another angle"
