"""Duplicates: the same image or volume twice, byte by byte or nearly so."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sepvae.batch import IntArray
from sepvae.inspection.images import SAME_SHAPE, is_constant
from sepvae.inspection.near_duplicates import MAX_COMPARED, near_pairs
from sepvae.inspection.record import Finding, Level
from sepvae.inspection.samples import Samples, count

COLUMNS = ["set", "kind", "id", "label", "group", "split"]


@dataclass(frozen=True)
class _Place:
    """Relation between the copies of a set, with its levels, code and consequence."""

    code: str
    identical: Level
    near: Level
    where: str
    consequence: str


LABELS = _Place(
    "across-labels",
    "error",
    "warning",
    "under two labels",
    "one of the labels is wrong; see which, remove the other",
)
SPLIT = _Place(
    "across-split",
    "error",
    "warning",
    "on both sides of the split",
    "the test was fitted on; keep one of each",
)
GROUPS = _Place(
    "across-groups",
    "warning",
    "warning",
    "in different subjects",
    "a drawn split may put one on each side; keep one of each, or give both one subject",
)
ONE_SIDE = _Place(
    "across-groups",
    "note",
    "note",
    "in different subjects, on one side of the split",
    "samples for validation may be copies of others; keep one of each",
)
WITHIN = _Place("within-groups", "note", "note", "in the same subject", "they count double; keep one of each")


def duplicates(samples: Samples, quality_metrics: pd.DataFrame) -> tuple[list[Finding], pd.DataFrame]:
    """Find identical and near copies; return the findings, and a table with one row per copy."""
    identical = _identical(quality_metrics)
    findings = list(_findings(samples, identical, near=False))
    near: list[IntArray] = []
    if "look" in quality_metrics:
        near = _near(quality_metrics)
        findings += _findings(samples, near, near=True)
        if (n := int(quality_metrics["look"].notna().sum())) > MAX_COMPARED:
            said = f"the first {MAX_COMPARED} of {count(n, samples.kind)}"
            message = f"near copies were looked for among {said} only"
            findings.append(Finding("note", "near-duplicates-not-all-compared", message))
    rows = np.concatenate([*identical, *near, np.arange(0)]).astype(np.intp)
    table = samples.about.loc[rows, COLUMNS[2:]].reset_index(drop=True)
    sets = identical + near
    table.insert(0, "kind", np.repeat(["identical", "near"], [sum(map(len, identical)), sum(map(len, near))]))
    table.insert(0, "set", np.repeat(np.arange(len(sets)), [len(rows) for rows in sets]))
    return findings, table


def _identical(quality_metrics: pd.DataFrame) -> list[IntArray]:
    """Return the sets of rows with one digest."""
    digest = quality_metrics["digest"].dropna()
    copied = digest[digest.duplicated(keep=False)]
    return _rows_by_value(copied)


def _near(quality_metrics: pd.DataFrame) -> list[IntArray]:
    """Return sets of rows with similar thumbnails and the same shape, from one row per digest."""
    use = (
        quality_metrics["look"].notna()
        & ~is_constant(quality_metrics)
        & ~quality_metrics["digest"].duplicated()
    )
    rows = np.flatnonzero(use)[:MAX_COMPARED]
    if len(rows) < 2:
        return []
    looks = np.stack(
        [np.frombuffer(look, dtype=np.uint8) for look in quality_metrics["look"].to_numpy()[rows]]
    )
    pairs = rows[near_pairs(looks)]
    sides = np.log(_sides(quality_metrics.iloc[rows]))
    shape = np.full((len(quality_metrics), sides.shape[1] - 1), np.nan)
    shape[rows] = sides[:, :-1] - sides[:, -1:]
    pairs = pairs[np.ptp(shape[pairs], axis=1).max(axis=1) < np.log(SAME_SHAPE)]
    # Pairs that share an image are joined into one set.
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(quality_metrics),) * 2)
    paired = np.unique(pairs)
    member_of = pd.Series(connected_components(graph, directed=False)[1][paired], index=paired)
    return _rows_by_value(member_of)


def _rows_by_value(values: "pd.Series[Any]") -> list[IntArray]:
    return [np.asarray(rows, dtype=np.intp) for rows in values.groupby(values, sort=False).groups.values()]


def _sides(quality_metrics: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return image sides in pixels, of shape (n, 2), or volume sides in millimetres, of shape (n, 3)."""
    if "grid" in quality_metrics:
        return np.array([np.multiply(grid.shape, grid.voxel_size) for grid in quality_metrics["grid"]])
    return quality_metrics[["width", "height"]].to_numpy(dtype=float)


def _findings(samples: Samples, sets: list[IntArray], *, near: bool) -> Iterator[Finding]:
    """Yield one finding per kind of place of the copies, in the order of the sets."""
    found: dict[str, tuple[_Place, list[IntArray]]] = {}
    for rows in sets:
        for place in _places(samples, rows):
            found.setdefault(place.code, (place, []))[1].append(rows)
    for place, sets in found.values():
        images = sum(map(len, sets))
        numbers = {"sets": len(sets), "extra": images - len(sets)}
        kind = "nearly identical" if near else "byte-identical"
        what = "volume" if samples.kind == "volume" else "sample"
        copies = f"{numbers['extra']} {kind} {'copy' if numbers['extra'] == 1 else 'copies'}"
        message = f"{copies} (of {count(len(sets), what)}) {place.where}: {place.consequence}"
        code = f"{'near-' * near}duplicates-{place.code}"
        level = place.near if near else place.identical
        yield Finding(level, code, message, samples.ids(np.concatenate(sets)), numbers)


def _places(samples: Samples, rows: IntArray) -> list[_Place]:
    def several(values: "pd.Series[Any]") -> bool:
        return len(values.iloc[rows].dropna().unique()) > 1

    places = [LABELS] * several(samples.about["label"]) + [SPLIT] * several(samples.sides)
    if not places and several(samples.about["group"]):
        places = [GROUPS if samples.sides.isna().all() else ONE_SIDE]
    return places or [WITHIN]
