import io
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.plotting.maps import (
    TESTS,
    compared_images,
    map_groups,
    map_people,
    map_picture,
    map_viewer,
    volume_axes,
    volume_maps,
)
from sepvae.plotting.tables import map_axes, map_regions

from ..helpers import images_of, slices_shown, texts_of

rng = np.random.default_rng(0)
SHAPE = (16, 18, 14)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = -30, -36, -28
GRID = Grid(SHAPE, AFFINE)
IMAGE = np.zeros(SHAPE)
IMAGE[2:14, 2:16, 1:13] = rng.uniform(1, 2, size=(12, 14, 12))
EFFECT = np.where(IMAGE > 0, rng.normal(0, 0.1, SHAPE), 0)
EFFECT[4, 5, 6] = -3


def titles(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_weight() == "bold"]


def test_people_are_drawn_by_group_with_one_scale_for_all():
    images = rng.random((3, 1, 8, 6))
    added = rng.normal(size=(3, 1, 8, 6))
    figure = map_people(images, images / 2, added, np.array([1, 0, 1]), ["hc", "scz"], ["a", "b", "c$"])
    assert texts_of(figure)[:6] == ["Background (hc)", "b", "Target (scz)", "a", "c$", "input"]
    rows = [images_of(figure)[i : i + 3] for i in (0, 3, 6)]
    np.testing.assert_allclose(rows[0][1].get_array(), images[1, 0] / 2)
    np.testing.assert_allclose(rows[2][2].get_array(), added[2, 0])
    assert {row[2].get_clim() for row in rows} == {(-np.abs(added).max(), np.abs(added).max())}


def test_nobody_cannot_be_drawn():
    none = np.zeros((0, 1, 8, 8))
    with pytest.raises(DataError, match="not empty"):
        map_people(none, none, none, np.zeros(0), ["hc", "scz"], [])


def test_groups_share_a_scale_and_the_effect_has_its_own():
    figure = map_groups(
        [np.full((3, 4, 4), 0.1), np.full((3, 4, 4), -0.2)], np.full((3, 4, 4), 2.0), ["a", "b"]
    )
    np.testing.assert_allclose([image.get_clim()[1] for image in images_of(figure)], [0.2, 0.2, 2.0])
    assert titles(figure) == ["Mean, background (a)", "Mean, target (b)", "Cohen's d"]
    long = map_groups([np.zeros((1, 8, 8)), np.ones((1, 8, 8))], None, ["well", "ill"])
    assert titles(long) == ["Mean, background\n(well)", "Mean, target (ill)"]


def test_a_map_without_anything_is_white():
    figure = map_picture(np.zeros((1, 4, 4)))
    assert figure.axes[0].images[0].get_clim() == (-1, 1)
    assert map_picture(np.ones((1, 4, 4)), 2.0).axes[0].images[0].get_clim() == (-2, 2)


def test_an_image_shows_through_where_a_map_is_small():
    image, values = np.array([[0.2, np.nan]]), np.array([[[0.5, -2.0]]])
    figure = map_picture(values, 4.0, image, "z = 3 mm")
    above, below = images_of(figure)
    np.testing.assert_array_equal(above.get_alpha(), [[0.25, 1.0]])
    np.testing.assert_array_equal(np.ma.filled(below.get_array(), np.nan), image)
    assert below.get_zorder() < above.get_zorder()
    assert titles(figure) == ["z = 3 mm"]


def test_what_is_found_is_outlined_where_it_is():
    found = np.zeros((8, 8), dtype=bool)
    found[1, 6] = True
    figure = compared_images({"salient": (found * 1.0, found), "glm": (found * 1.0, ~found & found)})
    (outline,) = figure.axes[0].collections
    left, right, bottom, top = images_of(figure)[0].get_extent()
    wanted = left + 6.5 / 8 * (right - left), top + 1.5 / 8 * (bottom - top)
    corners = np.unique(outline.get_paths()[0].vertices, axis=0)
    np.testing.assert_allclose(corners.mean(axis=0), wanted)


def test_long_titles_of_tests_of_images_are_within_the_figure():
    found = np.zeros((8, 8), dtype=bool)
    figure = compared_images({name: (rng.normal(size=(8, 8)), found) for name in TESTS})
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_weight() == "bold"]
    assert max(box.y1 for box in boxes) <= figure.bbox.y1
    assert all(box.x1 <= after.x0 for box, after in pairwise(boxes))
    assert "voxel" not in " ".join(titles(figure))


