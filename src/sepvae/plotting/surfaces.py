"""Figures of maps on the inflated cortex of fsaverage5, which nilearn carries."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sepvae.batch import AnyArray
from sepvae.mesh import MESHES, Mesh
from sepvae.plotting import cells
from sepvae.plotting.palette import DIFFERENCES

VIEWS = (("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral"))
VIEW, ROW, HEAD, BAR = 2.5, 1.9, 0.3, 0.9  # inches: width and height of a view, of its title and colour bar
ZOOM, DPI = 1.32, 144
WHOLE = (-0.2, -0.2, 1.4, 1.4)  # place of matplotlib's axes in a view: they leave a wide margin
DRAWN = "fsaverage5"


def draw_surfaces(
    rows: Sequence[tuple[str, str, AnyArray, float]], mesh: Mesh, outlines: Sequence[AnyArray] = ()
) -> Figure:
    """
    Draw maps (2, vertices), each with title, its colour and end of its scale, as a row of four views.

    Finer meshes are drawn at the vertices of fsaverage5, which are their first ones. Vertices that are not
    valid are grey, dark in sulci. An outline (2, vertices) is a contour around what it marks.
    """
    width, height = len(VIEWS) * VIEW + BAR, len(rows) * (ROW + HEAD)
    figure, canvas = cells.inches(width, height)
    for i, (title, colour, values, limit) in enumerate(rows):
        top = i * (ROW + HEAD)
        look: dict[str, Any] = {"color": colour, "fontsize": 10, "weight": "bold", "parse_math": False}
        canvas.text(0.1, top + 0.2, title, **look)
        shown = np.where(mesh.valid, values, np.nan).astype(float)
        for k, (side, view) in enumerate(VIEWS):
            hemisphere = int(side == "right")
            outline = outlines[i][hemisphere] if i < len(outlines) else np.zeros(0)
            seen = _seen(shown[hemisphere], limit, outline, side, view)
            place = (k * VIEW, (k + 1) * VIEW, top + HEAD + ROW, top + HEAD)
            canvas.imshow(seen, aspect="auto", extent=place, interpolation="antialiased")
            where = (k + 0.5) * VIEW, top + HEAD + ROW - 0.02
            canvas.text(*where, f"{side}, {view}", fontsize=7, color="0.4", ha="center")
        y = top + HEAD + 0.15 * ROW
        cells.colour_bar(canvas, limit, width - BAR + 0.08, y, 0.7 * ROW, width=0.1, size=8)
    return figure


def _seen(values: AnyArray, limit: float, outline: AnyArray, side: str, view: str) -> AnyArray:
    """Return a view of a hemisphere as an image: drawn once, since matplotlib is slow with 20,000 faces."""
    from nilearn.datasets import load_fsaverage, load_fsaverage_data
    from nilearn.plotting import plot_surf_contours, plot_surf_stat_map

    n = MESHES[DRAWN]
    shape = load_fsaverage(DRAWN)["inflated"].parts[side]
    sulci = load_fsaverage_data(mesh=DRAWN, data_type="sulcal").data.parts[side]
    figure = Figure(figsize=(VIEW, ROW), dpi=DPI)
    ax: Any = figure.add_axes(WHOLE, projection="3d")
    where: dict[str, Any] = {"hemi": side, "axes": ax, "figure": figure}
    scale: dict[str, Any] = {"cmap": DIFFERENCES, "vmin": -limit, "vmax": limit, "colorbar": False}
    plot_surf_stat_map(shape, values[:n], bg_map=sulci, bg_on_data=True, view=view, **scale, **where)
    if outline[:n].any():
        plot_surf_contours(shape, outline[:n].astype(int), levels=[1], colors=["k"], **where)
    ax.set_box_aspect(None, zoom=ZOOM)
    drawn: Any = FigureCanvasAgg(figure)
    drawn.draw()
    return np.array(drawn.buffer_rgba())
