from typing import Any

import numpy as np
import pandas as pd

from sepvae.plotting.palette import MISSING
from sepvae.plotting.stability import stability_figure


def row(measure: str, first: str = "", second: str = "", **more: Any) -> dict[str, Any]:
    blank = {"space": "salient", "axis": None, "score": 0.9, "low": 0.8, "high": 0.95, "chance": 0.1}
    return {"measure": measure, "first": first, "second": second} | blank | more


TABLE = pd.DataFrame(
    [
        row("alignment", "seed 0", "seed 1"),
        row("alignment"),
        row("axis", "seed 0", axis="salient1", score=0.9),
        row("axis", "seed 0", axis="salient0", score=0.3),
        row("axis", "seed 1", axis="salient0", score=0.1),
        row("central", "seed 0"),
        row("central", "seed 1"),
        row("alignment", space="common"),
        row("map", "seed 0", "seed 1", low=None, high=None),
        row("map", low=None, high=None),
    ]
)


def colours(ax: Any) -> list[str]:
    from matplotlib.colors import to_hex

    return [to_hex(bar.get_facecolor()).upper() for bar in ax.patches]


def test_axes_that_do_not_reproduce_are_grey_and_hatched() -> None:
    figure = stability_figure(TABLE)
    assert len(figure.axes) == 3  # without a map
    pairs, measures, axes = figure.axes
    assert [text.get_text() for text in pairs.texts] == ["0.90", "0.90"]
    names = [text.get_text() for text in measures.get_yticklabels()]
    assert names == ["salient: alignment", "common: alignment", "salient: map"]
    assert axes.get_title(loc="left") == "1 of 2 axes of seed 0 are found in the other fits"
    assert colours(axes)[1] == MISSING != colours(axes)[0]
    assert [bar.get_hatch() for bar in axes.patches] == ["", "////"]


def test_features_that_do_not_reproduce_are_grey_and_the_largest_come_first() -> None:
    mean, icc = np.array([0.1, -0.5, 0.3]), np.array([0.9, 0.8, np.nan])
    ax = stability_figure(TABLE, mean, icc, ["a", "b", "c"]).axes[3]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["b", "c", "a"]
    assert [bar.get_hatch() for bar in ax.patches] == ["", "////", ""]
    assert colours(ax)[1] == MISSING


def test_pixels_and_voxels_that_do_not_reproduce_are_hatched() -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 8, 6), (3, 8, 6), (1, 6, 8, 4)):
        mean, icc = rng.normal(size=shape), np.ones(shape)
        icc[..., :2, :2] = np.nan if len(shape) == 3 else 1
        ax = stability_figure(TABLE, mean, icc).axes[3]
        assert len(ax.images) == 1
        assert len(ax.collections) == (len(shape) == 3)  # nothing is hatched where all reproduces
