"""Learning curves: one small panel for each loss term."""

import math
import re

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sepvae.errors import DataError
from sepvae.plotting.palette import BACKGROUND, NEUTRAL, TARGET

COLUMNS = 4
COLOURS = {"": NEUTRAL, "background": BACKGROUND, "target": TARGET}
STYLES = {"train": "-", "validation": (0, (3, 1.5))}
LOG_FROM = 10.0  # an axis is logarithmic if the largest value exceeds the median by this factor


def learning_curves(metrics: pd.DataFrame) -> Figure:
    """
    Draw each loss term over the epochs, for training and validation, and for each group if logged.

    Parameters
    ----------
    metrics : DataFrame with one row per epoch
        Columns as in `metrics.csv`: epoch, train_<term> and validation_<term>, and the same with _background
        or _target at the end. Columns that end in _weighted, empty ones, and those of a group that has no
        such term (0 in every epoch) are left out.

    Returns
    -------
    Figure
        The figure, not attached to any window.

    Raises
    ------
    DataError
        If there is no column epoch, or nothing to draw.

    Examples
    --------
    >>> import pandas as pd
    >>> metrics = pd.DataFrame({"epoch": [0, 1], "train_loss": [3.0, 2.0], "validation_loss": [3.1, 2.4]})
    >>> [ax.get_title(loc="left") for ax in learning_curves(metrics).axes]
    ['Loss']
    """
    panels = _panels(metrics)
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(max(2.7 * columns, 4.5), 1.9 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    handles: dict[str, Line2D] = {}
    for ax, (term, lines) in zip(axes, panels.items(), strict=False):
        for column, split, group in lines:
            name = f"{split}, {group}" if group else split
            handles[name] = _line(ax, metrics, column, split, group)
        _finish(ax, term)
    for ax in axes[len(panels) :]:
        ax.remove()
    names = sorted(handles, key=lambda name: (name.partition(", ")[2], name))
    drawn = [handles[name] for name in names]
    figure.legend(drawn, names, loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    return figure


def panel_title(term: str) -> str:
    """
    Return the title of the panel of a loss term.

    >>> panel_title("loss_without_mi")
    'Loss without MI'
    """
    words = re.sub(r"\bkl\b", "KL", re.sub(r"\bmi\b", "MI", term.replace("_", " ")))
    return words[0].upper() + words[1:]


def _panels(metrics: pd.DataFrame) -> dict[str, list[tuple[str, str, str]]]:
    """Return for each term its lines (column, split, group), the loss first; group "" is all samples."""
    if "epoch" not in metrics:
        raise DataError(f"metrics must have a column 'epoch', got {', '.join(map(str, metrics.columns))}")
    found = {
        column: match.groups()
        for column in metrics.columns
        if (match := re.fullmatch(r"(train|validation)_(.+)", column))
        and not column.endswith("_weighted")
        and metrics[column].notna().any()
    }
    terms = {term for _, term in found.values()}
    nothing = {column for column in found if (metrics[column].fillna(0) == 0).all()}
    panels: dict[str, list[tuple[str, str, str]]] = {}
    for column, (split, name) in found.items():
        term, _, group = name.rpartition("_")
        # salient_kl_target is a term, not the targets' part of a term: salient_kl does not exist.
        if group not in ("background", "target") or term not in terms:
            term, group = name, ""
        if group and column in nothing:
            continue
        panels.setdefault(term, []).append((column, split, group))
    if not panels:
        raise DataError("metrics hold nothing to draw: no train_<term> or validation_<term> has a value")
    return dict(sorted(panels.items(), key=lambda panel: not panel[0].startswith("loss")))


def _line(ax: Axes, metrics: pd.DataFrame, column: str, split: str, group: str) -> Line2D:
    values = metrics[["epoch", column]].dropna()
    (line,) = ax.plot(
        values["epoch"],
        values[column],
        color=COLOURS[group],
        linestyle=STYLES[split],
        linewidth=1.3,
        marker="o" if len(values) == 1 else "",
        markersize=4,
        markerfacecolor=COLOURS[group] if split == "train" else "white",
    )
    return line


def _finish(ax: Axes, term: str) -> None:
    """Set the title, the scale and the grid of a panel."""
    ax.set_title(panel_title(term), fontsize=9, loc="left", parse_math=False)
    ax.set_xlabel("epoch", fontsize=7, color="0.4", labelpad=1)
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.lines])
    if values.min() > 0 and values.max() > LOG_FROM * np.median(values):
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.grid(axis="y", color="0.9", linewidth=0.6)
    ax.tick_params(which="both", labelsize=7, color="0.7", labelcolor="0.4")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("0.7")
