"""Figures of what the salient part adds to single samples, to groups of images, and to groups of volumes."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sepvae.batch import AnyArray
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.mesh import Mesh
from sepvae.plotting import cells
from sepvae.plotting.images import Names, sample_columns
from sepvae.plotting.palette import DIFFERENCES, NEUTRAL, TARGET, shortened
from sepvae.plotting.surfaces import draw_surfaces

PARTS = ("input", "without its\nsalient part", "what the salient\npart adds")
SLOPE = "Slope per unit of severity"
SIDE = 1.6  # width of an image in a figure of groups, in cells
TITLE, TITLE_LENGTH = 0.15, 22  # inches and characters of a line above a large map

CUTS = 7  # slices of a volume
WIDTH, ROW, HEAD, BAR = 11.0, 1.75, 0.3, 0.9  # inches of rows of slices; BAR is the room for the colour bar
PERCENTILE = 99.5  # of nonzero values: with the maximum, a few voxels would make all others pale
SIZE = 2_000_000  # largest number of characters of a viewer
STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)  # factors on the edge of a voxel
STYLE: dict[str, Any] = {"cmap": DIFFERENCES, "black_bg": False, "dim": 0}  # of nilearn's figures
SLICES = STYLE | {"display_mode": "z", "threshold": None, "draw_cross": False, "colorbar": False}
VIEWER = STYLE | {"symmetric_cmap": True, "width_view": 900}
Row = tuple[str, str, AnyArray, float]  # title, its colour, map, end of the scale
_finite = partial(np.nan_to_num, nan=0.0, posinf=0.0, neginf=0.0)
# nilearn's viewer stays empty if an inner frame gets its size or its images after the script ran.
DRAW_AGAIN = """<script>
new ResizeObserver(() => dispatchEvent(new Event("resize"))).observe(document.body);
addEventListener("load", () => {
    for (const image of document.images) image.dispatchEvent(new Event("load"));
});
</script>
</body>"""


def map_people(
    images: AnyArray, without: AnyArray, added: AnyArray, y: AnyArray, labels: Sequence[Any], ids: Names
) -> Figure:
    """
    Draw some people, one a column: their image, it without its salient part, and what that part adds.

    All arrays have shape (n, channels, h, w), volumes one slice each; `added` is in the units of the input,
    the others are in [0, 1]. Additions are red and removals blue, on one scale.
    """
    alike = images.shape == without.shape == added.shape and len(images) == len(y)
    if images.ndim != 4 or not len(images) or not alike:
        raise DataError(
            "images, without, added and y: wanted shapes (n, channels, h, w), alike, and (n,), not empty, "
            f"got {images.shape}, {without.shape}, {added.shape} and {y.shape}"
        )
    blocks = [np.flatnonzero(y == group) for group in (0, 1)]
    difference = cells.signed(added)
    limit = cells.limit_of(difference)
    return sample_columns((images, without), difference, limit, blocks, labels, ids, PARTS)


def map_groups(means: Sequence[AnyArray], d: AnyArray | None, labels: Sequence[Any]) -> Figure:
    """Draw group means of what the salient part adds on one scale, d on its own, all (channels, h, w)."""
    groups = [
        (fill(f"Mean, {cells.title_of(group.lower(), label)}", TITLE_LENGTH), colour, cells.signed(mean))
        for (group, colour), label, mean in zip(cells.GROUPS, labels, means, strict=True)
    ]
    others = [] if d is None else [("Cohen's d", NEUTRAL, cells.signed(d))]
    return _panels(_scaled(groups, others, cells.limit_of))


def severity_maps(thirds: Mapping[str, AnyArray], slope: AnyArray) -> Figure:
    """Draw mean maps of thirds of the targets by severity, by title, and the slope, all (channels, h, w)."""
    means = [(fill(title, TITLE_LENGTH), TARGET, cells.signed(mean)) for title, mean in thirds.items()]
    others = [(fill(SLOPE, TITLE_LENGTH), NEUTRAL, cells.signed(slope))]
    return _panels(_scaled(means, others, cells.limit_of))


def map_picture(
    values: AnyArray, limit: float | None = None, image: AnyArray | None = None, title: str = ""
) -> Figure:
    """
    Draw one map of shape (channels, h, w) with its colour bar; `limit` is the end of its scale.

    An image (h, w) in [0, 1], NaN outside of its mask, shows through where values are small.
    """
    shown = cells.signed(values)
    end = cells.limit_of(shown) if limit is None else limit
    figure = _panels([(title, NEUTRAL, shown, end)])
    if image is not None:
        above = figure.axes[0].images[0]
        place: dict[str, Any] = {"extent": above.get_extent(), "aspect": "auto", "zorder": -1}
        above.axes.imshow(image, cmap="gray", vmin=0, vmax=1, **place)
        above.set_alpha(_opacity(shown, end))
    return figure


def _panels(panels: Sequence[Row]) -> Figure:
    """Draw maps beside each other."""
    side = SIDE * cells.CELL
    height = side * panels[0][2].shape[0] / panels[0][2].shape[1]
    lines = max(len(title.splitlines()) for title, *_ in panels)
    step, head = side + cells.RIGHT, TITLE * (lines + 1) if lines else cells.MARGIN
    figure, canvas = cells.inches(cells.MARGIN + len(panels) * step, head + height + cells.MARGIN)
    for i, (title, colour, values, limit) in enumerate(panels):
        x = cells.MARGIN + i * step
        cells.draw_images(canvas, [(x, head)], height, (), values, limit, width=side)
        cells.colour_bar(canvas, limit, x + side + 0.06, head, height)
        canvas.text(x, head - 0.12, title, color=colour, fontsize=9, weight="bold", parse_math=False)
    return figure


def volume_maps(
    means: Sequence[AnyArray], d: AnyArray | None, image: AnyArray, grid: Grid | Mesh, labels: Sequence[Any]
) -> Figure:
    """
    Draw axial slices of each group's mean map over the image, and of Cohen's d if given.

    Left is on the left. Colours fade where values are small, so that the image, in grey, shows through. The
    means have one symmetric scale, and d its own. Of surfaces, with a Mesh for the grid, the inflated cortex
    is drawn, here and below.
    """
    groups = [
        (f"Mean of what is added, {shortened(label)}", colour, _finite(mean))
        for label, (_, colour), mean in zip(labels, cells.GROUPS, means, strict=True)
    ]
    pair = " against ".join(map(shortened, labels[::-1]))
    others = [] if d is None else [(f"Cohen's d of what is added, {pair}", NEUTRAL, _finite(d))]
    return _slices(_scaled(groups, others, percentile_limit), image, grid)


def severity_volume_maps(
    thirds: Mapping[str, AnyArray], slope: AnyArray, image: AnyArray, grid: Grid | Mesh
) -> Figure:
    """Draw axial slices of the mean map of each third by severity, by title, and of the slope on severity."""
    means = [(title, TARGET, _finite(mean)) for title, mean in thirds.items()]
    others = [(SLOPE, NEUTRAL, _finite(slope))]
    return _slices(_scaled(means, others, percentile_limit), image, grid)


def volume_axes(axes: Mapping[str, AnyArray], image: AnyArray, grid: Grid | Mesh) -> Figure:
    """Draw axial slices of what some salient axes add, given by name, over the image, each on its scale."""
    others = [(f"What 1 on axis {name} adds", NEUTRAL, one) for name, one in axes.items()]
    return _slices(_scaled([], others, percentile_limit), image, grid)


VBM = " (voxel-based morphometry)"  # in volumes
TESTS = {  # titles, and by them the scale: differences share one, as do t
    "salient": ("What the salient part adds: difference of targets from background", "difference"),
    "input": ("The input of the same people: difference", "difference"),
    "glm": (f"The input of the same people: t{VBM}", "t"),
    "w": ("Deviations of the input from training controls of the same covariates (w-scores): t", "t"),
}
Tested = Mapping[str, tuple[AnyArray, AnyArray]]  # statistic, and where its corrected p is 0.05 or less


def compared_images(tests: Tested) -> Figure:
    """Draw tests of group differences in images (h, w), by their names in TESTS, with outlines."""
    rows = [
        (fill(t.removesuffix(VBM), TITLE_LENGTH), colour, x, end) for t, colour, x, end in _test_rows(tests)
    ]
    figure = _panels(rows)
    canvas = figure.axes[0]
    for image, (_, found) in zip(canvas.images[::2], tests.values(), strict=True):  # between them, their bars
        if found.any():
            left, right, bottom, top = image.get_extent()
            place: dict[str, Any] = {"origin": "lower", "extent": (left, right, top, bottom)}
            canvas.contour(found, [0.5], colors="k", linewidths=0.8, **place)
    return figure


def compared_volumes(tests: Tested, image: AnyArray, grid: Grid | Mesh) -> Figure:
    """Draw axial slices of tests of group differences, by their names in TESTS, with outlines."""
    rows, outlines = _test_rows(tests), [found for _, found in tests.values()]
    if isinstance(grid, Mesh):
        rows = [(title.removesuffix(VBM), colour, x, end) for title, colour, x, end in rows]
    return _slices(rows, image, grid, outlines)


def _test_rows(tests: Tested) -> list[Row]:
    """Return statistics with their titles; those of one kind have one scale."""
    kinds = [kind for _, kind in TESTS.values()]
    limits = {
        kind: percentile_limit(np.stack([x for name, (x, _) in tests.items() if TESTS[name][1] == kind]))
        for kind in dict.fromkeys(kinds)
    }
    return [(TESTS[name][0], NEUTRAL, x, limits[TESTS[name][1]]) for name, (x, _) in tests.items()]


def _scaled(
    means: Sequence[tuple[str, str, AnyArray]],
    others: Sequence[tuple[str, str, AnyArray]],
    limit_of: Callable[[AnyArray], float],
) -> list[Row]:
    """Return maps with their title, colour and end of the scale: one for all means, each other its own."""
    limit = limit_of(np.stack([values for *_, values in means])) if means else 1.0
    return [*((*mean, limit) for mean in means), *((*other, limit_of(other[2])) for other in others)]


def _slices(
    rows: Sequence[Row], image: AnyArray, grid: Grid | Mesh, outlines: Sequence[AnyArray] = ()
) -> Figure:
    """Draw axial slices of maps over the image, one map a row, with an outline for each row if given."""
    if isinstance(grid, Mesh):
        return draw_surfaces(rows, grid, outlines)
    from nilearn.plotting import plot_stat_map

    total = len(rows) * (ROW + HEAD)
    (figure, canvas), seen = cells.inches(WIDTH, total), _seen(image)
    for i, (title, colour, values, limit) in enumerate(rows):
        top = i * (ROW + HEAD)
        look: dict[str, Any] = {"color": colour, "fontsize": 10, "weight": "bold", "parse_math": False}
        canvas.text(0.01 * WIDTH, top + 0.2, title, **look)
        opaque = _opacity(values, limit)
        display = plot_stat_map(
            _volume(values, grid),
            bg_img=_volume(seen, grid),
            figure=figure,
            axes=(0.0, 1 - (top + HEAD + ROW) / total, 1 - BAR / WIDTH, ROW / total),
            cut_coords=_levels(seen, grid),
            vmin=-limit,
            vmax=limit,
            transparency=_volume(opaque, grid) if np.ptp(opaque) else float(opaque.flat[0]),
            transparency_range=[0, 1],
            **SLICES,
        )
        if i < len(outlines) and outlines[i].any():
            display.add_contours(_volume(outlines[i], grid), levels=[0.5], colors="k", linewidths=0.8)
        y = top + HEAD + 0.15 * ROW
        cells.colour_bar(canvas, limit, WIDTH - BAR + 0.08, y, 0.7 * ROW, width=0.1, size=8)
    return figure


def _opacity(values: AnyArray, limit: float) -> AnyArray:
    """Return how opaque a map is: 1 from half of its scale on, and less where values are small."""
    return np.asarray(np.clip(2 * np.abs(values) / limit, 0, 1))


def map_viewer(values: AnyArray, image: AnyArray, grid: Grid, *, most: int = SIZE) -> str:
    """
    Return an interactive viewer of a map as an HTML page: three slices through a point moved with the mouse.

    It starts at the largest absolute value; values within a fifth of the scale are transparent. Voxels are
    enlarged, up to 12 times, until the page has at most `most` characters. The page loads nothing from the
    network, and is the same for the same map.
    """
    from nilearn.image import resample_img
    from nilearn.plotting import view_img

    values = _finite(values)
    peak = np.unravel_index(np.abs(values).argmax(), values.shape)
    point, limit = (grid.affine @ [*peak, 1])[:3].tolist(), percentile_limit(values)
    for step in STEPS:
        affine = grid.affine.copy()
        affine[:3, :3] *= step
        shape = tuple(int(np.ceil(n / step)) for n in grid.shape)
        volumes = [_volume(array, grid) for array in (values, _seen(image))]
        if step > 1:
            volumes = [resample_img(volume, affine, shape, interpolation="linear") for volume in volumes]
        sizes = np.abs(volumes[0].get_fdata())
        page: str = view_img(
            volumes[0],
            bg_img=volumes[1],
            cut_coords=point,
            vmax=limit,
            # nilearn would warn of a threshold that hides no voxel, or all.
            threshold=limit / 5 if sizes.min() <= limit / 5 < sizes.max() else None,
            resampling_interpolation="nearest",  # both are on one grid
            **VIEWER,
        ).html
        # Remove an icon from the network, and replace random ids: the same map must give the same page.
        page = re.sub(r"<link\b[^>]*>", "", page).replace("</body>", DRAW_AGAIN)
        for drawn in re.findall(r"div_viewer-([0-9a-f]{32})", page)[:1]:
            page = page.replace(drawn, "map")
        if len(page) <= most:
            break
    return page


def _levels(image: AnyArray, grid: Grid) -> list[float]:
    """Return the positions of slices in mm, evenly spaced over the nonzero part of the image."""
    inside = np.flatnonzero((image != 0).any(axis=(0, 1)))
    indices = np.linspace(inside[0], inside[-1], CUTS + 2)[1:-1].round()
    middle = [(n - 1) / 2 for n in grid.shape[:2]]
    return [float((grid.affine @ [*middle, k, 1])[2]) for k in np.unique(indices)]


def percentile_limit(values: AnyArray) -> float:
    """Return the end of a symmetric scale, a high percentile of nonzero sizes; 1 if all are 0."""
    sizes = np.abs(values[values != 0])
    return float(np.percentile(sizes, PERCENTILE)) if sizes.size else 1.0


def _seen(image: AnyArray) -> AnyArray:
    """Return the finite image, or ones if it is all 0: the scale of nilearn would be a masked value."""
    finite: AnyArray = _finite(image)
    return finite if finite.any() else np.ones_like(finite)


def _volume(voxels: AnyArray, grid: Grid) -> Any:
    from nibabel.nifti1 import Nifti1Image

    return Nifti1Image(voxels.astype(np.float32), grid.affine)
