"""Figures of a run folder, each as PNG for the page and as SVG for a paper; maps of new samples."""

import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sepvae.batch import AnyArray, Source
from sepvae.codes import attribute_columns
from sepvae.data.nifti import NiftiFiles
from sepvae.data.surfaces import read_hemisphere
from sepvae.files import check_new, write_whole
from sepvae.grid import Grid
from sepvae.interpretation.map_folder import GROUPS, group_files, write_maps
from sepvae.mesh import Mesh
from sepvae.plotting.codes import code_scatter, severity_scatter
from sepvae.plotting.images import reconstruction_grid, swap_grid, traversal_grid
from sepvae.plotting.maps import (
    map_groups,
    map_people,
    severity_maps,
    severity_volume_maps,
    volume_axes,
    volume_maps,
)
from sepvae.plotting.palette import any_letters
from sepvae.plotting.tables import correlation_map, learning_curves, map_axes, map_regions
from sepvae.progress import Say, stage
from sepvae.report.contents import scatter_files
from sepvae.run_folder import AXIS, EFFECT, IMAGE, OF_SLOPE, MapFolder, RunFolder
from sepvae.runs.scoring import load_for, split_of

AXES = 4  # salient axes in a figure
TITLE = "Mean of {} targets, severity {:g} to {:g}"


def draw(run: Path) -> None:
    """Draw the figures of a run folder from its tables and examples."""
    folder = RunFolder(run)
    save = partial(save_figure, folder.figures)
    test = folder.codes.required().query("split == 'test'")
    if (metrics := folder.metrics.read()) is not None:  # linear methods have no epochs
        save("learning_curves", learning_curves(metrics))
    for column, name in scatter_files(attribute_columns(test)).items():
        if len(test[column].dropna().unique()) > 1:
            save(name, code_scatter(test, column))
    severity = folder.recipe.required().get("keywords", {}).get("severity")
    if severity in test and test[severity].nunique() > 1:
        save("severity", severity_scatter(test, severity))
    save("correlations", correlation_map(folder.correlations.required()))
    examples = folder.examples.required()
    if examples["inputs"].ndim == 4 and "full" in examples:
        arrays = [examples[name] for name in ("inputs", "full", "common_only", "labels")]
        background = str(test.loc[test["y"] == 0, "label"].iloc[0])
        save("reconstructions", reconstruction_grid(*arrays, background=background))
    if "traversals" in examples:
        arrays = [examples[f"traversal{name}"] for name in ("s", "_steps", "_shares")]
        names = {"components": examples["traversal_names"]} if "traversal_names" in examples else {}
        save("traversals", traversal_grid(*arrays, **names))
    if "swaps" in examples:
        save("swaps", swap_grid(examples["swaps"]))
    draw_maps(folder.maps, folder.figures)


def map_run(
    run: str | Path,
    source: Source,
    out: str | Path,
    *,
    unseen_site: str | None = None,
    say: Say | None = None,
) -> Path:
    """
    Write maps of new samples with the model of a run folder.

    Parameters
    ----------
    run : str or Path
        The run folder.
    source : Source
        New samples, read as those of the fit; groups are compared if they have its labels.
    out : str or Path
        The folder to create, with the files of `write_maps` and its figures in `figures/`.
    unseen_site : {"refuse", "reference", "estimate"} or None, default=None
        What to do with samples of sites that were not fitted, instead of what the model does. "estimate"
        takes the sites from their controls among the samples, whose statistics are then biased.
    say : callable, default=None
        Called with each progress message.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    RunFolderError
        If `out` exists.
    """
    check_new(Path(out), "folder for maps")
    with stage("mapping what the salient part adds", say) as progress:
        model = load_for(run, source, unseen_site, say)
        folder = write_maps(model, source, Path(out), progress=progress)
    maps, split = MapFolder(folder), split_of(run, source)
    table = maps.samples.required()
    table.insert(2, "split", split)
    maps.samples.write(table)
    n = sum(part in ("train", "validation") for part in split)
    if say is not None:
        known = "it is not known which" if "unknown" in split else f"{n} of {len(split)}"
        say(f"samples that were fitted on: {known}{', so statistics of groups are biased' * (n > 0)}")
    with stage("drawing", say):
        draw_maps(maps, maps.figures)
    return folder


