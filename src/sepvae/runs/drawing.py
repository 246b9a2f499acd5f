"""Figures of a run folder, each as PNG for the page and as SVG for a paper."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sepvae.codes import attribute_columns
from sepvae.files import plain_name, write_whole
from sepvae.plotting.codes import code_scatter
from sepvae.plotting.correlations import correlation_map
from sepvae.plotting.curves import learning_curves
from sepvae.plotting.images import reconstruction_grid, swap_grid, traversal_grid
from sepvae.runs.folder import read_codes


def draw(run: Path) -> None:
    """
    Draw the figures of a run folder from its tables and examples.

    Parameters
    ----------
    run : Path
        The run folder.
    """
    test = read_codes(run).query("split == 'test'")
    if (run / "metrics.csv").is_file():  # a linear method has no epochs
        save_figure(run, "learning_curves", learning_curves(pd.read_csv(run / "metrics.csv")))
    for column in ["label", *attribute_columns(test)]:
        if len(test[column].dropna().unique()) > 1:
            save_figure(run, f"codes_{plain_name(column)}", code_scatter(test, column))
    save_figure(run, "correlations", correlation_map(pd.read_csv(run / "correlations.csv")))
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


def save_figure(folder: Path, name: str, figure: Figure) -> None:
    """
    Write a figure to `figures/`.

    Parameters
    ----------
    folder : Path
        Where `figures/` is, or is to be.
    name : str
        Of the files, without an ending.
    figure : Figure
        What to write.
    """
    (folder / "figures").mkdir(exist_ok=True)
    for kind in ("png", "svg"):
        buffer = io.BytesIO()
        # Without a date, the same figure is the same file.
        figure.savefig(buffer, format=kind, dpi=144, metadata={"Date": None} if kind == "svg" else None)
        write_whole(folder / "figures" / f"{name}.{kind}", buffer.getvalue())
