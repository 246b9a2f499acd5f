"""Names of map files, and functions that write maps as volumes, pictures and tables."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sepvae.batch import AnyArray
from sepvae.data.nifti import write_volume
from sepvae.files import write_whole
from sepvae.grid import Grid
from sepvae.interpretation.moments import Moments
from sepvae.plotting.cells import limit_of
from sepvae.plotting.maps import map_picture
from sepvae.report.file_names import names_apart
from sepvae.run_folder import EFFECT, MapFolder

GROUPS = ("background", "target")


class Statistics(NamedTuple):
    """Moments of the maps of both groups, background first; `effect` is Cohen's d."""

    labels: tuple[str, str]
    moments: tuple[Moments, Moments]
    effect: AnyArray | None


def group_files(labels: Sequence[str], statistic: str) -> list[str]:
    """
    Return the file name of each group for a statistic such as "mean", distinct and without suffix.

    >>> group_files(["control", "ill"], "mean")
    ['label-control_desc-salient_stat-mean_map', 'label-ill_desc-salient_stat-mean_map']
    """
    return [f"label-{name}_desc-salient_stat-{statistic}_map" for name in names_apart(labels)]


def write_window(file: Path, window: AnyArray, grid: Grid, axes: str) -> None:
    """Write a map of shape `grid.size` as NIfTI on the full grid; `axes` is its orientation, as in "LAS"."""
    write_volume(file, grid.back(window), grid, axes)


def write_group_volumes(folder: MapFolder, statistics: Statistics, grid: Grid) -> None:
    """Write means and standard deviations of groups, and Cohen's d, as NIfTI."""
    values = {"mean": [m.mean for m in statistics.moments], "sd": [m.sd for m in statistics.moments]}
    for statistic, of_groups in values.items():
        files = group_files(statistics.labels, statistic)
        for file, window, moments in zip(files, of_groups, statistics.moments, strict=True):
            if moments.n:
                write_window(folder.volume(file), window[0], grid, grid.axes)
    if statistics.effect is not None:
        write_window(folder.volume(EFFECT), statistics.effect[0], grid, grid.axes)


def write_pictures(folder: MapFolder, statistics: Statistics, people: Mapping[str, AnyArray]) -> None:
    """Write pictures and arrays; samples share a scale, means and deviations another, d has its own."""
    limit = limit_of(np.stack([*people.values()])) if people else 1.0
    for name, added in people.items():
        _write_picture(folder.picture(name), map_picture(added, limit))
    arrays: dict[str, Any] = {"labels": np.array(statistics.labels)}
    present = [m for m in statistics.moments if m.n]
    limit = limit_of(np.stack([a for m in present for a in (m.mean, m.sd)])) if present else 1.0
    for i, (group, moments) in enumerate(zip(GROUPS, statistics.moments, strict=True)):
        if moments.n:
            arrays |= {f"{group}_n": moments.n, f"{group}_mean": moments.mean, f"{group}_sd": moments.sd}
            for statistic, values in (("mean", moments.mean), ("sd", moments.sd)):
                file = group_files(statistics.labels, statistic)[i]
                _write_picture(folder.picture(file), map_picture(values, limit))
    if statistics.effect is not None:
        arrays["d"] = statistics.effect
        _write_picture(folder.picture(EFFECT), map_picture(statistics.effect))
    folder.groups.write(arrays)


def regions(statistics: Statistics, features: Sequence[str]) -> pd.DataFrame:
    """Return mean and standard deviation of each feature and group, and Cohen's d; the largest |d| first."""
    table = pd.DataFrame({"feature": features})
    for group, moments in zip(GROUPS, statistics.moments, strict=True):
        table[f"{group}_mean"], table[f"{group}_sd"] = (
            values if moments.n else np.nan for values in (moments.mean, moments.sd)
        )
    table["d"] = np.nan if statistics.effect is None else statistics.effect
    return table.sort_values("d", key=abs, ascending=False, kind="stable")


def _write_picture(file: Path, figure: Figure) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144)
    write_whole(file, buffer.getvalue())
