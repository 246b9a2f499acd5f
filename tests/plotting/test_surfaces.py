"""Maps on the cortex: four views a row, with the medial wall in grey and one scale."""

import numpy as np
import pytest

from sepvae.mesh import MESHES, Mesh
from sepvae.plotting.surfaces import VIEWS, draw_surfaces

from ..helpers import images_of


@pytest.mark.slow
def test_a_row_has_four_views_and_a_scale() -> None:
    n = MESHES["fsaverage6"]  # drawn at the vertices of fsaverage5
    values = np.zeros((2, n))
    values[0, :10242] = 1.0  # the left hemisphere alone
    valid = np.ones((2, n), dtype=bool)
    figure = draw_surfaces([("d", "k", values, 2.0)], Mesh.of_vertices(valid))
    words = [text.get_text() for text in figure.axes[0].texts]
    views_named = [f"{side}, {view}" for side, view in VIEWS]
    assert words == ["d", *views_named, "+2", "0", "-2"]
    views = [np.asarray(image.get_array(), dtype=float) for image in images_of(figure)[: len(VIEWS)]]
    redness = [(view[..., 0] - view[..., 2]).max() for view in views]
    assert min(redness[:2]) > 50
    assert max(redness[2:]) < 20
