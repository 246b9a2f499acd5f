"""Contenders of a benchmark side by side: salient codes, and reconstructions of the same images."""

import math
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sepvae.batch import AnyArray
from sepvae.errors import DataError
from sepvae.plotting import cells, codes
from sepvae.plotting.images import GREY_LEVEL, ROWS, check_shapes
from sepvae.plotting.palette import MISSING, NEUTRAL, OTHERS, any_letters

NAME_LENGTH = 26  # characters of a contender's name in one line
UNKNOWN = {"facecolors": "none", "edgecolors": OTHERS, "linewidths": 0.6}  # targets without a value

HEADING = 7  # size of the heading of a column of images

# Inches: width and height of a scatter; a line of a contender's name; from the rule below it to the images.
PANEL, LINE, HEADINGS = (2.75, 2.9), 0.17, 0.32
BLOCK = cells.BLOCK_GAP + 3 * (cells.CELL + cells.GAP)


def salient_scatters(
    tables: Mapping[str, pd.DataFrame], color: str, *, ratios: Mapping[str, float] | None = None
) -> Figure:
    """
    Draw the salient codes of several contenders, each on its own first two principal components.

    Background samples are grey, below the targets; targets without a value are empty circles. The components
    are those of all given rows. Each panel has its own limits, and the same scale on both axes. `ratios` are
    variances of salient means, target over background, to write below the names where they are known.
    """
    if not tables:
        raise DataError("there is no contender to draw")
    # The drawing order is random, so that no category hides all earlier ones.
    shuffled = {
        name: _checked(name, table, color).sample(frac=1, random_state=0, ignore_index=True)
        for name, table in tables.items()
    }
    figure, axes = cells.panel_grid(len(shuffled), *PANEL, w_pad=0.07, h_pad=0.08)
    colours = pd.concat({name: table.loc[table["y"] != 0, [color]] for name, table in shuffled.items()})
    values, names = codes.coloured_values(colours, color)
    panels: list[codes.Panel] = []
    for ax, (name, table) in zip(axes, shuffled.items(), strict=True):
        points = _label_panel(ax, name, table, (ratios or {}).get(name, math.nan))
        background = (table["y"] == 0).to_numpy()
        codes.scatter(ax, points[background], (~background).sum(), color=MISSING, alpha=1)
        panels.append((ax, points[~background], values.loc[[name]]))
    styles = codes.STYLES[color == "label" :]  # blue is the background's
    looks = None if names is None else dict(zip(names, styles, strict=False))
    codes.draw_points(figure, panels, color, looks, UNKNOWN)
    handles = {"background": codes.dot(MISSING)} | {
        name: codes.dot(*look) for name, look in (looks or {}).items()
    }
    if values.isna().any():
        handles["no value"] = codes.dot(OTHERS, markerfacecolor="none")
    codes.draw_legend(figure, handles, "" if looks is None else color)
    # A legend of long names may be wider than a few panels.
    with any_letters():
        legend_width = figure.legends[0].get_window_extent().width / figure.dpi
    figure.set_figwidth(max(figure.get_figwidth(), legend_width + 2 * cells.MARGIN))
    return figure


def reconstruction_columns(
    examples: Mapping[str, Mapping[str, AnyArray]], *, background: str, n: int = 4
) -> Figure:
    """
    Draw the same images as reconstructed by several contenders, with and without the salient code.

    One row is one sample, the background above the target; the first column is the input. Each contender has
    three more: its reconstruction, that from the common code alone, and what the salient code adds (red) or
    removes (blue). All differences have one symmetric scale. `examples` maps each contender to the arrays of
    `examples.npz`, images in [0, 1].
    """
    inputs, labels = _check_examples(examples)
    group_names, members = cells.two_groups(labels, background)
    groups = [group[:n] for group in members]
    shown = np.concatenate(groups)
    images = {}
    for name, arrays in examples.items():
        full, common_only = arrays["full"][shown], arrays["common_only"][shown]
        images[name] = [full, common_only, cells.signed(full) - cells.signed(common_only)]
    limit = max(cells.limit_of(difference, GREY_LEVEL) for *_, difference in images.values())
    height = cells.height_of(inputs)
    top = cells.MARGIN + LINE * max(len(_lines(name)) for name in images) + HEADINGS
    offsets = [
        row * (height + cells.GAP) + (row >= len(groups[0])) * cells.BLOCK_GAP for row in range(len(shown))
    ]
    tier_height = top + offsets[-1] + height + cells.BLOCK_GAP
    tiers = [list(images)[i : i + cells.COLUMNS] for i in range(0, len(images), cells.COLUMNS)]
    width = cells.LEFT + cells.CELL + len(tiers[0]) * BLOCK + cells.RIGHT
    figure, canvas = cells.inches(width, len(tiers) * tier_height)
    for tier, names in enumerate(tiers):
        rows = [tier * tier_height + top + offset for offset in offsets]
        parts = rows[: len(groups[0])], rows[len(groups[0]) :]
        for (group, colour), label, part in zip(cells.GROUPS, group_names, parts, strict=True):
            title = cells.title_of(group, label)
            _name_group(canvas, title, colour, part[0], part[-1] + height)
        first, *_ = cells.draw_images(canvas, [(cells.LEFT, y) for y in rows], height, inputs[shown])
        cells.name_column(first, ROWS[0], HEADING)
        for i, name in enumerate(names):
            x = cells.LEFT + cells.CELL + cells.BLOCK_GAP + i * BLOCK
            _contender(canvas, x, rows, height, name, images[name], limit)
        if tier == 0:
            cells.colour_bar(canvas, limit, width - cells.RIGHT + 0.06, rows[-1], height)
    return figure


