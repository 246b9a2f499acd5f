"""Pictures of what the two spaces hold: inputs, reconstructions, and what the salient code adds to them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from sepvae.batch import AnyArray, IntArray
from sepvae.checks import order_labels
from sepvae.errors import DataError
from sepvae.plotting.palette import BACKGROUND, NEUTRAL, TARGET

ROWS = ("input", "full\nreconstruction", "common only\n(s = 0)", "full minus\ncommon only")
GROUPS = (("Background", BACKGROUND), ("Target", TARGET))

# Inches: one image's width, and the room around and between the images.
CELL, GAP, BLOCK_GAP = 0.85, 0.04, 0.22
LEFT, RIGHT, TOP, BOTTOM = 1.05, 0.75, 0.44, 0.06


def reconstruction_grid(
    inputs: AnyArray,
    full: AnyArray,
    common_only: AnyArray,
    labels: AnyArray,
    ids: Sequence[Any] | AnyArray | None = None,
    *,
    background: Any = None,
    max_per_label: int = 6,
) -> Figure:
    """
    Draw images, their reconstructions with and without the salient code, and the difference of the two.

    One column is one sample, the background on the left and the target on the right. The last row shows what
    the salient code adds (red) or takes away (blue), on one symmetric scale for all samples.

    Parameters
    ----------
    inputs, full, common_only : ndarray of shape (n, channels, h, w)
        The images, their reconstructions, and their reconstructions with the salient code set to s' = 0, all
        in [0, 1]. Three channels are colours, averaged in the difference; of any other number the first is
        shown.
    labels : ndarray of shape (n,)
        Two labels, as the user wrote them.
    ids : sequence of n names or None, default=None
        What to write above each sample, or None for nothing.
    background : label or None, default=None
        The background's label; None names the first in sorted order.
    max_per_label : int, default=6
        How many samples of each label to show, the first ones.

    Returns
    -------
    Figure
        The figure, not attached to any window.

    Raises
    ------
    DataError
        If the shapes do not agree, there are not two labels, or the background is not one of them.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).random((4, 1, 8, 8))
    >>> labels = np.array(["ill", "well", "ill", "well"])
    >>> figure = reconstruction_grid(images, images, images * 0.9, labels, background="well")
    >>> figure.savefig("reconstructions.png", dpi=150)  # doctest: +SKIP
    """
    inputs, full, common_only, labels = map(np.asarray, (inputs, full, common_only, labels))
    _check_shapes(inputs, full, common_only, labels)
    classes, order = order_labels(labels, background)
    blocks = [np.flatnonzero(labels == label)[:max_per_label] for label in classes[order]]
    names = [""] * len(inputs) if ids is None else [_shortened(str(name)) for name in ids]
    height = CELL * inputs.shape[2] / inputs.shape[3]
    figure = Figure(figsize=_size(blocks, height))
    difference = _signed(full) - _signed(common_only)
    limit = float(np.abs(difference[np.concatenate(blocks)]).max()) or 1.0

    x = LEFT
    for (group, colour), label, block in zip(GROUPS, classes[order], blocks, strict=True):
        title = group if str(label).lower() == group.lower() else f"{group} ({label})"
        _block_title(figure, title, colour, x, len(block))
        for sample in block:
            axes = [_cell(figure, x, row, height) for row in range(4)]
            for ax, images in zip(axes, (inputs, full, common_only), strict=False):
                ax.imshow(_visible(images[sample]), cmap="gray", vmin=0, vmax=1)
            axes[3].imshow(difference[sample], cmap="RdBu_r", vmin=-limit, vmax=limit)
            axes[0].set_title(names[sample], fontsize=6, color="0.4", pad=2, parse_math=False)
            x += CELL + GAP
        x += BLOCK_GAP
    _name_rows(figure.axes[:4])
    _colour_bar(figure, figure.axes[3].images[0], height)
    return figure


def _check_shapes(inputs: AnyArray, full: AnyArray, common_only: AnyArray, labels: AnyArray) -> None:
    if inputs.ndim != 4 or not inputs.shape == full.shape == common_only.shape:
        raise DataError(
            "inputs, full and common_only: wanted one shape (n, channels, h, w), "
            f"got {inputs.shape}, {full.shape} and {common_only.shape}"
        )
    if labels.shape != inputs.shape[:1]:
        raise DataError(f"labels: wanted one for each of the {len(inputs)} images, got shape {labels.shape}")


def _size(blocks: list[IntArray], height: float) -> tuple[float, float]:
    """Width and height of the figure."""
    columns = sum(len(block) for block in blocks)
    return LEFT + columns * (CELL + GAP) + BLOCK_GAP + RIGHT, TOP + 4 * (height + GAP) + BOTTOM


def _shortened(name: str, length: int = 15) -> str:
    """The end of a long name, where names of files differ."""
    return name if len(name) <= length else "…" + name[1 - length :]


def _visible(image: AnyArray) -> AnyArray:
    """An image as matplotlib shows it: (h, w, 3) in colour, or (h, w)."""
    return np.clip(np.moveaxis(image, 0, -1), 0, 1) if len(image) == 3 else image[0]


def _signed(images: AnyArray) -> AnyArray:
    """Images as (n, h, w) signed floats: the mean of three colours, or the first channel."""
    images = images.astype(float)
    return images.mean(axis=1) if images.shape[1] == 3 else images[:, 0]


def _cell(figure: Figure, x: float, row: int, height: float) -> Axes:
    """Empty axes for one image, `x` inches from the left."""
    width, total = figure.get_size_inches()
    y = total - TOP - (row + 1) * (height + GAP) + GAP
    ax = figure.add_axes((x / width, y / total, CELL / width, height / total), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


def _block_title(figure: Figure, title: str, colour: str, x: float, columns: int) -> None:
    """Name a block of columns above a rule in its colour."""
    width, total = figure.get_size_inches()
    left, right = x / width, (x + columns * (CELL + GAP) - GAP) / width
    y = 1 - 0.25 / total
    figure.add_artist(Line2D([left, right], [y, y], color=colour, linewidth=1.5))
    figure.text(
        left, y + 0.04 / total, title, color=colour, fontsize=10, weight="bold", va="bottom", parse_math=False
    )


def _name_rows(axes: list[Axes]) -> None:
    for ax, name in zip(axes, ROWS, strict=True):
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8, color=NEUTRAL)


def _colour_bar(figure: Figure, image: AxesImage, height: float) -> None:
    """The scale of the differences, beside their row."""
    width, total = figure.get_size_inches()
    box = ((width - RIGHT + 0.06) / width, (BOTTOM + GAP) / total, 0.09 / width, height / total)
    limit = float(image.get_clim()[1] or 1)
    bar = figure.colorbar(image, cax=figure.add_axes(box), ticks=[-limit, 0, limit])
    bar.ax.set_yticklabels([f"-{limit:.2g}", "0", f"+{limit:.2g}"], fontsize=7)
    bar.ax.tick_params(length=2)
    bar.outline.set_visible(False)