def test_the_first_twenty_regions_are_ranked_from_the_top():
    regions = pd.DataFrame(
        {"feature": [f"$r{i}" for i in range(30)], "d": np.linspace(2, 0, 30) * np.tile([1, -1], 15)}
    )
    ax = map_regions(regions).axes[0]
    assert [bar.get_width() for bar in ax.patches] == regions["d"][:20].tolist()
    assert [label.get_text() for label in ax.get_yticklabels()] == regions["feature"][:20].tolist()
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    with pytest.raises(DataError, match="got none"):
        map_regions(regions[:0])


def test_each_axis_has_a_panel_of_the_features_that_it_changes_most():
    table = pd.DataFrame({"feature": list("abc"), "salient0": [0.1, -0.3, 0.2], "salient5": [3.0, 2.0, 1.0]})
    axes = map_axes(table, ["salient5", "salient0", "salient5"], n=2).axes
    assert [ax.get_title(loc="left") for ax in axes] == ["salient5", "salient0", "salient5"]
    assert [bar.get_width() for bar in axes[1].patches] == [-0.3, 0.2]
    assert [label.get_text() for label in axes[1].get_yticklabels()] == ["b", "c"]


def test_axes_of_volumes_have_a_row_each(tmp_path):
    figure = volume_axes({"salient3": EFFECT, "salient0": 2 * EFFECT}, IMAGE, GRID)
    assert [title[-13:] for title in titles(figure)] == ["salient3 adds", "salient0 adds"]
    figure.savefig(tmp_path / "figure.png", dpi=50)


def test_volumes_are_drawn_in_rows_of_axial_slices(tmp_path):
    figure = volume_maps([0.1 * EFFECT, 0.2 * EFFECT], EFFECT, IMAGE, GRID, ["control", "patient"])
    means = ["Mean of what is added, control", "Mean of what is added, patient"]
    assert titles(figure) == [*means, "Cohen's d of what is added, patient against control"]
    figure.savefig(tmp_path / "figure.png", dpi=50)
    heights = {text.get_text() for ax in figure.axes for text in ax.texts if "z=" in text.get_text()}
    inside = AFFINE[2, 3] + 4 * np.array([1, 12])
    assert len(heights) == 7
    assert all(inside[0] <= float(height[2:]) <= inside[1] for height in heights)


def test_maps_of_nothing_can_be_drawn(tmp_path):
    zeros = np.zeros(SHAPE)
    volume_maps([zeros, zeros], zeros, IMAGE, GRID, ["a", "b"]).savefig(tmp_path / "figure.png", dpi=50)
    assert "brainsprite(" in map_viewer(zeros, IMAGE, GRID)


def test_the_viewer_starts_at_the_peak_and_is_the_same_each_time():
    page = map_viewer(EFFECT, IMAGE, GRID)
    assert slices_shown(page) in ({"X": 4, "Y": 5, "Z": 6}, {"X": 3, "Y": 4, "Z": 5})
    assert page == map_viewer(EFFECT, IMAGE, GRID)


def test_the_viewer_asks_for_nothing_elsewhere():
    page = map_viewer(EFFECT, IMAGE, GRID)
    assert "<link" not in page
    assert [
        url for url in re.findall(r'\b(?:src|href|srcset|data)="([^"]*)"', page) if url[:5] != "data:"
    ] == []
    assert "//" not in re.sub(
        r"base64,[^\"]*", "", re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    )


def test_a_viewer_that_is_too_large_has_larger_voxels():
    whole = map_viewer(EFFECT, IMAGE, GRID)
    assert '"nbSlice": {"X": 16, "Y": 18, "Z": 14}' in whole
    assert map_viewer(EFFECT, IMAGE, GRID, most=len(whole)) == whole
    assert len(map_viewer(EFFECT, IMAGE, GRID, most=len(whole) - 1)) < len(whole) - 1000


@pytest.mark.parametrize("odd", [0.0, 1.0, np.nan, np.inf])
def test_volumes_of_one_value_or_none_are_drawn_without_a_warning(odd: float) -> None:
    grid = Grid((12, 12, 12), np.diag([2.0, 2, 2, 1]))
    plain = np.random.default_rng(0).normal(size=grid.shape)
    bad, some = np.full(grid.shape, odd), np.where(plain > 1, odd, plain)
    for values, image in ((bad, np.abs(plain)), (some, np.abs(plain)), (plain, bad)):
        volume_maps([values, plain], values, image, grid, ["a", "b"]).savefig(io.BytesIO())
        assert "brainsprite(" in map_viewer(values, image, grid)
