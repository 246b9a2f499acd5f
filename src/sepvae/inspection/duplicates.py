"""Duplicates: the same image or volume twice, byte by byte, or equal except for size or compression."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sepvae.batch import AnyArray, IntArray
from sepvae.errors import count
from sepvae.inspection.findings import Finding, Level, Samples
from sepvae.inspection.images import SAME_SHAPE, is_constant

MAX_COMPARED = 100_000  # further images are not compared: the time grows with the square of the number
MAX_DISTANCE = 0.01  # 1 minus the correlation of two thumbnails
# The distance of a pair must also be below this share of the ordinary distance in the data: chest X-rays
# are more alike than faces. Ordinary is the median distance to the tenth nearest; nine copies leave it as is.
SHARE_OF_ORDINARY = 0.05
NEIGHBOUR = 10
N_REFERENCES = 500
BLOCK = 512


class _Place(NamedTuple):
    """Where the copies of a set are: code, level of identical copies, and words for messages."""

    code: str
    level: Level
    where: str
    consequence: str


OF_LABELS = "one of the labels is wrong; see which, remove the other"
LABELS = _Place("across-labels", "error", "under two labels", OF_LABELS)
OF_SPLIT = "the test was fitted on; keep one of each"
SPLIT = _Place("across-split", "error", "on both sides of the split", OF_SPLIT)
OF_GROUPS = "a drawn split may put one on each side; keep one of each, or give both one subject"
GROUPS = _Place("across-groups", "warning", "in different subjects", OF_GROUPS)
OF_ONE_SIDE = "samples for validation may be copies of others; keep one of each"
ONE_SIDE = _Place("across-groups", "note", "in different subjects, on one side of the split", OF_ONE_SIDE)
WITHIN = _Place("within-groups", "note", "in the same subject", "they count double; keep one of each")


def duplicates(samples: Samples, quality_metrics: pd.DataFrame) -> tuple[list[Finding], pd.DataFrame]:
    """Find identical and near copies; return the findings, and a table with one row per copy."""
    digest = quality_metrics["digest"].dropna()
    identical = _rows_by_value(digest[digest.duplicated(keep=False)])
    findings = list(_findings(samples, identical, near=False))
    near: list[IntArray] = []
    if "look" in quality_metrics:
        near = _near(quality_metrics)
        findings += _findings(samples, near, near=True)
        if (n := int(quality_metrics["look"].notna().sum())) > MAX_COMPARED:
            said = f"the first {MAX_COMPARED} of {count(n, samples.kind)}"
            message = f"near copies were looked for among {said} only"
            findings.append(Finding("note", "near-duplicates-not-all-compared", message))
    sets = identical + near
    rows = np.concatenate([*sets, np.arange(0)]).astype(np.intp)
    table = samples.about.loc[rows, ["id", "label", "group", "split"]].reset_index(drop=True)
    table.insert(0, "kind", np.repeat(["identical", "near"], [sum(map(len, identical)), sum(map(len, near))]))
    table.insert(0, "set", np.repeat(np.arange(len(sets)), [len(rows) for rows in sets]))
    return findings, table


def _rows_by_value(values: "pd.Series[Any]") -> list[IntArray]:
    return [np.asarray(rows, dtype=np.intp) for rows in values.groupby(values, sort=False).groups.values()]


def _near(quality_metrics: pd.DataFrame) -> list[IntArray]:
    """Return sets of rows with similar thumbnails and the same shape, from one row per digest."""
    once = quality_metrics["look"].notna() & ~quality_metrics["digest"].duplicated()
    rows = np.flatnonzero(once & ~is_constant(quality_metrics))[:MAX_COMPARED]
    if len(rows) < 2:
        return []
    looks = [np.frombuffer(look, dtype=np.uint8) for look in quality_metrics["look"].to_numpy()[rows]]
    pairs = rows[near_pairs(np.stack(looks))]
    used = quality_metrics.iloc[rows]
    if "grid" in used:  # sides in millimetres, of shape (n, 3), or in pixels, of shape (n, 2)
        sides = np.log([np.multiply(grid.shape, grid.voxel_size) for grid in used["grid"]])
    else:
        sides = np.log(used[["width", "height"]].to_numpy(dtype=float))
    shape = np.full((len(quality_metrics), sides.shape[1] - 1), np.nan)
    shape[rows] = sides[:, :-1] - sides[:, -1:]
    pairs = pairs[np.ptp(shape[pairs], axis=1).max(axis=1) < np.log(SAME_SHAPE)]
    # Pairs that share an image are joined into one set.
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(quality_metrics),) * 2)
    paired = np.unique(pairs)
    return _rows_by_value(pd.Series(connected_components(graph, directed=False)[1][paired], index=paired))


def near_pairs(looks: AnyArray) -> IntArray:
    """
    Find pairs of nearly equal thumbnails of shape (n, pixels); return their rows, of shape (pairs, 2).

    Near pairs have a correlation above 0.99, and its distance from 1 is less than a twentieth of the ordinary
    distance in these images. Brightness and contrast do not matter; a mirrored or shifted image is another
    image. Constant thumbnails are in no pair.

    >>> looks = np.random.default_rng(0).integers(0, 255, size=(20, 256), dtype=np.uint8)
    >>> looks[7] = looks[3] // 2
    >>> near_pairs(looks).tolist()
    [[3, 7]]
    """
    pixels = looks.astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(pixels, axis=1)
    rows = np.flatnonzero(norm > 0)
    if len(rows) < 2:
        return np.empty((0, 2), dtype=np.intp)
    unit = pixels[rows] / norm[rows, None]
    limit = min(MAX_DISTANCE, SHARE_OF_ORDINARY * _ordinary_distance(unit))
    # Two unit vectors of that correlation are at most this far apart, also along any single direction. Sorted
    # along the direction of largest variance, each vector is compared with its neighbours only.
    reach = np.sqrt(2 * limit)
    centred = unit - unit.mean(axis=0)
    position = unit @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
    order = np.argsort(position, kind="stable")
    unit, position = unit[order], position[order]
    pairs = []
    for start in range(0, len(unit), BLOCK):
        block = unit[start : start + BLOCK]
        stop = np.searchsorted(position, position[start + len(block) - 1] + reach, side="right")
        i, j = np.nonzero(block @ unit[start:stop].T > 1 - limit)
        pairs.append(start + np.stack([i, j], axis=1)[j > i])
    found = np.sort(rows[order[np.concatenate(pairs)]], axis=1)
    return np.asarray(found[np.lexsort((found[:, 1], found[:, 0]))])


def _ordinary_distance(unit: npt.NDArray[np.float32]) -> float:
    """Return the median distance of an image to its tenth nearest, over a random subset."""
    some = np.random.default_rng(0).permutation(len(unit))[:N_REFERENCES]
    nearest = min(NEIGHBOUR, len(unit) - 1)
    # The smallest distance is that to the image itself.
    distances = [np.partition(1 - unit @ unit[i], nearest)[nearest] for i in some]
    return float(np.median(distances))


def _findings(samples: Samples, sets: list[IntArray], *, near: bool) -> Iterator[Finding]:
    """Yield one finding per kind of place of the copies, in the order of the sets."""
    found: dict[_Place, list[IntArray]] = {}
    for rows in sets:
        for place in _places(samples, rows):
            found.setdefault(place, []).append(rows)
    for place, sets in found.items():
        numbers = {"sets": len(sets), "extra": sum(map(len, sets)) - len(sets)}
        kind = "nearly identical" if near else "byte-identical"
        what = "volume" if samples.kind == "volume" else "sample"
        copies = f"{numbers['extra']} {kind} {'copy' if numbers['extra'] == 1 else 'copies'}"
        message = f"{copies} (of {count(len(sets), what)}) {place.where}: {place.consequence}"
        level: Level = "warning" if near and place.level == "error" else place.level
        code = f"{'near-' * near}duplicates-{place.code}"
        yield Finding(level, code, message, samples.ids(np.concatenate(sets)), numbers)


def _places(samples: Samples, rows: IntArray) -> list[_Place]:
    def several(values: "pd.Series[Any]") -> bool:
        return len(values.iloc[rows].dropna().unique()) > 1

    places = [LABELS] * several(samples.about["label"]) + [SPLIT] * several(samples.sides)
    if not places and several(samples.about["group"]):
        places = [GROUPS if samples.sides.isna().all() else ONE_SIDE]
    return places or [WITHIN]
