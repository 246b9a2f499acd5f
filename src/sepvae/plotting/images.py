"""Figures of images: reconstructions, traversals of the salient space, and swaps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sepvae.batch import AnyArray
from sepvae.errors import DataError
from sepvae.plotting import cells
from sepvae.plotting.palette import BACKGROUND, TARGET

ROWS = ("input", "full\nreconstruction", "common only\n(s = 0)", "full minus\ncommon only")
SWAP_ROWS = (
    ("background a", BACKGROUND),
    ("target b", TARGET),
    ("a with the\nsalient part of b", TARGET),
    ("b with the\nsalient part of a", BACKGROUND),
)
Names = Sequence[Any] | AnyArray | None

GREY_LEVEL = 1 / 255


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

    One column is one sample, the background on the left. The last row shows what the salient code adds (red)
    or removes (blue), on one symmetric scale. Three channels are shown in colour and averaged in the
    difference; otherwise only the first is shown.

    Parameters
    ----------
    inputs, full, common_only : ndarray of shape (n, channels, h, w)
        Images, their reconstructions, and those with the salient code set to s' = 0, all in [0, 1].
    labels : ndarray of shape (n,)
        Labels as given by the user; several targets are one group.
    ids : sequence of n names or None, default=None
        Names to write above the samples, if any.
    background : label or None, default=None
        Label of the background; None takes the first in sorted order.
    max_per_label : int, default=6
        Number of samples to show of each group, the first ones.

    Returns
    -------
    Figure
        The figure, not attached to any window.

    Raises
    ------
    DataError
        If the shapes do not agree, there is one label only, or the background is not one of them.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).random((4, 1, 8, 8))
    >>> labels = np.array(["ill", "well", "ill", "well"])
    >>> figure = reconstruction_grid(images, images, images * 0.9, labels, background="well")
    >>> figure.axes[0].texts[0].get_text()
    'Background (well)'
    """
    inputs, full, common_only, labels = map(np.asarray, (inputs, full, common_only, labels))
    check_shapes(inputs, full, common_only, labels)
    names, groups = cells.two_groups(labels, background)
    blocks = [group[:max_per_label] for group in groups]
    difference = cells.signed(full) - cells.signed(common_only)
    limit = cells.limit_of(difference[np.concatenate(blocks)], GREY_LEVEL)
    return sample_columns((inputs, full, common_only), difference, limit, blocks, names, ids, ROWS)


def sample_columns(
    images: Sequence[AnyArray],
    difference: AnyArray,
    limit: float,
    blocks: Sequence[AnyArray],  # indices of background and of targets, either may be empty
    labels: Sequence[Any] | AnyArray,
    ids: Names,
    rows: Sequence[str],
) -> Figure:
    """Draw a column for each sample: images (n, channels, h, w) in [0, 1], then a difference (n, h, w)."""
    shown = np.concatenate([*blocks])
    names = cells.names_in_lines([""] * len(difference) if ids is None else ids)
    height, top = cells.height_of(images[0]), cells.top_of(names[i] for i in shown)
    levels = [top + row * (height + cells.GAP) for row in range(len(rows))]
    width = cells.LEFT + len(shown) * (cells.CELL + cells.GAP) + cells.BLOCK_GAP + cells.RIGHT
    figure, canvas = cells.inches(width, levels[-1] + height + cells.MARGIN)
    x = cells.LEFT
    for (group, colour), label, block in zip(cells.GROUPS, labels, blocks, strict=True):
        if not len(block):
            continue
        cells.block_title(canvas, cells.title_of(group, label), colour, x, cells.RULE, len(block))
        for sample in block:
            places, of_sample = [(x, y) for y in levels], [of_row[sample] for of_row in images]
            drawn = cells.draw_images(canvas, places, height, of_sample, difference[sample], limit)
            cells.name_column(drawn[0], names[sample])
            x += cells.CELL + cells.GAP
        x += cells.BLOCK_GAP
    for image, name in zip(canvas.images, rows, strict=False):
        cells.name_row(image, name)
    cells.colour_bar(canvas, limit, width - cells.RIGHT + 0.06, levels[-1], height)
    return figure


