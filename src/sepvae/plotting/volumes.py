"""Maps of volumes, drawn by nilearn: slices for a page or a paper, and a viewer that needs no network."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from sepvae.batch import AnyArray
from sepvae.grid import Grid
from sepvae.plotting.palette import BACKGROUND, DIFFERENCES, NEUTRAL, TARGET
from sepvae.plotting.words import shortened

CUTS = 7
WIDTH, ROW, TITLE, BAR = 11.0, 1.75, 0.3, 0.9  # inches; the last to the right, for the scale
PERCENTILE = 99.5  # of what is not 0: a few voxels more would bleach all others
SIZE = 2_000_000  # characters of a viewer
STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # times the edge of a voxel
# nilearn's viewer stays empty where an inner frame gets its size, or its images, after the script ran.
DRAW_AGAIN = """<script>
new ResizeObserver(() => dispatchEvent(new Event("resize"))).observe(document.body);
addEventListener("load", () => {
    for (const image of document.images) image.dispatchEvent(new Event("load"));
});
</script>
</body>"""


def volume_maps(
    means: Sequence[AnyArray], d: AnyArray | None, image: AnyArray, grid: Grid, labels: Sequence[Any]
) -> Figure:
    """
    Draw axial slices of what the salient part adds on average, and of how far the groups differ in it.

    The left is on the left. Colours fade where values are small, and the mean image shows through.

    Examples
    --------
    >>> figure = volume_maps([mean_of_controls, mean_of_patients], d, image, grid, ["control", "patient"])
    ... # doctest: +SKIP
    """
    means, image = [_finite(mean) for mean in means], _seen(image)
    d = None if d is None else _finite(d)
    shared = _limit(np.stack(means))
    rows = [
        (f"Mean of what is added, {shortened(label)}", colour, mean, shared)
        for label, colour, mean in zip(labels, (BACKGROUND, TARGET), means, strict=True)
    ]
    if d is not None:
        pair = " against ".join(map(shortened, labels[::-1]))
        rows.append((f"Cohen's d of what is added, {pair}", NEUTRAL, d, _limit(d)))
    figure = Figure(figsize=(WIDTH, len(rows) * (ROW + TITLE)))
    total = figure.get_figheight()
    levels = _levels(image, grid)
    for i, (title, colour, values, limit) in enumerate(rows):
        top = 1 - i * (ROW + TITLE) / total
        figure.text(
            0.01, top - 0.2 / total, title, color=colour, fontsize=10, weight="bold", parse_math=False
        )
        box = (0.0, top - (ROW + TITLE) / total, 1 - BAR / WIDTH, ROW / total)
        _draw_slices(figure, box, values, limit, image, grid, levels)
        _colour_bar(figure, box, limit)
    return figure


def map_viewer(values: AnyArray, image: AnyArray, grid: Grid, *, most: int = SIZE) -> str:
    """
    Make an interactive viewer of a map: three slices through a point, which is moved with the mouse.

    Examples
    --------
    >>> page = map_viewer(d, image, grid)  # doctest: +SKIP
    """
    from nilearn.image import resample_img
    from nilearn.plotting import view_img

    values, image = _finite(values), _seen(image)
    peak = np.unravel_index(np.abs(values).argmax(), values.shape)
    point, limit = (grid.affine @ [*peak, 1])[:3].tolist(), _limit(values)
    for step in STEPS:
        affine = grid.affine.copy()
        affine[:3, :3] *= step
        shape = tuple(int(np.ceil(n / step)) for n in grid.shape)
        volumes = [_volume(array, grid) for array in (values, image)]
        if step > 1:
            volumes = [resample_img(volume, affine, shape, interpolation="linear") for volume in volumes]
        page = view_img(
            volumes[0],
            bg_img=volumes[1],
            cut_coords=point,
            vmax=limit,
            threshold=_least(volumes[0].get_fdata(), limit / 5),
            cmap=DIFFERENCES,
            symmetric_cmap=True,
            black_bg=False,
            dim=0,
            resampling_interpolation="nearest",  # they are on one grid
            width_view=900,
        ).html
        if len(page) <= most:
            break
    # An icon elsewhere on the network, and names that are drawn anew each time.
    page = re.sub(r"<link\b[^>]*>", "", page).replace("</body>", DRAW_AGAIN)
    drawn = re.findall(r"div_viewer-([0-9a-f]{32})", page)
    return page.replace(drawn[0], "map") if drawn else page


def _draw_slices(
    figure: Figure,
    box: tuple[float, float, float, float],
    values: AnyArray,
    limit: float,
    image: AnyArray,
    grid: Grid,
    levels: list[float],
) -> None:
    """One row of axial slices."""
    from nilearn.plotting import plot_stat_map

    opaque = np.clip(2 * np.abs(values) / limit, 0, 1)
    plot_stat_map(
        _volume(values, grid),
        bg_img=_volume(image, grid),
        figure=figure,
        axes=box,
        display_mode="z",
        cut_coords=levels,
        vmin=-limit,
        vmax=limit,
        cmap=DIFFERENCES,
        transparency=_volume(opaque, grid) if np.ptp(opaque) else float(opaque.flat[0]),
        transparency_range=[0, 1],
        threshold=None,
        black_bg=False,
        dim=0,
        draw_cross=False,
        colorbar=False,
    )


def _colour_bar(figure: Figure, box: tuple[float, float, float, float], limit: float) -> None:
    """The scale of one row, to its right."""
    place = (box[2] + 0.08 / WIDTH, box[1] + 0.15 * box[3], 0.1 / WIDTH, 0.7 * box[3])
    colours = ScalarMappable(Normalize(-limit, limit), DIFFERENCES)
    bar = figure.colorbar(colours, cax=figure.add_axes(place), ticks=[-limit, 0, limit])
    bar.ax.set_yticklabels([f"-{limit:.2g}", "0", f"+{limit:.2g}"], fontsize=8)
    bar.ax.tick_params(length=2)
    bar.outline.set_visible(False)


def _levels(image: AnyArray, grid: Grid) -> list[float]:
    """Heights of slices in mm, evenly over what the image shows."""
    inside = np.flatnonzero((image != 0).any(axis=(0, 1)))
    low, high = (inside[0], inside[-1]) if len(inside) else (0, grid.shape[2] - 1)
    indices = np.linspace(low, high, CUTS + 2)[1:-1].round()
    middle = [(n - 1) / 2 for n in grid.shape[:2]]
    return [float((grid.affine @ [*middle, k, 1])[2]) for k in np.unique(indices)]


def _limit(values: AnyArray) -> float:
    """Where a symmetric scale ends."""
    sizes = np.abs(values[values != 0])
    return float(np.percentile(sizes, PERCENTILE)) if sizes.size else 1.0


def _least(values: AnyArray, least: float) -> float | None:
    """What nilearn is to leave out; it complains where there is nothing to."""
    sizes = np.abs(values)
    return least if sizes.min() <= least < sizes.max() else None


def _finite(values: AnyArray) -> AnyArray:
    """Zeros where a value is NaN or infinite."""
    finite: AnyArray = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return finite


def _seen(image: AnyArray) -> AnyArray:
    """What lies below; of zeros only, nilearn would make a masked value of its scale."""
    finite = _finite(image)
    return finite if finite.any() else np.ones_like(finite)


def _volume(voxels: AnyArray, grid: Grid) -> Any:
    from nibabel.nifti1 import Nifti1Image

    return Nifti1Image(voxels.astype(np.float32), grid.affine)
