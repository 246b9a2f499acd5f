"""Checks and descriptions of volumes: voxel values, grids, orientations and scale."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.data.nifti import Header
from sepvae.data.volumes import LEAST_SD, kinds_of_grid
from sepvae.grid import told
from sepvae.inspection.images import describe_by_label
from sepvae.inspection.record import Finding, Level
from sepvae.inspection.samples import Samples, count, listed

STATISTICS = ("low", "high", "mean", "sd")
OTHER_SCALE = 100  # factor above or below the usual standard deviation


def volume_findings(samples: Samples, quality_metrics: pd.DataFrame) -> Iterator[Finding]:
    """Check that volumes are finite and not constant, and have one grid, orientation and scale."""
    yield from _not_finite(samples, quality_metrics)
    constant = _is_constant(quality_metrics)
    if n := int(constant.sum()):
        of = int(quality_metrics["grid"].notna().sum())
        message = (
            f"{count(n, 'volume')} of {of} with one value in every voxel: a fit refuses them; leave them out"
        )
        yield Finding("error", "constant", message, samples.ids(constant), {"volumes": n})
    if "orientation" in quality_metrics:
        for level, message, rows in describe_orientations(quality_metrics):
            yield Finding(level, "no-orientation", message, samples.ids(rows), {"volumes": int(rows.sum())})
    yield from _several_grids(samples, quality_metrics)
    axes = _axes(quality_metrics).value_counts()
    if len(axes) > 1:
        said = ", ".join(f"{n} {name}" for name, n in axes.items())
        message = f"volumes of several orientations ({said}): all are brought to RAS"
        yield Finding("note", "several-orientations", message)
    yield from _other_scale(samples, quality_metrics["sd"].astype(float).mask(constant))


def describe_orientations(quality_metrics: pd.DataFrame) -> list[tuple[Level, str, npt.NDArray[np.bool_]]]:
    """Return level, message and mask for headers with no orientation, or two that disagree."""
    found = quality_metrics["orientation"]
    n = int(found.notna().sum())
    bare, assumed, differing = ((found == word).to_numpy(bool) for word in ("none", "assumed", "disagree"))
    said: list[tuple[Level, str, npt.NDArray[np.bool_]]] = []
    if (k := int(bare.sum())) == n and n:
        message = (
            f"orientation: none of {n} headers has one (sform_code = qform_code = 0): LAS is assumed, "
            "as nibabel does; left and right may be mirrored; name another by --assume-orientation"
        )
        said.append(("warning", message, bare))
    elif k:
        message = (
            f"orientation: {count(k, 'volume')} of {n} without one in the header (sform_code = "
            "qform_code = 0), may be mirrored: convert again, "
            "or say what it is, such as --assume-orientation RAS"
        )
        said.append(("error", message, bare))
    if k := int(assumed.sum()):
        axes = quality_metrics["grid"][assumed].iloc[0].axes
        said.append(("note", f"orientation: {axes} is assumed of {k} of {n} volumes without one", assumed))
    if k := int(differing.sum()):
        message = f"orientation: sform and qform disagree in {k} of {n} volumes: the sform is taken"
        said.append(("warning", message, differing))
    return said


def volume_tables(samples: Samples, quality_metrics: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables grids and volumes of `Inspection`."""
    ids, axes = samples.about["id"].astype(str), _axes(quality_metrics)
    rows = []
    for number, members in enumerate(_grids(quality_metrics)):
        grid = quality_metrics["grid"].iloc[members[0]]
        place = {"grid": number, "shape": told(grid.shape), "voxel_size": told(grid.voxel_size.round(3))}
        place["origin"] = told(grid.affine[:3, 3].round(3))
        for orientation, those in ids.iloc[members].groupby(axes.iloc[members], sort=False):
            about = {"orientation": orientation, "volumes": len(those), "example": those.iloc[0]}
            rows.append({**place, **about})
    columns = ["grid", "shape", "voxel_size", "origin", "orientation", "volumes", "example"]
    return {
        "grids": pd.DataFrame(rows, columns=columns),
        "volumes": describe_by_label(samples, quality_metrics, STATISTICS),
    }


def _axes(quality_metrics: pd.DataFrame) -> "pd.Series[str]":
    """Return the orientations of the files, missing for those that cannot be read."""
    return quality_metrics["grid"].map(lambda grid: grid.axes, na_action="ignore")


def _grids(quality_metrics: pd.DataFrame) -> list[npt.NDArray[np.intp]]:
    """Return the rows of the volumes on each grid, the most frequent grid first."""
    rows = np.flatnonzero(quality_metrics["grid"].notna())
    kinds = kinds_of_grid([Header(grid, "") for grid in quality_metrics["grid"].iloc[rows]])
    return sorted((rows[members] for members in kinds.values()), key=len, reverse=True)


def _is_constant(quality_metrics: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return a mask of the constant volumes, by the rule of `VolumeReader`."""
    values = quality_metrics[["low", "high", "sd"]].astype(float)
    largest = values[["low", "high"]].abs().max(axis=1).clip(lower=1)
    return (values["sd"] <= LEAST_SD * largest).to_numpy(dtype=bool)


def _not_finite(samples: Samples, quality_metrics: pd.DataFrame) -> Iterator[Finding]:
    bad = quality_metrics["not_finite"].astype(float).fillna(0)
    empty = (bad > 0) & quality_metrics["low"].isna()
    if n := int(empty.sum()):
        message = f"{count(n, 'volume')} without any number, NaN or infinite in every voxel: leave them out"
        yield Finding("error", "not-finite", message, samples.ids(empty), {"volumes": n})
    some = (bad > 0) & ~empty
    if n := int(some.sum()):
        most = bad[some].max()
        message = (
            f"{count(n, 'volume')} with NaN or infinite voxels, up to {most:.0f} of them: a fit refuses "
            "them, unless a brain mask (--mask) leaves those voxels out; or save 0 there"
        )
        numbers = {"volumes": n, "most_voxels": float(most)}
        yield Finding("warning", "some-not-finite", message, samples.ids(some), numbers)


def _several_grids(samples: Samples, quality_metrics: pd.DataFrame) -> Iterator[Finding]:
    kinds = _grids(quality_metrics)
    if len(kinds) < 2:
        return
    others = np.sort(np.concatenate(kinds[1:]))
    message = (
        f"volumes on {len(kinds)} grids, {len(kinds[0])} on {quality_metrics['grid'].iloc[kinds[0][0]]} and "
        f"{len(others)} elsewhere: bring all to one space, or let a fit interpolate them (--resample)"
    )
    numbers = {"grids": len(kinds), "volumes": len(others)}
    yield Finding("error", "several-grids", message, samples.ids(others), numbers)


def _other_scale(samples: Samples, sd: "pd.Series[float]") -> Iterator[Finding]:
    """Yield a warning on volumes whose standard deviation is far above or below the usual one."""
    if not sd.notna().any():
        return
    usual = sd.quantile(0.5, interpolation="lower")  # observed, so never between two scales
    other = ((sd > OTHER_SCALE * usual) | (sd < usual / OTHER_SCALE)).to_numpy(dtype=bool)
    if n := int(other.sum()):
        found = listed([f"{value:.3g}" for value in sd[other]])
        message = (
            f"{count(n, 'volume')} with values of another scale, a standard deviation of {found} where "
            f"{usual:.3g} is usual: units or processing may differ; see that all were made alike"
        )
        numbers = {"volumes": n, "usual_sd": float(usual)}
        yield Finding("warning", "other-scale", message, samples.ids(other), numbers)
