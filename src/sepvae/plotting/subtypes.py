"""Figures of subtypes: patients beside the null of a single Gaussian; whom several fits keep together."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sepvae.batch import AnyArray, FloatArray, IntArray
from sepvae.plotting.codes import dot, draw_legend, plain_axes, scatter
from sepvae.plotting.palette import CATEGORIES, MISSING, NEUTRAL, OTHERS, TARGET

PANELS = {
    "likelihood_ratio": ("Is it one Gaussian?", "likelihood ratio of two Gaussians against one"),
    "gap": ("Does a gap part clusters?", "dip between neighbours, times √n"),
}


def subtype_scatter(
    points: FloatArray,
    subtype: IntArray,
    held_out: AnyArray,
    observed: "pd.Series[float]",
    null: pd.DataFrame,
) -> Figure:
    """
    Draw patients on the first two discriminating directions, and both statistics beside their null.

    Parameters
    ----------
    points : ndarray of shape (n, 1 or 2)
        Salient codes of patients on the discriminating directions.
    subtype : ndarray of shape (n,)
        Subtype of each patient, from 1; all are grey if there is one.
    held_out : ndarray of shape (n,)
        Whether a patient is held out; those are drawn hollow.
    observed : Series
        The statistics likelihood_ratio and gap.
    null : DataFrame
        The same of single Gaussians, one row each.

    Returns
    -------
    Figure
        The figure, not attached to any window.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, *others = figure.subplots(1, 3, width_ratios=[1.5, 1, 1])
    if points.shape[1] == 1:
        points = np.column_stack([points, np.random.default_rng(0).uniform(-0.5, 0.5, len(points))])
    several, handles = subtype.max() > 1, {}
    for i in range(1, subtype.max() + 1):
        colour = CATEGORIES[(i - 1) % len(CATEGORIES)] if several else OTHERS
        inside = subtype == i
        scatter(left, points[inside & ~held_out], len(points), color=colour)
        hollow = {"facecolors": "none", "edgecolors": colour, "linewidths": 0.9}
        scatter(left, points[inside & held_out], len(points), **hollow)
        if several:
            handles[f"subtype {i} ({inside.sum()})"] = dot(colour)
    handles[f"in training ({(~held_out).sum()})"] = dot(OTHERS)
    handles[f"held out ({held_out.sum()})"] = dot(OTHERS, markerfacecolor="none")
    left.set(xlabel="first discriminating direction", ylabel="second")
    left.set_title("Salient codes of patients", fontsize=11, loc="left", color=NEUTRAL)
    plain_axes(left)
    for ax, name in zip(others, PANELS, strict=True):
        _draw_null(ax, name, float(observed[name]), null[name].to_numpy(float))
    draw_legend(figure, handles, "")
    return figure


def _draw_null(ax: Axes, name: str, observed: float, null: FloatArray) -> None:
    """Draw the null of a statistic as a histogram, and the observed value as a line."""
    title, label = PANELS[name]
    ax.hist(null, bins=20, color=OTHERS)
    ax.axvline(observed, color=TARGET, linewidth=2)
    ax.set_title(title, fontsize=11, loc="left", color=NEUTRAL)
    ax.set_xlabel(label, fontsize=9)
    ax.set_ylabel(f"of {len(null)} single Gaussians")
    ax.annotate(
        "the codes",
        (observed, 0.97),
        xycoords=("data", "axes fraction"),
        color=TARGET,
        fontsize=9,
        xytext=(-4, 0),
        textcoords="offset points",
        ha="right",
        va="top",
        rotation=90,
    )
    plain_axes(ax)


def consensus_figure(shared: FloatArray, subtype: IntArray, title: str) -> Figure:
    """
    Draw the share of fits that keep two patients together, patients of one subtype side by side.

    Parameters
    ----------
    shared : ndarray of shape (n, n)
        Share of fits, NaN (grey) for two patients whom no fit has both.
    subtype : ndarray of shape (n,)
        Subtype of each patient, from 1, in ascending order.
    title : str
        What was found.

    Returns
    -------
    Figure
        The figure, not attached to any window.
    """
    figure = Figure(figsize=(5.6, 5), layout="constrained")
    ax = figure.subplots()
    ax.set_facecolor(MISSING)
    image = ax.imshow(shared, cmap="Blues", vmin=0, vmax=1)
    sizes = np.bincount(subtype)[1:]
    ends = np.cumsum(sizes)
    for end in ends[:-1] - 0.5:
        ax.axhline(end, color=TARGET, linewidth=1)
        ax.axvline(end, color=TARGET, linewidth=1)
    ax.set_yticks(ends - sizes / 2 - 0.5, [f"{i} ({n})" for i, n in enumerate(sizes, start=1)], fontsize=8)
    ax.set(xticks=[], ylabel="cluster (patients)")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    figure.colorbar(image, ax=ax, fraction=0.045, pad=0.02, label="share of fits that keep two together")
    ax.set_title(title, fontsize=11, loc="left", color=NEUTRAL)
    return figure
