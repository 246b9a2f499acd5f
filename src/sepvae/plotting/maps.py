"""Figures of what the salient part adds: single people, groups of images, and regions of a table."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sepvae.batch import AnyArray
from sepvae.errors import DataError
from sepvae.plotting import cells
from sepvae.plotting.images import sample_columns
from sepvae.plotting.palette import LESS, MORE, NEUTRAL
from sepvae.plotting.words import shortened

PARTS = ("input", "without its\nsalient part", "what the salient\npart adds")
SIDE = 1.6  # width of an image in a figure of groups, in cells
TITLE, TITLE_LENGTH = 0.45, 22  # inches above a large map; characters of a line there
BAR, NAMES = 0.24, 2.6  # inches: height of a region's row, width of its name


def map_people(
    images: AnyArray,
    without: AnyArray,
    added: AnyArray,
    y: AnyArray,
    labels: Sequence[Any],
    ids: Sequence[Any],
) -> Figure:
    """
    Draw some people: their image, the image without its salient part, and what that part adds.

    One column is one person, the background on the left and the target on the right. Additions are red and
    removals blue, on one symmetric scale for all. All arrays have shape (n, channels, h, w), volumes one
    slice each; `images` and `without` are in [0, 1], `added` is in the units of the input.

    >>> import numpy as np
    >>> images = np.random.default_rng(0).random((2, 1, 8, 8))
    >>> figure = map_people(images, images, images - 0.5, np.array([0, 1]), ["well", "ill"], ["a", "b"])
    >>> [text.get_text() for text in figure.texts]
    ['Background (well)', 'Target (ill)']
    """
    if (
        images.ndim != 4
        or not len(images)
        or not images.shape == without.shape == added.shape
        or len(images) != len(y)
    ):
        raise DataError(
            "images, without, added and y: wanted shapes (n, channels, h, w), alike, and (n,), not empty, "
            f"got {images.shape}, {without.shape}, {added.shape} and {y.shape}"
        )
    blocks = [np.flatnonzero(y == group) for group in (0, 1)]
    difference = cells.signed(added)
    limit = cells.limit_of(difference)
    return sample_columns((images, without), difference, limit, blocks, labels, ids, PARTS)


def map_groups(means: Sequence[AnyArray], d: AnyArray | None, labels: Sequence[Any]) -> Figure:
    """
    Draw the group means of what the salient part adds, and Cohen's d if given, of shape (channels, h, w).

    The means have one symmetric scale, and d its own.

    >>> import numpy as np
    >>> figure = map_groups([np.zeros((1, 8, 8)), np.ones((1, 8, 8))], None, ["well", "ill"])
    >>> [text.get_text() for text in figure.texts]
    ['Mean, background\\n(well)', 'Mean, target (ill)']
    """
    limit = cells.limit_of(np.stack([cells.signed(mean) for mean in means]))
    panels = [
        (
            fill(f"Mean, {cells.title_of(group.lower(), label)}", TITLE_LENGTH),
            colour,
            cells.signed(mean),
            limit,
        )
        for (group, colour), label, mean in zip(cells.GROUPS, labels, means, strict=True)
    ]
    if d is not None:
        panels.append(("Cohen's d", NEUTRAL, cells.signed(d), cells.limit_of(cells.signed(d))))
    return _panels(panels)


def map_picture(values: AnyArray, limit: float | None = None) -> Figure:
    """
    Draw one map of shape (channels, h, w) with its colour bar; `limit` is the end of its scale.

    >>> import numpy as np
    >>> map_picture(np.ones((1, 8, 8)), 2.0).axes[0].images[0].get_clim()
    (-2.0, 2.0)
    """
    shown = cells.signed(values)
    return _panels([("", NEUTRAL, shown, cells.limit_of(shown) if limit is None else limit)])


def map_regions(regions: pd.DataFrame, n: int = 20) -> Figure:
    """
    Draw Cohen's d of the first n regions; the largest |d| comes first, as in `regions.csv`.

    >>> import pandas as pd
    >>> figure = map_regions(pd.DataFrame({"feature": ["insula", "cuneus"], "d": [-0.8, 0.1]}))
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['insula', 'cuneus']
    """
    if regions.empty:
        raise DataError("regions: wanted one or more to draw, got none")
    shown = regions.head(n)
    d = shown["d"].to_numpy(float)
    figure = Figure(figsize=(NAMES + 4.6, BAR * len(shown) + 0.9), layout="constrained")
    ax = figure.subplots()
    ax.barh(range(len(d)), d, height=0.7, color=np.where(d < 0, LESS, MORE))
    ax.axvline(0, color="0.5", linewidth=0.8)
    limit = 1.05 * cells.limit_of(d)
    ax.set_xlim(-limit, limit)
    ax.set_ylim(len(d) - 0.4, -0.6)
    ax.set_yticks(range(len(d)), shown["feature"].map(shortened), fontsize=8, parse_math=False)
    ax.set_xlabel(
        "Cohen's d of what the salient part adds, targets against background", fontsize=8, color="0.4"
    )
    ax.grid(axis="x", color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=8, labelcolor=NEUTRAL)
    ax.spines[:].set_visible(False)
    return figure


def _panels(panels: Sequence[tuple[str, str, AnyArray, float]]) -> Figure:
    """Draw maps beside each other, each given by title, colour of the title, values and end of the scale."""
    side = SIDE * cells.CELL
    height = side * panels[0][2].shape[0] / panels[0][2].shape[1]
    step, head = side + cells.RIGHT, TITLE if any(title for title, *_ in panels) else cells.MARGIN
    figure = Figure(figsize=(cells.MARGIN + len(panels) * step, head + height + cells.MARGIN))
    total = figure.get_figheight()
    for i, (title, colour, values, limit) in enumerate(panels):
        x = cells.MARGIN + i * step
        ax = cells.image_axes(figure, x, head, height, side)
        cells.show_difference(ax, values, limit)
        cells.colour_bar(figure, ax.images[0], x + side + 0.06, head, height)
        if title:
            place = (x / figure.get_figwidth(), 1 - (head - 0.12) / total)
            figure.text(*place, title, color=colour, fontsize=9, weight="bold", parse_math=False)
    return figure
