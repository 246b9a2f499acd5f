"""Figures of images: reconstructions, traversals of the salient space, and swaps."""

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from sepvae.batch import AnyArray
from sepvae.checks import order_labels
from sepvae.errors import DataError
from sepvae.plotting.palette import BACKGROUND, DIFFERENCES, NEUTRAL, TARGET
from sepvae.plotting.words import shortened

ROWS = ("input", "full\nreconstruction", "common only\n(s = 0)", "full minus\ncommon only")
GROUPS = (("Background", BACKGROUND), ("Target", TARGET))
SWAP_ROWS = (
    ("background a", BACKGROUND),
    ("target b", TARGET),
    ("a with the\nsalient part of b", TARGET),
    ("b with the\nsalient part of a", BACKGROUND),
)
Names = Sequence[Any] | AnyArray | None

GREY_LEVEL = 1 / 255
# Inches: width of an image; gaps between images and between blocks; margins; from the top of a block to the
# rule below its title.
CELL, GAP, BLOCK_GAP = 0.85, 0.04, 0.22
LEFT, RIGHT, TOP, MARGIN, RULE = 1.05, 0.75, 0.44, 0.1, 0.25
LINE, NAME, LINE_HEIGHT = 17, 68, 0.1  # characters per line and per name; inches


def reconstruction_grid(
    inputs: AnyArray,
    full: AnyArray,
    common_only: AnyArray,
    labels: AnyArray,
    ids: Names = None,
    *,
    background: Any = None,
    max_per_label: int = 6,
) -> Figure:
    """
    Draw images, their reconstructions with and without the salient code, and the difference of the two.

    One column is one sample, the background on the left and the target on the right. The last row shows what
    the salient code adds (red) or removes (blue), on one symmetric scale for all samples.

    Parameters
    ----------
    inputs, full, common_only : ndarray of shape (n, channels, h, w)
        Images, their reconstructions, and their reconstructions with the salient code set to s' = 0, all in
        [0, 1]. Three channels are shown in colour and averaged in the difference; otherwise only the first is
        shown.
    labels : ndarray of shape (n,)
        Two labels, as given by the user.
    ids : sequence of n names or None, default=None
        Names to write above the samples; None writes nothing.
    background : label or None, default=None
        Label of the background; None takes the first in sorted order.
    max_per_label : int, default=6
        Number of samples to show of each label, the first ones.

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
    difference = _signed(full) - _signed(common_only)
    limit = _limit(difference[np.concatenate(blocks)])
    return sample_columns((inputs, full, common_only), difference, limit, blocks, classes[order], ids, ROWS)


def sample_columns(
    images: Sequence[AnyArray],
    difference: AnyArray,
    limit: float,
    blocks: Sequence[AnyArray],
    labels: Sequence[Any] | AnyArray,
    ids: Names,
    rows: Sequence[str],
) -> Figure:
    """
    Draw one column per sample: its images, and below them a difference on one symmetric scale for all.

    Images have shape (n, channels, h, w), in [0, 1], the difference (n, h, w). `blocks` are the rows of
    background and target samples to draw; either may be empty.
    """
    shown = np.concatenate([*blocks])
    names = _names([""] * len(difference) if ids is None else ids)
    height, top = _cell_height(images[0]), _top(names[i] for i in shown)
    levels = [top + row * (height + GAP) for row in range(len(rows))]
    width = LEFT + len(shown) * (CELL + GAP) + BLOCK_GAP + RIGHT
    figure = Figure(figsize=(width, levels[-1] + height + MARGIN))
    x = LEFT
    for (group, colour), label, block in zip(GROUPS, labels, blocks, strict=True):
        if not len(block):
            continue
        _block_title(figure, _title_of(group, label), colour, x, RULE, len(block))
        for sample in block:
            axes = [_cell(figure, x, y, height) for y in levels]
            for ax, of_row in zip(axes, images, strict=False):
                _show(ax, of_row[sample])
            _show_difference(axes[-1], difference[sample], limit)
            _name_column(axes[0], names[sample])
            x += CELL + GAP
        x += BLOCK_GAP
    for ax, name in zip(figure.axes, rows, strict=False):
        _name_row(ax, name)
    _colour_bar(figure, axes[-1].images[0], width - RIGHT + 0.06, levels[-1], height)
    return figure


def traversal_grid(traversals: AnyArray, steps: AnyArray, shares: AnyArray, ids: Names = None) -> Figure:
    """
    Draw targets while their salient code moves along its principal components and their common code stays.

    One block is one component, one row in it one target, one column one step. The last column shows the last
    step minus the first, more in red and less in blue, on one symmetric scale for all.

    Parameters
    ----------
    traversals : ndarray of shape (m, p, k, channels, h, w)
        Decoded images in [0, 1], of m targets along p components at k steps. Three channels are shown in
        colour and averaged in the difference; otherwise only the first is shown.
    steps : ndarray of shape (k,)
        Standard deviations from the mean of the salient codes.
    shares : ndarray of shape (p,)
        Share of the salient variance of each component, in [0, 1].
    ids : sequence of m names or None, default=None
        Names to write beside the targets; None writes numbers.

    Returns
    -------
    Figure
        The figure, not attached to any window.

    Raises
    ------
    DataError
        If the shapes do not agree.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).random((2, 1, 3, 1, 8, 8))
    >>> figure = traversal_grid(images, np.array([-1, 0, 1]), np.array([0.5]))
    >>> figure.texts[0].get_text()
    'Salient component 1 (50 % of the salient variance)'
    """
    traversals, steps, shares = map(np.asarray, (traversals, steps, shares))
    if traversals.ndim != 6 or traversals.shape[1:3] != (*shares.shape, *steps.shape):
        raise DataError(
            "traversals, steps and shares: wanted shapes (m, p, k, channels, h, w), (k,) and (p,), "
            f"got {traversals.shape}, {steps.shape} and {shares.shape}"
        )
    targets, components, k = traversals.shape[:3]
    names = [f"target {i + 1}" for i in range(targets)] if ids is None else _names(ids)
    height = _cell_height(traversals)
    block_height = TOP + targets * (height + GAP) + BLOCK_GAP
    columns = [LEFT + column * (CELL + GAP) for column in range(k)]
    last_column = columns[-1] + CELL + BLOCK_GAP
    figure = Figure(figsize=(last_column + CELL + RIGHT, components * block_height))
    difference = _signed(traversals[:, :, -1]) - _signed(traversals[:, :, 0])
    limit = _limit(difference)
    for component in range(components):
        top = component * block_height
        title = f"Salient component {component + 1} ({100 * shares[component]:.0f} % of the salient variance)"
        _block_title(figure, title, TARGET, LEFT, top + RULE, k)
        rows = [top + TOP + row * (height + GAP) for row in range(targets)]
        for target, y in enumerate(rows):
            axes = [_cell(figure, x, y, height) for x in (*columns, last_column)]
            for ax, image in zip(axes, traversals[target, component], strict=False):
                _show(ax, image)
            _show_difference(axes[-1], difference[target, component], limit)
            _name_row(axes[0], names[target])
            if y == rows[0]:
                for ax, name in zip(axes, [*map(_step_name, steps), "last minus first"], strict=True):
                    _name_column(ax, name)
        _colour_bar(figure, axes[-1].images[0], last_column + CELL + 0.06, rows[-1], height)
    return figure


def swap_grid(swaps: AnyArray, ids: Names = None) -> Figure:
    """
    Draw pairs of a background sample and a target, before and after they swap salient parts.

    One column is one pair. If the spaces are separated, the third row shows sample a with what makes b a
    target, and the last row sample b without it.

    Parameters
    ----------
    swaps : ndarray of shape (k, 4, channels, h, w)
        Images in [0, 1]: background sample a, target b, a with the salient part of b, b with that of a. Three
        channels are shown in colour; otherwise only the first is shown.
    ids : array-like of shape (k, 2) or None, default=None
        Names of a and b to write above each pair; None writes nothing.

    Returns
    -------
    Figure
        The figure, not attached to any window.

    Raises
    ------
    DataError
        If the shapes do not agree.

    Examples
    --------
    >>> import numpy as np
    >>> figure = swap_grid(np.random.default_rng(0).random((6, 4, 1, 8, 8)))
    >>> figure.axes[0].get_ylabel()
    'background a'
    """
    swaps = np.asarray(swaps)
    if swaps.ndim != 5 or swaps.shape[1] != len(SWAP_ROWS):
        raise DataError(f"swaps: wanted shape (k, 4, channels, h, w), got {swaps.shape}")
    names = [""] * len(swaps) if ids is None else [f"a {a}\nb {b}" for a, b in map(_names, ids)]
    height, top = _cell_height(swaps), _top(names) - RULE
    rows = [top + row * (height + GAP) for row in range(len(SWAP_ROWS))]
    columns = [LEFT + column * (CELL + GAP) for column in range(len(swaps))]
    figure = Figure(figsize=(columns[-1] + CELL + MARGIN, rows[-1] + height + MARGIN))
    for x, pair, name in zip(columns, swaps, names, strict=True):
        axes = [_cell(figure, x, y, height) for y in rows]
        for ax, image in zip(axes, pair, strict=True):
            _show(ax, image)
        _name_column(axes[0], name)
    for ax, (name, colour) in zip(figure.axes, SWAP_ROWS, strict=False):
        _name_row(ax, name, colour)
    return figure


def _check_shapes(inputs: AnyArray, full: AnyArray, common_only: AnyArray, labels: AnyArray) -> None:
    if inputs.ndim != 4 or not inputs.shape == full.shape == common_only.shape:
        raise DataError(
            "inputs, full and common_only: wanted one shape (n, channels, h, w), "
            f"got {inputs.shape}, {full.shape} and {common_only.shape}"
        )
    if labels.shape != inputs.shape[:1]:
        raise DataError(f"labels: wanted one for each of the {len(inputs)} images, got shape {labels.shape}")


def _names(ids: Iterable[Any]) -> list[str]:
    """Return names in lines as wide as a cell; very long names are shortened in the middle."""
    return ["\n".join(wrap(shortened(name, NAME), LINE)) for name in ids]


def _top(names: Iterable[str]) -> float:
    """Return the inches from the top of a block to its images: room for its title and the longest name."""
    lines = max((name.count("\n") + 1 for name in names), default=1)
    return max(TOP, RULE + 0.07 + LINE_HEIGHT * lines)


def _step_name(step: float) -> str:
    return "mean" if step == 0 else f"{step:+g} sd"


def _title_of(group: str, label: Any) -> str:
    return group if str(label).lower() == group.lower() else f"{group} ({shortened(label)})"


def _limit(difference: AnyArray) -> float:
    """Return the limit of the scale, at least one grey level: differences of a constant model stay white."""
    return max(float(np.abs(difference).max()), GREY_LEVEL)


def _cell_height(images: AnyArray) -> float:
    """Return the height of a cell, in inches, for images of shape (.., h, w)."""
    return float(CELL * images.shape[-2] / images.shape[-1])


def _cell(figure: Figure, x: float, y: float, height: float) -> Axes:
    """Add axes for one image, without frame or ticks; (x, y) is the upper left corner in inches."""
    width, total = figure.get_size_inches()
    box = (x / width, 1 - (y + height) / total, CELL / width, height / total)
    ax = figure.add_axes(box, xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


def _show(ax: Axes, image: AnyArray) -> None:
    """Draw an image in [0, 1] of shape (channels, h, w): three channels in colour, else only the first."""
    visible = np.clip(np.moveaxis(image, 0, -1), 0, 1) if len(image) == 3 else image[0]
    ax.imshow(visible, cmap="gray", vmin=0, vmax=1)


def _signed(images: AnyArray) -> AnyArray:
    """Return images (.., channels, h, w) as floats (.., h, w): the mean of three channels, else the first."""
    images = images.astype(float)
    return images.mean(axis=-3) if images.shape[-3] == 3 else images[..., 0, :, :]


def _show_difference(ax: Axes, difference: AnyArray, limit: float) -> None:
    """Draw a difference of shape (h, w), more in red and less in blue, from -limit to +limit."""
    ax.imshow(difference, cmap=DIFFERENCES, vmin=-limit, vmax=limit)


def _block_title(figure: Figure, title: str, colour: str, x: float, y: float, columns: int) -> None:
    """Write the title of a block of columns above a rule in its colour."""
    width, total = figure.get_size_inches()
    left, right, height = x / width, (x + columns * (CELL + GAP) - GAP) / width, 1 - y / total
    figure.add_artist(Line2D([left, right], [height, height], color=colour, linewidth=1.5))
    above = height + 0.04 / total
    figure.text(left, above, title, color=colour, fontsize=10, weight="bold", va="bottom", parse_math=False)


def _name_row(ax: Axes, name: str, colour: str = NEUTRAL) -> None:
    """Write a name to the left of a cell."""
    ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8, color=colour)
    ax.yaxis.label.set_parse_math(False)


def _name_column(ax: Axes, name: str) -> None:
    """Write a name above a cell."""
    ax.set_title(name, fontsize=6, color="0.4", pad=2, parse_math=False)


def _colour_bar(figure: Figure, image: AxesImage, x: float, y: float, height: float) -> None:
    """Draw the colour bar of differences; (x, y) is its upper left corner in inches."""
    width, total = figure.get_size_inches()
    box = (x / width, 1 - (y + height) / total, 0.09 / width, height / total)
    limit = float(image.get_clim()[1] or 1)
    bar = figure.colorbar(image, cax=figure.add_axes(box), ticks=[-limit, 0, limit])
    bar.ax.set_yticklabels([f"-{limit:.2g}", "0", f"+{limit:.2g}"], fontsize=7)
    bar.ax.tick_params(length=2)
    bar.outline.set_visible(False)