def draw_maps(maps: MapFolder, figures: Path) -> None:
    """Draw the figures of maps, of regions, single samples and groups, into the folder `figures`."""
    if (regions := maps.regions.read()) is not None:
        if len(known := regions.dropna(subset="d")):
            save_figure(figures, "map_regions", map_regions(known))
        axes = {str(name): one.to_numpy() for name, one in regions.filter(regex=r"^salient\d+$").items()}
        if axes:
            save_figure(figures, "map_axes", map_axes(regions, _strongest(axes)))
        if OF_SLOPE in regions:
            save_figure(figures, "map_severity", map_regions(regions, statistic=OF_SLOPE))
    if (people := maps.people.read()) is None:
        return
    labels = people["labels"].tolist()
    if len(people["ids"]):
        shown: dict[str, Any] = {name: people[name] for name in ("images", "without", "added", "y", "ids")}
        save_figure(figures, "map_people", map_people(**shown, labels=labels))
    if (groups := maps.groups.read()) is None:
        _draw_volumes(maps, figures, labels)
        return
    if thirds := _thirds(maps):
        by_title = {title: groups[f"severity_mean{name}"] for name, title in thirds.items()}
        save_figure(figures, "map_severity", severity_maps(by_title, groups["severity_slope"]))
    means = [groups[f"{group}_mean"] for group in GROUPS if f"{group}_mean" in groups]
    if len(means) == len(GROUPS):
        save_figure(figures, "map_group", map_groups(means, groups.get("d"), labels))


def _strongest(axes: Mapping[str, AnyArray]) -> list[str]:
    """Return the names of the AXES salient axes that add most to a sample, the strongest first."""
    return sorted(axes, key=lambda name: float(np.square(axes[name]).mean()), reverse=True)[:AXES]


def _draw_volumes(maps: MapFolder, figures: Path, labels: list[str]) -> None:
    """Draw the maps of groups, of volumes or surfaces."""
    *means, d, image = (_values(maps, name) for name in (*group_files(labels, "mean"), EFFECT, IMAGE))
    if image is None:
        return
    if image.ndim == 2:
        grid: Grid | Mesh = Mesh.of_vertices(image != 0)
    else:
        grid = NiftiFiles([maps.volume(IMAGE)]).header(0).grid
    if all(mean is not None for mean in means):
        drawn = volume_maps([m for m in means if m is not None], d, image, grid, labels)
        save_figure(figures, "map_group", drawn)
    axes: dict[str, AnyArray] = {}
    while (one := _values(maps, AXIS.format(len(axes)))) is not None:
        axes[f"salient{len(axes)}"] = one
    if axes:
        save_figure(figures, "map_axes", volume_axes({k: axes[k] for k in _strongest(axes)}, image, grid))
    if thirds := _thirds(maps):
        of_severity = [group_files(labels, name)[1] for name in (*(f"mean{n}" for n in thirds), "slope")]
        *values, slope = [one for name in of_severity if (one := _values(maps, name)) is not None]
        by_title = dict(zip(thirds.values(), values, strict=True))
        save_figure(figures, "map_severity", severity_volume_maps(by_title, slope, image, grid))


def _values(maps: MapFolder, name: str) -> AnyArray | None:
    """Return a map of volumes, (x, y, z), or of surfaces, (2, vertices); None if there is none."""
    if (file := maps.volume(name)).is_file():
        return NiftiFiles([file])(0)
    sides = maps.surface(name)
    return np.stack([read_hemisphere(side) for side in sides]) if sides[0].is_file() else None


def _thirds(maps: MapFolder) -> dict[str, str]:
    """Return the title of each third of the targets by severity; empty without maps by severity."""
    table = maps.severity.read()
    rows = [] if table is None else table.to_dict("records")
    return {row["third"]: TITLE.format(row["n"], row["least"], row["most"]) for row in rows}


def save_figure(figures: Path, name: str, figure: Figure) -> None:
    """Write a figure as PNG and SVG into a folder, which is created if needed."""
    figures.mkdir(exist_ok=True)
    for kind in ("png", "svg"):
        buffer = io.BytesIO()
        # Without a date, equal figures give identical files.
        with any_letters():
            figure.savefig(buffer, format=kind, dpi=144, metadata={"Date": None} if kind == "svg" else None)
        write_whole(figures / f"{name}.{kind}", buffer.getvalue())
        figure.set_layout_engine("none")  # what was laid out stays: it takes longer than to draw
