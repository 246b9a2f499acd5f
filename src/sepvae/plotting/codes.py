"""Scatter plots of the two code spaces, each on its own first two principal components."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sepvae.batch import AnyArray
from sepvae.codes import SPACES, Space, code_columns, salient_length
from sepvae.errors import DataError
from sepvae.plotting.palette import AMOUNTS, CATEGORIES, COMMON, MISSING, NEUTRAL, OTHERS, SALIENT, shortened

# Beyond the number of colours, colours repeat with the next marker; the rarest categories share the last.
STYLES = [(colour, marker) for marker in "o^" for colour in CATEGORIES] + [(OTHERS, "s")]
ALL_OTHERS = "all others"
MAX_COLUMNS, LINE = 6, 120  # columns of a legend; characters of one of its rows
MIN_CONTINUOUS = 11  # numbers with fewer distinct values are drawn as categories

Looks = Mapping[str, tuple[str, str]]  # colour and marker of each category
Panel = tuple[Axes, AnyArray, "pd.Series[Any]"]  # axes, points of shape (n, 2), and their values


def code_scatter(table: pd.DataFrame, color: str) -> Figure:
    """
    Draw the common codes (left) and the salient codes (right) on their first two principal components.

    The components are those of the given rows; both axes of a space have the same scale. The codes of a
    one-dimensional space are drawn as they are, at random heights.

    Parameters
    ----------
    table : DataFrame of n rows
        Codes as in `codes.csv`: columns common0, .. and salient0, .., and the column to colour by.
    color : str
        The column to colour by. More than ten distinct numbers get a colour bar, anything else a legend; rows
        without a value are grey.

    Returns
    -------
    Figure
        The figure, not attached to any window.

    Raises
    ------
    DataError
        If there is no such column, a space has no columns, codes are not finite, or there are not two rows.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> codes = np.random.default_rng(0).normal(size=(50, 4))
    >>> table = pd.DataFrame(codes, columns=["common0", "common1", "salient0", "salient1"])
    >>> figure = code_scatter(table.assign(label=["a", "b"] * 25), color="label")
    >>> [ax.get_title(loc="left") for ax in figure.axes]
    ['Common space (2 dimensions)', 'Salient space (2 dimensions)']
    """
    if color not in table.columns:
        raise DataError(f"the table of codes has no column {color!r}, only {', '.join(table.columns)}")
    if len(table) < 2:
        raise DataError(f"a scatter of codes needs at least 2 rows, got {len(table)}")
    # The drawing order is random, so that no category hides all earlier ones.
    table = table.sample(frac=1, random_state=0)
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    axes = zip(figure.subplots(1, 2), SPACES, strict=True)
    values, names = coloured_values(table, color)
    panels = [(ax, label_space(ax, table, space), values) for ax, space in axes]
    looks = None if names is None else dict(zip(names, STYLES, strict=False))
    draw_points(figure, panels, color, looks, {"color": MISSING})
    counts = values.value_counts()
    handles = {f"{name} ({counts[name]})": dot(*look) for name, look in (looks or {}).items()}
    if missing := int((~is_known(values)).sum()):
        handles[f"no value ({missing})"] = dot(MISSING)
    if handles:
        draw_legend(figure, handles, "" if looks is None else color)
    return figure


def severity_scatter(table: pd.DataFrame, severity: str) -> Figure:
    """
    Draw the salient codes, coloured by the severity of targets, and the length of each code against it.

    Samples without a severity are the background: grey, at a severity of 0.
    """
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    values = table[severity].astype(float)
    length = salient_length(table)
    known = is_known(values)
    points = np.column_stack([values.where(known, 0.0), length])
    panels = [(left, label_space(left, table, "salient"), values), (right, points, values)]
    draw_points(figure, panels, severity, None, {"color": MISSING})
    rho = values[known].corr(length[known], method="spearman")
    right.set_title(f"Spearman {rho:.2f}, {known.sum()} targets", fontsize=11, loc="left", color=SALIENT)
    right.set_xlabel(shortened(severity), parse_math=False)
    right.set_ylabel("length of the salient code")
    plain_axes(right)
    if missing := int((~known).sum()):
        draw_legend(figure, {f"background, or not known ({missing})": dot(MISSING)}, "")
    return figure


def label_space(ax: Axes, table: pd.DataFrame, space: Space) -> AnyArray:
    """Label the axes of one space, and return its points of shape (n, 2)."""
    from sklearn.decomposition import PCA

    codes = table[code_columns(table, space)].to_numpy(dtype=float)
    n, dim = codes.shape
    if not dim:
        raise DataError(f"the table has no {space} codes: columns {space}0, {space}1, .. are wanted")
    if not np.isfinite(codes).all():
        raise DataError(f"some {space} codes are not finite numbers")
    title = f"{space.capitalize()} space ({dim} dimension{'s' * (dim > 1)})"
    ax.set_title(title, fontsize=11, loc="left", color=COMMON if space == "common" else SALIENT)
    plain_axes(ax)
    if dim == 1:
        ax.set(xlabel=f"{space}0", ylabel="scattered at random", ylim=(-2, 2), yticks=[])
        return np.column_stack([codes, np.random.default_rng(0).uniform(-0.5, 0.5, size=n)])
    points, percent, total = np.zeros((n, 2)), np.zeros(2), codes.var(axis=0, ddof=1).sum()
    if total > 0:  # otherwise all codes are one point, as in a collapsed space
        pca = PCA(n_components=2).fit(codes)
        points, percent = pca.transform(codes), 100 * pca.explained_variance_ / total
    ax.set(xlabel=f"PC 1 ({percent[0]:.0f} % of variance)", ylabel=f"PC 2 ({percent[1]:.0f} % of variance)")
    ax.set_aspect("equal", adjustable="datalim")
    return points


def plain_axes(ax: Axes) -> None:
    """Draw axes in light grey, without a frame."""
    ax.tick_params(labelsize=8, color="0.7", labelcolor="0.4")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("0.7")


def coloured_values(table: pd.DataFrame, color: str) -> "tuple[pd.Series[Any], list[str] | None]":
    """Return numbers of more than ten distinct values as they are, and None; else words, and categories."""
    values = table[color]
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if numeric and values.nunique() >= MIN_CONTINUOUS:
        return values, None
    return categories(values, table["y"] if color == "label" and "y" in table else None)


def categories(
    values: "pd.Series[Any]", y: "pd.Series[Any] | None" = None
) -> "tuple[pd.Series[str], list[str]]":
    """Return values as text, and the categories in legend order: by `y` if given, by number, by name."""
    words = as_words(values)
    frequent = words.value_counts().index[: len(STYLES) - 1]
    words = words.where(words.isna() | words.isin(frequent), ALL_OTHERS)
    rank = pd.DataFrame({"last": words == ALL_OTHERS, "y": 0 if y is None else y})
    rank["number"] = pd.to_numeric(words, errors="coerce").astype(float).where(np.isfinite)
    rank = rank.assign(word=words).dropna(subset="word").drop_duplicates("word")
    return words, rank.sort_values([*rank])["word"].tolist()


def as_words(values: "pd.Series[Any]") -> "pd.Series[str]":
    """Return values as text, whole floats without decimals; missing values stay missing."""
    return values.map(lambda v: f"{v:g}" if isinstance(v, float) else str(v)).where(values.notna())


def is_known(values: "pd.Series[Any]") -> "pd.Series[bool]":
    """Return where there is a value to colour by: text, or a finite number."""
    return values.notna() & ~values.isin([np.inf, -np.inf])


def draw_points(
    figure: Figure, panels: Sequence[Panel], color: str, looks: Looks | None, unknown: dict[str, Any]
) -> None:
    """Draw points by category, or with one colour bar if `looks` is None; others look `unknown`."""
    every = pd.concat([values[is_known(values)] for *_, values in panels])
    for ax, points, values in panels:
        known = (is_known(values) if looks is None else values.isin(list(looks))).to_numpy()
        n = len(points)
        scatter(ax, points[~known], n, **unknown)
        points, values = points[known], values[known]
        if looks is None:
            scale = {"vmin": every.min(), "vmax": every.max(), "cmap": AMOUNTS}
            drawn = scatter(ax, points, n, c=values.to_numpy(float), **scale)
            continue
        colours, markers = np.array([looks[word] for word in values]).reshape(-1, 2).T
        for marker in "so^":
            part = markers == marker
            scatter(ax, points[part], n, color=colours[part], marker=marker)
    if looks is None:
        bar = figure.colorbar(drawn, ax=[ax for ax, *_ in panels], fraction=0.03, pad=0.02)
        bar.set_label(shortened(color), parse_math=False)
        bar.outline.set_visible(False)
        bar.solids.set_alpha(1)  # type: ignore[union-attr]
        bar.ax.tick_params(labelsize=8, color="0.7", labelcolor="0.4")


def scatter(ax: Axes, points: AnyArray, n: int, **how: Any) -> Any:
    """Draw points of shape (m, 2), smaller ones the more points, n, a panel has."""
    how = {"s": np.clip(6000 / n, 5, 30), "linewidths": 0, "alpha": 0.75, "rasterized": True} | how
    return ax.scatter(points[:, 0], points[:, 1], **how)


def dot(colour: str, marker: str = "o", **how: Any) -> Line2D:
    """Return a marker for a legend."""
    return Line2D([], [], color=colour, marker=marker, linestyle="", **how)


def draw_legend(figure: Figure, handles: Mapping[str, Line2D], title: str) -> None:
    """Draw a legend below all panels; names appear literally, also with $ or a leading underscore."""
    names = [shortened(name) for name in handles]
    longest = 5 + max(map(len, names))  # with its marker
    legend = figure.legend(
        handles.values(),
        [f"{i}" for i in range(len(handles))],
        loc="outside lower center",
        ncols=max(1, min(len(names), MAX_COLUMNS, LINE // longest)),
        title=shortened(title),
        frameon=False,
        fontsize=9,
        labelcolor=NEUTRAL,
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=name, parse_math=False)
    legend.get_title().set(parse_math=False, weight="bold", fontsize=9)
