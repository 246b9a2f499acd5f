"""`region_effects`: what the salient part adds to the regions of an atlas, by person and by group."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray, FloatArray
from sepvae.checks import joined
from sepvae.data.atlas import Atlas, read_atlas
from sepvae.data.nifti import NiftiFiles
from sepvae.errors import DataError, listed
from sepvae.evaluation.group_effects import COLUMNS, N_PERMUTATIONS, compare_groups
from sepvae.grid import Grid
from sepvae.progress import Progress
from sepvae.run_folder import FEW_VOXELS, IMAGE, MapFolder, RunFolder

FITTED = ("train", "validation")


class RegionEffects(NamedTuple):
    """Result of `region_effects`."""

    people: pd.DataFrame  # one row for each sample and region
    groups: pd.DataFrame  # one row for each label and region
    record: dict[str, Any]  # which atlas, and how many people and regions
    placed: AnyArray  # (x, y, z), the region of each voxel of the maps, 0 for none
    grid: Grid  # where the maps lie


def region_effects(
    folder: str | Path,
    atlas: str | Path,
    labels: str | Path | None = None,
    *,
    download: bool = False,
    n_permutations: int = N_PERMUTATIONS,
    progress: Progress | None = None,
) -> RegionEffects:
    """
    Average maps of what the salient part adds over the regions of an atlas, and compare groups in each.

    The atlas is brought onto the grid of the maps by nearest neighbours. Of a region, the voxels count that
    are in the mask of the maps, where their mean image is not 0; regions without one are left out.

    Parameters
    ----------
    folder : str or Path
        A run folder with maps of volumes, or a folder that `sepvae maps` made.
    atlas : str or Path
        A label image in the space of the maps (NIfTI, `.mgz`), or the name of an atlas in nilearn's data
        folder: "aal", "destrieux", "harvard-oxford", "harvard-oxford-subcortical", "schaefer-100",
        "schaefer-200" or "schaefer-400".
    labels : str or Path or None, default=None
        Names of the regions: a table with columns index and name, or FreeSurfer's colour table. None takes
        those of nilearn, and the numbers of the regions of an image.
    download : bool, default=False
        Whether nilearn may fetch a named atlas that is not in its folder.
    n_permutations : int, default=9999
        Number of permutations of people behind each p-value.
    progress : callable or None, default=None
        Called as `progress(done, total)` after each map.

    Returns
    -------
    RegionEffects
        `people` has columns id, label, index, region and mean, in the units of the input. `groups` has index,
        region, voxels, share (of the region's voxels, inside of the mask), label, n (people), mean and sd.
        Targets have the difference of their mean from the background, and p_difference, corrected for all
        regions; Cohen's d with its 95 % interval (d_low, d_high), p, and p_adjusted by the false discovery
        rate. Samples of one person are averaged; samples that were fitted on are in `people` only.

    Raises
    ------
    DataError
        If these are no maps of volumes, the atlas lies elsewhere or is no label image, names are of another
        atlas, or a person has samples of both groups.

    Examples
    --------
    >>> from sepvae.interpretation import region_effects
    >>> found = region_effects("run", "aal.nii.gz", "aal.csv")  # doctest: +SKIP
    >>> found.groups.sort_values("p_adjusted").head()  # doctest: +SKIP
    """
    maps = maps_of(folder)
    samples, image, grid = _samples(maps)
    found = read_atlas(atlas, labels, download=download)
    placed = found.on(grid)
    regions = _regions(found, placed, image != 0, grid)
    placed = np.where(image != 0, placed, 0)
    files = NiftiFiles([maps.path / file for file in samples["file"]])
    means = np.empty((len(files), len(regions)))
    inside, region = placed != 0, np.searchsorted(regions["index"], placed[placed != 0])
    for i in range(len(files)):
        if not files.header(i).grid.same_place(grid):
            raise DataError(
                f"{files.name(i)}: wanted the grid of the other maps, {grid}; make the maps again"
            )
        means[i] = np.bincount(region, files(i)[inside], len(regions)) / regions["voxels"]
        if progress is not None:
            progress(i + 1, len(files))
    of_samples = {name: np.repeat(samples[name].to_numpy(), len(regions)) for name in ("id", "label")}
    of_regions = {name: np.tile(regions[name], len(samples)) for name in ("index", "region")}
    people = pd.DataFrame(of_samples | of_regions | {"mean": means.ravel()})
    groups, fitted = _groups(samples, means, regions, n_permutations)
    record = _record(found, regions, groups) | {"fitted_on": fitted, "permutations": n_permutations}
    record |= {"voxels": int((image != 0).sum()), "in_no_region": int(((image != 0) & ~inside).sum())}
    return RegionEffects(people, groups, record, placed, grid)


def maps_of(folder: str | Path) -> MapFolder:
    """Return the maps of a run folder, or of a folder that `sepvae maps` made."""
    of_run = RunFolder(folder).maps
    return of_run if of_run.path.is_dir() else MapFolder(Path(folder))


def _samples(maps: MapFolder) -> tuple[pd.DataFrame, AnyArray, Grid]:
    """Return the samples with a map, with group and y; the mean image, and the grid."""
    image = NiftiFiles([maps.volume(IMAGE)])
    if not maps.samples.exists() or not Path(image.name(0)).is_file():
        has = f"; {maps.regions.path.name} there has features, which need no atlas" * maps.regions.exists()
        if maps.surface(IMAGE)[0].is_file():
            has = "; these are of surfaces: average them by FreeSurfer's mri_segstats"
        wanted = "wanted maps of volumes, as `sepvae fit` and `sepvae maps` write them"
        raise DataError(f"{maps.path}: {wanted}, found none{has}")
    samples = maps.samples.required().dropna(subset="file").reset_index(drop=True)
    if "y" not in samples:  # maps of an older version
        codes = RunFolder(maps.path.parent).codes.required().drop_duplicates("id").set_index("id")
        samples = samples.join(codes[["group", "y"]], on="id")
    return samples, np.nan_to_num(image(0)), image.header(0).grid


def _regions(atlas: Atlas, placed: AnyArray, inside: AnyArray, grid: Grid) -> pd.DataFrame:
    """Return number, name, voxels and share of the regions that have voxels inside of the maps, in order."""
    numbers, voxels = np.unique(placed[inside & (placed != 0)], return_counts=True)
    if not len(numbers):
        got = f"none of its regions has a voxel in their mask (they have {grid}, it has {atlas.grid})"
        raise DataError(f"{atlas.name}: wanted an atlas in the space of the maps, but {got}; bring it there")
    if atlas.names and not atlas.names.keys() & set(numbers.tolist()):
        got = f"names are of {listed([*atlas.names])}, regions are {listed(numbers.tolist())}"
        raise DataError(f"--labels: wanted names of the regions of {atlas.name}, got none; {got}")
    on_grid, of_each = np.unique(placed, return_counts=True)
    share = voxels / of_each[np.searchsorted(on_grid, numbers)]
    words = [atlas.names.get(number, str(number)) for number in numbers.tolist()]
    return pd.DataFrame({"index": numbers, "region": words, "voxels": voxels, "share": share})


def _groups(
    samples: pd.DataFrame, means: FloatArray, regions: pd.DataFrame, n_permutations: int
) -> tuple[pd.DataFrame, int]:
    """Return one row for each label and region, targets against background; how many were fitted on."""
    fitted = samples["split"].isin(FITTED) if "split" in samples else pd.Series(False, samples.index)
    known = samples[~fitted & samples["y"].notna()]
    by_person = known.groupby(known["group"].astype(str))
    people = by_person.agg(label=("label", "first"), y=("y", "first"), groups=("y", "nunique"))
    if len(both := people.index[people["groups"] > 1]):
        raise DataError(f"wanted one group for each person, but samples of {both[0]!r} are in both")
    values = pd.DataFrame(means).loc[known.index].groupby(known["group"].astype(str)).mean().to_numpy()
    is_target, label = people["y"].to_numpy(float) == 1, people["label"].to_numpy()
    named = [str(name) for name in pd.unique(label[is_target])]
    parts = {str(label[~is_target][0]): ~is_target} if (~is_target).any() else {}
    parts |= {joined(named): is_target} if named else {}
    parts |= {name: label == name for name in named}
    rows = []
    for name, part in parts.items():
        some = values[part]
        sd = some.std(axis=0, ddof=1) if len(some) > 1 else np.nan
        rows.append(regions.assign(label=name, n=len(some), mean=some.mean(axis=0), sd=sd))
        if is_target[part].any():
            effects = compare_groups(values[~is_target], some, n_permutations=n_permutations)
            rows[-1] = rows[-1].join(effects)
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
    return table.reindex(columns=[*regions, "label", "n", "mean", "sd", *COLUMNS]), int(fitted.sum())


def _record(atlas: Atlas, regions: pd.DataFrame, groups: pd.DataFrame) -> dict[str, Any]:
    """Return what `regions.json` says of atlas and people."""
    few = regions[regions["voxels"] < FEW_VOXELS]
    lost = np.setdiff1d(atlas.numbers, [0, *regions["index"]]).tolist()
    return {
        "atlas": atlas.name,
        "regions_in_atlas": int((np.unique(atlas.numbers) != 0).sum()),
        "regions": len(regions),
        "without_voxels": [atlas.names.get(number, str(number)) for number in lost],
        "few_voxels": [f"{name} ({n})" for name, n in zip(few["region"], few["voxels"], strict=True)],
        "names": len(atlas.names),
        "unnamed": [n for n in regions["index"].tolist() if n not in atlas.names] if atlas.names else [],
        "people": {
            str(label): int(n) for label, n in groups.groupby("label", sort=False)["n"].first().items()
        },
    }
