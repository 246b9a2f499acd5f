"""
Images or panels side by side: cells of one size, titles, names, differences, colour bars, in inches.

All images of a figure are in one axes whose unit is the inch: an axes for each would take far longer.
"""

import math
from collections.abc import Iterable
from textwrap import wrap
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine

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


def as_drawn(image: AnyArray) -> AnyArray:
    """Return an image (channels, h, w) in [0, 1] as it is drawn: three channels (h, w, 3), else the first."""
    return np.clip(np.moveaxis(image, 0, -1), 0, 1) if len(image) == 3 else image[0]


def in_colours(difference: AnyArray, limit: float) -> AnyArray:
    """Return a difference (h, w) in the colours of the scale from -limit to limit, (h, w, 3) in [0, 1]."""
    return np.asarray(colormaps[DIFFERENCES]((difference / limit + 1) / 2)[..., :3])


def inches(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure and axes over all of it, without frame: x in inches from the left, y from the top."""
    figure = Figure(figsize=(width, height))
    figure.suppressComposite = True  # images stay apart in an SVG
    canvas = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    canvas.set_axis_off()
    return figure, canvas


def draw_images(
    canvas: Axes,
    places: Iterable[tuple[float, float]],
    height: float,
    images: Iterable[AnyArray],
    difference: AnyArray | None = None,
    limit: float = 1.0,
    width: float = CELL,
) -> list[AxesImage]:
    """Draw images (channels, h, w) in [0, 1], then a difference (h, w), at upper left corners in inches."""
    looks: list[tuple[AnyArray, str, float, float]] = [(as_drawn(image), "gray", 0, 1) for image in images]
    if difference is not None:
        looks.append((difference, DIFFERENCES, -limit, limit))
    extents = [_extent(x, y, width, height) for x, y in places]
    return [
        canvas.imshow(values, cmap=colours, vmin=least, vmax=most, aspect="auto", extent=extent)
        for extent, (values, colours, least, most) in zip(extents, looks, strict=True)
    ]


def colour_bar(
    canvas: Axes, limit: float, x: float, y: float, height: float, width: float = 0.09, size: int = 7
) -> None:
    """Draw the colour bar of a symmetric scale; (x, y) is its upper left corner in inches."""
    levels = np.linspace(limit, -limit, 256)[:, None]
    canvas.imshow(levels, cmap=DIFFERENCES, aspect="auto", extent=_extent(x, y, width, height))
    for share, text in ((0, f"+{limit:.2g}"), (0.5, "0"), (1, f"-{limit:.2g}")):
        at = y + share * height
        canvas.plot([x + width, x + width + 0.03], [at, at], color="k", linewidth=0.8)
        canvas.text(x + width + 0.07, at, text, fontsize=size, va="center_baseline")


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


def block_title(canvas: Axes, title: str, colour: str, x: float, y: float, columns: int) -> None:
    """Write the title of a block of columns above a rule in its colour."""
    canvas.plot([x, x + columns * (CELL + GAP) - GAP], [y, y], color=colour, linewidth=1.5)
    look: dict[str, Any] = {"color": colour, "fontsize": 10, "weight": "bold", "parse_math": False}
    canvas.text(x, y - 0.04, title, va="bottom", **look)


def name_row(image: AxesImage, name: str, colour: str = NEUTRAL) -> None:
    """Write a name to the left of an image."""
    left, _, bottom, top = image.get_extent()
    look: dict[str, Any] = {"fontsize": 8, "color": colour, "parse_math": False}
    image.axes.text(left - 0.06, (bottom + top) / 2, name, ha="right", va="center", **look)


def name_column(image: AxesImage, name: str, size: int = 6) -> None:
    """Write a name above an image."""
    left, right, _, top = image.get_extent()
    look: dict[str, Any] = {"fontsize": size, "color": "0.4", "parse_math": False}
    image.axes.text((left + right) / 2, top - 0.03, name, ha="center", va="baseline", **look)


def _extent(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Return the left, right, lower and upper ends of a cell."""
    return x, x + width, y + height, y
