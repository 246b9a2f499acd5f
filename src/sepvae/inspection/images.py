"""Checks and descriptions of images and volumes: values, shapes, grids, orientations and scale."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.data.nifti import Header
from sepvae.data.volumes import LEAST_SD, kinds_of_grid
from sepvae.errors import count, listed
from sepvae.grid import dims
from sepvae.inspection.findings import Finding, Level, Samples

MANY_CONSTANT = 0.1  # share of constant images above which the cause is reading or saving, not the scans
DIM = 32  # of 255: images without brighter pixels use an eighth of their range
SAME_SHAPE = 1.05  # images below this ratio of their aspects have the same shape
OTHER_SCALE = 100  # factor above or below the usual standard deviation of volumes


def is_constant(quality_metrics: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return a mask of the images or volumes with a single value; False if unknown."""
    return (quality_metrics["low"] == quality_metrics["high"]).to_numpy(dtype=bool)


def inspect_images(
    samples: Samples, quality_metrics: pd.DataFrame
) -> tuple[list[Finding], dict[str, pd.DataFrame]]:
    """Return findings on images or volumes, and the tables that describe them."""
    if samples.kind == "image":
        return list(_image_findings(samples, quality_metrics)), _image_tables(samples, quality_metrics)
    if samples.kind == "volume":
        return list(_volume_findings(samples, quality_metrics)), _volume_tables(samples, quality_metrics)
    return [], {}


def unreadable_finding(unreadable: Mapping[str, str], kind: str = "image") -> Iterator[Finding]:
    """Yield one error for all unreadable files, given their reasons by id."""
    if unreadable:
        reasons = list(dict.fromkeys(unreadable.values()))
        files = count(len(unreadable), "file")
        if kind == "volume":
            more = f" (and for {count(len(reasons) - 1, 'other reason')})" if len(reasons) > 1 else ""
            message = f"{files} of no use: {reasons[0]}{more}"
        else:
            message = f"{files} cannot be read as an image ({listed(reasons, 2)}): replace or remove them"
        yield Finding("error", "unreadable", message, tuple(unreadable), {"files": len(unreadable)})


def _image_findings(samples: Samples, quality_metrics: pd.DataFrame) -> Iterator[Finding]:
    """Check that images are finite, not constant, use their range, and have one shape and mode."""
    known = quality_metrics.dropna(subset="width")
    broken = quality_metrics["width"].notna() & quality_metrics["low"].isna()
    message = "with NaN or infinite pixels: fill them in or leave them out"
    yield from samples.finding("error", "not-finite", broken, message)
    constant = is_constant(quality_metrics)
    many = constant.sum() > MANY_CONSTANT * len(known)
    cause = "so many that they were saved or read wrongly, so look at them" if many else "leave them out"
    message = f"of {len(known)} with one value in every pixel: {cause}"
    yield from samples.finding("error" if many else "warning", "constant", constant, message)
    varied = quality_metrics.loc[~constant, "high"].dropna()
    if len(varied) and (brightest := varied.median()) < DIM:
        message = (
            f"half of the images get no brighter than {brightest:.0f} of 255: scale them when you save them "
            "(12-bit pixels in 16-bit files look so), or a fit sees next to nothing"
        )
        yield Finding("warning", "dim", message, numbers={"median_high": float(brightest)})
    for message, rows in describe_pages(quality_metrics):
        yield Finding("warning", "several-pages", message, samples.ids(rows), {"files": int(rows.sum())})
    modes = known["mode"].value_counts()
    if len(modes) > 1:
        said = ", ".join(f"{n} {mode}" for mode, n in modes.items())
        message = f"images of several modes ({said}): all are turned to grey, or to RGB with --channels 3"
        yield Finding("note", "mixed-modes", message)
    aspect = known["width"] / known["height"]
    if len(known) and aspect.max() / aspect.min() > SAME_SHAPE:
        fact = f"images of several shapes, width over height from {aspect.min():.2f} to {aspect.max():.2f}"
        advice = "--fit says whether to pad, crop or squash them"
        numbers = {"least": float(aspect.min()), "greatest": float(aspect.max())}
        yield Finding("note", "mixed-shapes", f"{fact}: {advice}", numbers=numbers)