def _checked(name: str, table: pd.DataFrame, color: str) -> pd.DataFrame:
    missing = [column for column in ("y", color) if column not in table.columns]
    if missing:
        raise DataError(f"the table of codes of {name} has no column {missing[0]!r}")
    if len(table) < 2:
        raise DataError(f"a scatter of codes needs at least 2 rows, got {len(table)} of {name}")
    if not (table["y"] != 0).any():
        raise DataError(f"a scatter of salient codes needs targets, got background samples only of {name}")
    return table


def _label_panel(ax: Axes, name: str, table: pd.DataFrame, ratio: float) -> AnyArray:
    """Write a contender's name, and its variance ratio unless NaN; return salient points of shape (n, 2)."""
    try:
        points = codes.label_space(ax, table, "salient")
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    ax.xaxis.label.set_fontsize(8)
    ax.yaxis.label.set_fontsize(8)
    title = ax.set_title("\n".join(_lines(name)), loc="left", fontsize=10, pad=18, parse_math=False)
    title.set(weight="bold", color=NEUTRAL)
    if not math.isnan(ratio):
        text = f"variance ratio {ratio:.{1 if ratio >= 10 else 2}f}"
        place: dict[str, Any] = {"xytext": (0, 5), "xycoords": "axes fraction", "textcoords": "offset points"}
        ax.annotate(text, (0, 1), **place, fontsize=8, color="0.4")
    return points


def _lines(name: str) -> list[str]:
    return textwrap.wrap(name, NAME_LENGTH) or [name]


def _check_examples(examples: Mapping[str, Mapping[str, AnyArray]]) -> tuple[AnyArray, AnyArray]:
    """Return the inputs and labels that all contenders share; raise if shapes or ids differ."""
    if not examples:
        raise DataError("there is no contender to draw")
    first = next(iter(examples))
    for name, arrays in examples.items():
        check_shapes(*(arrays[key] for key in ("inputs", "full", "common_only", "labels")))
        if not np.array_equal(arrays["ids"], examples[first]["ids"]):
            raise DataError(f"the examples of {name} and {first} have different ids: wanted the same samples")
    return examples[first]["inputs"], examples[first]["labels"]


def _contender(
    canvas: Axes,
    x: float,
    rows: list[float],
    height: float,
    name: str,
    images: list[AnyArray],
    limit: float,
) -> None:
    """Draw the three columns of one contender."""
    cells.block_title(canvas, "\n".join(_lines(name)), NEUTRAL, x, rows[0] - HEADINGS, 3)
    columns = [x + column * (cells.CELL + cells.GAP) for column in range(3)]
    for y, *pair, difference in zip(rows, *images, strict=True):
        drawn = cells.draw_images(canvas, [(x, y) for x in columns], height, pair, difference, limit)
        if y == rows[0]:
            for image, heading in zip(drawn, ROWS[1:], strict=True):
                cells.name_column(image, heading, HEADING)


def _name_group(canvas: Axes, title: str, colour: str, top: float, bottom: float) -> None:
    """Write the name of a group to the left of its rows, beside a rule in its colour."""
    x = cells.LEFT - 0.06
    canvas.plot([x, x], [top, bottom], color=colour, linewidth=1.5)
    look: dict[str, Any] = {"color": colour, "fontsize": 8, "weight": "bold", "parse_math": False}
    canvas.text(x - 0.06, (top + bottom) / 2, textwrap.fill(title, 12), ha="right", va="center", **look)
