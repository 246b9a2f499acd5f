"""Figure of subtypes: patients by subtype, held-out ones hollow, and statistics beside their null."""

import numpy as np
import pandas as pd
import pytest

from sepvae.plotting.subtypes import consensus_figure, subtype_scatter


@pytest.mark.parametrize(("n_subtypes", "n_axes"), [(1, 2), (3, 2), (2, 1)])
def test_subtypes_have_a_colour_each_and_the_null_is_beside_them(n_subtypes: int, n_axes: int) -> None:
    rng = np.random.default_rng(0)
    observed = pd.Series({"likelihood_ratio": 30.0, "gap": 1.0})
    null = pd.DataFrame({"likelihood_ratio": rng.chisquare(6, 49), "gap": rng.uniform(0.2, 0.5, 49)})
    subtype = 1 + np.arange(30) % n_subtypes
    figure = subtype_scatter(rng.normal(size=(30, n_axes)), subtype, np.arange(30) % 5 == 0, observed, null)
    left, *others = figure.axes
    drawn = [collection.get_offsets() for collection in left.collections]
    assert sum(map(len, drawn)) == 30  # type: ignore[arg-type]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    coloured = [f"subtype {i} ({30 // n_subtypes})" for i in range(1, n_subtypes + 1)]
    assert names == [*(coloured if n_subtypes > 1 else []), "in training (24)", "held out (6)"]
    for ax, value in zip(others, observed, strict=True):
        assert sum(bar.get_height() for bar in ax.patches) == 49  # type: ignore[attr-defined]
        assert ax.lines[0].get_xdata()[0] == value  # type: ignore[index]


def test_a_consensus_is_a_matrix_with_lines_between_subtypes() -> None:
    shared = np.eye(5)
    shared[0, 1] = np.nan
    ax = consensus_figure(shared, np.array([1, 1, 1, 2, 2]), "2 consensus subtypes").axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["1 (3)", "2 (2)"]
    assert [line.get_ydata()[0] for line in ax.lines[::2]] == [2.5]  # type: ignore[index]
    assert ax.images[0].get_array().mask.sum() == 1  # type: ignore[union-attr]
