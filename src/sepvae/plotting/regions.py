"""Figures of regions of an atlas: differences of groups as ranked bars, and in a glass brain."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sepvae.batch import AnyArray
from sepvae.grid import Grid
from sepvae.plotting.cells import limit_of
from sepvae.plotting.palette import DIFFERENCES, NEUTRAL
from sepvae.plotting.tables import MAX_P, draw_bars

IN_BARS = 25
PANELS = {  # columns, with the p that marks them and their titles
    "difference": ("p_difference", "what the salient part adds:\ndifference of the means, in input units"),
    "d": ("p_adjusted", "Cohen's d\nwith 95 % interval"),
}


def region_bars(effects: pd.DataFrame) -> Figure:
    """
    Draw the regions with the largest absolute difference, and their d; a star marks a p of 0.05 or less.

    `effects` has one row for each region, and columns region, difference, p_difference, d, d_low, d_high and
    p_adjusted.
    """
    shown = effects.sort_values("difference", key=abs, ascending=False, kind="stable").head(IN_BARS)
    figure = Figure(figsize=(9.0, 0.24 * len(shown) + 1.0), layout="constrained")
    for ax, (name, (p, title)) in zip(figure.subplots(1, 2, sharey=True), PANELS.items(), strict=True):
        values, ends = shown[name].to_numpy(float), shown[[name]].to_numpy(float).T
        draw_bars(ax, values, shown["region"].tolist())
        if name == "d":
            ends = shown[["d_low", "d_high"]].to_numpy(float).T
            sides = [values - ends[0], ends[1] - values]
            ax.errorbar(values, range(len(values)), xerr=sides, fmt="none", ecolor=NEUTRAL, elinewidth=0.9)
        limit = 1.15 * limit_of(np.nan_to_num(ends))
        for row in np.flatnonzero(shown[p] <= MAX_P):
            ax.text(np.sign(values[row]) * 0.95 * limit, row, "*", ha="center", va="center")
        ax.set(xlim=(-limit, limit))
        ax.set_xlabel(title, fontsize=8, color="0.4")
    return figure


def glass_brain(effects: pd.DataFrame, placed: AnyArray, grid: Grid) -> Figure:
    """Draw the difference of each region in a glass brain; `placed` (x, y, z) has each voxel's `index`."""
    from nibabel.nifti1 import Nifti1Image
    from nilearn.plotting import plot_glass_brain

    values = np.zeros(placed.shape, dtype=np.float32)
    for number, difference in zip(effects["index"], effects["difference"], strict=True):
        values[placed == number] = difference
    figure, limit = Figure(figsize=(10.0, 2.6)), limit_of(values)
    plot_glass_brain(
        Nifti1Image(values, grid.affine),
        figure=figure,
        display_mode="lyrz",
        plot_abs=False,
        threshold=None,
        vmin=-limit,
        vmax=limit,
        cmap=DIFFERENCES,
        colorbar=True,
    )
    return figure
