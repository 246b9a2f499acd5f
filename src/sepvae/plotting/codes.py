"""Scatter plots of the two code spaces, each on its own first two principal components."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sepvae.batch import AnyArray
from sepvae.codes import SPACES, Space, code_columns
from sepvae.errors import DataError
from sepvae.plotting.palette import AMOUNTS, CATEGORIES, COMMON, MISSING, NEUTRAL, OTHERS, SALIENT
from sepvae.plotting.words import shortened

# Beyond the number of colours, colours repeat with the next marker; the rarest categories share the last.
STYLES = [(colour, marker) for marker in "o^" for colour in CATEGORIES] + [(OTHERS, "s")]
ALL_OTHERS = "all others"
MAX_COLUMNS, LINE = 6, 120  # columns of a legend; characters of one of its rows
MIN_CONTINUOUS = 11  # numbers with fewer distinct values are drawn as categories


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
    axes = dict(zip(SPACES, figure.subplots(1, 2), strict=True))
    values, unknown = table[color], {"color": MISSING}
    handles: dict[str, Line2D] = {}
    if continuous := is_continuous(values):
        known = np.isfinite(values.to_numpy(float))
    else:
        values, names = categories(table, color)
        known, counts = values.isin(names).to_numpy(), values.value_counts()
        looks = dict(zip(names, STYLES, strict=False))
        handles = {f"{name} ({counts[name]})": dot(*look) for name, look in looks.items()}
    panels = [(ax, label_space(ax, table, space), values) for space, ax in axes.items()]
    if continuous:
        draw_amounts(figure, panels, color, unknown)
    else:
        draw_categories(panels, looks, unknown)
    if not known.all():
        handles[f"no value ({(~known).sum()})"] = dot(MISSING)
    if handles:
        draw_legend(figure, handles, "" if continuous else color)
    return figure


def is_continuous(values: "pd.Series[Any]") -> bool:
    """Return whether values get a colour bar: numbers with more than ten distinct values."""
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return bool(numeric) and values.nunique() >= MIN_CONTINUOUS


def label_space(ax: Axes, table: pd.DataFrame, space: Space) -> AnyArray:
    """Label the axes of one space, and return its points of shape (n, 2)."""
    codes = table[code_columns(table, space)].to_numpy(dtype=float)
    n, dim = codes.shape
    if not dim:
        raise DataError(f"the table has no {space} codes: columns {space}0, {space}1, .. are wanted")
    if not np.isfinite(codes).all():
        raise DataError(f"some {space} codes are not finite numbers")
    title = ax.set_title(
        f"{space.capitalize()} space ({dim} dimension{'s' * (dim > 1)})", fontsize=11, loc="left"
    )
    title.set_color(COMMON if space == "common" else SALIENT)
    ax.tick_params(labelsize=8, color="0.7", labelcolor="0.4")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("0.7")
    if dim == 1:
        ax.set(xlabel=f"{space}0", ylabel="scattered at random", ylim=(-2, 2), yticks=[])
        return np.column_stack([codes, np.random.default_rng(0).uniform(-0.5, 0.5, size=n)])
    points, percent = _principal(codes)
    ax.set(xlabel=f"PC 1 ({percent[0]:.0f} % of variance)", ylabel=f"PC 2 ({percent[1]:.0f} % of variance)")
    ax.set_aspect("equal", adjustable="datalim")
    return points


def _principal(codes: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Return the first two principal components, and the percentage of variance that each explains."""
    from sklearn.decomposition import PCA

    total = codes.var(axis=0, ddof=1).sum()
    if total == 0:  # all codes are one point, as in a collapsed space
        return np.zeros((len(codes), 2)), np.zeros(2)
    pca = PCA(n_components=2).fit(codes)
    return pca.transform(codes), 100 * pca.explained_variance_ / total


Panel = tuple[Axes, AnyArray, "pd.Series[Any]"]  # axes, points of shape (n, 2), and their values


def marker_size(n: int) -> float:
    """Return the area of a marker, smaller for more points."""
    return float(np.clip(6000 / n, 5, 30))


def scatter(ax: Axes, points: AnyArray, **how: Any) -> Any:
    """Draw points of shape (n, 2)."""
    how = {"linewidths": 0, "alpha": 0.75, "rasterized": True} | how
    return ax.scatter(points[:, 0], points[:, 1], **how)


def draw_amounts(figure: Figure, panels: Sequence[Panel], color: str, unknown: dict[str, Any]) -> None:
    """Draw points coloured by amounts, on one scale; `unknown` is the look of points without a value."""
    amounts = [values.to_numpy(float) for *_, values in panels]
    finite = np.concatenate(amounts)[np.isfinite(np.concatenate(amounts))]
    limits = {"vmin": finite.min(), "vmax": finite.max()} if len(finite) else {}
    for (ax, points, _), amount in zip(panels, amounts, strict=True):
        known, size = np.isfinite(amount), marker_size(len(points))
        scatter(ax, points[~known], s=size, **unknown)
        drawn = scatter(ax, points[known], s=size, c=amount[known], cmap=AMOUNTS, **limits)
    bar = figure.colorbar(drawn, ax=[ax for ax, *_ in panels], fraction=0.03, pad=0.02)
    bar.set_label(shortened(color), parse_math=False)
    bar.outline.set_visible(False)
    bar.solids.set_alpha(1)  # type: ignore[union-attr]
    bar.ax.tick_params(labelsize=8, color="0.7", labelcolor="0.4")


def draw_categories(
    panels: Sequence[Panel], looks: Mapping[str, tuple[str, str]], unknown: dict[str, Any]
) -> None:
    """Draw points with the colour and marker of their category; `unknown` is the look of all others."""
    for ax, points, words in panels:
        known, size = words.isin(list(looks)).to_numpy(), marker_size(len(points))
        scatter(ax, points[~known], s=size, **unknown)
        colours, markers = np.array([looks[word] for word in words[known]]).reshape(-1, 2).T
        for marker in "so^":
            part = markers == marker
            scatter(ax, points[known][part], s=size, color=colours[part], marker=marker)


def dot(colour: str, marker: str = "o", **how: Any) -> Line2D:
    """Return a marker for a legend."""
    return Line2D([], [], color=colour, marker=marker, linestyle="", **how)


def as_words(values: "pd.Series[Any]") -> "pd.Series[str]":
    """Return values as text, whole floats without decimals; missing values stay missing."""
    return values.map(lambda v: f"{v:g}" if isinstance(v, float) else str(v)).where(values.notna())


def categories(table: pd.DataFrame, color: str) -> tuple["pd.Series[Any]", list[str]]:
    """Return the values as text, and the categories in legend order, the background's label first."""
    values = table[color]
    words = as_words(values)
    frequent = words.value_counts().index[: len(STYLES) - 1]
    words = words.where(words.isna() | words.isin(frequent), ALL_OTHERS)
    first = table["y"] if color == "label" and "y" in table else pd.Series(0, index=table.index)
    rank = pd.DataFrame({"word": words, "y": first, "value": values}).dropna(subset=["word"])
    rank = rank.drop_duplicates("word")
    numeric = pd.api.types.is_numeric_dtype(values)
    rank = rank.assign(last=rank["word"] == ALL_OTHERS).sort_values(
        ["last", "y", "value" if numeric else "word"]
    )
    return words, rank["word"].tolist()


def draw_legend(figure: Figure, handles: dict[str, Line2D], title: str) -> None:
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