def describe_pages(quality_metrics: pd.DataFrame) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Yield message and mask for files of several pages, of which the first was taken, if there are any."""
    pages = quality_metrics.get("pages", pd.Series(dtype=float)).astype(float)
    if (several := (pages > 1).to_numpy()).any():
        fact = f"{count(int(several.sum()), 'file')} of several pages, up to {pages.max():.0f}"
        advice = "page 1 of each was taken; save pages as files of their own to use all"
        yield f"{fact}: {advice}", several


def _image_tables(samples: Samples, quality_metrics: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables sizes, modes and images of `Inspection`."""
    known = quality_metrics.dropna(subset="width").astype({"width": int, "height": int})
    sizes = known.value_counts(["width", "height"]).rename("images").reset_index()
    sizes.insert(2, "aspect", sizes["width"] / sizes["height"])
    modes = known["mode"].value_counts().rename("images").rename_axis("mode").reset_index()
    statistics = ["low", "high", "brightness", "contrast", "sharpness", "anisotropy"]
    return {"sizes": sizes, "modes": modes, "images": _by_label(samples, quality_metrics[statistics])}


def _by_label(samples: Samples, statistics: pd.DataFrame) -> pd.DataFrame:
    """Describe each statistic per label, in the order of its columns: n, mean, sd, min and max."""
    long = statistics.astype(float).assign(label=samples.about["label"]).melt("label", var_name="statistic")
    by_label = long.groupby(["statistic", "label"], sort=False)["value"]
    table = by_label.agg(n="count", mean="mean", sd="std", min="min", max="max").reset_index()
    places = {"statistic": list(statistics).index, "label": samples.labels.index}
    return table.sort_values(
        ["statistic", "label"], key=lambda c: c.map(places[str(c.name)]), ignore_index=True
    )


def _volume_findings(samples: Samples, quality_metrics: pd.DataFrame) -> Iterator[Finding]:
    """Check that volumes are finite and not constant, and have one grid, orientation and scale."""
    bad, grids = quality_metrics["not_finite"].astype(float).fillna(0), quality_metrics["grid"]
    empty = (bad > 0) & quality_metrics["low"].isna()
    message = "without any number, NaN or infinite in every voxel: leave them out"
    yield from samples.finding("error", "not-finite", empty, message)
    some = (bad > 0) & ~empty
    most = float(bad[some].max())
    fact = f"with NaN or infinite voxels, up to {most:.0f} of them"
    advice = "a fit refuses them, unless a brain mask (--mask) leaves those voxels out; or save 0 there"
    yield from samples.finding("warning", "some-not-finite", some, f"{fact}: {advice}", most_voxels=most)
    constant = _is_constant_volume(quality_metrics)
    message = f"of {grids.notna().sum()} with one value in every voxel: a fit refuses them; leave them out"
    yield from samples.finding("error", "constant", constant, message)
    for level, message, rows in describe_orientations(quality_metrics):
        yield Finding(level, "no-orientation", message, samples.ids(rows), {"volumes": int(rows.sum())})
    kinds = _rows_by_grid(grids)
    if len(kinds) > 1:
        others = np.sort(np.concatenate(kinds[1:]))
        message = (
            f"volumes on {len(kinds)} grids, {len(kinds[0])} on {grids.iloc[kinds[0][0]]} and "
            f"{len(others)} elsewhere: bring all to one space, or let a fit interpolate them (--resample)"
        )
        numbers = {"grids": len(kinds), "volumes": len(others)}
        yield Finding("error", "several-grids", message, samples.ids(others), numbers)
    axes = _axes(quality_metrics).value_counts()
    if len(axes) > 1:
        said = ", ".join(f"{n} {name}" for name, n in axes.items())
        message = f"volumes of several orientations ({said}): all are brought to RAS"
        yield Finding("note", "several-orientations", message)
    yield from _other_scale(samples, quality_metrics["sd"].astype(float).mask(constant))


