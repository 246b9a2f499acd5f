"""Checks and descriptions of images."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.inspection.record import Finding, Level
from sepvae.inspection.samples import Samples, count, listed

STATISTICS = ("low", "high", "brightness", "contrast", "sharpness", "anisotropy")
MANY_CONSTANT = 0.1  # share of constant images above which the cause is reading or saving, not the scans
DIM = 32  # of 255: images without brighter pixels use an eighth of their range
SAME_SHAPE = 1.05  # images below this ratio of their aspects have the same shape


def is_constant(quality_metrics: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return a mask of the images or volumes with a single value; False if unknown."""
    return (quality_metrics["low"] == quality_metrics["high"]).to_numpy(dtype=bool)


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


def image_findings(samples: Samples, quality_metrics: pd.DataFrame) -> Iterator[Finding]:
    """Check that images are finite, not constant, use their range, and have one shape and mode."""
    known = quality_metrics.dropna(subset="width")
    if len(known) and (broken := int(known["low"].isna().sum())):
        message = f"{count(broken, 'image')} with NaN or infinite pixels: fill them in or leave them out"
        rows = quality_metrics["width"].notna() & quality_metrics["low"].isna()
        yield Finding("error", "not-finite", message, samples.ids(rows), {"images": broken})
    constant = is_constant(quality_metrics)
    if n := int(constant.sum()):
        many = n > MANY_CONSTANT * len(known)
        cause = "so many that they were saved or read wrongly, so look at them" if many else "leave them out"
        message = f"{count(n, 'image')} of {len(known)} with one value in every pixel: {cause}"
        level: Level = "error" if many else "warning"
        yield Finding(level, "constant", message, samples.ids(constant), {"images": n})
    varied = quality_metrics.loc[~constant, "high"].dropna()
    if len(varied) and (brightest := varied.median()) < DIM:
        message = (
            f"half of the images get no brighter than {brightest:.0f} of 255: scale them when you save them "
            "(12-bit pixels in 16-bit files look so), or a fit sees next to nothing"
        )
        yield Finding("warning", "dim", message, numbers={"median_high": float(brightest)})
    if "pages" in quality_metrics and (pages := describe_pages(quality_metrics)):
        rows = quality_metrics["pages"].astype(float) > 1
        yield Finding("warning", "several-pages", pages[0], samples.ids(rows), {"files": int(rows.sum())})
    modes = known["mode"].value_counts()
    if len(modes) > 1:
        said = ", ".join(f"{n} {mode}" for mode, n in modes.items())
        message = f"images of several modes ({said}): all are turned to grey, or to RGB with --channels 3"
        yield Finding("note", "mixed-modes", message)
    aspect = known["width"] / known["height"]
    if len(known) and aspect.max() / aspect.min() > SAME_SHAPE:
        message = (
            f"images of several shapes, width over height from {aspect.min():.2f} to {aspect.max():.2f}: "
            "--fit says whether to pad, crop or squash them"
        )
        numbers = {"least": float(aspect.min()), "greatest": float(aspect.max())}
        yield Finding("note", "mixed-shapes", message, numbers=numbers)


def describe_pages(quality_metrics: pd.DataFrame) -> list[str]:
    """Return one sentence, in a list, if files have several pages, of which the first was taken."""
    pages = quality_metrics["pages"].astype(float)
    if not (n := int((pages > 1).sum())):
        return []
    return [
        f"{count(n, 'file')} of several pages, up to {pages.max():.0f}: page 1 of each was taken; "
        "save pages as files of their own to use all"
    ]


def image_tables(samples: Samples, quality_metrics: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables sizes, modes and images of `Inspection`."""
    known = quality_metrics.dropna(subset="width").astype({"width": int, "height": int})
    sizes = known.value_counts(["width", "height"]).rename("images").reset_index()
    sizes.insert(2, "aspect", sizes["width"] / sizes["height"])
    modes = known["mode"].value_counts().rename("images").rename_axis("mode").reset_index()
    images = describe_by_label(samples, quality_metrics, STATISTICS)
    return {"sizes": sizes, "modes": modes, "images": images}


def describe_by_label(
    samples: Samples, quality_metrics: pd.DataFrame, statistics: tuple[str, ...]
) -> pd.DataFrame:
    """Describe each statistic per label: n, mean, sd, min and max."""
    numbers = quality_metrics[list(statistics)].astype(float)
    long = numbers.assign(label=samples.about["label"]).melt("label", var_name="statistic")
    by_label = long.groupby(["statistic", "label"], sort=False)["value"]
    table = by_label.agg(n="count", mean="mean", sd="std", min="min", max="max").reset_index()
    keys = {"statistic": statistics.index, "label": samples.labels.index}
    return table.sort_values(
        ["statistic", "label"], key=lambda c: c.map(keys[str(c.name)]), ignore_index=True
    )
