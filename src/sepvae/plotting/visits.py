"""Figure of visits: the salient load of each person over time, with the mean line of each group."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sepvae.plotting.codes import plain_axes
from sepvae.plotting.palette import CATEGORIES, NEUTRAL, OTHERS, shortened


def visit_figure(scans: pd.DataFrame, time: str) -> Figure:
    """
    Draw the salient load of each person over the years since the first scan, a panel a label.

    Parameters
    ----------
    scans : DataFrame
        One row per scan, sorted by person and time: group (the person), label, y, salient_load, and the time.
        Each person has scans at two times or more.
    time : str
        Column of the time of each scan, in years.

    Returns
    -------
    Figure
        The figure, not attached to any window. A thick line is the mean of the least-squares lines of single
        people, up to the mean time of their last scans.
    """
    years = scans[time] - scans.groupby("group")[time].transform("min")
    scans = scans.assign(years=years, label=scans.groupby("group")["label"].transform("first"))
    labels = scans.sort_values(["y", "label"])["label"].fillna("all").unique()
    figure = Figure(figsize=(3.2 * max(len(labels), 2) + 1, 3.8), layout="constrained")
    axes = figure.subplots(1, len(labels), sharex=True, sharey=True, squeeze=False)[0]
    for ax, label, colour in zip(axes, labels, cycle(CATEGORIES), strict=False):
        lines = []
        for _, one in scans[scans["label"].fillna("all") == label].groupby("group"):
            x, load = one["years"].to_numpy(float), one["salient_load"].to_numpy(float)
            ax.plot(x, load, color=OTHERS, linewidth=0.7, alpha=0.6, marker=".", markersize=3)
            lines.append([*np.polyfit(x, load, 1), x.max()])
        slope, start, last = np.mean(lines, axis=0)
        ax.plot([0, last], [start, start + slope * last], color=colour, linewidth=3)
        title = f"{shortened(label)}: {slope:+.2f} a year ({len(lines)} people)"
        ax.set_title(title, fontsize=11, loc="left", color=NEUTRAL, parse_math=False)
        ax.set_xlabel(f"years since the first scan ({shortened(time)})", parse_math=False)
        plain_axes(ax)
    axes[0].set_ylabel("salient load")
    return figure
