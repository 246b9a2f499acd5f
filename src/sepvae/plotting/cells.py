"""Images or panels side by side: cells of one size, titles, names, differences, colour bars, in inches."""

import math
from collections.abc import Iterable
from textwrap import wrap
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from sepvae.batch import AnyArray
from sepvae.checks import joined, order_labels
from sepvae.plotting.palette import BACKGROUND, DIFFERENCES, NEUTRAL, TARGET, shortened

GROUPS = (("Background", BACKGROUND), ("Target", TARGET))
# Inches: width of an image; gaps between images and between blocks; margins; from the top of a block to the
# rule below its title.
CELL, GAP, BLOCK_GAP = 0.85, 0.04, 0.22
LEFT, RIGHT, TOP, MARGIN, RULE = 1.05, 0.75, 0.44, 0.1, 0.25
COLUMNS = 4  # panels or contenders in a row
LINE, NAME, LINE_HEIGHT = 17, 68, 0.1  # characters per line and per name; inches


def names_in_lines(ids: Iterable[Any]) -> list[str]:
    """Return names in lines as wide as a cell; very long names are shortened in the middle."""
    return ["\n".join(wrap(shortened(name, NAME), LINE)) for name in ids]


def top_of(names: Iterable[str]) -> float:
    """Return the inches from the top of a block to its images: room for its title and the longest name."""
    lines = max((name.count("\n") + 1 for name in names), default=1)
    return max(TOP, RULE + 0.07 + LINE_HEIGHT * lines)


def two_groups(labels: AnyArray, background: Any) -> tuple[list[Any], list[npt.NDArray[np.intp]]]:
    """Return the label of the background and those of all targets in one, and the indices of each group."""
    classes, order = order_labels(labels, background)
    first, *targets = classes[order].tolist()
    named = targets[0] if len(targets) == 1 else joined([*map(str, targets)])
    return [first, named], [np.flatnonzero(labels == first), np.flatnonzero(labels != first)]


def title_of(group: str, label: Any) -> str:
    """Return the title of a group, with its label unless that is the same word."""
    return group if str(label).lower() == group.lower() else f"{group} ({shortened(label)})"


def limit_of(values: AnyArray, least: float = 0.0) -> float:
    """Return the end of a symmetric scale: the largest absolute value, `least` or more, or 1 if all are 0."""
    return max(float(np.abs(values).max(initial=0)), least) or 1.0


def height_of(images: AnyArray) -> float:
    """Return the height of a cell, in inches, for images of shape (.., h, w)."""
    return float(CELL * images.shape[-2] / images.shape[-1])


def signed(images: AnyArray) -> AnyArray:
    """Return images (.., channels, h, w) as floats (.., h, w): the mean of three channels, else the first."""
    images = images.astype(float)
    return images.mean(axis=-3) if images.shape[-3] == 3 else images[..., 0, :, :]


def draw_images(
    figure: Figure,
    places: Iterable[tuple[float, float]],
    height: float,
    images: Iterable[AnyArray],
    difference: AnyArray | None = None,
    limit: float = 1.0,
    width: float = CELL,
) -> list[Axes]:
    """Draw images (channels, h, w) in [0, 1], then a difference (h, w), at upper left corners in inches."""
    axes = [_axes(figure, x, y, width, height) for x, y in places]
    for ax, image in zip(axes, images, strict=False):
        visible = np.clip(np.moveaxis(image, 0, -1), 0, 1) if len(image) == 3 else image[0]
        ax.imshow(visible, cmap="gray", vmin=0, vmax=1)
    if difference is not None:
        axes[-1].imshow(difference, cmap=DIFFERENCES, vmin=-limit, vmax=limit)
    return axes


def colour_bar(
    figure: Figure,
    colours: ScalarMappable,
    x: float,
    y: float,
    height: float,
    width: float = 0.09,
    size: int = 7,
) -> None:
    """Draw the colour bar of a symmetric scale; (x, y) is its upper left corner in inches."""
    limit = float(colours.get_clim()[1] or 1)
    bar = figure.colorbar(colours, cax=_axes(figure, x, y, width, height), ticks=[-limit, 0, limit])
    bar.ax.set_yticklabels([f"-{limit:.2g}", "0", f"+{limit:.2g}"], fontsize=size)
    bar.ax.tick_params(length=2)
    bar.outline.set_visible(False)


def panel_grid(n: int, width: float, height: float, **pads: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure of n panels with their axes, row by row; a panel has width and height in inches."""
    columns = min(COLUMNS, n)
    rows = math.ceil(n / columns)
    size = (max(width * columns, 4.5), height * rows + 0.5)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(**pads))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[n:]:
        ax.remove()
    return figure, list(axes[:n])


def block_title(figure: Figure, title: str, colour: str, x: float, y: float, columns: int) -> None:
    """Write the title of a block of columns above a rule in its colour."""
    width, total = figure.get_size_inches()
    left, right, height = x / width, (x + columns * (CELL + GAP) - GAP) / width, 1 - y / total
    figure.add_artist(Line2D([left, right], [height, height], color=colour, linewidth=1.5))
    above = height + 0.04 / total
    figure.text(left, above, title, color=colour, fontsize=10, weight="bold", va="bottom", parse_math=False)


def name_row(ax: Axes, name: str, colour: str = NEUTRAL) -> None:
    """Write a name to the left of a cell."""
    ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8, color=colour)
    ax.yaxis.label.set_parse_math(False)


def name_column(ax: Axes, name: str) -> None:
    """Write a name above a cell."""
    ax.set_title(name, fontsize=6, color="0.4", pad=2, parse_math=False)


def _axes(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Add axes without frame or ticks."""
    full_width, total = figure.get_size_inches()
    box = x / full_width, 1 - (y + height) / total, width / full_width, height / total
    ax = figure.add_axes(box, xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax
