"""Figures of the tables of a run: learning curves, correlations of salient axes, and regions."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sepvae.batch import AnyArray
from sepvae.errors import DataError
from sepvae.plotting.cells import limit_of, panel_grid
from sepvae.plotting.palette import BACKGROUND, DIFFERENCES, LESS, MISSING, MORE, NEUTRAL, TARGET, shortened
from sepvae.run_folder import OF_SLOPE

COLOURS = {"": NEUTRAL, "background": BACKGROUND, "target": TARGET}
STYLES = {"train": "-", "validation": (0, (3, 1.5))}
LOG_FROM = 10.0  # an axis is logarithmic if the largest value exceeds the median by this factor
SYMBOLS = {"spearman": "\N{GREEK SMALL LETTER RHO}", "eta": "\N{GREEK SMALL LETTER ETA}"}
MAX_P = 0.05  # largest adjusted p-value of a marked value


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
    panels = _lines_of_terms(metrics)
    figure, axes = panel_grid(len(panels), 2.7, 1.9)
    handles: dict[tuple[str, str], Line2D] = {}
    for ax, (term, lines) in zip(axes, panels.items(), strict=True):
        for column, split, group in lines:
            values = metrics[["epoch", column]].dropna()
            (handles[group, split],) = ax.plot(
                values["epoch"],
                values[column],
                color=COLOURS[group],
                linestyle=STYLES[split],
                linewidth=1.3,
                marker="o" if len(values) == 1 else "",
                markersize=4,
                markerfacecolor=COLOURS[group] if split == "train" else "white",
            )
        _finish(ax, term)
    known = dict(sorted(handles.items()))
    names = [f"{split}, {group}" if group else split for group, split in known]
    figure.legend(known.values(), names, loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    return figure


def panel_title(term: str) -> str:
    """
    Return the title of the panel of a loss term.

    >>> panel_title("loss_without_mi")
    'Loss without MI'
    """
    words = re.sub(r"\bkl\b", "KL", re.sub(r"\bmi\b", "MI", term.replace("_", " ")))
    return words[0].upper() + words[1:]


def _lines_of_terms(metrics: pd.DataFrame) -> dict[str, list[tuple[str, str, str]]]:
    """Return for each term its lines (column, split, group), the loss first; group "" is all samples."""
    if "epoch" not in metrics:
        raise DataError(f"metrics must have a column 'epoch', got {', '.join(map(str, metrics.columns))}")
    found = {
        column: match.groups()
        for column in metrics.columns
        if (match := re.fullmatch(r"(train|validation)_(.+)(?<!_weighted)", column))
        and metrics[column].notna().any()
    }
    terms = {term for _, term in found.values()}
    panels: dict[str, list[tuple[str, str, str]]] = {}
    for column, (split, name) in found.items():
        term, _, group = name.rpartition("_")
        # salient_kl_target is a term, not the targets' part of a term: salient_kl does not exist.
        if group not in ("background", "target") or term not in terms:
            panels.setdefault(name, []).append((column, split, ""))
        elif metrics[column].fillna(0).any():
            panels.setdefault(term, []).append((column, split, group))
    if not panels:
        raise DataError("metrics hold nothing to draw: no train_<term> or validation_<term> has a value")
    return dict(sorted(panels.items(), key=lambda panel: not panel[0].startswith("loss")))


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


def correlation_map(correlations: pd.DataFrame) -> Figure:
    """
    Draw the correlations of salient axes with attributes, one row per attribute and one column per axis.

    Values in bold with a star have an adjusted p-value of 0.05 or less. The correlation ratio (η) has no
    sign; it is drawn in the colours of positive values.

    Parameters
    ----------
    correlations : DataFrame
        Columns attribute, population, axis, measure, value and p_adjusted, as in `correlations.csv`.

    Returns
    -------
    Figure
        The figure, not attached to any window.

    Raises
    ------
    DataError
        If the table has no rows.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"attribute": "age", "population": "all", "axis": "salient0", "measure": "spearman"}
    >>> figure = correlation_map(pd.DataFrame([row | {"value": 0.4, "p_adjusted": 0.01}]))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0.40*']
    """
    if correlations.empty:
        raise DataError("correlations hold nothing to draw: there is no row")
    keys = ["attribute", "population", "measure"]
    rows = list(correlations[keys].drop_duplicates().itertuples(index=False, name=None))
    axes = list(correlations["axis"].unique())
    by_cell = correlations.set_index([*keys, "axis"])
    values, p_values = (
        np.array([[by_cell[column].get((*row, axis), np.nan) for axis in axes] for row in rows], dtype=float)
        for column in ("value", "p_adjusted")
    )
    figure = Figure(figsize=(0.5 * len(axes) + 3.4, 0.36 * len(rows) + 1.1), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(values, cmap=DIFFERENCES, vmin=-1, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        marked = bool(p_values[i, j] <= MAX_P)
        text = "-" if np.isnan(value) else f"{value:.2f}" + "*" * marked
        weight, colour = "bold" if marked else "normal", "white" if abs(value) > 0.6 else NEUTRAL
        ax.text(j, i, text, ha="center", va="center", fontsize=7, weight=weight, color=colour)
    names = [
        f"{shortened(attribute)} ({SYMBOLS[measure]}{'' if population == 'all' else f', {population}'})"
        for attribute, population, measure in rows
    ]
    ax.set_xticks(range(len(axes)), axes, rotation=45, ha="right", fontsize=8)
    ax.set_yticks(range(len(rows)), names, fontsize=8, parse_math=False)
    ax.tick_params(length=0, labelcolor=NEUTRAL)
    ax.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=ax, fraction=0.05, pad=0.02, ticks=[-1, 0, 1])
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, length=2)
    return figure


def map_axes(regions: pd.DataFrame, axes: Sequence[str], n: int = 10) -> Figure:
    """Draw what 1 on each of these salient axes adds to the n features that it changes most, standardised."""
    figure = Figure(figsize=(7.2, (0.24 * n + 0.7) * -(-len(axes) // 2)), layout="constrained")
    for ax, name in zip(figure.subplots(-(-len(axes) // 2), 2, squeeze=False).flat, axes, strict=False):
        shown = regions.sort_values(name, key=abs, ascending=False, kind="stable").head(n)
        draw_bars(ax, shown[name].to_numpy(float), shown["feature"].tolist())
        ax.set_title(name, fontsize=8, loc="left", color=NEUTRAL)
    for ax in figure.axes[len(axes) :]:
        ax.remove()
    figure.supxlabel("What 1 on a salient axis adds, in standard deviations", fontsize=8, color="0.4")
    return figure


OF_REGIONS = {
    "d": "Cohen's d of what the salient part adds, targets against background",
    OF_SLOPE: "slope of what the salient part adds, in standard deviations per unit of severity",
}


def map_regions(regions: pd.DataFrame, n: int = 20, statistic: str = "d") -> Figure:
    """Draw the n regions of `regions.csv` with the largest absolute "d", or slope on severity."""
    if regions.empty:
        raise DataError("regions: wanted one or more to draw, got none")
    shown = regions.sort_values(statistic, key=abs, ascending=False, kind="stable").head(n)
    d = shown[statistic].to_numpy(float)
    figure = Figure(figsize=(7.2, 0.24 * len(shown) + 0.9), layout="constrained")
    ax = figure.subplots()
    draw_bars(ax, d, shown["feature"].tolist())
    ax.set_xlabel(OF_REGIONS[statistic], fontsize=8, color="0.4")
    return figure


OF_TESTS = {  # columns of a table of tests, with their names; those of one kind have one scale
    "salient_difference": "what the salient part adds:\ndifference, standard deviations",
    "input_difference": "the features: difference,\nstandard deviations",
    "glm_t": "the features: t",
    "w_t": "w-scores: t",
}


def compared_regions(tests: pd.DataFrame, most: int = 20) -> Figure:
    """
    Draw tests of the features where the salient part adds the largest differences.

    Columns are those of OF_TESTS, and corrected p such as salient_p; a star marks 0.05 or less.
    """
    shown = tests.sort_values("salient_difference", key=abs, ascending=False, kind="stable").head(most)
    parts = [name for name in OF_TESTS if name in shown]
    figure = Figure(figsize=(10.0, 0.24 * len(shown) + 1.0), layout="constrained")
    for ax, part in zip(figure.subplots(1, len(parts), sharey=True), parts, strict=True):
        values = shown[part].to_numpy(float)
        draw_bars(ax, values, shown["feature"].tolist())
        alike = [name for name in parts if name.endswith("_t") == part.endswith("_t")]
        limit = 1.15 * limit_of(shown[alike].to_numpy(float))
        for row in np.flatnonzero(shown[f"{part.partition('_')[0]}_p"] <= MAX_P):
            ax.text(np.sign(values[row]) * 0.95 * limit, row, "*", ha="center", va="center")
        ax.set(xlim=(-limit, limit))
        ax.set_xlabel(OF_TESTS[part], fontsize=8, color="0.4")
    return figure


def draw_bars(
    ax: Axes, values: AnyArray, names: Sequence[str], *, color: Any = None, lost: AnyArray | bool = False
) -> None:
    """Draw one bar for each feature, the first at the top; those that are `lost` are grey and hatched."""
    lost = np.broadcast_to(lost, len(values))
    color = np.where(lost, MISSING, np.where(values < 0, LESS, MORE) if color is None else color)
    hatches = ["////" if one else "" for one in lost]
    ax.barh(
        range(len(values)), values, height=0.7, color=color, hatch=hatches, edgecolor="white", linewidth=0
    )
    ax.axvline(0, color="0.5", linewidth=0.8)
    limit = 1.05 * limit_of(values)
    ax.set(xlim=(-limit, limit), ylim=(len(values) - 0.4, -0.6))
    ax.set_yticks(range(len(values)), [*map(shortened, names)], fontsize=8, parse_math=False)
    ax.grid(axis="x", color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=8, labelcolor=NEUTRAL)
    ax.spines[:].set_visible(False)