def _other_scale(samples: Samples, sd: "pd.Series[float]") -> Iterator[Finding]:
    """Yield a warning on volumes whose standard deviation is far above or below the usual one."""
    usual = float(sd.quantile(0.5, interpolation="lower"))  # observed, so never between two scales
    other = (sd > OTHER_SCALE * usual) | (sd < usual / OTHER_SCALE)
    found = listed([f"{value:.3g}" for value in sd[other]])
    fact = f"with values of another scale, a standard deviation of {found} where {usual:.3g} is usual"
    advice = "units or processing may differ; see that all were made alike"
    yield from samples.finding("warning", "other-scale", other, f"{fact}: {advice}", usual_sd=usual)


def describe_orientations(
    quality_metrics: pd.DataFrame,
) -> Iterator[tuple[Level, str, npt.NDArray[np.bool_]]]:
    """Yield level, message and mask for headers with no orientation, or two that disagree."""
    found = quality_metrics.get("orientation", pd.Series(dtype=object))
    n = int(found.notna().sum())
    bare, assumed, differing = ((found == word).to_numpy(bool) for word in ("none", "assumed", "disagree"))
    if (k := int(bare.sum())) == n and n:
        message = (
            f"orientation: none of {n} headers has one (sform_code = qform_code = 0): LAS is assumed, "
            "as nibabel does; left and right may be mirrored; name another by --assume-orientation"
        )
        yield "warning", message, bare
    elif k:
        message = (
            f"orientation: {count(k, 'volume')} of {n} without one in the header (sform_code = qform_code = "
            "0), may be mirrored: convert again, or say what it is, such as --assume-orientation RAS"
        )
        yield "error", message, bare
    if k := int(assumed.sum()):
        axes = quality_metrics["grid"][assumed].iloc[0].axes
        yield "note", f"orientation: {axes} is assumed of {k} of {n} volumes without one", assumed
    if k := int(differing.sum()):
        message = f"orientation: sform and qform disagree in {k} of {n} volumes: the sform is taken"
        yield "warning", message, differing


def _volume_tables(samples: Samples, quality_metrics: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables grids and volumes of `Inspection`."""
    ids, axes = samples.about["id"].astype(str), _axes(quality_metrics)
    rows = []
    for number, members in enumerate(_rows_by_grid(quality_metrics["grid"])):
        grid = quality_metrics["grid"].iloc[members[0]]
        place = {"grid": number, "shape": dims(grid.shape), "voxel_size": dims(grid.voxel_size.round(3))}
        place["origin"] = dims(grid.affine[:3, 3].round(3))
        for orientation, those in ids.iloc[members].groupby(axes.iloc[members], sort=False):
            about = {"orientation": orientation, "volumes": len(those), "example": those.iloc[0]}
            rows.append({**place, **about})
    columns = ["grid", "shape", "voxel_size", "origin", "orientation", "volumes", "example"]
    volumes = _by_label(samples, quality_metrics[["low", "high", "mean", "sd"]])
    return {"grids": pd.DataFrame(rows, columns=columns), "volumes": volumes}


def _axes(quality_metrics: pd.DataFrame) -> "pd.Series[str]":
    """Return the orientations of the files, missing for those that cannot be read."""
    return quality_metrics["grid"].map(lambda grid: grid.axes, na_action="ignore")


def _rows_by_grid(grids: "pd.Series[Any]") -> list[npt.NDArray[np.intp]]:
    """Return the rows of the volumes on each grid, the most frequent grid first."""
    rows = np.flatnonzero(grids.notna())
    kinds = kinds_of_grid([Header(grid, "") for grid in grids.iloc[rows]])
    return sorted((rows[members] for members in kinds.values()), key=len, reverse=True)


def _is_constant_volume(quality_metrics: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return a mask of the constant volumes, by the rule of `VolumeReader`."""
    values = quality_metrics[["low", "high", "sd"]].astype(float)
    largest = values[["low", "high"]].abs().max(axis=1).clip(lower=1)
    return (values["sd"] <= LEAST_SD * largest).to_numpy(dtype=bool)
