"""Figures of a run folder, each as PNG for the page and as SVG for a paper."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sepvae.batch import AnyArray
from sepvae.codes import attribute_columns
from sepvae.data.nifti import NiftiFiles
from sepvae.files import read_table, write_whole
from sepvae.plotting.codes import code_scatter
from sepvae.plotting.correlations import correlation_map
from sepvae.plotting.curves import learning_curves
from sepvae.plotting.images import reconstruction_grid, swap_grid, traversal_grid
from sepvae.plotting.maps import map_groups, map_people, map_regions
from sepvae.plotting.words import any_letters
from sepvae.report.file_names import scatter_files
from sepvae.report.viewer import EFFECT, IMAGE
from sepvae.runs.folder import read_codes
from sepvae.runs.map_files import GROUPS, group_files


def draw(run: Path) -> None:
    """
    Draw the figures of a run folder from its tables and examples.

    Parameters
    ----------
    run : Path
        The run folder.
    """
    test = read_codes(run).query("split == 'test'")
    if (run / "metrics.csv").is_file():  # linear methods have no epochs
        save_figure(run, "learning_curves", learning_curves(pd.read_csv(run / "metrics.csv")))
    for column, name in scatter_files(attribute_columns(test)).items():
        if len(test[column].dropna().unique()) > 1:
            save_figure(run, name, code_scatter(test, column))
    save_figure(run, "correlations", correlation_map(read_table(run / "correlations.csv", ["attribute"])))
    with np.load(run / "examples.npz", allow_pickle=False) as examples:
        if examples["inputs"].ndim == 4:
            arrays = [examples[name] for name in ("inputs", "full", "common_only", "labels")]
            background = str(test.loc[test["y"] == 0, "label"].iloc[0])
            save_figure(run, "reconstructions", reconstruction_grid(*arrays, background=background))
        if "traversals" in examples:
            arrays = [examples[f"traversal{name}"] for name in ("s", "_steps", "_shares")]
            save_figure(run, "traversals", traversal_grid(*arrays))
        if "swaps" in examples:
            save_figure(run, "swaps", swap_grid(examples["swaps"]))
    if (run / "maps").is_dir():
        draw_maps(run, run / "maps")


def draw_maps(folder: Path, maps: Path) -> None:
    """Draw the figures of maps, of regions, single samples and groups, into `folder/figures/`."""
    if (maps / "regions.csv").is_file():
        regions = read_table(maps / "regions.csv", ["feature"]).dropna(subset="d")
        if len(regions):
            save_figure(folder, "map_regions", map_regions(regions))
    if not (maps / "people.npz").is_file():
        return
    with np.load(maps / "people.npz", allow_pickle=False) as people:
        labels = people["labels"].tolist()
        shown = {name: people[name] for name in ("images", "without", "added", "y", "ids")}
        if len(shown["ids"]):
            save_figure(folder, "map_people", map_people(**shown, labels=labels))
    if (maps / "maps.npz").is_file():
        with np.load(maps / "maps.npz", allow_pickle=False) as groups:
            means = [groups[f"{group}_mean"] for group in GROUPS if f"{group}_mean" in groups]
            if len(means) == len(GROUPS):
                save_figure(folder, "map_group", map_groups(means, groups.get("d"), labels))
    else:
        _draw_volumes(folder, maps, labels)


def _draw_volumes(folder: Path, maps: Path, labels: list[str]) -> None:
    from sepvae.plotting.volumes import volume_maps

    names = [*group_files(labels, "mean"), EFFECT, IMAGE]
    files = [maps / f"{name}.nii.gz" for name in names]
    found: list[AnyArray | None] = [NiftiFiles([file])(0) if file.is_file() else None for file in files]
    *means, d, image = found
    if image is not None and all(mean is not None for mean in means):
        grid = NiftiFiles(files[-1:]).header(0).grid
        save_figure(
            folder, "map_group", volume_maps([m for m in means if m is not None], d, image, grid, labels)
        )


def save_figure(folder: Path, name: str, figure: Figure) -> None:
    """Write a figure as PNG and SVG to `folder/figures/`."""
    (folder / "figures").mkdir(exist_ok=True)
    for kind in ("png", "svg"):
        buffer = io.BytesIO()
        # Without a date, equal figures give identical files.
        with any_letters():
            figure.savefig(buffer, format=kind, dpi=144, metadata={"Date": None} if kind == "svg" else None)
        write_whole(folder / "figures" / f"{name}.{kind}", buffer.getvalue())
