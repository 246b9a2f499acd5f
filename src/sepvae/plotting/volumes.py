"""Maps of volumes, drawn by nilearn: static slices, and an interactive viewer that works offline."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from sepvae.batch import AnyArray
from sepvae.grid import Grid
from sepvae.plotting.cells import difference_bar
from sepvae.plotting.palette import BACKGROUND, DIFFERENCES, NEUTRAL, TARGET
from sepvae.plotting.words import shortened

CUTS = 7
WIDTH, ROW, TITLE, BAR = 11.0, 1.75, 0.3, 0.9  # inches; BAR is the room on the right for the colour bar
PERCENTILE = 99.5  # of nonzero values: with the maximum, a few voxels would make all others pale
SIZE = 2_000_000  # largest number of characters of a viewer
STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # factors on the edge of a voxel
# nilearn's viewer stays empty if an inner frame gets its size or its images after the script ran.
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
    Draw axial slices of each group's mean map over the image, and of Cohen's d if given.

    Left is on the left. Colours fade where values are small, so that the image, in grey, shows through. The
    means have one symmetric scale, and d its own.

    >>> figure = volume_maps([mean_of_controls, mean_of_patients], d, image, grid, ["control", "patient"])
    ... # doctest: +SKIP
    """
    means, image = [_finite(mean) for mean in means], _seen(image)
    d = None if d is None else _finite(d)
    shared = _percentile_limit(np.stack(means))
    rows = [
        (f"Mean of what is added, {shortened(label)}", colour, mean, shared)
        for label, colour, mean in zip(labels, (BACKGROUND, TARGET), means, strict=True)
    ]
    if d is not None:
        pair = " against ".join(map(shortened, labels[::-1]))
        rows.append((f"Cohen's d of what is added, {pair}", NEUTRAL, d, _percentile_limit(d)))
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
        place = (box[2] + 0.08 / WIDTH, box[1] + 0.15 * box[3], 0.1 / WIDTH, 0.7 * box[3])
        difference_bar(figure, ScalarMappable(Normalize(-limit, limit), DIFFERENCES), place, fontsize=8)
    return figure


def map_viewer(values: AnyArray, image: AnyArray, grid: Grid, *, most: int = SIZE) -> str:
    """
    Return an interactive viewer of a map as an HTML page: three slices through a point moved with the mouse.

    It starts at the largest absolute value; values within a fifth of the scale are transparent. Voxels are
    enlarged, up to 6 times, until the page has at most `most` characters. The page loads nothing from the
    network, and is the same for the same map.

    >>> page = map_viewer(d, image, grid)  # doctest: +SKIP
    """
    from nilearn.image import resample_img
    from nilearn.plotting import view_img

    values, image = _finite(values), _seen(image)
    peak = np.unravel_index(np.abs(values).argmax(), values.shape)
    point, limit = (grid.affine @ [*peak, 1])[:3].tolist(), _percentile_limit(values)
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
            resampling_interpolation="nearest",  # both are on one grid
            width_view=900,
        ).html
        if len(page) <= most:
            break
    # Remove an icon from the network, and replace random ids: the same map must give the same page.
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
    """Draw one row of axial slices."""
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


def _levels(image: AnyArray, grid: Grid) -> list[float]:
    """Return the positions of slices in mm, evenly spaced over the nonzero part of the image."""
    inside = np.flatnonzero((image != 0).any(axis=(0, 1)))
    low, high = (inside[0], inside[-1]) if len(inside) else (0, grid.shape[2] - 1)
    indices = np.linspace(low, high, CUTS + 2)[1:-1].round()
    middle = [(n - 1) / 2 for n in grid.shape[:2]]
    return [float((grid.affine @ [*middle, k, 1])[2]) for k in np.unique(indices)]


def _percentile_limit(values: AnyArray) -> float:
    """Return the end of a symmetric scale, a high percentile of nonzero sizes; 1 if all are 0."""
    sizes = np.abs(values[values != 0])
    return float(np.percentile(sizes, PERCENTILE)) if sizes.size else 1.0


def _least(values: AnyArray, least: float) -> float | None:
    """Return the threshold for nilearn, or None if it hides no voxel or all: nilearn would warn."""
    sizes = np.abs(values)
    return least if sizes.min() <= least < sizes.max() else None


def _finite(values: AnyArray) -> AnyArray:
    """Return the values, with 0 for NaN and infinite ones."""
    finite: AnyArray = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return finite


def _seen(image: AnyArray) -> AnyArray:
    """Return the finite image, or ones if it is all 0: the scale of nilearn would be a masked value."""
    finite = _finite(image)
    return finite if finite.any() else np.ones_like(finite)


def _volume(voxels: AnyArray, grid: Grid) -> Any:
    from nibabel.nifti1 import Nifti1Image

    return Nifti1Image(voxels.astype(np.float32), grid.affine)
