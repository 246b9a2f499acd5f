"""Figures of regions of an atlas: what is drawn, in which order, at which place."""

import numpy as np
import pandas as pd

from sepvae.grid import Grid
from sepvae.plotting.regions import IN_BARS, glass_brain, region_bars


def effects(n: int) -> pd.DataFrame:
    d = np.linspace(-2, 1, n)
    table = pd.DataFrame({"index": range(1, n + 1), "region": [f"r{i}" for i in range(n)], "difference": d})
    table["p_difference"], table["p_adjusted"] = np.where(d < -1.9, 0.01, 0.5), np.where(d < -1.8, 0.01, 0.5)
    return table.assign(d=3 * d, d_low=3 * d - 0.5, d_high=3 * d + 0.5)


def test_bars_are_ranked_by_the_difference_and_marked_by_p() -> None:
    left, right = region_bars(effects(40)).axes
    assert len(left.patches) == IN_BARS
    widths = [abs(bar.get_width()) for bar in left.patches]
    assert widths == sorted(widths, reverse=True)
    assert left.get_yticklabels()[0].get_text() == "r0"
    assert len(left.texts) == 2
    assert len(right.texts) == 3
    ends = np.array([path[:, 0] for path in right.collections[0].get_segments()])
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 1)


def test_a_glass_brain_shows_the_difference_of_each_region() -> None:
    placed = np.zeros((9, 10, 8), dtype=int)
    placed[2:4], placed[6:8] = 1, 2
    affine = np.array([[16.0, 0, 0, -64], [0, 16, 0, -90], [0, 0, 16, -50], [0, 0, 0, 1]])
    figure = glass_brain(effects(2), placed, Grid(placed.shape, affine))
    shown = [np.ma.filled(image.get_array(), 0) for ax in figure.axes for image in ax.images]
    assert {-2.0, 1.0} <= set(np.round(np.concatenate([one.ravel() for one in shown]), 3))
    assert len(shown) >= 4  # left, back, right and top
