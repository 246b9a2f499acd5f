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
    (run / "figures").mkdir(exist_ok=True)
    test = read_codes(run).query("split == 'test'")
    _write(run, "learning_curves", learning_curves(pd.read_csv(run / "metrics.csv")))
    for column in ["label", *attribute_columns(test)]:
        if len(test[column].dropna().unique()) > 1:
            _write(run, f"codes_{plain_name(column)}", code_scatter(test, column))
    _write(run, "correlations", correlation_map(pd.read_csv(run / "correlations.csv")))
    with np.load(run / "examples.npz", allow_pickle=False) as examples:
        if examples["inputs"].ndim == 4:
            arrays = [examples[name] for name in ("inputs", "full", "common_only", "labels")]
            background = str(test.loc[test["y"] == 0, "label"].iloc[0])
            _write(run, "reconstructions", reconstruction_grid(*arrays, background=background))
        if "traversals" in examples:
            arrays = [examples[f"traversal{name}"] for name in ("s", "_steps", "_shares")]
            _write(run, "traversals", traversal_grid(*arrays))
        if "swaps" in examples:
            _write(run, "swaps", swap_grid(examples["swaps"]))


def _write(run: Path, name: str, figure: Figure) -> None:
    for kind in ("png", "svg"):
        buffer = io.BytesIO()
        # Without a date, the same figure is the same file.
        figure.savefig(buffer, format=kind, dpi=144, metadata={"Date": None} if kind == "svg" else None)
        write_whole(run / "figures" / f"{name}.{kind}", buffer.getvalue())