def traversal_grid(
    traversals: AnyArray, steps: AnyArray, shares: AnyArray, ids: Names = None, components: Names = None
) -> Figure:
    """
    Draw targets while their salient code moves along its principal components and their common code stays.

    One block is one component, one row in it one target, one column one step. The last column shows the last
    step minus the first, more in red and less in blue, on one symmetric scale for all. Three channels are
    shown in colour and averaged in the difference; otherwise only the first is shown.

    Parameters
    ----------
    traversals : ndarray of shape (m, p, k, channels, h, w)
        Decoded images in [0, 1], of m targets along p components at k steps.
    steps : ndarray of shape (k,)
        Standard deviations from the mean of the salient codes.
    shares : ndarray of shape (p,)
        Share of the salient variance of each component, in [0, 1].
    ids : sequence of m names or None, default=None
        Names to write beside the targets; None writes numbers.
    components : sequence of p names or None, default=None
        Titles of the components; None writes "Salient component 1", and so on.

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
    >>> figure.axes[0].texts[0].get_text()
    'Salient component 1 (50 % of the salient variance)'
    """
    traversals, steps, shares = map(np.asarray, (traversals, steps, shares))
    if traversals.ndim != 6 or traversals.shape[1:3] != (*shares.shape, *steps.shape):
        raise DataError(
            "traversals, steps and shares: wanted shapes (m, p, k, channels, h, w), (k,) and (p,), "
            f"got {traversals.shape}, {steps.shape} and {shares.shape}"
        )
    targets, n_components, k = traversals.shape[:3]
    titles = [f"Salient component {i + 1}" for i in range(n_components)] if components is None else components
    names = [f"target {i + 1}" for i in range(targets)] if ids is None else cells.names_in_lines(ids)
    headings = ["mean" if step == 0 else f"{step:+g} sd" for step in steps] + ["last minus first"]
    height = cells.height_of(traversals)
    block_height = cells.TOP + targets * (height + cells.GAP) + cells.BLOCK_GAP
    columns = [cells.LEFT + column * (cells.CELL + cells.GAP) for column in range(k)]
    last_column = columns[-1] + cells.CELL + cells.BLOCK_GAP
    figure, canvas = cells.inches(last_column + cells.CELL + cells.RIGHT, n_components * block_height)
    difference = cells.signed(traversals[:, :, -1]) - cells.signed(traversals[:, :, 0])
    limit = cells.limit_of(difference, GREY_LEVEL)
    for component, share in enumerate(shares):
        top = component * block_height
        title = f"{titles[component]} ({100 * share:.0f} % of the salient variance)"
        cells.block_title(canvas, title, TARGET, cells.LEFT, top + cells.RULE, k)
        for target in range(targets):
            y = top + cells.TOP + target * (height + cells.GAP)
            places, at = [(x, y) for x in (*columns, last_column)], (target, component)
            drawn = cells.draw_images(canvas, places, height, traversals[at], difference[at], limit)
            cells.name_row(drawn[0], names[target])
            if target == 0:
                for image, heading in zip(drawn, headings, strict=True):
                    cells.name_column(image, heading)
        cells.colour_bar(canvas, limit, last_column + cells.CELL + 0.06, y, height)
    return figure


def swap_grid(swaps: AnyArray, ids: Names = None) -> Figure:
    """
    Draw pairs of a background sample and a target, before and after they swap salient parts.

    One column is one pair. If the spaces are separated, the third row shows sample a with what makes b a
    target, and the last row sample b without it. Three channels are shown in colour, else the first only.

    Parameters
    ----------
    swaps : ndarray of shape (k, 4, channels, h, w)
        Images in [0, 1]: background sample a, target b, a with the salient part of b, b with that of a.
    ids : array-like of shape (k, 2) or None, default=None
        Names of a and b to write above each pair, if any.

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
    >>> 'background a' in [text.get_text() for text in figure.axes[0].texts]
    True
    """
    swaps = np.asarray(swaps)
    if swaps.ndim != 5 or swaps.shape[1] != len(SWAP_ROWS):
        raise DataError(f"swaps: wanted shape (k, 4, channels, h, w), got {swaps.shape}")
    names = [""] * len(swaps) if ids is None else [f"a {a}\nb {b}" for a, b in map(cells.names_in_lines, ids)]
    height, top = cells.height_of(swaps), cells.top_of(names) - cells.RULE
    rows = [top + row * (height + cells.GAP) for row in range(len(SWAP_ROWS))]
    columns = [cells.LEFT + column * (cells.CELL + cells.GAP) for column in range(len(swaps))]
    size = columns[-1] + cells.CELL + cells.MARGIN, rows[-1] + height + cells.MARGIN
    figure, canvas = cells.inches(*size)
    for x, pair, name in zip(columns, swaps, names, strict=True):
        first, *_ = cells.draw_images(canvas, [(x, y) for y in rows], height, pair)
        cells.name_column(first, name)
    for image, (name, colour) in zip(canvas.images, SWAP_ROWS, strict=False):
        cells.name_row(image, name, colour)
    return figure


def check_shapes(inputs: AnyArray, full: AnyArray, common_only: AnyArray, labels: AnyArray) -> None:
    """Raise unless images and reconstructions have one shape (n, channels, h, w), with n labels."""
    if inputs.ndim != 4 or not inputs.shape == full.shape == common_only.shape:
        raise DataError(
            "inputs, full and common_only: wanted one shape (n, channels, h, w), "
            f"got {inputs.shape}, {full.shape} and {common_only.shape}"
        )
    if labels.shape != inputs.shape[:1]:
        raise DataError(f"labels: wanted one for each of the {len(inputs)} images, got shape {labels.shape}")
